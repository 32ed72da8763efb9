"""A capture process whose behaviour a file dictates, word by word as it changes: `scripted_camera.py FILE SOCKET PARENT`.

`play WIDTHxHEIGHT` gives pictures, each of its own brightness, 50 a second; the other words are the faults below.
"""

import json
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path

from edged.capture.ring import attach_ring
from edged.processes.channel import receive_with_descriptor

PICTURE_EVERY_S = 0.02


class Camera:
    def __init__(self, parent: socket.socket) -> None:
        self.parent = parent
        self.ring = None
        self.number = 0
        self.size = (0, 0)
        self.count = 0

    def say(self, message: object) -> None:
        self.parent.send(json.dumps(message).encode())

    def hear(self, flags: int = 0) -> None:
        message, descriptor = receive_with_descriptor(self.parent, flags)
        if descriptor is not None:
            self.ring, self.number = attach_ring(descriptor, *self.size), message["ring"]
        elif message["ring"] == self.number:
            self.ring.lent.difference_update(message["free"])

    def play(self, size: str) -> None:
        width, height = map(int, size.split("x"))
        if (width, height) != self.size:
            self.size, before = (width, height), self.number
            self.say({"ring": [width, height]})
            while self.number == before:
                self.hear()
        try:
            while True:
                self.hear(socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        slot = self.ring.free()
        if slot is None:
            self.say({"shot": time.monotonic()})
            return
        self.count += 1
        self.ring.view(slot, height, width)[:] = self.count % 200 + 20
        self.ring.view(slot, height, width)[: height // 2, ::2] = 0  # a scene: neither flat nor still
        self.ring.lent.add(slot)
        self.say({"shot": time.monotonic(), "slot": slot, "ring": self.number})

    def still(self) -> None:
        """The very same picture for ever."""
        self.count = 0
        self.play("64x48")

    def hang(self) -> None:
        time.sleep(3600)

    def hang_deaf(self) -> None:
        """Not to be asked to end."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(3600)

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def unplug(self) -> None:
        self.say({"lost": "the cable is out"})
        sys.exit(0)

    def garbage(self) -> None:
        self.parent.send(random.randbytes(random.randint(1, 5000)))

    def wrong_json(self) -> None:
        self.say(random.choice([[], 7, None, {}, {"shot": 1.0, "slot": 99, "ring": self.number}, {"ring": "big"},
                                {"shot": 1.0, "slot": [0], "ring": self.number}, {"lost": 7}]))  # fmt: skip

    def flood(self) -> None:
        while True:
            self.say({"shot": time.monotonic()})

    def nothing(self) -> None:
        self.say({"ring": [0, 0]})
        time.sleep(0.05)

    def huge(self) -> None:
        self.say({"ring": [16_000, 16_000]})
        time.sleep(0.05)

    def half(self) -> None:
        self.say({"shot": time.monotonic(), "broken": True})

    def lie_about_time(self) -> None:
        self.play("64x48")
        self.say({"shot": float("nan")})
        self.say({"shot": time.monotonic() + 1e6})
        self.say({"shot": "now"})

    def shrink(self) -> None:
        """Try to take the memory away under the parent's feet."""
        for descriptor in range(3, 64):
            try:
                os.ftruncate(descriptor, 0)
            except OSError:
                continue
        self.play("64x48")


def main() -> None:
    weather, parent = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    parent.recv(65_536)  # the order
    camera = Camera(parent)
    while True:
        word, _, argument = weather.read_text().strip().partition(" ")
        if word:  # not between two writes of the file
            getattr(camera, word)(*argument.split())
        time.sleep(PICTURE_EVERY_S)


if __name__ == "__main__":
    main()
