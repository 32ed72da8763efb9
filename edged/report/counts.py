"""Counts one local day's encounters and events, in open hours and outside them."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from edged.config import Config
from edged.events.lifecycle import STATIC
from edged.host.clock import MINUTE_MS
from edged.messages import iso
from edged.payloads.report import ListedEvent
from edged.report.day import Hour, Span, day_span, hours_of, is_finished, open_spans, wall_clock
from edged.report.tally import Blocks, Tally
from edged.report.vigilance import MOST_LISTED, IncidentCounts, Vigilance
from edged.store import StoreReader, lasted_ms

BLOCK_MS = 15 * MINUTE_MS
INCIDENTS = ("inattention", "drowsiness")
"""Kinds of events about people, besides masks."""


@dataclass(frozen=True, slots=True)
class ReportedDay:
    """The day that is reported, cut into hours and open time. `until` is its end, or now on a day that still runs."""

    day: date
    zone: ZoneInfo
    whole: Span
    hours: Sequence[Hour]
    opened: Sequence[Span]
    until: int
    finished: bool
    maskless: frozenset[str] = frozenset()
    """Cameras that are not asked for masks: their passages are not counted as uncertain. Of one that was removed from the
    config this is taken as true where it judged none on that day.
    """

    def is_open(self, utc_ms: int) -> bool:
        return any(span.start <= utc_ms < span.end for span in self.opened)

    def past_open(self) -> list[Span]:
        """The open time that can be judged: on a day that still runs, without the minutes not written yet."""
        last = self.whole.end if self.finished else (self.until // MINUTE_MS - 1) * MINUTE_MS
        cut = Span(self.whole.start, max(self.whole.start, last))
        return [part for span in self.opened if (part := span.overlap(cut)).length]


@dataclass(slots=True)
class Passages:
    """The day's encounters, counted in every way the page shows; those outside open hours stand apart."""

    total: Blocks = field(default_factory=Blocks)
    by_hour: dict[int, Tally] = field(default_factory=dict)
    by_camera: dict[str, Blocks] = field(default_factory=dict)
    outside: Tally = field(default_factory=Tally)
    vigilance: Vigilance = field(default_factory=Vigilance)
    unsynced: int = 0


@dataclass(slots=True)
class EventCounts:
    """The day's events: the first violations in full, the rest counted."""

    listed: list[ListedEvent] = field(default_factory=list)
    violations: Counter[str] = field(default_factory=Counter)
    held_back: int = 0
    outside: int = 0
    static: int = 0
    """Events of pictures of faces, begun before they were known for that: they are in no other count."""
    system: Counter[str] = field(default_factory=Counter)
    incidents: Mapping[str, IncidentCounts] = field(
        default_factory=lambda: {kind: IncidentCounts() for kind in INCIDENTS}
    )
    unsynced: int = 0
    notified: int = 0
    """Events of which local outputs notified people."""
    acknowledged_s: list[float] = field(default_factory=list)
    """How long each of them waited that was acknowledged."""


def reported_day(config: Config, day: date, now_ms: int) -> ReportedDay:
    zone = ZoneInfo(config.report.timezone)
    whole = day_span(day, zone)
    return ReportedDay(
        day=day,
        zone=zone,
        whole=whole,
        hours=hours_of(day, zone),
        opened=open_spans(day, zone, config.report.open_from, config.report.open_until),
        until=max(whole.start, min(now_ms, whole.end)),
        finished=is_finished(day, zone, now_ms),
        maskless=frozenset(name for name, camera in config.camera.items() if not camera.tasks.mask),
    )


def list_violations(reader: StoreReader, config: Config, day: date, kind: str = "mask") -> Iterator[ListedEvent]:
    """Every event of `kind` in the day's open hours, oldest first, in the form the report lists the first ones."""
    reported = reported_day(config, day, 0)
    for hour in reported.hours:
        for row in reader.events(*hour.span, kind=kind):
            if reported.is_open(row["started_at"]) and row["end_reason"] != STATIC:
                yield _violation(row, reported.zone)


def count_passages(reader: StoreReader, reported: ReportedDay) -> Passages:
    passages = Passages()
    for number, hour in enumerate(reported.hours):
        tally = passages.by_hour.setdefault(number, Tally())
        for row in reader.encounters(*hour.span):
            passages.unsynced += not row["clock_ok"]
            opened, judged = reported.is_open(row["first_seen"]), was_judged(row, reported)
            if opened:
                passages.vigilance.add(row)
            elif judged:
                passages.outside.add(row["state"])
            if not (opened and judged):
                continue
            block = (row["first_seen"] - reported.whole.start) // BLOCK_MS
            tally.add(row["state"])
            passages.total.add(block, row["state"])
            passages.by_camera.setdefault(row["camera"], Blocks()).add(block, row["state"])
    return passages


def count_events(reader: StoreReader, reported: ReportedDay) -> EventCounts:
    counted = EventCounts()
    for number, hour in enumerate(reported.hours):
        for row in reader.events(*hour.span):
            counted.unsynced += not row["clock_ok"]
            if row["end_reason"] == STATIC:
                counted.static += 1
                continue
            _count_notified(counted, row)
            if row["kind"] == "system":
                counted.system[row["state"]] += 1
            elif row["kind"] == "mask":
                _count_violation(counted, row, reported)
            elif (incidents := counted.incidents.get(row["kind"])) is not None:
                if reported.is_open(row["started_at"]):
                    incidents.add(_violation(row, reported.zone), number)
                else:
                    incidents.outside += 1
    return counted


def _count_notified(counted: EventCounts, row: Mapping[str, Any]) -> None:
    details = row["details"] or {}
    counted.notified += bool(details.get("told"))
    if (at := details.get("acknowledged_at")) is not None:
        acknowledged_ms = datetime.fromisoformat(at.removesuffix("Z") + "+00:00").timestamp() * 1000
        counted.acknowledged_s.append(max(0.0, acknowledged_ms - row["started_at"]) / 1000)


def judging_cameras(reader: StoreReader, reported: ReportedDay, among: Collection[str]) -> frozenset[str]:
    """Those `among` cameras that judged masks on that day, as votes show."""
    return frozenset(
        row["camera"]
        for hour in (reported.hours if among else ())
        for row in reader.encounters(*hour.span)
        if row["camera"] in among and _has_votes(row)
    )


def _has_votes(row: Mapping[str, Any]) -> bool:
    return any((row["votes"] or {}).values())


def was_judged(row: Mapping[str, Any], reported: ReportedDay) -> bool:
    """Whether the mask was judged. Where the camera's profile does not ask for masks now, votes show that it did at that time."""
    return row["camera"] not in reported.maskless or _has_votes(row)


def _count_violation(counted: EventCounts, row: Mapping[str, Any], reported: ReportedDay) -> None:
    if not reported.is_open(row["started_at"]):
        counted.outside += 1
        return
    violation = _violation(row, reported.zone)
    counted.violations[row["state"]] += 1
    counted.held_back += violation["held_back"] is not None
    if len(counted.listed) < MOST_LISTED:
        counted.listed.append(violation)


def _violation(row: Mapping[str, Any], zone: ZoneInfo) -> ListedEvent:
    lasted, score, began = lasted_ms(row), row["score"], row.get("began_at")
    began = row["started_at"] if began is None else began
    return {
        "event_id": row["event_id"],
        "began": iso(began),
        "began_local": wall_clock(began, zone, seconds=True),
        "at": iso(row["started_at"]),
        "local": wall_clock(row["started_at"], zone, seconds=True),
        "camera": row["camera"],
        "state": row["state"],
        "duration_s": None if lasted is None else round(lasted / 1000, 1),
        "score": None if score is None else round(score, 2),
        "held_back": (row["details"] or {}).get("held_back"),
    }
