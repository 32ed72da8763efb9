"""Sums up a week or a month from the reports of its days."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from edged.config import Config
from edged.report.build import build_report, stored_report, verdict
from edged.report.day import day_of
from edged.report.statistics import ASSUMED_DESIGN_EFFECT, bounds, wilson
from edged.report.tally import LEAST_JUDGED, STATES, Tally, percent, percents, withhold_unwatched
from edged.store import StoreReader

Period = Literal["week", "month"]
Report = dict[str, Any]

KEPT = ("site", "device", "camera_names", "tz", "requirement", "target_percent")
"""What stands in the newest day's report, and holds for all."""

SECTIONS = {
    "attention": (("passages", "known_s", "unknown_s"), "distractions"),
    "drowsiness": (("passages", "present_s", "eyes_read_s"), "events"),
}
"""What is summed up of each section, and where its events stand."""


def days_of(period: Period, day: date) -> list[date]:
    """The days of the week, from Monday on, or of the month that holds `day`."""
    first = day - timedelta(days=day.weekday()) if period == "week" else day.replace(day=1)
    following = first + timedelta(days=7) if period == "week" else (first + timedelta(days=31)).replace(day=1)
    return [first + timedelta(days=number) for number in range((following - first).days)]


def build_period(reader: StoreReader, config: Config, period: Period, day: date, now_ms: int) -> Report:
    """The sums of the stored reports of the period that holds `day`; days without one are reported as they stand now.

    Days that have not begun are left out, and those from before the record. Raise StoreError when the database cannot
    be read.
    """
    days, zone = days_of(period, day), ZoneInfo(config.report.timezone)
    first = reader.first_instant()
    began = day_of(now_ms if first is None else first, zone)
    reports = []
    for one in days:
        stored = stored_report(reader, one)
        if stored is None and (one == day or began <= one <= day_of(now_ms, zone)):
            stored = build_report(reader, config, one, now_ms)
        reports += [stored] if stored is not None else []
    return _summed(period, days, reports)


def _summed(period: Period, days: Sequence[date], reports: Sequence[Report]) -> Report:
    watched = _watched_percent(reports)
    figure = withhold_unwatched(_figure(reports), watched)
    masks = any(report.get("masks_followed", True) for report in reports)
    return {
        "v": 1,
        "period": period,
        "first_day": days[0].isoformat(),
        "last_day": days[-1].isoformat(),
        **{name: reports[-1][name] for name in KEPT if name in reports[-1]},
        "days": len(days),
        "days_reported": len(reports),
        "complete": len(reports) == len(days) and all(report["complete"] for report in reports),
        "masks_followed": masks,
        **figure,
        "verdict": verdict(reports[-1]["target_percent"], figure["interval"]) if masks else None,
        "coverage_percent": watched,
        "by_day": [_day(report) for report in reports],
        "by_camera": _by_camera(reports),
        "violations": _sum(("count", "incorrect", "none", "held_back"), (report["violations"] for report in reports)),
        "gaps": _sum(("count", "minutes"), (report["gaps"] for report in reports)),
        **{name: _section(name, parts) for name in SECTIONS if (parts := [r[name] for r in reports if name in r])},
    }


def _tally(rows: Iterable[Mapping[str, Any]]) -> Tally:
    return Tally(**_sum(STATES, rows))


def _figure(reports: Sequence[Report]) -> Report:
    """The counts, with percentage, interval and bounds where enough was judged, as in the report of a day."""
    tally = _tally(reports)
    enough = tally.judged >= LEAST_JUDGED
    return tally.counts() | {
        "compliance_percent": percent(tally.correct, tally.judged) if enough else None,
        "interval": _interval(tally, reports) if enough else None,
        "bounds": percents(bounds(tally.correct, tally.judged, tally.uncertain)) if enough else None,
        "uncertain_percent": percent(tally.uncertain, tally.encounters) if enough else None,
        "few": tally.judged < 2 * LEAST_JUDGED,
        "withheld": None if enough else "few",
    }


def _interval(tally: Tally, reports: Sequence[Report]) -> Report:
    """On the effective passages of all days; those of a day without an interval of its own are fewer by what is assumed."""
    known = [report["interval"] for report in reports if report["interval"]]
    rest = sum(report["judged"] for report in reports if not report["interval"])
    effective = sum(interval["effective_judged"] for interval in known) + rest / ASSUMED_DESIGN_EFFECT
    return {
        **percents(wilson(tally.correct / tally.judged, effective)),
        "level": 95,
        "blocks": sum(interval["blocks"] for interval in known),
        "design_effect": round(tally.judged / effective, 2),
        "design_effect_assumed": rest > 0 or any(interval["design_effect_assumed"] for interval in known),
        "effective_judged": round(effective, 1),
    }


def _watched_percent(reports: Sequence[Report]) -> float | None:
    """Each day weighted by its open hours and cameras."""
    weighted = [
        (report["coverage_percent"], sum(hour["open"] for hour in report["by_hour"]) * len(report["by_camera"]))
        for report in reports
        if report["coverage_percent"] is not None
    ]
    whole = sum(weight for _, weight in weighted)
    return percent(sum(share * weight for share, weight in weighted) / 100, whole)


def _day(report: Report) -> Report:
    counts = _tally([report]).counts()
    return {
        "date": report["date"],
        "complete": report["complete"],
        **counts,
        "compliance_percent": report["compliance_percent"],
        "coverage_percent": report["coverage_percent"],
        "violations": report["violations"]["count"],
        "distractions": report["attention"]["distractions"]["count"] if "attention" in report else 0,
        "drowsiness_events": report["drowsiness"]["events"]["count"] if "drowsiness" in report else 0,
    }


def _by_camera(reports: Sequence[Report]) -> list[Report]:
    rows = [row for report in reports for row in report["by_camera"]]
    summed = []
    for camera in sorted({row["camera"] for row in rows}):
        own = [row for row in rows if row["camera"] == camera]
        tally = _tally(own)
        share = percent(tally.correct, tally.judged) if tally.judged >= LEAST_JUDGED else None
        figure = tally.counts() | {"compliance_percent": share}
        summed.append({"camera": camera, **figure, **_sum(("gaps", "gap_minutes"), own)})
    return summed


def _section(name: str, parts: Sequence[Report]) -> Report:
    names, events = SECTIONS[name]
    reasons: Counter[str] = Counter()
    for part in parts:
        reasons.update(part[events]["by_reason"])
    counts = {"count": reasons.total(), "by_reason": dict(reasons)}
    return {key: round(value, 1) for key, value in _sum(names, parts).items()} | {"events": counts}


def _sum(names: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    rows = list(rows)
    return {name: sum(row[name] for row in rows) for name in names}
