"""Local days as half-open intervals of UTC milliseconds: their hours, their open hours, and which of them are over."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from edged.errors import UsageError
from edged.host.clock import HOUR_MS, MINUTE_MS

EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)
OFFSETS = 2020, 2045
"""The years whose changes of the clocks the database knows: from the first of these to the last."""
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Span(NamedTuple):
    """A half-open interval of UTC milliseconds."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return max(0, self.end - self.start)

    def overlap(self, other: "Span") -> "Span":
        """The part in both; of length 0 when there is none."""
        start = max(self.start, other.start)
        return Span(start, max(start, min(self.end, other.end)))


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of a local day. `label` is the wall clock at its start, with the zone's abbreviation where it comes twice."""

    label: str
    span: Span


def day_span(day: date, zone: ZoneInfo) -> Span:
    """The local day from its first instant to the next day's: 23 or 25 hours long when the clocks change."""
    return Span(_midnight(day, zone), _midnight(day + timedelta(days=1), zone))


def day_of(utc_ms: int, zone: ZoneInfo) -> date:
    """The local day whose span holds the instant."""
    day = _local(utc_ms, zone).date()
    # Where clocks once went back across midnight, wall dates repeat; the spans of days never do.
    while utc_ms >= day_span(day, zone).end:
        day += timedelta(days=1)
    while utc_ms < _midnight(day, zone):
        day -= timedelta(days=1)
    return day


def hours_of(day: date, zone: ZoneInfo) -> list[Hour]:
    """The day's hours, in order and without a gap, cut at full hours of the wall clock; none of a day that a zone skipped."""
    span = day_span(day, zone)
    starts = []
    start = span.start
    while start < span.end:
        starts.append(start)
        into_hour = _local(start, zone).minute * MINUTE_MS
        start += HOUR_MS - into_hour
    return [Hour(wall_clock(a, zone), Span(a, b)) for a, b in pairwise([*starts, span.end])]


def open_spans(day: date, zone: ZoneInfo, open_from: str, open_until: str) -> list[Span]:
    """The instants of `day` whose wall clock is in [`open_from`, `open_until`), both HH:MM, as spans in order.

    An hour that is skipped in spring is not open; one that comes twice in autumn is open twice. Open all day is the whole day,
    also where clocks that go back soon after midnight show the day before once more (St. John's, until 2011).
    """
    opened: list[Span] = []
    whole = day_span(day, zone)
    if whole.length and (open_from, open_until) == ("00:00", "24:00"):
        return [whole]
    for span in _constant_offset(whole, zone):
        midnight = int((datetime.combine(day, time(), timezone.utc) - EPOCH).total_seconds()) * 1000
        base = midnight - _offset_ms(span.start, zone)
        part = Span(base + _minutes(open_from) * MINUTE_MS, base + _minutes(open_until) * MINUTE_MS).overlap(span)
        if not part.length:
            continue
        if opened and opened[-1].end == part.start:
            part = Span(opened.pop().start, part.end)
        opened.append(part)
    return opened


def is_finished(day: date, zone: ZoneInfo, now_ms: int) -> bool:
    return day_span(day, zone).end <= now_ms


def finished_days(first_ms: int, now_ms: int, zone: ZoneInfo) -> Iterator[date]:
    """Every local day that is over at `now_ms`, from the one that holds `first_ms` on."""
    day = day_of(first_ms, zone)
    while is_finished(day, zone, now_ms):
        yield day
        day += timedelta(days=1)


def parse_day(text: str, zone: ZoneInfo, now_ms: int) -> date:
    """Read "2026-11-19", "yesterday" or "today". Raise UsageError for anything else, and for days that have not begun."""
    today = day_of(now_ms, zone)
    word = text.strip().lower()
    if word in ("today", "yesterday"):
        return today if word == "today" else today - timedelta(days=1)
    try:
        # fromisoformat also reads week dates since Python 3.11; a person who types one means something else.
        day = date.fromisoformat(word) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", word, re.ASCII) else None
    except ValueError:
        day = None
    if day is None or not EARLIEST <= day <= LATEST:
        raise UsageError(f"DATE {text!r}: not a day; write it like {today.isoformat()}, or yesterday, or today")
    if day > today:
        raise UsageError(f"DATE {text!r}: that day has not begun; today is {today.isoformat()} in {zone.key}")
    return day


def wall_clock(utc_ms: int, zone: ZoneInfo, seconds: bool = False) -> str:
    """The instant as a person there reads it, HH:MM or HH:MM:SS, with the abbreviation where that reading comes twice."""
    local = _local(utc_ms, zone)
    text = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    return f"{text} {local.tzname()}" if twice else text


def utc_offsets(zone: ZoneInfo) -> list[tuple[int, int]]:
    """From which UTC millisecond on the zone is how many milliseconds ahead of UTC, over the years of OFFSETS."""
    start, end = (day_span(date(year, 1, 1), zone).start for year in OFFSETS)
    offsets = [(0, _offset_ms(start, zone))]
    for day in range(start, end, 24 * HOUR_MS):
        if _offset_ms(day + 24 * HOUR_MS, zone) != offsets[-1][1]:
            change = _change_between(day, day + 24 * HOUR_MS, zone)
            offsets.append((change, _offset_ms(change, zone)))
    return offsets


def _midnight(day: date, zone: ZoneInfo) -> int:
    """The day's first instant. With fold=0 zoneinfo maps a midnight that is skipped to the instant of the change."""
    return int((datetime.combine(day, time(), zone) - EPOCH).total_seconds() * 1000)


def _local(utc_ms: int, zone: ZoneInfo) -> datetime:
    return (EPOCH + timedelta(milliseconds=utc_ms)).astimezone(zone)


def _offset_ms(utc_ms: int, zone: ZoneInfo) -> int:
    offset = _local(utc_ms, zone).utcoffset() or timedelta()
    return int(offset.total_seconds() * 1000)


def _constant_offset(span: Span, zone: ZoneInfo) -> Iterator[Span]:
    """Cut `span` where the zone's offset from UTC changes, whose changes lie more than an hour apart."""
    start = span.start
    for at in [*range(span.start + HOUR_MS, span.end, HOUR_MS), span.end]:
        if _offset_ms(at - 1, zone) != _offset_ms(start, zone):
            change = _change_between(max(start, at - 1 - HOUR_MS), at - 1, zone)
            yield Span(start, change)
            start = change
    if start < span.end:
        yield Span(start, span.end)


def _change_between(low: int, high: int, zone: ZoneInfo) -> int:
    """The first instant with the offset of `high`, given that the offset changes once between them."""
    offset = _offset_ms(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset_ms(middle, zone) == offset else (low, middle)
    return high


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
