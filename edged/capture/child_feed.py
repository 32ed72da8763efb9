"""The parent's end of a Python capture process: sends it its settings, and receives its pictures.

Over one socket, a JSON object each. The child sends `{"ring": [width, height]}` before its first picture and whenever the
size changes, and gets `{"ring": number}` with the memory's descriptor; `{"shot": time, "slot": k, "ring": number}` of a
picture in a slot, without `slot` of one that was only seen, with `"broken": true` of one that could not be decoded;
`{"lost": reason}` before it ends. The parent sends `{"free": [k, …], "ring": number}`. Whatever else the child sends
ends it.
"""

import math
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from edged.capture.child_protocol import CaptureSettings, Shot
from edged.capture.recovery import STREAM, STREAM_TRANSPORT, advice
from edged.capture.ring import MOST_LENT, BufferPool, make_ring, ring_fits
from edged.errors import SourceLost
from edged.processes import channel
from edged.processes.child import ChildProcess

MOST_MESSAGES_A_SECOND = 1000
OLDEST_S = 10.0
"""A time stamp older than this, or in the future, is replaced by the present."""
GRACE_S = 0.4
CHILD = (sys.executable, "-m", "edged.capture.child")


class ChildFeed:
    """Implements `edged.capture.child_protocol.Feed` with a process that speaks the protocol above."""

    def __init__(
        self, settings: CaptureSettings, command: Sequence[str] = CHILD, hide: Callable[[str], str] = str
    ) -> None:
        """Start the process; its first message may take a while. Raise SourceLost when it cannot be started."""
        self._settings = settings
        self._ring: BufferPool | None = None
        self._ring_number = 0
        self._size = (0, 0)
        self._unsent: deque[int] = deque()
        self._second, self._messages = 0, 0
        self._reason: str | None = None
        self._ended: bool | None = None
        ours, theirs = channel.pair()
        try:
            arguments = [str(theirs.fileno()), str(os.getpid())]
            self._process = ChildProcess([*command, *arguments], [theirs.fileno()], hide, signal.SIGTERM)
            ours.send(settings.to_json())
        except OSError as error:
            ours.close()
            raise SourceLost(
                f"{settings.name}: no capture process can be started ({error.strerror}); free memory, or restart edged"
            ) from None
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
            ready_now = {descriptor for descriptor, _ in ready}
            if self._process.fileno() in ready_now and not self._process.listen():
                self._poll.unregister(self._process)
            if self._socket.fileno() in ready_now:
                shot = self._receive()
                if shot is not None:
                    return shot

    def close(self) -> bool:
        if self._ended is None:
            self._ring = None  # the memory goes with the last picture of it
            self._socket.close()
            self._ended = self._process.end(GRACE_S)
        return self._ended

    def gone(self) -> bool:
        return self._process.has_ended()

    def _receive(self) -> Shot | None:
        try:
            message = channel.receive(self._socket)
        except BlockingIOError:
            return None
        except ConnectionError:
            raise SourceLost(self._why_it_ended()) from None
        except ValueError:
            raise self._invalid() from None
        self._count()
        return self._understand(message)

    def _understand(self, message: dict[str, Any]) -> Shot | None:
        if "shot" in message:
            return self._shot(message)
        if "ring" in message:
            self._new_ring(message["ring"])
        elif isinstance(message.get("lost"), str):
            self._reason = message["lost"][:500]
        else:
            raise self._invalid()
        return None

    def _shot(self, message: dict[str, Any]) -> Shot:
        time_s = _plausible(message["shot"])
        slot, number = message.get("slot"), message.get("ring")
        if slot is None or number != self._ring_number:
            return Shot(time_s, None, broken=message.get("broken") is True)
        ring = self._ring
        if ring is None or type(slot) is not int or not 0 <= slot < ring.count or slot in ring.lent:
            raise self._invalid()
        width, height = self._size
        if len(ring.lent) > MOST_LENT:
            copy = ring.view(slot, height, width).copy()
            self._unsent.append(slot)
            return Shot(time_s, copy)
        return Shot(time_s, ring.lend(slot, height, width))

    def _new_ring(self, size: object) -> None:
        """Make memory for pictures of the size the child asks for, and send it."""
        if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)):
            raise self._invalid()
        width, height = size
        if not ring_fits(width, height):
            raise SourceLost(
                f"{self._settings.name}: gives pictures of {width}x{height}, which cannot be taken; set width and height"
            )
        try:
            descriptor, self._ring = make_ring(width, height)
        except OSError as error:
            raise SourceLost(f"{self._settings.name}: no memory for {width}x{height} ({error.strerror})") from None
        self._size = (width, height)
        self._ring_number += 1
        self._unsent.clear()
        try:
            heard = self._say({"ring": self._ring_number}, descriptor)
        finally:
            os.close(descriptor)
        if not heard:
            raise SourceLost(
                f"{self._settings.name}: the capture process does not read its messages; it is started again"
            )

    def _give_back(self) -> None:
        """Tell the child which buffers are free again."""
        if self._ring is None:
            return
        self._unsent.extend(self._ring.take_returned())
        if self._unsent and self._say({"free": list(self._unsent), "ring": self._ring_number}):
            self._unsent.clear()

    def _say(self, message: dict[str, Any], descriptor: int | None = None) -> bool:
        """Send without waiting; False when the child does not read."""
        try:
            channel.send(self._socket, message, descriptor)
        except (BlockingIOError, ConnectionError):
            return False
        return True

    def _count(self) -> None:
        """Raise SourceLost when there are too many messages: each costs the parent time."""
        second = int(time.monotonic())
        self._messages = self._messages + 1 if second == self._second else 1
        self._second = second
        if self._messages > MOST_MESSAGES_A_SECOND:
            raise SourceLost(
                f"{self._settings.name}: the capture process sent more than {MOST_MESSAGES_A_SECOND} messages in a second; "
                "it is started again"
            )

    def _invalid(self) -> SourceLost:
        return SourceLost(
            f"{self._settings.name}: the capture process sent a message that is not valid; it is started again"
        )

    def _why_it_ended(self) -> str:
        """Why it ended, as far as that is known."""
        self._process.has_ended()
        self._process.listen()
        said = self._process.said
        remedies = STREAM + STREAM_TRANSPORT[self._settings.transport]
        remedy = advice(remedies, said) if self._settings.scheme in ("rtsp", "rtsps") else None
        if remedy or self._reason is None:
            ended = f"the capture process has ended ({said[-1] if said else 'no message'})"
            return f"{self._settings.name}: {remedy or ended}"
        return self._reason


def _plausible(time_s: object) -> float:
    """The time of a picture, or now where it cannot be that."""
    now = time.monotonic()
    if not isinstance(time_s, float) or not math.isfinite(time_s) or not now - OLDEST_S <= time_s <= now:
        return now
    return time_s
