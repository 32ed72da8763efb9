"""Decides which outbox message is sent next: in order, few at a time, none twice without need, none stuck for ever."""

from collections import deque

from edged.errors import StoreError
from edged.ports import Outbox
from edged.types import OutboxMessage

WINDOW = 20
BATCH = 100
MANY_ACKNOWLEDGED = 1000
# A broker that refuses so many messages on one connection refuses them all; sending on would be noise.
MOST_REFUSED = 1000
# A message at which the connection broke this often, alone in flight, is put aside so that the others get through.
STRIKES = 3


class Delivery:
    """The state of every message between the outbox and the broker, across connections. One thread's own.

    The store deletes acknowledged messages later, in its own time: until then they are remembered here and skipped.
    """

    def __init__(self, outbox: Outbox, poll_s: float, retry_refused_s: float) -> None:
        self._outbox = outbox
        self._poll_s = poll_s
        self._retry_refused_s = retry_refused_s
        self._pending: deque[OutboxMessage] = deque()
        self._in_flight: set[int] = set()
        self._acknowledged: set[int] = set()
        self._refused: set[int] = set()
        self._broken: set[int] = set()
        self._strikes: dict[int, int] = {}
        self._retry_at: float | None = None
        self._cursor = 0
        self._read_at = 0.0
        self._more = True
        self._one_by_one = 0
        self.problem: str | None = None
        """Why the outbox could not be read last time, for people."""

    @property
    def window(self) -> int:
        """How many messages may be in flight: one while looking for a message that breaks connections."""
        return 1 if self._one_by_one else WINDOW

    @property
    def setting_aside(self) -> bool:
        """Whether the broker would not take some messages."""
        return bool(self._refused or self._broken)

    def begin(self) -> None:
        """A connection was accepted: read the outbox from its beginning, offer refused messages again."""
        self._refused.clear()
        self._rewind()

    def wake(self) -> None:
        """There may be new messages. Thread-safe."""
        self._more = True

    def take(self, now: float) -> OutboxMessage | None:
        """The next message to send, now in flight; None when there is none or the window is full."""
        if self._retry_at is not None and now >= self._retry_at:
            self._forgive()
        if len(self._in_flight) >= self.window or len(self._refused) >= MOST_REFUSED:
            return None
        while not self._pending:
            if not self._more and now < self._read_at:
                return None
            self._read(now)
        message = self._pending.popleft()
        self._in_flight.add(message.seq)
        return message

    def acknowledged(self, seq: int) -> None:
        """The broker has it."""
        self._in_flight.discard(seq)
        self._acknowledged.add(seq)
        self._strikes.pop(seq, None)
        self._one_by_one = max(0, self._one_by_one - 1)

    def refused(self, seq: int, now: float) -> None:
        """The broker will not take it now; it is offered again on the next connection, or after a while."""
        self._in_flight.discard(seq)
        self._refused.add(seq)
        self._retry_later(now)

    def end(self, now: float) -> None:
        """The connection is gone: nothing is in flight any more, and what broke it alone gets a strike."""
        if self._in_flight and self._one_by_one:
            seq = min(self._in_flight)
            self._strikes[seq] = self._strikes.get(seq, 0) + 1
            if self._strikes[seq] >= STRIKES:
                del self._strikes[seq]
                self._broken.add(seq)
                self._retry_later(now)
        if self._in_flight:
            self._one_by_one = WINDOW
        self._in_flight.clear()
        self._pending.clear()

    def _read(self, now: float) -> None:
        """Fetch the next messages; when that fails, say so and try again later."""
        self._more = False
        self._read_at = now + self._poll_s
        try:
            self._forget_deleted()
            messages = self._outbox.outbox_after(self._cursor, BATCH)
        except StoreError as error:
            self.problem = f"messages cannot be read from the outbox: {error}"
            return
        self.problem = None
        if messages:
            self._cursor = messages[-1].seq
            self._more = len(messages) == BATCH or self._more
        self._pending.extend(message for message in messages if not self._is_known(message.seq))

    def _is_known(self, seq: int) -> bool:
        return any(seq in known for known in (self._in_flight, self._acknowledged, self._refused, self._broken))

    def _forget_deleted(self) -> None:
        """Forget the acknowledged messages that the store has deleted."""
        if self._cursor == 0 or len(self._acknowledged) > MANY_ACKNOWLEDGED:
            oldest = self._outbox.outbox_after(0, 1)
            kept = {seq for seq in self._acknowledged if seq >= oldest[0].seq} if oldest else set()
            self._acknowledged = kept

    def _forgive(self) -> None:
        self._retry_at = None
        self._refused.clear()
        self._broken.clear()
        self._rewind()

    def _rewind(self) -> None:
        self._pending.clear()
        self._cursor = 0
        self._more = True

    def _retry_later(self, now: float) -> None:
        if self._retry_at is None:
            self._retry_at = now + self._retry_refused_s
