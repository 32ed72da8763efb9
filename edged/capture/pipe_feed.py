"""The parent's end of a process that writes YUV4MPEG2 into a pipe: finds the pictures in it and converts the wanted ones."""

import fcntl
import os
import re
import select
import signal
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from edged.capture.feed import Shot
from edged.capture.order import Order
from edged.capture.orientation import Orientation
from edged.capture.pace import Pace
from edged.capture.remedies import GSTREAMER, advice
from edged.capture.ring import ring_fits
from edged.capture.slots import MOST_LENT, SLOTS, Slots
from edged.errors import SourceLost
from edged.processes.child import ChildProcess, die_with_us
from edged.types import Image

PIPE_BYTES = 1 << 20
"""As much as Linux gives to everybody: two reads for a picture of 1280x720 instead of twenty."""
MOST_BYTES_OF_A_HEADER = 256
GENTLE_S = 0.5
"""A CSI camera's service wants its sessions closed; it is killed after this all the same."""
STREAM_MAGIC, PICTURE_MAGIC = b"YUV4MPEG2 ", b"FRAME"
SHORTEST_HEADER = b"FRAME\n"


class PipeFeed:
    """Implements `edged.capture.feed.Feed` with a program that writes I420 pictures of YUV4MPEG2 to a descriptor."""

    def __init__(
        self,
        order: Order,
        command: Callable[[int], Sequence[str]],
        hide: Callable[[str], str] = str,
    ) -> None:
        """Start `command(descriptor)`. Raise SourceLost when it cannot be started."""
        self._order = order
        self._orientation = Orientation(order.rotation, order.flip)
        self._pace = Pace(order.fps)
        self._header = bytearray()
        self._size = (0, 0)
        self._planes = np.empty(0, np.uint8)
        self._filled = 0
        self._in_picture = False
        self._time_s = 0.0
        self._pool: Slots | None = None
        self._scratch: Image | None = None
        self._ended: bool | None = None
        self._pipe, theirs = os.pipe()
        try:
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            os.set_blocking(self._pipe, False)
            self._process = ChildProcess(die_with_us(command(theirs)), [theirs], hide, signal.SIGINT)
        except OSError as error:
            os.close(self._pipe)
            raise SourceLost(f"{order.name}: no capture process can be started ({error.strerror})") from None
        finally:
            os.close(theirs)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)
        self._poll.register(self._process, select.POLLIN)

    def next(self, timeout_s: float) -> Shot | None:
        deadline = time.monotonic() + timeout_s
        while True:
            if self._advance():
                return self._take()
            ready = self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ready:
                return None
            if any(descriptor == self._process.fileno() for descriptor, _ in ready) and not self._process.listen():
                self._poll.unregister(self._process)

    def close(self) -> bool:
        if self._ended is None:
            os.close(self._pipe)
            self._pool = None  # the memory goes with the last picture of it
            self._ended = self._process.end(GENTLE_S)
        return self._ended

    def gone(self) -> bool:
        return self._process.has_ended()

    def _advance(self) -> bool:
        """Read what there is, up to the end of the next picture; whether it is whole."""
        while True:
            if not self._in_picture:
                if not self._read_header():
                    return False
                continue
            got = self._read_into(self._planes.data[self._filled :])
            if got is None:
                return False
            self._filled += got
            if self._filled == self._planes.size:
                self._in_picture = False
                return True

    def _read_header(self) -> bool:
        """Read one line: of the stream, or of the next picture. False while it is not all there."""
        while not self._header.endswith(b"\n"):
            some = bytearray(max(1, len(SHORTEST_HEADER) - len(self._header)))
            got = self._read_into(memoryview(some))
            if got is None:
                return False
            if not self._header:
                self._time_s = time.monotonic()
            self._header += some[:got]
            if len(self._header) > MOST_BYTES_OF_A_HEADER:
                raise self._nonsense()
        line = bytes(self._header[:-1])
        self._header.clear()
        if line.startswith(STREAM_MAGIC):
            self._begin_stream(line)
        elif line.startswith(PICTURE_MAGIC) and self._planes.size:
            self._in_picture, self._filled = True, 0
        else:
            raise self._nonsense()
        return True

    def _read_into(self, place: memoryview) -> int | None:
        """How many bytes were read, None when there are none now. Raise SourceLost at the end."""
        try:
            got = os.readv(self._pipe, [place])
        except BlockingIOError:
            return None
        if got == 0:
            self._process.has_ended()
            self._process.listen()
            said = self._process.said[-1] if self._process.said else "without a word"
            remedy = advice(GSTREAMER, self._process.said) or f"the camera process has ended ({said})"
            raise SourceLost(f"{self._order.name}: {remedy}")
        return got

    def _begin_stream(self, line: bytes) -> None:
        """Take up the size of the pictures to come."""
        tags = {word[:1]: word[1:] for word in line.split()[1:]}
        sides = [tags.get(b"W", b""), tags.get(b"H", b"")]
        if not all(re.fullmatch(rb"\d{1,5}", side) for side in sides) or not tags.get(b"C", b"420").startswith(b"420"):
            raise self._nonsense()
        width, height = int(sides[0]), int(sides[1])
        if not ring_fits(width, height) or width % 2 or height % 2:
            raise SourceLost(
                f"{self._order.name}: gives pictures of {width}x{height}, which cannot be taken; set width and height"
            )
        self._size = (width, height)
        self._planes = np.empty(width * height * 3 // 2, np.uint8)
        self._pool = Slots.private(width * height * 3, SLOTS)

    def _take(self) -> Shot:
        """Convert the picture just read, when it is wanted and there is a place for it."""
        if not self._pace.due(self._time_s) or self._pool is None:
            return Shot(self._time_s, None)
        width, height = self._size
        planes = self._planes.reshape(height * 3 // 2, width)
        shape = self._orientation.shape(height, width)
        slot = self._pool.free()
        if slot is None or len(self._pool.lent) > MOST_LENT:
            slot, place = None, np.empty((*shape, 3), np.uint8)
        else:
            place = self._pool.view(slot, *shape)
        if self._orientation.changes:
            self._scratch = np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420, dst=self._scratch), dtype=np.uint8)
            self._orientation.apply(self._scratch, place)
        else:
            cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420, dst=place)
        return Shot(self._time_s, place if slot is None else self._pool.lend(slot, *shape))

    def _nonsense(self) -> SourceLost:
        return SourceLost(f"{self._order.name}: sent what is no picture; check the pipeline, or restart the camera")
