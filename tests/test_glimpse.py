"""Pictures of attached cameras that nobody has configured: made when asked for, faces hidden, and shown in the setup."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from support.cameras import TEST_PICTURE, needs_gstreamer
from support.console import Console
from support.doubles import ScriptedDetector
from support.mosquitto import PATIENCE_S

from edged.capture.attached import Attached
from edged.config import CameraConfig, ModelsConfig
from edged.console.working import sentence
from edged.daemon import questions
from edged.daemon.client import TRIES, socket_path
from edged.daemon.requests import BUSY
from edged.errors import SourceLost
from edged.live import glimpse
from edged.live.glimpse import glimpses
from edged.live.hide import NOT_HIDDEN
from edged.sockets import LineServer
from edged.types import Box, Detection

FACE = Detection(Box(100, 60, 180, 160), 0.9)
JPEG = cv2.imencode(".jpg", np.full((90, 160, 3), 120, np.uint8))[1].tobytes()


@needs_gstreamer
def test_each_camera_that_is_free_is_opened_once_and_its_faces_are_hidden() -> None:
    detector = ScriptedDetector([[FACE], []])
    cameras = [
        Attached(TEST_PICTURE, "test", "Test picture"),
        Attached("v4l2:///dev/video99", "/dev/video99", "Gone"),
        Attached("v4l2:///dev/video98", "/dev/video98", "In use"),
        Attached("v4l2:///dev/video97", "/dev/video97", "Closed", problem="no permission"),
    ]
    found = glimpses(cameras, ["v4l2:///dev/video98"], lambda: detector, 0.5)
    assert list(found) == [TEST_PICTURE, "v4l2:///dev/video99"]
    assert found["v4l2:///dev/video99"]["picture"] is None
    assert "video99" in found["v4l2:///dev/video99"]["problem"]
    data = base64.b64decode(found[TEST_PICTURE]["picture"])
    picture = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    assert picture.shape == (240, 320, 3)
    assert len(detector.pictures) == 2, "what is sent was looked at once more"
    block = picture[104:116, 132:140].reshape(-1, 3)
    assert np.ptp(block, axis=0).max() < 30, "the face is squares"


@needs_gstreamer
def test_a_picture_in_which_a_face_cannot_be_hidden_is_withheld() -> None:
    stubborn = ScriptedDetector([[FACE]] * 9)
    found = glimpses([Attached(TEST_PICTURE, "test", "Test picture")], [], lambda: stubborn, 0.5)
    assert found[TEST_PICTURE] == {"picture": None, "problem": NOT_HIDDEN}


def test_nobody_loads_a_detector_where_no_camera_is_free() -> None:
    def fail() -> ScriptedDetector:
        raise AssertionError

    assert (
        glimpses([Attached("v4l2:///dev/video98", "/dev/video98", "In use")], ["v4l2:///dev/video98"], fail, 0.5) == {}
    )


def test_a_pause_that_begins_meanwhile_opens_no_further_camera_and_gives_no_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    pauses: list[str] = []

    def begin_pause(config: CameraConfig) -> Any:
        opened.append(config.source)
        pauses.append("by admin")
        raise SourceLost("gone")

    daemon: Any = SimpleNamespace(
        pausing=SimpleNamespace(status=lambda: pauses[0] if pauses else None),
        reloader=SimpleNamespace(runtime=SimpleNamespace(config=SimpleNamespace(camera={}, models=ModelsConfig()))),
    )
    daemon._paused = lambda: questions.Questions._paused(daemon)
    cameras = [Attached(f"v4l2:///dev/video{number}", "/dev", "Camera") for number in range(90, 95)]
    monkeypatch.setattr(questions, "attached", lambda: cameras)
    monkeypatch.setattr(glimpse, "open_feed", begin_pause)
    monkeypatch.setattr(glimpse, "AT_ONCE", 1)
    assert questions.Questions.glimpses(daemon) == {"v": 1, "glimpses": {}}
    assert opened == ["v4l2:///dev/video90"]


def test_a_pause_that_begins_closes_a_camera_that_is_open_and_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[bool] = []
    closed: list[bool] = []
    mute = SimpleNamespace(next=lambda _: pauses.append(True), close=lambda: closed.append(True))
    monkeypatch.setattr(glimpse, "open_feed", lambda _: mute)
    camera = Attached("v4l2:///dev/video90", "/dev", "Camera")
    assert glimpses([camera], [], lambda: ScriptedDetector([]), 0.5, lambda: bool(pauses)) == {}
    assert (pauses, closed) == ([True], [True])


MUTE = """
import threading, time
from edged.capture.attached import Attached
from edged.live import glimpse
opened = threading.Event()
glimpse._one_picture = lambda *_: opened.set() or time.sleep(600)
camera = Attached("v4l2:///dev/video90", "/dev", "Mute")
threading.Thread(target=glimpse.glimpses, args=([camera], [], None, 0.5), daemon=True).start()
assert opened.wait(60)
"""


def test_the_end_of_the_daemon_does_not_wait_for_a_mute_camera() -> None:
    subprocess.run([sys.executable, "-c", MUTE], check=True, timeout=120)


def test_the_setup_shows_each_attached_camera_and_asks_once_for_all_pictures(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(line: bytes) -> bytes:
        asked.append(json.loads(line)["verb"])
        if asked[-1] == "glimpses" and asked.count("glimpses") <= TRIES:
            return json.dumps({"v": 1, "ok": False, "error": BUSY}).encode()
        cameras = [Attached(f"v4l2:///dev/video{number}", "/dev", f"Camera {number}").as_dict() for number in range(3)]
        pictures = {"v4l2:///dev/video0": {"picture": base64.b64encode(JPEG).decode(), "problem": None}}
        pictures["v4l2:///dev/video1"] = {"picture": None, "problem": "it is in use"}
        return json.dumps({"v": 1, "ok": True, "cameras": cameras, "glimpses": pictures}).encode()

    with Console(tmp_path, {"camera": {"door": {"source": "v4l2:///dev/video2"}}}) as console:
        server = LineServer("status", socket_path(console.database), answer, use="the test")
        server.open()
        server.start()
        try:
            browser = console.start().claimed()
            page = browser.get("/setup/camera").text
            assert page.count('<img class="thumb" src="/setup/camera/picture?source=v4l2%3A///dev/video') == 3
            refused = browser.get("/setup/camera/picture?source=v4l2%3A///dev/video0")
            assert (refused.status, sentence(BUSY) in refused.text) == (503, True), "it is asked again"
            shown = browser.get("/setup/camera/picture?source=v4l2%3A///dev/video0")
            assert (shown.status, shown.body, shown.headers["content-type"]) == (200, JPEG, "image/jpeg")
            held = browser.get("/setup/camera/picture?source=v4l2%3A///dev/video1")
            assert (held.status, "It is in use." in held.text) == (404, True)
            assert browser.get("/setup/camera/picture?source=v4l2%3A///dev/video2").location == "/live/door/frame.jpg"
            assert browser.get("/setup/camera/picture?source=rtsp%3A//10.0.0.9/1").status == 404, "no other is opened"
            assert asked.count("glimpses") == TRIES + 1
            assert console.browser().get("/setup/camera/picture?source=v4l2%3A///dev/video0").status == 303
        finally:
            server.stop(PATIENCE_S)
