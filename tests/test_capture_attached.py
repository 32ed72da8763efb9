"""Which cameras are attached, asked of doubles that answer as the kernel and picamera2 do."""

import errno
import json
import struct
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.mosquitto import until

from edged.capture import attached as listing
from edged.capture.attached import Attached, attached
from edged.cli.cameras import cameras
from edged.config.source import parse_source

SIZES = {b"MJPG": [(640, 480), (1920, 1080)], b"YUYV": [(640, 480)]}


class Kernel:
    """Answers ioctl as linux/videodev2.h lays it out."""

    def __init__(
        self, driver=b"uvcvideo", capabilities=listing.VIDEO_CAPTURE, sizes=SIZES, stepwise=False, card=b"HD Webcam"
    ):
        self.driver, self.capabilities, self.sizes, self.stepwise = driver, capabilities, sizes, stepwise
        self.card = card

    def ioctl(self, descriptor, request, argument):
        answer = self.answer(request, argument)
        if answer is None:
            raise OSError(errno.EINVAL, "Invalid argument")
        assert len(answer) == len(argument)
        return answer

    def answer(self, request, argument):
        index = struct.unpack_from("I", argument)[0]
        if request == listing.QUERYCAP:
            everything = listing.DEVICE_CAPS | listing.VIDEO_CAPTURE
            return struct.pack("16s32s32sIII12x", self.driver, self.card, b"usb-1", 6, everything, self.capabilities)
        if request == listing.ENUM_FMT:
            code = list(self.sizes)[index] if index < len(self.sizes) else None
            return code and struct.pack("III32s4s16x", index, 1, 0, b"name", code)
        code = struct.unpack_from("4s", argument, 4)[0]
        if request == listing.ENUM_FRAMESIZES:
            if self.stepwise:
                return struct.pack("I4sI6I8x", index, code, 3, 32, 3280, 2, 32, 2464, 2)
            size = self.sizes[code][index] if index < len(self.sizes[code]) else None
            return size and struct.pack("I4sIII24x", index, code, 1, *size)
        rates = [30, 60, 15][index : index + 1]
        size = struct.unpack_from("II", argument, 8)
        return struct.pack("I4sIIIII24x", index, code, *size, 1, 1, rates[0]) if rates else None


@pytest.fixture
def dev(tmp_path, monkeypatch):
    (tmp_path / "v4l/by-id").mkdir(parents=True)
    (tmp_path / "v4l/by-path").mkdir()
    (tmp_path / "video0").touch()
    monkeypatch.setattr(listing.fcntl, "ioctl", Kernel().ioctl)
    return tmp_path


def test_a_camera_is_named_by_what_lasts_longest(dev):
    (dev / "v4l/by-path/pci-0-usb-video-index0").symlink_to("../../video0")
    assert attached(dev)[0].uri == f"v4l2://{dev}/v4l/by-path/pci-0-usb-video-index0"
    (dev / "v4l/by-id/usb-HD-video-index0").symlink_to("../../video0")
    assert attached(dev)[0].uri == f"v4l2://{dev}/v4l/by-id/usb-HD-video-index0"
    parse_source(attached(dev)[0].uri)


def test_formats_sizes_and_rates_are_told(dev):
    (camera,) = attached(dev)
    assert (camera.name, camera.device, camera.problem) == ("HD Webcam", str(dev / "video0"), None)
    assert [(mode.format, mode.width, mode.height) for mode in camera.modes] == [
        ("MJPG", 640, 480),
        ("MJPG", 1920, 1080),
        ("YUYV", 640, 480),
    ]
    assert camera.modes[0].fps == (60, 30, 15)


def test_of_a_range_of_sizes_the_largest_is_told(dev, monkeypatch):
    monkeypatch.setattr(listing.fcntl, "ioctl", Kernel(stepwise=True).ioctl)
    assert {(mode.width, mode.height) for mode in attached(dev)[0].modes} == {(3280, 2464)}


def test_nodes_that_are_no_cameras_are_left_out(dev, monkeypatch):
    monkeypatch.setattr(listing.fcntl, "ioctl", Kernel(capabilities=0x00800000).ioctl)  # metadata
    assert attached(dev) == []


def test_a_jetsons_sensors_are_csi_cameras_by_their_order(dev, monkeypatch):
    (dev / "video1").touch()
    monkeypatch.setattr(listing.fcntl, "ioctl", Kernel(driver=b"tegra-video").ioctl)
    assert [camera.uri for camera in attached(dev)] == ["csi://0", "csi://1"]


def test_a_pis_image_processor_is_no_camera(dev, monkeypatch):
    monkeypatch.setattr(listing.fcntl, "ioctl", Kernel(driver=b"unicam").ioctl)
    assert attached(dev) == []


def test_a_camera_that_calls_itself_anything_has_a_name_of_one_line(dev, monkeypatch):
    monkeypatch.setattr(listing.fcntl, "ioctl", Kernel(card=b"Caf\xc3\xa9\n\x1b[2J\xffcam").ioctl)
    assert attached(dev)[0].name == "Café  [2J\N{REPLACEMENT CHARACTER}cam"


def test_a_camera_that_may_not_be_asked_says_which_group(dev, monkeypatch):
    monkeypatch.setattr(listing.os, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    assert "group `video`" in attached(dev)[0].problem


def test_a_driver_that_never_answers_holds_nobody_up(dev, monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(listing, "ANSWER_S", 0.1)
    monkeypatch.setattr(listing, "query", lambda _: answer.wait(30) and None)
    assert "does not answer" in attached(dev)[0].problem
    answer.set()  # the thread that was held ends here, and not while others are counted
    assert until(lambda: attached(dev) == [])


def test_a_driver_that_never_answers_holds_one_thread_however_often_it_is_asked(dev, monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(listing, "ANSWER_S", 0.1)
    monkeypatch.setattr(listing, "query", lambda _: answer.wait(30) and None)
    before = threading.active_count()
    for _ in range(3):
        assert "does not answer" in attached(dev)[0].problem
    assert threading.active_count() - before == len(list(dev.glob("video*")))
    answer.set()
    assert until(lambda: threading.active_count() == before)
    assert attached(dev) == []


def test_pi_cameras_are_asked_of_picamera2_in_its_own_process(dev, monkeypatch, tmp_path):
    package = tmp_path / "modules" / "picamera2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "class Picamera2:\n"
        "    @staticmethod\n"
        "    def global_camera_info():\n"
        "        print('libcamera says hello')\n"
        "        return [{'Model': 'imx708', 'Location': 2, 'Rotation': 180, 'Id': '/base/soc/i2c/imx708@1a', 'Num': 0},\n"
        "                {'Model': 'Webcam', 'Id': '/base/scb/pcie/usb/1', 'Num': 1}]\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.syspath_prepend(str(package.parent))
    (dev / "video0").unlink()
    assert attached(dev) == [Attached("picamera://0", "/base/soc/i2c/imx708@1a", "imx708")]
    (package / "__init__.py").write_text("raise RuntimeError('no libcamera')")
    assert "does not answer" in attached(dev)[0].problem
    sys.modules.pop("picamera2", None)


def is_running(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_picamera2_that_hangs_leaves_no_process(dev, monkeypatch, tmp_path):
    package = tmp_path / "modules" / "picamera2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(tmp_path / 'number')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(30)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setattr(listing.importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(listing, "ANSWER_S", 1.0)
    (dev / "video0").unlink()
    assert "does not answer" in attached(dev)[0].problem
    assert until(lambda: not is_running(int((tmp_path / "number").read_text())))


def test_the_command_prints_what_to_copy(monkeypatch):
    modes = (listing.Mode("MJPG", 640, 480, (30.0,)), listing.Mode("MJPG", 1920, 1080, (30.0, 15.0)))
    camera = Attached("v4l2:///dev/v4l/by-id/x", "/dev/video0", "HD Webcam", modes)
    monkeypatch.setattr("edged.cli.cameras.attached", lambda: [camera])
    said = CliRunner().invoke(cameras).output
    assert 'source = "v4l2:///dev/v4l/by-id/x"    # HD Webcam, /dev/video0' in said
    assert "MJPG: 1920x1080 at 30, 15; 640x480 at 30" in said
    told = json.loads(CliRunner().invoke(cameras, ["--json"]).output)
    assert told["uri"] == "v4l2:///dev/v4l/by-id/x"
    assert told["modes"][0] == {"format": "MJPG", "width": 640, "height": 480, "fps": [30.0]}


def test_without_cameras_the_other_kinds_are_named(monkeypatch):
    monkeypatch.setattr("edged.cli.cameras.attached", list)
    assert "rtsp://" in CliRunner().invoke(cameras).output
