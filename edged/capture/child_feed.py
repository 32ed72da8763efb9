"""The parent's end of a Python capture process: gives it its orders, hears of each picture, and lends the pictures on.

Over one socket, a JSON object each. The child says `{"ring": [width, height]}` before its first picture and whenever the
size changes, and gets `{"ring": number}` with the memory's descriptor; `{"shot": time, "slot": k, "ring": number}` of a
picture in a slot, without `slot` of one that was only seen, with `"broken": true` of one that could not be decoded;
`{"lost": reason}` before it ends. The parent says `{"free": [k, …], "ring": number}`. Nothing the child says is believed
beyond these bounds.
"""

import json
import math
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from edged.capture.feed import Shot
from edged.capture.order import Order
from edged.capture.remedies import STREAM, STREAM_TRANSPORT, advice
from edged.capture.ring import make_ring, ring_fits
from edged.capture.slots import MOST_LENT, Slots
from edged.errors import SourceLost
from edged.processes.child import ChildProcess

MOST_BYTES_OF_A_MESSAGE = 4096
MOST_MESSAGES_A_SECOND = 1000
OLDEST_S = 10.0
"""A picture that claims to be older than this, or of the future, is of now."""
GENTLE_S = 0.4
CHILD = (sys.executable, "-m", "edged.capture.child")


class ChildFeed:
    """Implements `edged.capture.feed.Feed` with a process that speaks as this module says."""

    def __init__(self, order: Order, command: Sequence[str] = CHILD, hide: Callable[[str], str] = str) -> None:
        """Start the process; its first words may take a while. Raise SourceLost when it cannot be started."""
        self._order = order
        self._ring: Slots | None = None
        self._ring_number = 0
        self._size = (0, 0)
        self._unsent: deque[int] = deque()
        self._second, self._messages = 0, 0
        self._reason: str | None = None
        self._ended: bool | None = None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            arguments = [str(theirs.fileno()), str(os.getpid())]
            self._process = ChildProcess([*command, *arguments], [theirs.fileno()], hide, signal.SIGTERM)
            ours.send(order.to_json())
        except OSError as error:
            ours.close()
            raise SourceLost(f"{order.name}: no capture process can be started ({error.strerror})") from None
        finally:
            theirs.close()
        self._socket = ours
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._poll.register(self._process, select.POLLIN)

    def next(self, timeout_s: float) -> Shot | None:
        deadline = time.monotonic() + timeout_s
        while True:
            self._give_back()
            ready = self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ready:
                return None
            heard = {descriptor for descriptor, _ in ready}
            if self._process.fileno() in heard and not self._process.listen():
                self._poll.unregister(self._process)
            if self._socket.fileno() in heard:
                shot = self._receive()
                if shot is not None:
                    return shot

    def close(self) -> bool:
        if self._ended is None:
            self._ring = None  # the memory goes with the last picture of it
            self._socket.close()
            self._ended = self._process.end(GENTLE_S)
        return self._ended

    def gone(self) -> bool:
        return self._process.has_ended()

    def _receive(self) -> Shot | None:
        try:
            data = self._socket.recv(MOST_BYTES_OF_A_MESSAGE)
        except BlockingIOError:
            return None
        except ConnectionError:
            data = b""
        if not data:
            raise SourceLost(self._last_words())
        self._count()
        try:
            message = json.loads(data)
        except ValueError:  # also of bytes that are no text
            raise self._nonsense() from None
        if not isinstance(message, dict):
            raise self._nonsense()
        return self._understand(message)

    def _understand(self, message: dict[str, Any]) -> Shot | None:
        if "shot" in message:
            return self._shot(message)
        if "ring" in message:
            self._new_ring(message["ring"])
        elif isinstance(message.get("lost"), str):
            self._reason = message["lost"][:500]
        else:
            raise self._nonsense()
        return None

    def _shot(self, message: dict[str, Any]) -> Shot:
        time_s = _plausible(message["shot"])
        slot, number = message.get("slot"), message.get("ring")
        if slot is None or number != self._ring_number:
            return Shot(time_s, None, broken=message.get("broken") is True)
        ring = self._ring
        if ring is None or type(slot) is not int or not 0 <= slot < ring.count or slot in ring.lent:
            raise self._nonsense()
        width, height = self._size
        if len(ring.lent) > MOST_LENT:
            copy = ring.view(slot, height, width).copy()
            self._unsent.append(slot)
            return Shot(time_s, copy)
        return Shot(time_s, ring.lend(slot, height, width))

    def _new_ring(self, size: object) -> None:
        """Make memory for pictures of the size the child asks for, and send it."""
        if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)):
            raise self._nonsense()
        width, height = size
        if not ring_fits(width, height):
            raise SourceLost(
                f"{self._order.name}: gives pictures of {width}x{height}, which cannot be taken; set width and height"
            )
        try:
            descriptor, self._ring = make_ring(width, height)
        except OSError as error:
            raise SourceLost(f"{self._order.name}: no memory for {width}x{height} ({error.strerror})") from None
        self._size = (width, height)
        self._ring_number += 1
        self._unsent.clear()
        try:
            heard = self._say({"ring": self._ring_number}, descriptor)
        finally:
            os.close(descriptor)
        if not heard:
            raise SourceLost(f"{self._order.name}: the capture process does not listen")

    def _give_back(self) -> None:
        """Tell the child which places nobody looks at any more."""
        if self._ring is None:
            return
        self._unsent.extend(self._ring.take_returned())
        if self._unsent and self._say({"free": list(self._unsent), "ring": self._ring_number}):
            self._unsent.clear()

    def _say(self, message: dict[str, Any], descriptor: int | None = None) -> bool:
        """Send without waiting; False when the child does not listen."""
        try:
            socket.send_fds(self._socket, [json.dumps(message).encode()], [] if descriptor is None else [descriptor])
        except (BlockingIOError, ConnectionError):
            return False
        return True

    def _count(self) -> None:
        """Refuse a flood: messages cost the parent time."""
        second = int(time.monotonic())
        self._messages = self._messages + 1 if second == self._second else 1
        self._second = second
        if self._messages > MOST_MESSAGES_A_SECOND:
            raise SourceLost(f"{self._order.name}: the capture process floods its parent")

    def _nonsense(self) -> SourceLost:
        return SourceLost(f"{self._order.name}: the capture process talks nonsense")

    def _last_words(self) -> str:
        """Why it ended, as well as can be told."""
        self._process.has_ended()
        self._process.listen()
        said = self._process.said
        remedies = STREAM + STREAM_TRANSPORT[self._order.transport]
        remedy = advice(remedies, said) if self._order.scheme in ("rtsp", "rtsps") else None
        if remedy or self._reason is None:
            ended = f"the capture process has ended ({said[-1] if said else 'without a word'})"
            return f"{self._order.name}: {remedy or ended}"
        return self._reason


def _plausible(time_s: object) -> float:
    """The time of a picture, or now where it cannot be that."""
    now = time.monotonic()
    if not isinstance(time_s, float) or not math.isfinite(time_s) or not now - OLDEST_S <= time_s <= now:
        return now
    return time_s
