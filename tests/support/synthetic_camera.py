"""A capture process as it is, but for the device: noise of 1280x720, 30 a second; `synthetic_camera.py SOCKET PARENT_PID`."""

import socket
import sys
import time

import numpy as np

from edged.capture.child import Sender
from edged.capture.child_protocol import CaptureSettings, RateLimiter
from edged.processes.launch import die_with

FPS = 30.0
SIZE = (720, 1280, 3)


class Noise:
    """Implements `edged.capture.opencv.LiveSource`; decoding is a copy of one of two pictures."""

    def __init__(self) -> None:
        self._pictures = np.random.default_rng(0).integers(0, 256, (2, *SIZE), np.uint8)
        self._due_s = time.monotonic()
        self._count = 0

    def grab(self) -> float:
        self._due_s += 1 / FPS
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        self._count += 1
        return time.monotonic()

    def picture(self, into: np.ndarray | None) -> np.ndarray:
        picture = self._pictures[self._count % 2]
        if into is None:
            return picture.copy()
        np.copyto(into, picture)
        return into


def main() -> None:
    parent = socket.socket(fileno=int(sys.argv[1]))
    order = CaptureSettings.from_json(parent.recv(65_536))
    source, pace, sender = Noise(), RateLimiter(order.fps), Sender(parent, order)
    while True:
        time_s = source.grab()
        if pace.due(time_s):
            sender.send(source, time_s)
        else:
            sender.seen(time_s)


if __name__ == "__main__":
    die_with(int(sys.argv[2]))
    main()
