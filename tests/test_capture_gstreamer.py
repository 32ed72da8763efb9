"""GStreamer's test picture through the same way as a CSI camera: only the elements before the pipe differ."""

import os
import signal
import sys
import time

import numpy as np
import pytest
from support.cameras import TEST_PICTURE, Traces, children, goes, live_camera, needs_gstreamer
from support.mosquitto import until

from edged.capture import gstreamer
from edged.capture.feeds import capture_settings, open_feed
from edged.capture.gstreamer import PipeFeed
from edged.capture.recovery import GSTREAMER, advice
from edged.config import CameraConfig
from edged.errors import SourceLost

JETSON = ("nvarguscamerasrc sensor-id=0", "(memory:NVMM)", "nvvidconv")
HERE = ("videotestsrc is-live=true", "", "videoconvert")


def csi_like(config: CameraConfig) -> PipeFeed:
    """What `csi://` starts, with this machine's elements in the place of the Jetson's three."""
    order, hide = capture_settings(config)
    elements = gstreamer.camera_elements(order)
    for theirs, ours in zip(JETSON, HERE, strict=True):
        assert theirs in elements
        elements = elements.replace(theirs, ours)
    return PipeFeed(order, lambda descriptor: gstreamer.command(elements, descriptor), hide)


def shell(script: str):
    """Opens a feed out of a program that writes whatever `script` says into the pipe, in Python, as `out`."""

    def open_live(config: CameraConfig) -> PipeFeed:
        order, hide = capture_settings(config)
        preface = "import os, sys, time\nout = os.fdopen(int(sys.argv[1]), 'wb', buffering=0)\n"
        return PipeFeed(order, lambda fd: [sys.executable, "-I", "-S", "-c", preface + script, str(fd)], hide)

    return open_live


@needs_gstreamer
def test_a_csi_cameras_pictures_come_in_their_size_and_rate():
    with live_camera("csi://0?width=640&height=360&fps=30", csi_like, fps=10) as (worker, inbox):
        assert goes(worker, "online")

        def in_rate() -> bool:
            frames = [inbox.take(30.0) for _ in range(12)]
            assert {frame.image.shape for frame in frames} == {(360, 640, 3)}
            return 0.08 < np.median(np.diff([frame.time_s for frame in frames])) < 0.12

        assert until(in_rate), "a busy machine may come too late for some"


@needs_gstreamer
def test_colours_arrive_as_they_are():
    for colour, bgr in (("red", (0, 0, 255)), ("green", (0, 255, 0)), ("blue", (255, 0, 0))):
        picture = TEST_PICTURE.replace("is-live", f"pattern={colour} is-live")
        with live_camera(picture) as (_, inbox):
            pixel = inbox.take(30.0).image[100, 100]
        assert np.abs(pixel.astype(int) - bgr).max() < 12


@needs_gstreamer
@pytest.mark.parametrize(("rotation", "shape"), [(0, (240, 320)), (90, (320, 240)), (180, (240, 320))])
def test_pictures_are_turned_and_mirrored(rotation, shape):
    white_left = "gst:videotestsrc pattern=smpte75 is-live=true ! video/x-raw,width=320,height=240,framerate=30/1"
    with live_camera(white_left, rotation=rotation, flip="horizontal") as (_, inbox):
        image = inbox.take(30.0).image
    assert image.shape == (*shape, 3)
    grey, black = {0: ((20, 300), (20, 20)), 90: ((20, 20), (300, 20)), 180: ((200, 20), (200, 300))}[rotation]
    assert image[grey].min() > 150
    assert image[black].max() < image[grey].min() + 60


@needs_gstreamer
def test_an_odd_size_is_brought_to_one_without_padding():
    odd = "gst:videotestsrc is-live=true ! video/x-raw,width=637,height=361,framerate=30/1"
    with live_camera(odd) as (_, inbox):
        assert inbox.take(30.0).image.shape == (360, 640, 3)


@needs_gstreamer
@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ("nosuchelement ! videoconvert", "GStreamer has no nosuchelement"),
        ("v4l2src device=/dev/none-such", "no such camera"),
        ("videotestsrc ! video/x-raw,width=-3", "no such size"),
        ("videotestsrc pattern=13 is-live=true nosuchproperty=1", "not one that GStreamer understands"),
    ],
)
def test_a_pipeline_that_cannot_run_says_what_to_do(elements, reason):
    with live_camera(f"gst:{elements}") as (worker, _):
        assert until(lambda: reason in worker.state().reason), worker.state()


@needs_gstreamer
def test_a_jetsons_pipeline_elsewhere_says_so():
    with live_camera("csi://0") as (worker, _):
        assert until(lambda: "this is no Jetson" in worker.state().reason), worker.state()


def test_without_gstreamer_its_packages_are_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SourceLost, match="apt install gstreamer"):
        open_feed(CameraConfig(source="csi://0"))


@needs_gstreamer
@pytest.mark.parametrize(("pattern", "trouble"), [("black", "black"), ("white", "covered")])
def test_a_picture_of_nothing_is_told_while_the_camera_is_online(pattern, trouble, monkeypatch):
    monkeypatch.setattr("edged.capture.state.BAD_AFTER_S", 1.0)
    with live_camera(TEST_PICTURE.replace("is-live", f"pattern={pattern} is-live")) as (worker, _):
        assert until(lambda: worker.state().trouble == trouble)
        assert worker.state().status == "online"
        assert worker.state().reason


@needs_gstreamer
def test_a_pipeline_that_ends_is_started_again():
    with live_camera(TEST_PICTURE.replace("is-live", "num-buffers=20 is-live")) as (worker, _):
        assert until(lambda: worker.state().reconnects >= 2)


@needs_gstreamer
def test_a_pipeline_that_is_stopped_in_its_tracks_is_stalled_and_started_again():
    others = set(children(os.getpid()))
    with live_camera(TEST_PICTURE, stall_seconds=1) as (worker, _):
        assert goes(worker, "online")
        (process,) = set(children(os.getpid())) - others
        os.kill(process, signal.SIGSTOP)
        assert goes(worker, "stalled")
        assert until(lambda: worker.state().status == "online" and worker.state().reconnects >= 1)
        assert process not in children(os.getpid())


STREAM = "head = b'YUV4MPEG2 W64 H48 F30:1\\n'; pixels = bytes(range(48)) * 96\n"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("out.write(os.urandom(100000))", "not YUV4MPEG2"),
        ("out.write(b'FRAME\\n' + bytes(10000)); time.sleep(9)", "not YUV4MPEG2"),
        ("out.write(b'YUV4MPEG2 W0 H0 F1:1\\n'); time.sleep(9)", "0x0"),
        ("out.write(b'YUV4MPEG2 W63 H47 F1:1\\n'); time.sleep(9)", "63x47"),
        ("out.write(b'YUV4MPEG2 W99999 H99999 F1:1\\n'); time.sleep(9)", "99999x99999"),
        ("out.write(b'YUV4MPEG2 W64 H48 C444\\n'); time.sleep(9)", "not YUV4MPEG2"),
        ("out.write(b'YUV4MPEG2 ' + b'x' * 5000); time.sleep(9)", "not YUV4MPEG2"),
        (STREAM + "out.write(head + b'FRAME\\n' + pixels[:1000])", "has ended"),
        ("sys.exit('no luck today')", "no luck today"),
    ],
)
def test_what_is_no_picture_is_told_and_harms_nobody(script, reason):
    with live_camera("csi://0", shell(script)) as (worker, inbox):
        assert until(lambda: reason in worker.state().reason), worker.state()
        assert worker.state().frames == 0
        assert inbox.take(0) is None


def test_the_size_may_change_in_the_stream():
    script = STREAM + (
        "for k in range(1000):\n"
        "    out.write(head + b'FRAME\\n' + pixels); time.sleep(0.05)\n"
        "    out.write(b'YUV4MPEG2 W32 H16 F30:1\\n' + b'FRAME Ip\\n' + pixels[:768]); time.sleep(0.05)\n"
    )
    with live_camera("csi://0", shell(script)) as (worker, inbox):
        shapes = {inbox.take(30.0).image.shape for _ in range(20)}
        assert shapes == {(48, 64, 3), (16, 32, 3)}
        assert worker.state().reconnects == 0


def test_a_flood_of_pictures_costs_only_those_that_are_wanted():
    script = STREAM + "out.write(head)\nwhile True: out.write(b'FRAME\\n' + pixels)\n"
    with live_camera("csi://0", shell(script), fps=10) as (worker, inbox):
        assert goes(worker, "online")
        began, frames = time.monotonic(), 0
        while (lasted_s := time.monotonic() - began) < 1.0:
            frames += inbox.take(0.05) is not None
        assert worker.stop(60)
    assert frames <= 10 * lasted_s + 3


@needs_gstreamer
def test_nothing_stays_of_a_process_that_is_killed_from_outside():
    others = set(children(os.getpid()))

    def own() -> set[int]:
        return set(children(os.getpid())) - others

    with live_camera(TEST_PICTURE) as (worker, _):
        assert goes(worker, "online")
        before = Traces.now()
        for _ in range(5):
            known = worker.state().reconnects
            assert until(lambda: len(own()) == 1), "the one before is buried"
            os.kill(own().pop(), signal.SIGKILL)
            assert until(lambda: worker.state().reconnects > known)  # noqa: B023
        assert until(lambda: not Traces.now().exceeds(before)), (before, Traces.now())


# --- what the elements are; the Jetson's cannot run here


def test_a_jetsons_pipeline_is_the_documented_one():
    order, _ = capture_settings(CameraConfig(source="csi://1?width=1920&height=1080&fps=60&exposure=5000", fps=15))
    elements = gstreamer.camera_elements(order)
    assert elements.split(" ! ") == [
        'nvarguscamerasrc sensor-id=1 exposuretimerange="5000000 5000000"',
        "video/x-raw(memory:NVMM),format=NV12,width=1920,height=1080,framerate=60/1",
        "videorate drop-only=true max-rate=15",
        "nvvidconv",
        "video/x-raw,format=I420,width=1920,height=1080",
    ]
    words = gstreamer.command(elements, 7)
    assert "exposuretimerange=5000000 5000000" in words
    assert words[-3:] == ["fdsink", "fd=7", "sync=false"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Error generated. /dvs/git/.../gstnvarguscamerasrc.cpp, execute:740 No cameras available",
            "push the ribbon in again",
        ),
        ("execute:751 Failed to create CaptureSession", "nvargus-daemon"),
        ("(Argus) Error FileOperationFailed: Cannot connect to socket (propagating)", "nvargus-daemon"),
        ("Invalid camera device specified 3 specified (1 available)", "edged cameras"),
        ('WARNING: erroneous pipeline: no element "nvarguscamerasrc"', "no Jetson"),
        ("Device '/dev/video0' is busy", "another program"),
        ("nothing of interest", None),
    ],
)
def test_what_gstreamer_and_argus_say_becomes_advice(said, told):
    answer = advice(GSTREAMER, [said])
    assert (told in answer) if told else answer is None
