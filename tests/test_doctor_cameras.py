"""What `edged doctor` says of a camera, opened the way the daemon opens it."""

import os
import time

import numpy as np
import pytest
from support.cameras import TEST_PICTURE, children, needs_gstreamer
from support.mosquitto import until
from support.recordings import write_folder, write_video

from edged.capture import examine
from edged.capture.examine import Examination, examine_camera
from edged.config import CameraConfig
from edged.doctor import _camera
from edged.errors import SourceLost


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(examine, "WATCH_S", 1.5)
    monkeypatch.setattr(examine, "SETTLE_S", 0.5)


@needs_gstreamer
def test_a_camera_is_measured_while_it_runs():
    look = examine_camera(CameraConfig(source=TEST_PICTURE.replace("30/1", "10/1"), fps=5))
    assert (look.width, look.height) == (320, 240)
    assert 8 < look.fps < 12
    assert 100 < look.brightness < 160
    assert look.advice() == []


@needs_gstreamer
@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        ("pattern=black", "take off the cap"),
        ("pattern=white", "take off the cap"),
        ("pattern=gradient", "focus the lens"),
    ],
)
def test_a_bad_picture_is_told_with_what_to_do(pattern, advice):
    finding = _camera("door", CameraConfig(source=TEST_PICTURE.replace("is-live", f"{pattern} is-live"), fps=5))
    assert finding.verdict == "warning"
    assert advice in finding.line


@pytest.mark.parametrize(
    ("figures", "advice"),
    [
        ({"brightness": 10.0}, "very dark"),
        ({"brightness": 250.0}, "too bright"),
        ({"sharpness": 3.0}, "blurred"),
        ({"fps": 9.0}, "fewer pictures than fps = 15"),
        ({}, None),
    ],
)
def test_advice_follows_the_figures(figures, advice):
    good = {"width": 640, "height": 480, "fps": 15.0, "brightness": 120.0, "deviation": 50.0, "sharpness": 300.0}
    told = Examination(**{**good, "requested_fps": 15.0, **figures}).advice()
    assert (advice in told[0]) if advice else told == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (16, 16384), (5000, 1)])
def test_a_picture_of_any_shape_is_judged(shape):
    assert examine.judged(np.full((*shape, 3), 90, np.uint8), None, 15).brightness == 90


def test_sharpness_tells_a_scene_in_focus_from_one_that_is_not():
    import cv2

    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    scene = cv2.resize(picture, (1280, 960), interpolation=cv2.INTER_NEAREST)
    sharp, soft = (examine.judged(image, None, 15) for image in (scene, cv2.GaussianBlur(scene, (0, 0), 40)))
    assert sharp.sharpness > 20 * soft.sharpness
    assert "blurred" in soft.advice()[0]
    assert sharp.advice() == []


@pytest.mark.parametrize(
    "source", ["v4l2:///dev/none-such", "file:///none-such.mp4", "images:///none-such", "rtsp://127.0.0.1:9/x"]
)
def test_a_camera_that_is_not_there_is_a_problem_in_one_line(source):
    finding = _camera("door", CameraConfig(source=source))
    assert finding.verdict == "problem"
    assert "\n" not in finding.line
    assert finding.line.count(source) <= 1


def test_recordings_are_opened_too(tmp_path):
    video = write_video(tmp_path / "a.avi", 10)
    assert "64x48" in _camera("door", CameraConfig(source=video.as_uri())).line
    folder = write_folder(tmp_path / "in", 2)
    assert "64x48" in _camera("door", CameraConfig(source=f"images://{folder}")).line
    write_video(tmp_path / "b.avi", 0)
    assert _camera("door", CameraConfig(source=f"file://{tmp_path}/b.avi")).verdict == "problem"


@pytest.mark.parametrize("source", ["file://{}/a.mp4", "images://{}/pictures"])
def test_a_recording_on_a_dead_mount_holds_nobody_up(dead_mount, monkeypatch, source):
    monkeypatch.setattr(examine, "RECORDING_S", 2.0)
    began = time.monotonic()
    finding = _camera("door", CameraConfig(source=source.format(dead_mount)))
    assert time.monotonic() - began < 60
    assert finding.verdict == "problem"
    assert "mount it again" in finding.line
    assert until(lambda: not children(os.getpid()))


@pytest.mark.parametrize(
    ("words", "reason"), [("'boom', file=sys.stderr", "boom"), ("", "no output"), ("'[1]'", r"\[1\]")]
)
def test_a_look_that_crashes_is_told(tmp_path, monkeypatch, words, reason):
    script = tmp_path / "script.py"
    script.write_text(f"import sys; print({words}); sys.exit(3)" if words else "")
    monkeypatch.setattr(examine, "EXAMINE", (examine.sys.executable, str(script)))
    with pytest.raises(SourceLost, match=reason):
        examine_camera(CameraConfig(source="file:///a.mp4"))
