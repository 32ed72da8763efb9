"""Remembers what the broker disliked, so that it is tried last, alone and ever more rarely, and holds nothing else up.

A broker answers what it dislikes with a reason code (MQTT 5), or ends the connection without a word (3.1.1, and most
clouds). What was unanswered then is sent one by one on the next connections. What breaks them alone becomes a case: it
and what resembles it wait, until it is tried again when nothing else is to be sent.
"""

from collections.abc import Sequence

from edged.publish.packets import Case, Key, Parcel, Purpose
from edged.publish.problems import LinkDown

WINDOW = 20
"""How many may wait for the broker's answer at once, and so many are sent one by one after a connection broke."""

GROWTH = 4.0
ENOUGH_ENDINGS = 3
"""So often the connection must end right after a topic's message was acknowledged, until that is told."""

ENOUGH_OF_NEW, ENOUGH_OF_KNOWN = 2, 5
"""So many messages of one topic in a row must be cases until the topic itself is to blame: where none of it was ever taken;
where some were.
"""
MOST_CASES = 1000
MOST_TOPICS = 1000
SMALL_BYTES = 1024
"""Every broker takes messages of this size: their size is not what was disliked."""

UNSPOKEN_STRIKES, SILENT_STRIKES = 2, 3
"""So often a thing must break the connection alone: when the broker closed it; when the broker merely fell silent, which
a bad network does more often.
"""

NOT_AUTHORIZED, TOPIC_INVALID, TOO_LARGE, NO_RETAIN, NO_QOS = 0x87, 0x90, 0x95, 0x9A, 0x9B
POINTED = frozenset({0x82, NOT_AUTHORIZED, TOPIC_INVALID, 0x94, TOO_LARGE, 0x99, NO_RETAIN, NO_QOS, 0x9E, 0xA1, 0xA2})
"""Reason codes of MQTT 5 with which a broker speaks of what it has just been sent."""

UNSPECIFIC = frozenset({None, 0x80, 0x81, 0x83})
"""No reason, or one that may speak of anything."""


class Suspicion:
    """What this broker is known to take and to dislike, across connections. One thread's own, and bounded."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        """A case is tried again after `first_s`, and then ever later, up to `longest_s`."""
        self._first_s = first_s
        self._longest_s = longest_s
        self._cases: dict[Key, Case] = {}
        self._broad: list[Case] = []
        self._in_a_row: dict[str, int] = {}
        self._endings: dict[str, int] = {}
        self._condemned: dict[Key, float] = {}
        self._retention: Case | None = None
        self._strikes: dict[Key, int] = {}
        self._taken_topics: set[str] = set()
        self._taken_bytes = SMALL_BYTES
        self._taken_retained = False
        self._one_by_one = 0
        self._pause_s = first_s
        self._breaking_from = 0.0
        self.version = 0
        """Another number whenever less is held back than before."""

    @property
    def careful(self) -> bool:
        """Whether to send one by one, to find what breaks connections."""
        return self._one_by_one > 0

    @property
    def retains(self) -> bool:
        """Whether values may be retained: not where only unretained ones are taken."""
        return self._retention is None

    @property
    def cases(self) -> list[Case]:
        """What is held back now, the oldest first."""
        return [*([self._retention] if self._retention else []), *self._cases.values()]

    def blocks(self, parcel: Parcel) -> bool:
        """Whether `parcel` must wait until its case is tried."""
        return self.case_of(parcel) is not None

    def is_case(self, parcel: Parcel) -> bool:
        """Whether `parcel` itself was disliked, and does not merely resemble what was."""
        return parcel.key in self._cases

    def case_of(self, parcel: Parcel) -> Case | None:
        """What `parcel` is held back for, None when it is not."""
        own = self._cases.get(parcel.key)
        return own or next((case for case in self._broad if case.covers(parcel)), None)

    def due(self, now: float) -> Case | None:
        """The case to try next, if it is time for one."""
        due = [case for case in self.cases if case.retry_at <= now and (case.polite or self._breaking_from <= now)]
        return min(due, key=lambda case: case.retry_at, default=None)

    def connected(self, now: float) -> None:
        """There is a new connection: what was refused in words costs little to offer again."""
        for case in self.cases:
            if case.polite:
                case.retry_at = min(case.retry_at, now)

    def taken(self, parcel: Parcel) -> None:
        """The broker took it: it, its topic, its size and being retained are not what was disliked."""
        self._one_by_one = max(0, self._one_by_one - 1)
        self._strikes.pop(parcel.key, None)
        self._in_a_row.pop(parcel.topic, None)
        if len(self._taken_topics) < MOST_TOPICS:
            self._taken_topics.add(parcel.topic)
        self._taken_bytes = max(self._taken_bytes, parcel.size)
        if parcel.retain:
            self._taken_retained = True
            if self._retention is not None:
                self._retention = None
                self._tried_well()
        if self._cases:
            self._narrow(parcel)

    def refused(self, parcel: Parcel, code: int, why: str, now: float, tried: Case | None = None) -> None:
        """The broker answered that it does not take it; the connection stands. `tried` is the case it was tried for."""
        self._strikes.pop(parcel.key, None)
        if tried is not None:
            tried.polite = True
            self._again(tried, why, now)
        elif not self._postpone(parcel, why, now):
            self._convict(parcel, code, why, now, polite=True)

    def too_large(self, parcel: Parcel, most_bytes: int, now: float) -> None:
        """The broker said before that it takes no packets of more than `most_bytes`."""
        why = f"it takes at most {most_bytes:,} bytes"
        if not self._postpone(parcel, why, now):
            self._open(parcel, why, now, polite=True, least_bytes=most_bytes + 1)

    def broke(self, parcels: Sequence[Parcel], end: LinkDown, now: float, tried: Case | None = None) -> bool:
        """The connection ended before the broker had answered these; `tried` is the case they belong to.

        Return whether that has told something: then it is worth coming back at once.
        """
        if not parcels or not (end.code in POINTED or end.code in UNSPECIFIC):
            return False
        if tried is not None:
            tried.polite = False
            self._again(tried, end.told, now)
            self._no_breaking(now)
            return True
        was_careful, self._one_by_one = self.careful, WINDOW
        if len(parcels) > 1 or not (was_careful or end.code in POINTED):
            return True  # more may have been on its way
        parcel = parcels[0]
        strikes = self._strikes[parcel.key] = self._strikes.get(parcel.key, 0) + 1
        enough = 1 if end.code in POINTED else SILENT_STRIKES if end.silent else UNSPOKEN_STRIKES
        if strikes >= enough:
            del self._strikes[parcel.key]
            self._convict(parcel, end.code, end.told, now, polite=False)
        elif len(self._strikes) > MOST_CASES:
            self._strikes.clear()
        return True

    def ended_after(self, parcel: Parcel, end: LinkDown) -> bool:
        """The connection ended with nothing unanswered, right after this was taken: mosquitto acknowledges by 3.1.1 what
        it denies, and hangs up. Return whether that is worth coming back at once.
        """
        if end.code not in UNSPECIFIC or end.silent:
            return False
        if len(self._endings) > MOST_TOPICS:
            self._endings.clear()
        self._endings[parcel.topic] = self._endings.get(parcel.topic, 0) + 1
        return True

    def stood(self, topic: str) -> None:
        """The connection stands a while after a message on `topic` was taken."""
        self._endings.pop(topic, None)

    @property
    def hangs_up_after(self) -> str | None:
        """A topic whose messages are acknowledged and followed by the connection's end."""
        return next((topic for topic, count in self._endings.items() if count >= ENOUGH_ENDINGS), None)

    def condemn(self, parcel: Parcel, why: str, now: float) -> None:
        """The connection ended because of what `parcel` brought about, after it had been taken: later each time."""
        if not self._postpone(parcel, why, now):
            self._open(parcel, why, now, polite=False)
            case = self._cases[parcel.key]
            case.interval_s = max(case.interval_s, self._condemned.get(parcel.key, 0.0))
            case.retry_at = now + case.interval_s
        if len(self._condemned) > MOST_CASES:
            self._condemned.clear()
        self._condemned[parcel.key] = min(self._cases[parcel.key].interval_s * GROWTH, self._longest_s)
        self._no_breaking(now)

    def drop(self, case: Case) -> None:
        """It cannot be tried any more: let what resembles it find out."""
        if case is self._retention:
            self._retention = None
        elif self._cases.get(case.sample.key) is case:
            del self._cases[case.sample.key]
        self._less_is_held()

    def _convict(self, parcel: Parcel, code: int | None, why: str | None, now: float, *, polite: bool) -> None:
        """Open a case, and blame what no parcel that was taken shares with this one."""
        if parcel.retain and (code == NO_RETAIN or (code in UNSPECIFIC and not polite and not self._taken_retained)):
            self._retention = self._case(parcel, why, now, polite, "retention")
            self._less_is_held()  # without being retained it may be taken
            return
        topic = parcel.topic if code != TOO_LARGE and self._is_one_of_many(parcel, polite) else None
        large = code not in (NOT_AUTHORIZED, TOPIC_INVALID) and parcel.size > self._taken_bytes
        self._open(parcel, why, now, polite=polite, topic=topic, least_bytes=parcel.size if large else None)

    def _open(
        self,
        parcel: Parcel,
        why: str | None,
        now: float,
        *,
        polite: bool,
        topic: str | None = None,
        least_bytes: int | None = None,
    ) -> None:
        case = self._case(parcel, why, now, polite, parcel.purpose)
        case.topic, case.least_bytes = topic, least_bytes
        if topic or least_bytes:  # others wait for it: find out soon
            case.interval_s = self._first_s / GROWTH
            case.retry_at = now + case.interval_s
        self._cases[parcel.key] = case
        if len(self._cases) > MOST_CASES:
            del self._cases[next(iter(self._cases))]
        self._broad = [case for case in self._cases.values() if case.topic or case.least_bytes]

    def _is_one_of_many(self, parcel: Parcel, polite: bool) -> bool:
        """Whether so many messages of its topic were disliked in a row that the topic itself is."""
        known = parcel.topic in self._taken_topics
        if not isinstance(parcel.key, int) or (known and polite):
            return False  # a value is its topic; and refusals in words cost the others nothing
        if len(self._in_a_row) > MOST_TOPICS:
            self._in_a_row.clear()
        count = self._in_a_row[parcel.topic] = self._in_a_row.get(parcel.topic, 0) + 1
        return count >= (ENOUGH_OF_KNOWN if known else ENOUGH_OF_NEW)

    def _case(self, parcel: Parcel, why: str | None, now: float, polite: bool, purpose: Purpose) -> Case:
        return Case(parcel, why, purpose, polite, self._first_s, now + self._first_s)

    def _postpone(self, parcel: Parcel, why: str, now: float) -> bool:
        """Whether there is a case of its own already, which is then tried later than last time."""
        case = self._cases.get(parcel.key)
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

    def _narrow(self, parcel: Parcel) -> None:
        """Close the case of what was taken, and take the blame from what it shares with others."""
        if self._cases.pop(parcel.key, None) is not None:
            self._tried_well()
        for case in self._broad:
            if case.topic == parcel.topic:
                case.topic = None
                self._less_is_held()
            if case.least_bytes is not None and parcel.size >= case.least_bytes:
                case.least_bytes = None
                self._less_is_held()

    def _less_is_held(self) -> None:
        self.version += 1
        self._broad = [case for case in self._cases.values() if case.topic or case.least_bytes]
