"""The capture process of one camera: `python -m edged.capture.child SOCKET PARENT_PID`.

`child_feed` documents the messages on the socket. The process opens its camera, grabs every picture, decodes those that
fall due straight into shared memory, and reports each. It may hang, and may be killed at any moment.
"""

import contextlib
import signal
import socket
import sys
from types import FrameType
from typing import Any

import numpy as np

from edged.capture.child_protocol import CaptureSettings, Orientation, RateLimiter
from edged.capture.opencv import CaptureDevice, LiveSource
from edged.capture.picamera import PiCamera
from edged.capture.ring import BufferPool, attach_ring
from edged.errors import SourceLost
from edged.processes import channel
from edged.processes.launch import die_with
from edged.types import Image


class Sender:
    """The child's end of the socket, and the buffers it fills."""

    def __init__(self, parent: socket.socket, settings: CaptureSettings) -> None:
        self._parent = parent
        self._orientation = Orientation(settings.rotation, settings.flip)
        self._ring: BufferPool | None = None
        self._number = 0
        self._shape: tuple[int, int] = (0, 0)
        self._scratch: Image | None = None

    def seen(self, time_s: float) -> None:
        """Report a picture that is over the rate, and was not decoded."""
        self._say({"shot": time_s})

    def send(self, source: LiveSource, time_s: float) -> None:
        """Decode the picture just grabbed and hand it over; without a free buffer it is only reported."""
        self._read_freed()
        slot = self._ring.free() if self._ring else None
        if self._ring is not None and slot is None:
            self.seen(time_s)
            return
        direct = slot is not None and not self._orientation.changes
        buffer = self._ring.view(slot, *self._shape) if self._ring and slot is not None else None
        image = source.picture(buffer if direct else self._scratch)
        if image is None:
            self._say({"shot": time_s, "broken": True})
            return
        shape = self._orientation.shape(*image.shape[:2])
        if buffer is None or shape != self._shape:
            buffer, slot = self._buffer_for(shape), 0
        if not direct:
            self._scratch = image
        if not np.may_share_memory(image, buffer):
            self._orientation.apply(image, buffer)
        assert self._ring is not None  # noqa: S101  for the type checker
        assert slot is not None  # noqa: S101
        self._ring.lent.add(slot)
        self._say({"shot": time_s, "slot": slot, "ring": self._number})

    def _buffer_for(self, shape: tuple[int, int]) -> Image:
        """The first buffer of a new ring for pictures of this height and width."""
        height, width = shape
        self._say({"ring": [width, height]})
        while True:  # until the answer comes; which buffers of the old ring are free does not matter any more
            message, descriptor = channel.receive_with_descriptor(self._parent)
            if descriptor is not None:
                self._ring = attach_ring(descriptor, width, height)
                self._number, self._shape = message["ring"], shape
                return self._ring.view(0, height, width)

    def _read_freed(self) -> None:
        """Take in which buffers are free again."""
        while self._ring is not None:
            try:
                message = channel.receive(self._parent, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if message.get("ring") == self._number:
                self._ring.lent.difference_update(message["free"])

    def _say(self, message: dict[str, Any]) -> None:
        channel.send(self._parent, message)


def main() -> None:
    """Serve the parent until it hangs up or the camera fails."""
    parent = socket.socket(fileno=int(sys.argv[1]))
    settings = CaptureSettings.from_json(_receive_settings(parent))
    with contextlib.suppress(ConnectionError):  # the parent has hung up
        try:
            _serve(parent, settings)
        except SourceLost as error:
            channel.send(parent, {"lost": str(error)})


def _serve(parent: socket.socket, settings: CaptureSettings) -> None:
    if settings.scheme == "picamera":  # libcamera requires that its camera is stopped; the kernel releases the others
        signal.signal(signal.SIGTERM, _end)
    source: LiveSource = PiCamera(settings) if settings.scheme == "picamera" else CaptureDevice(settings)
    try:
        limiter, sender = RateLimiter(settings.fps), Sender(parent, settings)
        while True:
            time_s = source.grab()
            if limiter.due(time_s):
                sender.send(source, time_s)
            else:
                sender.seen(time_s)
    finally:
        source.close()


def _receive_settings(parent: socket.socket) -> bytes:
    text = parent.recv(channel.MOST_BYTES_OF_A_MESSAGE)
    if not text:
        sys.exit(0)
    return text


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    die_with(int(sys.argv[2]))
    main()
