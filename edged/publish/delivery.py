"""Decides which outbox message is sent next: in order, none twice without need, none held up by a refused one."""

import threading
from collections import deque
from collections.abc import Callable

from edged.errors import StoreError
from edged.ports import Outbox
from edged.publish.packets import Case, Packet
from edged.publish.quarantine import Quarantine
from edged.records import Message

BATCH = 100
MOST_READS = 20
"""Batches read at once in search of something to send; other work has its turn in between."""
MOST_PASSED = 500
"""Messages among which the next one of a case is searched for."""
MANY_ACKNOWLEDGED = 1000
"""When more are remembered, the outbox is read from its beginning to find out which of them the store has deleted."""


class Delivery:
    """The state of every message between the outbox and the broker, across connections. One thread's own.

    The store deletes acknowledged messages later, in its own time: until then they are remembered here and skipped.
    """

    def __init__(
        self,
        outbox: Outbox,
        quarantine: Quarantine,
        packet: Callable[[Message], Packet],
        poll_s: float,
        rescan_s: float,
    ) -> None:
        """Look for new messages every `poll_s`, and every `rescan_s` for any that were overlooked, as when the database
        was replaced and numbers begin anew. `packet` turns a message into the packet that the broker gets.
        """
        self._outbox = outbox
        self._quarantine = quarantine
        self._packet = packet
        self._poll_s = poll_s
        self._rescan_s = rescan_s
        self._pending: deque[Message] = deque()
        self._in_flight: dict[int, int] = {}
        self._acknowledged: dict[int, int] = {}
        self._most_acknowledged = MANY_ACKNOWLEDGED
        self._rescans_to: int | None = None
        """Where reading was when it began anew; None once it is there again."""
        self._version = quarantine.version
        self._cursor = 0
        self._last_held = 0
        self._read_at = 0.0
        self._rescan_at = 0.0
        self._more = True
        self.problem: str | None = None
        """Why the outbox could not be read last time, for people."""

    @property
    def idle(self) -> bool:
        """Whether everything that may be sent was sent and answered."""
        return not (self._in_flight or self._pending or self._more)

    def wake(self) -> None:
        """There may be new messages. Thread-safe."""
        self._more = True

    def take(self, now: float) -> Message | None:
        """The next message to send, now in flight; None when there is none that may be sent."""
        if self._version != self._quarantine.version:
            self._version = self._quarantine.version
            self._rewind()
        for _ in range(MOST_READS):
            while self._pending:
                message = self._pending.popleft()
                if not self._quarantine.blocks(self._packet(message)):
                    return self._send(message)
                self._last_held = max(self._last_held, message.seq)
            if not self._more and now < self._read_at:
                return None
            self._read(now)
        return None

    def take_for(self, case: Case) -> Message | None:
        """A message that `case` holds back, now in flight; None when there is none any more.

        Of several the newest at first, and then another one each time: one alone may have a fault of its own.
        """
        try:
            message = self._held_by(case)
        except StoreError as error:
            self._complain(error)
            return None
        if message is None:
            return None
        case.tried = message.seq
        return self._send(message)

    def acknowledged(self, seq: int) -> None:
        """The broker has it."""
        self._acknowledged[seq] = self._in_flight.pop(seq, 0)

    def refused(self, seq: int) -> None:
        """The broker refused it; its case decides when it is sent again."""
        self._in_flight.pop(seq, None)

    def end(self) -> None:
        """The connection is gone: nothing is in flight any more, and is sent again in order."""
        unanswered = [*self._in_flight, *(message.seq for message in self._pending)]
        self._cursor = min([self._cursor, *(seq - 1 for seq in unanswered)])
        self._in_flight.clear()
        self._pending.clear()
        self._more = True

    def _held_by(self, case: Case) -> Message | None:
        if not (case.topic or case.least_bytes):
            return self._first_held(case, int(case.sample.key) - 1, 1)
        if self._last_held > case.newest:
            case.newest = self._last_held
            newest = self._first_held(case, self._last_held - 1, 1)
            if newest is not None:
                return newest
        after = self._first_held(case, case.tried, MOST_PASSED)
        return after or self._first_held(case, 0, MOST_PASSED)

    def _first_held(self, case: Case, after: int, limit: int) -> Message | None:
        """The first of the next `limit` messages that `case` holds back: where there is one, none that is a case itself."""
        found = self._outbox.outbox_after(after, limit)
        held = [message for message in found if case.covers(self._packet(message)) and not self._is_known(message)]
        merely = (message for message in held if not self._quarantine.is_case(self._packet(message)))
        return next(merely, held[0] if held else None)

    def _send(self, message: Message) -> Message:
        self._in_flight[message.seq] = hash(message.payload)
        return message

    def _read(self, now: float) -> None:
        """Fetch the next messages; when that fails, say so and try again later."""
        self._more = False
        self._read_at = now + self._poll_s
        too_many = len(self._acknowledged) > self._most_acknowledged and self._rescans_to is None
        if now >= self._rescan_at or too_many:
            self._rescan_at = now + self._rescan_s
            self._rescans_to, self._cursor = self._cursor, 0
        try:
            messages = self._outbox.outbox_after(self._cursor, BATCH)
        except StoreError as error:
            self._complain(error)
            return
        self.problem = None
        self._forget_deleted(messages)
        if messages:
            self._cursor = messages[-1].seq
            self._more = len(messages) == BATCH or self._more
        if self._rescans_to is not None and (len(messages) < BATCH or self._cursor >= self._rescans_to):
            self._rescans_to = None
            # More than are left: a store that deletes nothing now must not have the outbox read again and again.
            self._most_acknowledged = max(MANY_ACKNOWLEDGED, 2 * len(self._acknowledged))
        self._pending.extend(message for message in messages if not self._is_known(message))

    def _is_known(self, message: Message) -> bool:
        """Whether it is on its way or has arrived. In a database that was replaced a number may be another message's."""
        return message.seq in self._in_flight or self._acknowledged.get(message.seq) == hash(message.payload)

    def _forget_deleted(self, messages: list[Message]) -> None:
        """Forget the acknowledged messages that the store has deleted: they are not among the `messages` after the cursor."""
        there = {message.seq for message in messages}
        last = messages[-1].seq if len(messages) == BATCH else float("inf")
        gone = [seq for seq in self._acknowledged if self._cursor < seq <= last and seq not in there]
        for seq in gone:
            del self._acknowledged[seq]

    def _complain(self, error: StoreError) -> None:
        self.problem = f"messages cannot be read from the outbox: {error}"

    def _rewind(self) -> None:
        self._pending.clear()
        self._cursor = 0
        self._more = True


# The topics are fixed per device and camera; more of them, or a longer queue, is a mistake and must not fill the memory.
MOST_TOPICS = 256
MOST_ONCE = 64


class Outgoing:
    """Bounded buffer between the threads that publish and the one that sends. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, Message] = {}
        self._due: dict[str, None] = {}
        self._once: deque[Message] = deque(maxlen=MOST_ONCE)

    def retain(self, message: Message) -> bool:
        """Keep the latest value of a topic; return whether that made it due to be sent."""
        topic = message.topic
        with self._lock:
            if self._latest.get(topic) == message:
                return False
            if topic not in self._latest and len(self._latest) >= MOST_TOPICS:
                return False
            self._latest[topic] = message
            self._due[topic] = None
            return True

    def latest(self, topic: str) -> Message | None:
        """The value of `topic`, None when it has none."""
        with self._lock:
            return self._latest.get(topic)

    def again(self, topic: str) -> None:
        """The value of `topic`, if it has one, is due once more."""
        with self._lock:
            if topic in self._latest:
                self._due[topic] = None

    def all_again(self) -> None:
        """Every value is due once more."""
        with self._lock:
            self._due = dict.fromkeys(self._latest)

    def send(self, message: Message) -> None:
        """Send once; the oldest are dropped when too many wait."""
        with self._lock:
            self._once.append(message)

    def renew(self) -> None:
        """A new connection: every retained value is due again, and what was to be sent once is too old."""
        with self._lock:
            self._due = dict.fromkeys(self._latest)
            self._once.clear()

    def take(self) -> Message | None:
        """The next message to publish, None when there is none."""
        with self._lock:
            if self._due:
                topic = next(iter(self._due))
                del self._due[topic]
                return self._latest[topic]
            return self._once.popleft() if self._once else None
