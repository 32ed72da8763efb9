"""How much of the open time was watched, and the gaps in it with their reasons."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from edged.host.clock import MINUTE_MS
from edged.records import PAUSED
from edged.report.day import Span
from edged.store import StoreReader

HALF_A_MINUTE_MS = MINUTE_MS // 2
LONGEST_PAUSE_MS = 26 * 60 * MINUTE_MS
"""Until tomorrow, on a day of 25 hours, with an hour to spare."""
NOT_RUNNING = "not running"
NOT_ANALYSED = "not analysed"
# One broken cable shows as a camera that stalls, reconnects and is offline in turn: one gap, not three.
CAMERA_STATES = frozenset({"offline", "stalled", "reconnecting"})


class Minute(NamedTuple):
    watched_ms: int
    camera_state: str


Minutes: TypeAlias = Mapping[int, Minute]
"""One camera's rows by the minute's start."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Open minutes that were watched for less than half, one after the other."""

    camera: str
    span: Span
    reason: str
    """`offline`, `stalled`, `reconnecting`, `paused`, `not running`, or `not analysed` (pictures came, too few were analysed)."""


def read_coverage(reader: StoreReader, spans: Iterable[Span]) -> dict[str, Minutes]:
    """The camera-minutes of `spans`, each read in a transaction of its own so that the writer never waits long."""
    cameras: defaultdict[str, dict[int, Minute]] = defaultdict(dict)
    for span in spans:
        for row in reader.coverage(*span):
            cameras[row["camera"]][row["minute"]] = Minute(row["watched_ms"], row["camera_state"])
    return dict(cameras)


def paused_by(gap: Gap, pauses: Sequence[tuple[int, str]]) -> str:
    """Who asked for the pause that a gap is; `pauses` are when each was asked for and by whom, in order."""
    first = gap.span.start + MINUTE_MS  # a gap begins with the first minute that was not watched for most of it
    before = [who for at, who in pauses if at < first][-1:]
    return ", ".join(dict.fromkeys(before + [who for at, who in pauses if first <= at < gap.span.end]))


def read_pauses(reader: StoreReader, span: Span) -> list[tuple[int, str]]:
    """When each pause was asked for that may reach into `span`, and by whom."""
    rows = reader.events(span.start - LONGEST_PAUSE_MS, span.end, "system")
    return [(row["started_at"], str((row["details"] or {}).get("who", ""))) for row in rows if row["state"] == PAUSED]


def watched_ms(minutes: Minutes, spans: Iterable[Span]) -> int:
    """How much of `spans` was watched; never more than their length."""
    return sum(
        min(minutes[minute].watched_ms, MINUTE_MS) for span in spans for minute in _starts(span) if minute in minutes
    )


def gaps(camera: str, minutes: Minutes, spans: Sequence[Span]) -> list[Gap]:
    """Where `spans` were not watched, in order; neighbouring minutes with related reasons are one gap."""
    found: list[Gap] = []
    reasons: Counter[str] = Counter()
    for start, reason in _unwatched(minutes, spans):
        last = found[-1] if found else None
        if last is not None and last.span.end == start and _family(last.reason) == _family(reason):
            reasons[reason] += 1
            leading = max(sorted(reasons), key=reasons.__getitem__)
            found[-1] = Gap(camera, Span(last.span.start, start + MINUTE_MS), leading)
        else:
            reasons = Counter([reason])
            found.append(Gap(camera, Span(start, start + MINUTE_MS), reason))
    return found


def _unwatched(minutes: Minutes, spans: Iterable[Span]) -> Iterator[tuple[int, str]]:
    for span in spans:
        for start in _starts(span):
            if (reason := unwatched_reason(minutes.get(start))) is not None:
                yield start, reason


def unwatched_reason(minute: Minute | None) -> str | None:
    """Why a minute counts as not watched; None of one that was."""
    if minute is None:
        return NOT_RUNNING
    if minute.watched_ms >= HALF_A_MINUTE_MS:
        return None
    return NOT_ANALYSED if minute.camera_state == "online" else minute.camera_state


def _starts(span: Span) -> range:
    """Minutes as the store numbers them; every zone's offset is whole minutes, so open hours begin on one."""
    return range(span.start, span.end, MINUTE_MS)


def _family(reason: str) -> str:
    return "camera" if reason in CAMERA_STATES else reason
