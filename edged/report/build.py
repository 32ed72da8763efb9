"""Builds the canonical report of one local day from the store."""

import hashlib
import json
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from statistics import median
from typing import Any, Literal

from typing_extensions import TypedDict

from edged import __version__
from edged.config import Config
from edged.host.clock import HOUR_MS, MINUTE_MS
from edged.host.device import device_id
from edged.messages import iso
from edged.payloads.fleet import FleetHour
from edged.payloads.report import (
    AttentionSection,
    CameraRow,
    DeviceHealth,
    DrowsinessSection,
    Gaps,
    HourRow,
    Interval,
    ReportDocument,
    ReportHead,
    ToldSection,
    Violations,
    WalkTest,
    WorstHour,
)
from edged.payloads.report import Gap as ListedGap
from edged.records import PAUSED
from edged.report.counts import (
    EventCounts,
    Passages,
    ReportedDay,
    count_events,
    count_passages,
    judging_cameras,
    reported_day,
)
from edged.report.coverage import Gap, Minutes, gaps, paused_by, read_coverage, read_pauses, watched_ms
from edged.report.day import Span, day_of, wall_clock
from edged.report.tally import (
    Blocks,
    Watched,
    coverage,
    hour_coverage,
    part_percent,
    percent,
    withhold_unwatched,
)
from edged.report.trend import build_trend
from edged.report.vigilance import attention_section, drowsiness_section
from edged.report.walk import walk_test
from edged.store import StoreReader

MOST_GAPS_LISTED = 40
GOOD_COVERAGE_PERCENT = 90
STARTED, RECOVERED = "started", "recovered"
"""States of `system` events that the device's health counts by name."""


def canonical_json(report: Mapping[str, Any]) -> str:
    """Keys sorted, no blanks, no NaN: one report has one text."""
    return json.dumps(report, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def report_sha256(report: Mapping[str, Any]) -> str:
    """Of the canonical JSON."""
    return hashlib.sha256(canonical_json(report).encode()).hexdigest()


def build_report(
    reader: StoreReader,
    config: Config,
    day: date,
    now_ms: int,
    *,
    models: Mapping[str, str] | None = None,
    config_sha256: str | None = None,
    revision: int = 1,
) -> ReportDocument:
    """The report of `day`: the same store, config and arguments give the same report; a finished day needs no `now_ms`.

    Passages and coverage count in open hours only, so that both speak of the same time. `models` maps a model's name
    to its SHA-256; `revision` counts how often the day's report has been made. Reads in short transactions. Raise
    StoreError when the database cannot be read.
    """
    reported = reported_day(config, day, now_ms)
    cameras = read_coverage(reader, [hour.span for hour in reported.hours])
    removed = cameras.keys() - config.camera.keys() if config.camera else set()
    reported = replace(reported, maskless=reported.maskless | (removed - judging_cameras(reader, reported, removed)))
    passages = count_passages(reader, reported)
    events = count_events(reader, reported)
    for camera in sorted({*config.camera, *passages.by_camera}):
        cameras.setdefault(camera, {})
    asked = {camera for camera in cameras if _follows_masks(camera, passages, reported)}
    watched = _watched_percents(cameras, asked, reported.past_open())
    figure = withhold_unwatched(passages.total.figure(), watched.for_masks)
    outages = _gaps(cameras, reported)
    by_hour = _by_hour(passages, cameras, asked, reported)
    masks = _masks_followed(config, passages)
    return {
        **_head(config, reported, _walk_tests(reader, config, reported)),
        "revision": revision,
        "masks_followed": masks,
        **figure,
        **coverage(watched),
        "coverage_partial": watched.by_all is not None and watched.by_all < GOOD_COVERAGE_PERCENT,
        "verdict": verdict(config.report.target_percent, figure["interval"]) if masks else None,
        "trend": build_trend(reader, day, figure),
        "by_hour": by_hour,
        "worst_hours": [] if figure["withheld"] == "coverage" else worst_hours(by_hour),
        "by_camera": _by_camera(passages, cameras, asked, outages, reported),
        "violations": _violations(events),
        "gaps": _listed_gaps(outages, reported, read_pauses(reader, reported.whole)),
        **_vigilance(config, passages, events, reported),
        **_local_outputs(events),
        "outside_open_hours": {**passages.outside.counts(), "violations": events.outside},
        "device_health": _health(reader, passages, events),
        "origin": {"edged": __version__, "models": dict(models or {}), "config_sha256": config_sha256},
    }


def _walk_tests(reader: StoreReader, config: Config, reported: ReportedDay) -> list[WalkTest]:
    """Those that speak for the settings which hold now."""
    kept = {camera: walk_test(reader, config, camera) for camera in sorted(config.camera)}
    return [
        {
            "camera": camera,
            "at_local": day_of(int(test["at"]), reported.zone).isoformat(),
            "passages": int(test["passages"]),
            "as_expected": int(test["as_expected"]),
        }
        for camera, test in kept.items()
        if test is not None and int(test["at"]) < reported.whole.end
    ]


def _head(config: Config, reported: ReportedDay, walk_tests: list[WalkTest]) -> ReportHead:
    hours = reported.whole.length / HOUR_MS
    names = {camera: _printable(settings.name) for camera, settings in config.camera.items() if settings.name}
    head: ReportHead = {
        "v": 1,
        "site": _printable(config.report.site or config.device.name),
        "device": device_id(config.device.id),
        "date": reported.day.isoformat(),
        "tz": reported.zone.key,
        "utc_start": iso(reported.whole.start),
        "utc_end": iso(reported.whole.end),
        "hours_in_day": int(hours) if hours.is_integer() else round(hours, 2),
        "complete": reported.finished,
        "as_of": iso(reported.until),
        "as_of_local": _until_clock(reported.until, reported),
        "open_from": config.report.open_from,
        "open_until": config.report.open_until,
        "requirement": _printable(config.report.requirement),
        "target_percent": config.report.target_percent,
    }
    if names:
        head["camera_names"] = names
    if walk_tests:
        head["walk_tests"] = walk_tests
    return head


def _violations(events: EventCounts) -> Violations:
    counts = events.violations
    return {
        "count": counts.total(),
        "incorrect": counts["incorrect"],
        "none": counts["none"],
        "held_back": events.held_back,
        "static": events.static,
        "first": events.listed,
    }


def _watched_percent(cameras: Mapping[str, Minutes], spans: Sequence[Span]) -> float | None:
    opened = len(cameras) * sum(span.length for span in spans)
    return percent(sum(watched_ms(minutes, spans) for minutes in cameras.values()), opened)


def _watched_percents(cameras: Mapping[str, Minutes], asked: Collection[str], spans: Sequence[Span]) -> Watched:
    by_masks = {camera: minutes for camera, minutes in cameras.items() if camera in asked}
    mixed = 0 < len(by_masks) < len(cameras)
    by_all = _watched_percent(cameras, spans)
    return Watched(by_all, _watched_percent(by_masks, spans) if mixed else by_all, mixed)


def _follows_masks(camera: str, passages: Passages, reported: ReportedDay) -> bool:
    """Whether the day's figure rests on this camera: it is asked for masks, or was on that day, since some were judged."""
    return camera not in reported.maskless or camera in passages.by_camera


def _by_hour(
    passages: Passages, cameras: Mapping[str, Minutes], asked: Collection[str], reported: ReportedDay
) -> list[HourRow]:
    past = reported.past_open()
    rows: list[HourRow] = []
    for number, hour in enumerate(reported.hours):
        tally = passages.by_hour[number]
        parts = [part for span in past if (part := span.overlap(hour.span)).length]
        watched = _watched_percents(cameras, asked, parts)
        rows.append(
            {
                "label": hour.label,
                "utc_start": iso(hour.span.start),
                **tally.counts(),
                "compliance_percent": part_percent(tally, watched.for_masks),
                "open": any(span.overlap(hour.span).length for span in reported.opened),
                **hour_coverage(watched),
            }
        )
    return rows


def worst_hours(by_hour: Sequence[HourRow] | Sequence[FleetHour]) -> list[WorstHour]:
    """The three hours with the lowest percentage, the earlier first among equals; `by_hour` is in the order of time."""
    eligible = [(share, row) for row in by_hour if (share := row["compliance_percent"]) is not None]
    eligible.sort(key=lambda pair: pair[0])
    return [
        {"label": row["label"], "judged": row["judged"], "compliance_percent": share} for share, row in eligible[:3]
    ]


def _by_camera(
    passages: Passages,
    cameras: Mapping[str, Minutes],
    asked: Collection[str],
    outages: Sequence[Gap],
    reported: ReportedDay,
) -> list[CameraRow]:
    past = reported.past_open()
    rows: list[CameraRow] = []
    for camera in sorted(cameras):
        watched = _watched_percent({camera: cameras[camera]}, past)
        own = [gap.span.length for gap in outages if gap.camera == camera]
        rows.append(
            {
                "camera": camera,
                "masks_followed": camera in asked,
                **withhold_unwatched(passages.by_camera.get(camera, Blocks()).figure(), watched),
                "coverage_percent": watched,
                "gaps": len(own),
                "gap_minutes": sum(own) // MINUTE_MS,
            }
        )
    return rows


def _masks_followed(config: Config, passages: Passages) -> bool:
    """Whether the day has anything to do with masks; without a camera it is assumed to have."""
    asked = [camera.tasks.mask for camera in config.camera.values()]
    return any(asked) or not asked or passages.total.whole.encounters > 0


class _Sections(TypedDict, total=False):
    attention: AttentionSection
    drowsiness: DrowsinessSection
    told: ToldSection


def _local_outputs(events: EventCounts) -> _Sections:
    """Of how many events local outputs notified people, where they did."""
    if not events.notified:
        return {}
    waits = events.acknowledged_s
    return {
        "told": {
            "events": events.notified,
            "acknowledged": len(waits),
            "median_s": round(median(waits), 1) if waits else None,
            "longest_s": round(max(waits), 1) if waits else None,
        }
    }


def _vigilance(config: Config, passages: Passages, events: EventCounts, reported: ReportedDay) -> _Sections:
    """Sections on attention and drowsiness, each there only where cameras follow it, or did on that day."""
    followed = {
        name: [camera for camera, settings in config.camera.items() if getattr(settings.tasks, name)]
        for name in ("attention", "drowsiness")
    }
    vigilance, hours = passages.vigilance, reported.hours
    attention = attention_section(followed["attention"], vigilance, events.incidents["inattention"], hours)
    drowsiness = drowsiness_section(followed["drowsiness"], vigilance, events.incidents["drowsiness"], hours)
    sections: _Sections = {}
    if attention is not None:
        sections["attention"] = attention
    if drowsiness is not None:
        sections["drowsiness"] = drowsiness
    return sections


def _gaps(cameras: Mapping[str, Minutes], reported: ReportedDay) -> list[Gap]:
    past = reported.past_open()
    return [gap for camera in sorted(cameras) for gap in gaps(camera, cameras[camera], past)]


def _listed_gaps(outages: Sequence[Gap], reported: ReportedDay, pauses: Sequence[tuple[int, str]]) -> Gaps:
    """The longest gaps in order of time, and how much the others add up to."""
    longest = sorted(outages, key=lambda gap: (-gap.span.length, gap.span, gap.camera))
    listed = sorted(longest[:MOST_GAPS_LISTED], key=lambda gap: (gap.span, gap.camera))
    return {
        "count": len(outages),
        "minutes": sum(gap.span.length for gap in outages) // MINUTE_MS,
        "unlisted_minutes": sum(gap.span.length for gap in longest[MOST_GAPS_LISTED:]) // MINUTE_MS,
        "listed": [_listed_gap(gap, reported, pauses) for gap in listed],
    }


def _listed_gap(gap: Gap, reported: ReportedDay, pauses: Sequence[tuple[int, str]]) -> ListedGap:
    row: ListedGap = {
        "camera": gap.camera,
        "from": iso(gap.span.start),
        "to": iso(gap.span.end),
        "from_local": wall_clock(gap.span.start, reported.zone),
        "to_local": _until_clock(gap.span.end, reported),
        "minutes": gap.span.length // MINUTE_MS,
        "reason": gap.reason,
    }
    if gap.reason == PAUSED:
        row["who"] = _printable(paused_by(gap, pauses))
    return row


def _until_clock(utc_ms: int, reported: ReportedDay) -> str:
    """The wall clock at the end of something; the day's own end reads 24:00, not 00:00."""
    return "24:00" if utc_ms == reported.whole.end else wall_clock(utc_ms, reported.zone)


def verdict(target: float | None, interval: Interval | None) -> Literal["met", "not met", "cannot tell"] | None:
    """Against the site's own target by the interval as printed, so that the page never contradicts itself; None without one."""
    if target is None:
        return None
    if interval is None or interval["lower"] < target <= interval["upper"]:
        return "cannot tell"
    return "met" if interval["lower"] >= target else "not met"


def _health(reader: StoreReader, passages: Passages, events: EventCounts) -> DeviceHealth:
    return {
        "starts": events.system[STARTED],
        "database_recoveries": events.system[RECOVERED],
        "system_events": dict(events.system),
        "clock_unsynced_rows": passages.unsynced + events.unsynced,
        "unsent_messages": reader.outbox_depth(),
    }


def _printable(text: str) -> str:
    """The text without control characters and non-characters, which neither HTML nor CSV can carry."""
    return "".join(c for c in text if unicodedata.category(c) != "Cc" and ord(c) & 0xFFFE != 0xFFFE).strip()
