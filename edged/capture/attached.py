"""Finds the cameras that are attached to this machine, each with the URI that opens it."""

import errno
import fcntl
import importlib.util
import os
import shutil
import struct
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edged.capture import gstreamer
from edged.processes.child import ask

DEV = Path("/dev")
ANSWER_S = 5.0
"""A driver that hangs may never answer."""
NO_ANSWER = "it does not answer; unplug it and plug it in again"
STABLE = ("v4l/by-id", "v4l/by-path")
"""Folders of stable names: the first follows the camera, the second the port it is plugged into."""
ARGUS_DRIVERS = ("tegra-video", "tegra-capture")
PI_DRIVERS = ("unicam", "rp1-cfe", "bcm2835-isp", "bcm2835-codec", "pispbe", "rpi-hevc-dec", "rpivid")
PICAMERA = """
import json, picamera2
print(json.dumps({"cameras": picamera2.Picamera2.global_camera_info()}, default=str))
"""
MOST_MODES = 64


# By hand, and not by linuxpy: that is licensed under GPL-3.0, which edged (MIT) cannot depend on. Four calls are needed, and
# the layout of their structures in linux/videodev2.h is part of the kernel's stable interface.
QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
CAPABILITY, FORMAT, FRAME_SIZE, FRAME_INTERVAL = struct.Struct("16s32s32sIII12x"), 64, 44, 52
VIDEO_CAPTURE, DEVICE_CAPS = 0x1, 0x80000000
CAPTURE_BUFFER = 1
DISCRETE = 1
MOST_ENTRIES = 64
"""Of any list a driver gives; a faulty one may never end."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One way in which a camera gives pictures. `fps` are the rates it names, fastest first."""

    format: str
    width: int
    height: int
    fps: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """What a device says of itself."""

    name: str
    driver: str
    modes: tuple[Mode, ...]


def query(path: Path) -> Device | None:
    """The device at `path`, None when it is no camera. Raise OSError when it cannot be asked."""
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        answer = _ask(descriptor, QUERYCAP, bytes(CAPABILITY.size))
        if answer is None:
            return None
        driver, card, _, _, everything, this_node = CAPABILITY.unpack(answer)
        capabilities = this_node if everything & DEVICE_CAPS else everything
        if not capabilities & VIDEO_CAPTURE:
            return None
        return Device(_text(card), _text(driver), tuple(_modes(descriptor)))
    finally:
        os.close(descriptor)


def _modes(descriptor: int) -> Iterator[Mode]:
    for index in range(MOST_ENTRIES):
        answer = _ask(descriptor, ENUM_FMT, struct.pack("III", index, CAPTURE_BUFFER, 0).ljust(FORMAT, b"\0"))
        if answer is None:
            return
        code = answer[44:48]
        for width, height in _sizes(descriptor, code):
            yield Mode(_text(code), width, height, tuple(_rates(descriptor, code, width, height)))


def _sizes(descriptor: int, code: bytes) -> Iterator[tuple[int, int]]:
    """Discrete sizes; of a range, its largest."""
    for index in range(MOST_ENTRIES):
        asked = struct.pack("I4s", index, code).ljust(FRAME_SIZE, b"\0")
        answer = _ask(descriptor, ENUM_FRAMESIZES, asked)
        if answer is None:
            return
        kind, width, most_width, _, _, most_height = struct.unpack_from("IIIIII", answer, 8)
        if kind != DISCRETE:
            yield most_width, most_height
            return
        yield width, most_width  # of a discrete size the second number is the height


def _rates(descriptor: int, code: bytes, width: int, height: int) -> list[float]:
    rates: set[float] = set()
    for index in range(MOST_ENTRIES):
        asked = struct.pack("I4sII", index, code, width, height).ljust(FRAME_INTERVAL, b"\0")
        answer = _ask(descriptor, ENUM_FRAMEINTERVALS, asked)
        if answer is None:
            break
        kind, numerator, denominator = struct.unpack_from("III", answer, 16)
        if numerator and denominator:
            rates.add(round(denominator / numerator, 2))
        if kind != DISCRETE:
            break
    return sorted(rates, reverse=True)


def _ask(descriptor: int, request: int, argument: bytes) -> bytes | None:
    """The answer, None when the device has no such thing (any more)."""
    try:
        return fcntl.ioctl(descriptor, request, argument)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTTY):
            return None
        raise


def _text(raw: bytes) -> str:
    """A name on one line: a device may call itself anything, also what a terminal takes for an order."""
    text = raw.split(b"\0", 1)[0].decode(errors="replace")
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()


@dataclass(frozen=True, slots=True)
class Attached:
    """One camera. `uri` goes into the config as it is; `problem` says why the camera could not be asked."""

    uri: str
    device: str
    name: str
    modes: tuple[Mode, ...] = ()
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def attached(dev: Path = DEV) -> list[Attached]:
    """Every camera there is, by URI: CSI cameras of a Jetson, Pi cameras, V4L2 devices by the most stable name."""
    found, argus = [], 0
    for node in sorted(dev.glob("video*"), key=lambda node: (len(node.name), node.name)):
        try:
            device = _queried(node)
        except OSError as error:
            problem = (
                "no permission; add this user to the group `video`"
                if isinstance(error, PermissionError)
                else str(error)
            )
            found.append(Attached(_stable_uri(node, dev), str(node), node.name, problem=problem))
            continue
        if device is None or device.driver in PI_DRIVERS:
            continue
        if device.driver in ARGUS_DRIVERS:
            lacking = None if shutil.which(gstreamer.PROGRAM) else gstreamer.MISSING
            found.append(Attached(f"csi://{argus}", str(node), device.name, device.modes[:MOST_MODES], lacking))
            argus += 1
        else:
            found.append(Attached(_stable_uri(node, dev), str(node), device.name, device.modes[:MOST_MODES]))
    return sorted([*found, *_pi_cameras()], key=lambda camera: camera.uri)


_asked: dict[Path, threading.Thread] = {}
"""The threads that no driver has answered yet: of a device one at most, however often it is looked for."""


def _queried(node: Path) -> Device | None:
    """Query in a thread that may be abandoned. Raise OSError when the device cannot be asked, or does not answer."""
    if node in _asked and _asked[node].is_alive():
        raise OSError(NO_ANSWER)
    answers: list[Device | OSError | None] = []

    def ask() -> None:
        try:
            answers.append(query(node))
        except OSError as error:
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    if not answers:
        _asked[node] = thread
        raise OSError(NO_ANSWER)
    _asked.pop(node, None)
    if isinstance(answers[0], OSError):
        raise answers[0]
    return answers[0]


def _stable_uri(node: Path, dev: Path) -> str:
    for folder in STABLE:
        for link in sorted((dev / folder).glob("*")) if (dev / folder).is_dir() else []:
            if link.resolve() == node.resolve():
                return f"v4l2://{link}"
    return f"v4l2://{node}"


def _pi_cameras() -> list[Attached]:
    """Cameras on a Raspberry Pi's ribbon, asked in a process of its own."""
    if importlib.util.find_spec("picamera2") is None:
        return []
    try:
        answer = ask([sys.executable, "-c", PICAMERA], ANSWER_S * 2).content
    except OSError:
        answer = None
    if answer is None:
        return [Attached("picamera://0", "", "Pi camera", problem="picamera2 does not answer; try `rpicam-hello`")]
    return [
        Attached(f"picamera://{camera['Num']}", str(camera.get("Id", "")), str(camera.get("Model", "Pi camera")))
        for camera in answer["cameras"]
        if "/usb" not in str(camera.get("Id", ""))  # those are V4L2 devices, too
    ]
