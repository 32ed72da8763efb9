"""The small parts of capture, each by itself: kinds of source, waits, pace, lent pictures, what pictures show."""

import gc
import os
import socket
import subprocess
import threading

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.mosquitto import free_port

from edged.capture import opencv, recovery
from edged.capture.child_protocol import CaptureSettings, Orientation, RateLimiter
from edged.capture.feeds import Absence, open_feed
from edged.capture.recovery import RESET_EVERY_S, ReopenPolicy
from edged.capture.ring import BufferPool, attach_ring, make_ring, ring_fits
from edged.capture.state import BAD_AFTER_S, FROZEN_AFTER_S, PictureMonitor
from edged.config import CameraConfig
from edged.config.source import check_source, parse_source, with_credentials
from edged.errors import SourceLost
from edged.processes.child import ChildProcess

# --- kinds of source


@pytest.mark.parametrize(
    ("uri", "path", "options"),
    [
        ("csi://0", "0", {}),
        ("csi://1?width=1920&height=1080&fps=30&exposure=5000", "1",
         {"width": 1920, "height": 1080, "fps": 30, "exposure": 5000}),
        ("picamera://0?width=640&height=480", "0", {"width": 640, "height": 480}),
        ("v4l2:///dev/v4l/by-id/x?mjpeg=0&exposure=100", "/dev/v4l/by-id/x", {"mjpeg": 0, "exposure": 100}),
        ('gst:v4l2src device="/dev/video 0" ! jpegdec', 'v4l2src device="/dev/video 0" ! jpegdec', {}),
    ],
)  # fmt: skip
def test_a_source_is_taken_apart(uri, path, options):
    source = parse_source(uri)
    assert (source.path, source.options) == (path, options)


@pytest.mark.parametrize(
    ("uri", "remedy"),
    [
        ("csi:///dev/video0", "csi://0"),
        ("csi://zero", "csi://0"),
        ("csi://0?loop=1", "it takes exposure, fps, height, width"),
        ("csi://0?width=1280", "go together"),
        ("csi://0?width=1283&height=720", "multiple of 8"),
        ("picamera://0?exposure=1", "from 10 to"),
        ("gst:", "elements"),
        ("gst:videotestsrc !", "elements"),
        ("gst:videotestsrc ! autovideosink", "edged puts its own"),
        ("gst:videotestsrc ! fdsink fd=1", "edged puts its own"),
        ('gst:videotestsrc pattern="snow', "quotes"),
        ("gst:rtspsrc location=rtsp://a:b@h/x ! rtph264depay", "credentials_file"),
        ("gst:rtspsrc location=rtsp://h/x user-id=a user-pw=b ! rtph264depay", "credentials_file"),
    ],
)
def test_a_mistake_says_what_would_be_right(uri, remedy):
    with pytest.raises(ValueError, match=remedy):
        check_source(uri)


@pytest.mark.parametrize(
    ("uri", "full"),
    [
        ("rtsp://h:554/a?b=c", "rtsp://u%40x:p%2F%3Aq@h:554/a?b=c"),
        ("rtsps://h", "rtsps://u%40x:p%2F%3Aq@h"),
        ("rtsp://old:one@h/a@b", "rtsp://u%40x:p%2F%3Aq@h/a@b"),
    ],
)
def test_credentials_are_put_into_a_uri_quoted(uri, full):
    assert with_credentials(uri, "u@x:p/:q\n") == full


@pytest.mark.parametrize(
    ("source", "complaint"), [("file:///a.mp4", "for rtsp"), ("rtsp://u:p@h/a", "already"), ("csi://0", "for rtsp")]
)
def test_a_credentials_file_goes_with_a_stream_that_has_none(source, complaint):
    with pytest.raises(ValidationError, match=complaint):
        CameraConfig(source=source, credentials_file="/etc/edged/door")


def test_a_device_that_is_not_there_or_not_allowed_costs_no_process(tmp_path, monkeypatch):
    with pytest.raises(SourceLost, match="no such camera"):
        open_feed(CameraConfig(source=f"v4l2://{tmp_path}/video0"))
    (tmp_path / "video0").touch()
    monkeypatch.setattr("edged.capture.feeds.os.access", lambda *_: False)
    with pytest.raises(SourceLost, match="group `video`"):
        open_feed(CameraConfig(source=f"v4l2://{tmp_path}/video0"))


def test_a_device_that_comes_back_is_noticed_once(tmp_path):
    absence = Absence(f"v4l2://{tmp_path}/video0")
    assert not absence.is_over()
    (tmp_path / "video0").touch()
    assert [absence.is_over(), absence.is_over()] == [True, False]


def test_a_streams_host_that_comes_back_is_noticed():
    port = free_port()
    absence = Absence(f"rtsp://127.0.0.1:{port}/a")
    assert not absence.is_over()
    with socket.create_server(("127.0.0.1", port)):
        assert absence.is_over()
    assert not absence.is_over()


def test_hosts_by_name_are_not_asked_for():
    assert not Absence("rtsp://no-such-host.invalid/a").is_over()


# --- an OpenCV device


class Device:
    """Answers as `cv2.VideoCapture` of a V4L2 device does."""

    opened = True
    picture = np.full((48, 64, 3), 7, np.uint8)
    grabs = True
    stamp = 0.0

    def __init__(self, *arguments):
        self.settings = []

    def isOpened(self):  # noqa: N802
        return self.opened

    def set(self, name, value):
        self.settings.append((name, value))
        return True

    def get(self, name):
        return self.stamp

    def grab(self):
        return self.grabs

    def retrieve(self, into=None):
        if self.picture is None:
            return False, None
        if into is not None and into.shape == self.picture.shape:
            into[:] = self.picture
            return True, into
        return True, self.picture.copy()

    def release(self):
        pass


def device_with(monkeypatch, **options):
    made = []
    monkeypatch.setattr(opencv.cv2, "VideoCapture", lambda *a: made.append(Device(*a)) or made[0])
    camera = opencv.CaptureDevice(CaptureSettings("usb", "v4l2:///dev/v", "v4l2", "/dev/v", 15, options))
    return camera, dict(made[0].settings)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"width": 1280, "height": 720}, "MJPG"),
        ({"width": 640, "height": 480}, None),
        ({"width": 1280, "height": 720, "mjpeg": 0}, "YUYV"),
        ({"mjpeg": 1}, "MJPG"),
    ],
)
def test_large_pictures_of_usb_cameras_are_asked_for_as_mjpeg(monkeypatch, options, code):
    _, settings = device_with(monkeypatch, **options)
    assert settings.get(cv2.CAP_PROP_FOURCC) == (cv2.VideoWriter.fourcc(*code) if code else None)
    assert settings.get(cv2.CAP_PROP_FRAME_WIDTH) == options.get("width")


def test_exposure_is_set_in_the_drivers_unit(monkeypatch):
    _, settings = device_with(monkeypatch, exposure=5000)
    assert (settings[cv2.CAP_PROP_AUTO_EXPOSURE], settings[cv2.CAP_PROP_EXPOSURE]) == (1, 50)


def test_a_picture_is_decoded_straight_into_its_place(monkeypatch):
    camera, _ = device_with(monkeypatch)
    place = np.zeros((48, 64, 3), np.uint8)
    assert np.shares_memory(camera.picture(place), place)
    assert camera.picture(np.zeros((2, 2, 3), np.uint8)).shape == (48, 64, 3)
    monkeypatch.setattr(Device, "picture", None)
    assert camera.picture(place) is None


def test_a_device_in_use_says_so(monkeypatch):
    monkeypatch.setattr(Device, "opened", False)
    with pytest.raises(SourceLost, match="another program"):
        device_with(monkeypatch)


def test_a_device_that_is_pulled_out_is_lost(monkeypatch):
    camera, _ = device_with(monkeypatch)
    monkeypatch.setattr(Device, "grabs", False)
    with pytest.raises(SourceLost, match="check cable"):
        camera.grab()


# --- waits


def policy() -> ReopenPolicy:
    return ReopenPolicy(1.0, 30.0)


def test_waits_grow_to_half_a_minute_and_begin_anew_after_a_good_time():
    steps = policy()
    for longest in (1, 2, 4, 8, 16, 30, 30):
        assert 0.8 * longest <= steps.next_wait_s() <= longest
    steps.worked(0.5)
    assert steps.next_wait_s() >= 24
    steps.worked(2.0)
    assert steps.next_wait_s() <= 1


def test_a_reset_waits_for_three_failures_and_comes_seldom():
    steps, due = policy(), []
    for minute in range(180):
        steps.next_wait_s()
        due += [minute] if steps.reset_is_due(minute * 60.0) else []
    assert due[0] == 2
    assert min(np.diff(due)) * 60 >= RESET_EVERY_S
    assert len(due) == 6
    steps.worked(10)
    assert steps.resets == 0


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=200), st.floats(0.5, 120))
def test_never_more_pictures_are_due_than_wanted(steps, fps):
    limiter, now, taken = RateLimiter(fps), 0.0, []
    for step in steps:
        now += step
        taken += [now] if limiter.due(now) else []
    assert len(taken) <= 2 + (now - steps[0]) * fps / 0.98


def test_no_picture_is_dropped_for_a_cameras_jitter():
    limiter = RateLimiter(30)
    assert all(limiter.due(k / 30 + (0.012 if k % 2 else 0)) for k in range(100))


# --- lent pictures


def test_a_place_comes_back_when_the_last_view_of_it_is_gone():
    slots = BufferPool.private(4096, 4)
    image = slots.lend(1, 10, 20)
    part = image[2:5, 1:]
    del image
    gc.collect()
    assert slots.take_returned() == []
    assert slots.lent == {1}
    del part
    assert slots.take_returned() == [1]
    assert slots.free() == 0


def test_a_place_may_come_back_from_any_thread():
    slots = BufferPool.private(4096, 4)
    held = [slots.lend(slot, 10, 20) for slot in range(4)]
    assert slots.free() is None
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert sorted(slots.take_returned()) == [0, 1, 2, 3]


@pytest.mark.parametrize("slot", [-1, 4])
def test_there_are_no_places_beyond_the_last(slot):
    with pytest.raises(ValueError, match="cannot hold"):
        BufferPool.private(4096, 4).view(slot, 10, 20)


def test_what_the_child_writes_the_parent_reads_and_cannot_write():
    descriptor, parents = make_ring(64, 48)
    childs = attach_ring(descriptor, 64, 48)
    childs.view(2, 48, 64)[:] = 9
    picture = parents.lend(2, 48, 64)
    assert (picture == 9).all()
    with pytest.raises(ValueError, match="read-only"):
        picture[0] = 1
    with pytest.raises((TypeError, ValueError)):
        parents.view(2, 48, 64)[0] = 1


@pytest.mark.parametrize(
    ("width", "height", "fits"),
    [(1280, 720, True), (7680, 4320, True), (0, 5, False), (-1, 5, False), (20_000, 16, False), (16_000, 9_000, False)],
)
def test_pictures_of_any_sensible_size_fit(width, height, fits):
    assert ring_fits(width, height) == fits


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", ["none", "horizontal", "vertical"])
def test_pictures_are_turned_then_mirrored_into_their_place(rotation, flip):
    image = np.random.default_rng(1).integers(0, 256, (6, 10, 3), np.uint8)
    expected = np.rot90(image, -rotation // 90)
    expected = {"none": expected, "horizontal": expected[:, ::-1], "vertical": expected[::-1]}[flip]
    orientation = Orientation(rotation, flip)
    place = np.zeros((*orientation.shape(6, 10), 3), np.uint8)
    for _ in range(2):
        assert np.shares_memory(orientation.apply(image, place), place)
        assert (place == expected).all()
    assert (orientation.apply(image) == expected).all()


# --- what pictures show


NOISE = np.random.default_rng(3)


def scene(level=120, contrast=40, noise=True):
    image = np.full((120, 160, 3), level, np.uint8)
    image[:, :80] = max(0, level - contrast)
    return image + NOISE.integers(0, 2, image.shape, np.uint8) if noise else image


def verdicts(watch, picture, seconds, start):
    return [watch.check(start + k * 0.1, picture()) for k in range(int(seconds * 10))]


def test_a_scene_is_good():
    assert set(verdicts(PictureMonitor(), scene, 30, 0)) == {None}


@pytest.mark.parametrize(("level", "trouble"), [(3, "black"), (120, "covered"), (250, "covered")])
def test_a_picture_of_nothing_is_told_after_some_seconds_and_a_scene_ends_it(level, trouble):
    watch = PictureMonitor()
    verdicts(watch, scene, 5, 0)
    told = verdicts(watch, lambda: scene(level, 0), 10, 5)
    assert told[0] is None
    assert told[-1] == trouble
    assert abs(told.index(trouble) * 0.1 - BAD_AFTER_S) < 1.0
    assert verdicts(watch, scene, 5, 15)[-1] is None


def test_somebody_who_walks_by_close_is_no_cover():
    watch = PictureMonitor()
    for start in range(0, 60, 6):
        assert set(verdicts(watch, lambda: scene(100, 0), 3, start)) == {None}
        assert set(verdicts(watch, scene, 3, start + 3)) == {None}


def test_at_the_edge_a_verdict_does_not_flicker():
    watch = PictureMonitor()
    verdicts(watch, lambda: scene(8, 0), 10, 0)
    told = [watch.check(10 + k * 0.5, scene(9 + k % 2 * 8, 0)) for k in range(60)]
    assert set(told) == {"black"}


def test_the_very_same_picture_is_frozen_after_ten_seconds_and_not_the_moment_it_moves():
    watch = PictureMonitor()
    told = verdicts(watch, lambda: scene(noise=False), 14, 0)
    assert abs(told.index("frozen") * 0.1 - FROZEN_AFTER_S) <= 0.6
    assert verdicts(watch, scene, 3, 14)[-1] is None


# --- resets


def test_a_usb_cameras_device_node_is_found_by_its_place_in_the_tree(tmp_path):
    place = tmp_path / "devices/usb1/1-2/1-2:1.0"
    place.mkdir(parents=True)
    (place.parent / "busnum").write_text("1\n")
    (place.parent / "devnum").write_text("4\n")
    (tmp_path / "class/video0").mkdir(parents=True)
    (tmp_path / "class/video0/device").symlink_to(place)
    node = recovery.usb_node(tmp_path / "video0", tmp_path / "class")
    assert str(node) == "/dev/bus/usb/001/004"
    assert recovery.usb_node(tmp_path / "video1", tmp_path / "class") is None


def test_a_reset_that_is_not_allowed_says_what_would_allow_it(tmp_path, monkeypatch):
    program = tmp_path / "systemctl"
    program.write_text("#!/bin/sh\necho 'Interactive authentication required.' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(recovery, "_service_last_s", float("-inf"))
    said = recovery.try_reset(parse_source("csi://0"), threading.Event())
    assert "authentication required" in said
    assert "polkit" in said
    assert recovery.try_reset(parse_source("csi://1"), threading.Event()) is None  # asked a moment ago
    assert "no USB device" in recovery.try_reset(parse_source("v4l2:///dev/none-such"), threading.Event())
    assert "nothing to reset" in recovery.try_reset(parse_source("rtsp://h/a"), threading.Event())


def test_what_is_no_usb_device_is_not_reset(tmp_path):
    done = subprocess.run([*recovery.USB_RESET, str(tmp_path / "none")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "No such file" in done.stderr
    (tmp_path / "file").touch()
    assert subprocess.run([*recovery.USB_RESET, str(tmp_path / "file")], capture_output=True).returncode == 1


# --- processes


def test_what_a_process_says_is_kept_within_bounds():
    script = "import sys\nfor k in range(3000): print('x' * 9000, k)\nprint('the end')"
    process = ChildProcess(["python3", "-c", script])
    while process.listen():
        pass
    assert process.said[-1] == "the end"
    assert sum(map(len, process.said)) < 200_000
    assert process.end(0)


def test_one_that_the_kill_reaches_late_is_waited_for(monkeypatch):
    """As on a busy machine, where a killed process ends only once it gets the processor."""
    process, kill = ChildProcess(["sleep", "3600"]), os.killpg
    monkeypatch.setattr(os, "killpg", lambda *target: threading.Timer(1.5, kill, target).start())
    assert process.end(0)


def test_a_program_that_is_not_there_is_told():
    with pytest.raises(OSError, match="no-such-program"):
        ChildProcess(["no-such-program"])
