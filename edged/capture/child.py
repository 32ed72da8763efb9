"""The capture process of one camera: `python -m edged.capture.child SOCKET PARENT_PID`.

`child_feed` says what goes over the socket. The process opens its camera, grabs every picture, decodes those that are
wanted straight into shared memory, and tells of each. It may hang, and it may be killed at any moment: nothing of it
stays behind.
"""

import contextlib
import json
import signal
import socket
import sys
from types import FrameType
from typing import Any

import numpy as np

from edged.capture.opencv import CaptureDevice, LiveSource
from edged.capture.order import Order
from edged.capture.orientation import Orientation
from edged.capture.pace import Pace
from edged.capture.picamera import PiCamera
from edged.capture.ring import attach_ring
from edged.capture.slots import Slots
from edged.capture.wire import MOST_BYTES_OF_A_MESSAGE, receive
from edged.errors import SourceLost
from edged.processes.launch import die_with
from edged.types import Image


class Sender:
    """The child's end of the socket, and the places it fills."""

    def __init__(self, parent: socket.socket, order: Order) -> None:
        self._parent = parent
        self._orientation = Orientation(order.rotation, order.flip)
        self._ring: Slots | None = None
        self._number = 0
        self._shape: tuple[int, int] = (0, 0)
        self._scratch: Image | None = None

    def seen(self, time_s: float) -> None:
        """Tell of a picture that is not wanted."""
        self._say({"shot": time_s})

    def send(self, source: LiveSource, time_s: float) -> None:
        """Decode the picture just grabbed and hand it over; without a free place it is only told of."""
        self._hear()
        slot = self._ring.free() if self._ring else None
        if self._ring is not None and slot is None:
            self.seen(time_s)
            return
        direct = slot is not None and not self._orientation.changes
        place = self._ring.view(slot, *self._shape) if self._ring and slot is not None else None
        image = source.picture(place if direct else self._scratch)
        if image is None:
            self._say({"shot": time_s, "broken": True})
            return
        shape = self._orientation.shape(*image.shape[:2])
        if place is None or shape != self._shape:
            place, slot = self._place_for(shape), 0
        if not direct:
            self._scratch = image
        if not np.may_share_memory(image, place):
            self._orientation.apply(image, place)
        assert self._ring is not None  # noqa: S101  for the type checker
        assert slot is not None  # noqa: S101
        self._ring.lent.add(slot)
        self._say({"shot": time_s, "slot": slot, "ring": self._number})

    def _place_for(self, shape: tuple[int, int]) -> Image:
        """The first place of a new ring for pictures of this height and width."""
        height, width = shape
        self._say({"ring": [width, height]})
        while True:  # until the answer comes; what the old ring's places are told is of no interest any more
            message, descriptor = receive(self._parent)
            if descriptor is not None:
                self._ring = attach_ring(descriptor, width, height)
                self._number, self._shape = message["ring"], shape
                return self._ring.view(0, height, width)

    def _hear(self) -> None:
        """Take in which places are free again."""
        while self._ring is not None:
            try:
                message, _ = receive(self._parent, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if message.get("ring") == self._number:
                self._ring.lent.difference_update(message["free"])

    def _say(self, message: dict[str, Any]) -> None:
        self._parent.send(json.dumps(message).encode())


def main() -> None:
    """Serve the parent until it hangs up or the camera fails."""
    parent = socket.socket(fileno=int(sys.argv[1]))
    order = Order.from_json(_receive_order(parent))
    with contextlib.suppress(ConnectionError):  # the parent has hung up
        try:
            _serve(parent, order)
        except SourceLost as error:
            parent.send(json.dumps({"lost": str(error)}).encode())


def _serve(parent: socket.socket, order: Order) -> None:
    if order.scheme == "picamera":  # libcamera wants its camera stopped; the kernel tidies up after the others
        signal.signal(signal.SIGTERM, _end)
    source: LiveSource = PiCamera(order) if order.scheme == "picamera" else CaptureDevice(order)
    try:
        pace, sender = Pace(order.fps), Sender(parent, order)
        while True:
            time_s = source.grab()
            if pace.due(time_s):
                sender.send(source, time_s)
            else:
                sender.seen(time_s)
    finally:
        source.close()


def _receive_order(parent: socket.socket) -> bytes:
    order = parent.recv(MOST_BYTES_OF_A_MESSAGE)
    if not order:
        sys.exit(0)
    return order


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    die_with(int(sys.argv[2]))
    main()
