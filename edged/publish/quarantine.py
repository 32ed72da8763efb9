"""Quarantine for what the broker refuses: it is sent again last, alone and ever more rarely, and holds up nothing else.

A broker refuses a packet with a reason code (MQTT 5), or ends the connection without a reason (3.1.1, and most
cloud brokers). What was not answered then is sent one by one on the next connections. A packet that ends a connection
alone becomes a case: it and packets like it wait, until it is tried again when nothing else is to be sent.
"""

from collections.abc import Sequence

from edged.publish.packets import Case, Key, Packet, Purpose
from edged.publish.problems import NO_QOS, NO_RETAIN, NOT_AUTHORIZED, TOPIC_INVALID, UNSPECIFIED, Disconnected

WINDOW = 20
"""How many may wait for the broker's answer at once, and so many are sent one by one after a connection broke."""

GROWTH = 4.0
ENOUGH_ENDINGS = 3
"""So often the connection must end right after a topic's message was acknowledged, until it is reported."""

ENOUGH_OF_NEW, ENOUGH_OF_KNOWN = 2, 5
"""So many messages of one topic in a row must be cases until the topic itself is the cause: where none of it was ever taken;
where some were.
"""
MOST_CASES = 1000
MOST_TOPICS = 1000
SMALL_BYTES = 1024
"""Every broker accepts messages of this size: their size is never the cause."""

BREAKS_BY_CLOSING, BREAKS_BY_SILENCE = 2, 3
"""So often a thing must break the connection alone: when the broker closed it; when the broker merely fell silent, which
a bad network does more often.
"""

TOO_LARGE = 0x95
SPECIFIC = frozenset({0x82, NOT_AUTHORIZED, TOPIC_INVALID, 0x94, TOO_LARGE, 0x99, NO_RETAIN, NO_QOS, 0x9E, 0xA1, 0xA2})
"""Reason codes of MQTT 5 with which a broker speaks of what it has just been sent."""

UNSPECIFIC = frozenset({None, UNSPECIFIED, 0x81, 0x83})
"""No reason, or one that may speak of anything."""


class Quarantine:
    """What this broker is known to accept and to refuse, across connections. One thread's own, and bounded."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        """A case is tried again after `first_s`, and then ever later, up to `longest_s`."""
        self._first_s = first_s
        self._longest_s = longest_s
        self._cases: dict[Key, Case] = {}
        self._broad: list[Case] = []
        self._in_a_row: dict[str, int] = {}
        self._endings: dict[str, int] = {}
        self._too_long: dict[Key, float] = {}
        self._retention: Case | None = None
        self._breaks: dict[Key, int] = {}
        self._taken_topics: set[str] = set()
        self._taken_bytes = SMALL_BYTES
        self._taken_retained = False
        self._one_by_one_left = 0
        self._pause_s = first_s
        self._breaking_from = 0.0
        self.version = 0
        """Another number whenever less is held back than before."""

    @property
    def one_by_one(self) -> bool:
        """Whether to send one by one, to find what breaks connections."""
        return self._one_by_one_left > 0

    @property
    def retains(self) -> bool:
        """Whether values may be retained: not where only unretained ones are taken."""
        return self._retention is None

    @property
    def cases(self) -> list[Case]:
        """What is held back now, the oldest first."""
        return [*([self._retention] if self._retention else []), *self._cases.values()]

    def blocks(self, packet: Packet) -> bool:
        """Whether `packet` must wait until its case is tried."""
        return self.case_of(packet) is not None

    def is_case(self, packet: Packet) -> bool:
        """Whether `packet` itself was refused, and is not merely like one that was."""
        return packet.key in self._cases

    def case_of(self, packet: Packet) -> Case | None:
        """What `packet` is held back for, None when it is not."""
        own = self._cases.get(packet.key)
        return own or next((case for case in self._broad if case.covers(packet)), None)

    def due(self, now: float) -> Case | None:
        """The case to try next, if it is time for one."""
        due = [case for case in self.cases if case.retry_at <= now and (case.answered or self._breaking_from <= now)]
        return min(due, key=lambda case: case.retry_at, default=None)

    def connected(self, now: float) -> None:
        """There is a new connection: what was refused in words costs little to offer again."""
        for case in self.cases:
            if case.answered:
                case.retry_at = min(case.retry_at, now)

    def taken(self, packet: Packet) -> None:
        """The broker took it: it, its topic, its size and being retained are not the cause of a refusal."""
        self._one_by_one_left = max(0, self._one_by_one_left - 1)
        self._breaks.pop(packet.key, None)
        self._in_a_row.pop(packet.topic, None)
        if len(self._taken_topics) < MOST_TOPICS:
            self._taken_topics.add(packet.topic)
        self._taken_bytes = max(self._taken_bytes, packet.size)
        if packet.retain:
            self._taken_retained = True
            if self._retention is not None:
                self._retention = None
                self._tried_well()
        if self._cases:
            self._narrow(packet)

    def refused(self, packet: Packet, code: int, why: str, now: float, tried: Case | None = None) -> None:
        """The broker answered that it does not take it; the connection stands. `tried` is the case it was tried for."""
        self._breaks.pop(packet.key, None)
        if tried is not None:
            tried.answered = True
            self._again(tried, why, now)
        elif not self._postpone(packet, why, now):
            self._quarantine_refused(packet, code, why, now, answered=True)

    def too_large(self, packet: Packet, most_bytes: int, now: float) -> None:
        """The broker said before that it takes no packets of more than `most_bytes`."""
        why = f"it takes at most {most_bytes:,} bytes"
        if not self._postpone(packet, why, now):
            self._open(packet, why, now, answered=True, least_bytes=most_bytes + 1)

    def broke(self, packets: Sequence[Packet], end: Disconnected, now: float, tried: Case | None = None) -> bool:
        """The connection ended before the broker had answered these; `tried` is the case they belong to.

        Return whether the cause is known better now: then it is worth connecting again at once.
        """
        if not packets or not (end.code in SPECIFIC or end.code in UNSPECIFIC):
            return False
        if tried is not None:
            tried.answered = False
            self._again(tried, end.reason, now)
            self._no_breaking(now)
            return True
        was_one_by_one, self._one_by_one_left = self.one_by_one, WINDOW
        if len(packets) > 1 or not (was_one_by_one or end.code in SPECIFIC):
            return True  # more may have been on its way
        packet = packets[0]
        breaks = self._breaks[packet.key] = self._breaks.get(packet.key, 0) + 1
        enough = 1 if end.code in SPECIFIC else BREAKS_BY_SILENCE if end.silent else BREAKS_BY_CLOSING
        if breaks >= enough:
            del self._breaks[packet.key]
            self._quarantine_refused(packet, end.code, end.reason, now, answered=False)
        elif len(self._breaks) > MOST_CASES:
            self._breaks.clear()
        return True

    def ended_after(self, packet: Packet, end: Disconnected) -> bool:
        """The connection ended with nothing unanswered, right after this was taken: mosquitto acknowledges by 3.1.1 what
        it denies, and hangs up. Return whether that is worth coming back at once.
        """
        if end.code not in UNSPECIFIC or end.silent:
            return False
        if len(self._endings) > MOST_TOPICS:
            self._endings.clear()
        self._endings[packet.topic] = self._endings.get(packet.topic, 0) + 1
        return True

    def stood(self, topic: str) -> None:
        """The connection stands a while after a message on `topic` was taken."""
        self._endings.pop(topic, None)

    @property
    def hangs_up_after(self) -> str | None:
        """A topic whose messages are acknowledged and followed by the connection's end."""
        return next((topic for topic, count in self._endings.items() if count >= ENOUGH_ENDINGS), None)

    def too_long_answer(self, packet: Packet, why: str, now: float) -> None:
        """The connection ended because of what `packet` brought about, after it had been taken: later each time."""
        if not self._postpone(packet, why, now):
            self._open(packet, why, now, answered=False)
            case = self._cases[packet.key]
            case.interval_s = max(case.interval_s, self._too_long.get(packet.key, 0.0))
            case.retry_at = now + case.interval_s
        if len(self._too_long) > MOST_CASES:
            self._too_long.clear()
        self._too_long[packet.key] = min(self._cases[packet.key].interval_s * GROWTH, self._longest_s)
        self._no_breaking(now)

    def drop(self, case: Case) -> None:
        """It cannot be tried any more: let what resembles it find out."""
        if case is self._retention:
            self._retention = None
        elif self._cases.get(case.sample.key) is case:
            del self._cases[case.sample.key]
        self._less_is_held()

    def _quarantine_refused(
        self, packet: Packet, code: int | None, why: str | None, now: float, *, answered: bool
    ) -> None:
        """Open a case, for all that no accepted packet has in common with this one."""
        if packet.retain and (code == NO_RETAIN or (code in UNSPECIFIC and not answered and not self._taken_retained)):
            self._retention = self._case(packet, why, now, answered, "retention")
            self._less_is_held()  # without being retained it may be taken
            return
        topic = packet.topic if code != TOO_LARGE and self._is_one_of_many(packet, answered) else None
        large = code not in (NOT_AUTHORIZED, TOPIC_INVALID) and packet.size > self._taken_bytes
        self._open(packet, why, now, answered=answered, topic=topic, least_bytes=packet.size if large else None)

    def _open(
        self,
        packet: Packet,
        why: str | None,
        now: float,
        *,
        answered: bool,
        topic: str | None = None,
        least_bytes: int | None = None,
    ) -> None:
        case = self._case(packet, why, now, answered, packet.purpose)
        case.topic, case.least_bytes = topic, least_bytes
        if topic or least_bytes:  # others wait for it: find out soon
            case.interval_s = self._first_s / GROWTH
            case.retry_at = now + case.interval_s
        self._cases[packet.key] = case
        if len(self._cases) > MOST_CASES:
            del self._cases[next(iter(self._cases))]
        self._broad = [case for case in self._cases.values() if case.topic or case.least_bytes]

    def _is_one_of_many(self, packet: Packet, answered: bool) -> bool:
        """Whether so many messages on its topic were refused in a row that the topic itself is the cause."""
        known = packet.topic in self._taken_topics
        if not isinstance(packet.key, int) or (known and answered):
            return False  # a value is its topic; and refusals in words cost the others nothing
        if len(self._in_a_row) > MOST_TOPICS:
            self._in_a_row.clear()
        count = self._in_a_row[packet.topic] = self._in_a_row.get(packet.topic, 0) + 1
        return count >= (ENOUGH_OF_KNOWN if known else ENOUGH_OF_NEW)

    def _case(self, packet: Packet, why: str | None, now: float, answered: bool, purpose: Purpose) -> Case:
        return Case(packet, why, purpose, answered, self._first_s, now + self._first_s)

    def _postpone(self, packet: Packet, why: str, now: float) -> bool:
        """Whether there is a case of its own already, which is then tried later than last time."""
        case = self._cases.get(packet.key)
        if case is not None:
            self._again(case, why, now)
        return case is not None

    def _again(self, case: Case, why: str | None, now: float) -> None:
        case.why = why or case.why
        case.interval_s = min(case.interval_s * GROWTH, self._longest_s)
        case.retry_at = now + case.interval_s

    def _no_breaking(self, now: float) -> None:
        """However many cases there are, connections are not broken one after the other to try them."""
        self._pause_s = min(self._pause_s * 2, self._longest_s)
        self._breaking_from = now + self._pause_s

    def _tried_well(self) -> None:
        self._pause_s = self._first_s
        self._less_is_held()

    def _narrow(self, packet: Packet) -> None:
        """Close the case of an accepted packet, and narrow the cases that cover packets like it."""
        if self._cases.pop(packet.key, None) is not None:
            self._tried_well()
        for case in self._broad:
            if case.topic == packet.topic:
                case.topic = None
                self._less_is_held()
            if case.least_bytes is not None and packet.size >= case.least_bytes:
                case.least_bytes = None
                self._less_is_held()

    def _less_is_held(self) -> None:
        self.version += 1
        self._broad = [case for case in self._cases.values() if case.topic or case.least_bytes]
