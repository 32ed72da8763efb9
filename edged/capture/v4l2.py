"""Asks V4L2 devices by ioctl what they are, and which formats, sizes and rates they give; numbers of linux/videodev2.h."""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
CAPABILITY, FORMAT, FRAME_SIZE, FRAME_INTERVAL = struct.Struct("16s32s32sIII12x"), 64, 44, 52
VIDEO_CAPTURE, DEVICE_CAPS = 0x1, 0x80000000
CAPTURE_BUFFER = 1
DISCRETE = 1
MOST_ENTRIES = 64
"""Of any list a driver gives; a broken one may never end."""


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
    return raw.split(b"\0", 1)[0].decode(errors="replace").strip()
