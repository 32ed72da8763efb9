"""Sums up a week or a month from the reports of its days."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from typing_extensions import TypedDict

from edged.config import Config
from edged.errors import Failed
from edged.payloads.period import (
    PeriodAttention,
    PeriodCamera,
    PeriodDay,
    PeriodDocument,
    PeriodDrowsiness,
    PeriodEvents,
)
from edged.payloads.report import CameraRow, Counts, Figure, Incidents, ReportDocument
from edged.report.build import build_report, verdict
from edged.report.day import day_of
from edged.report.statistics import ASSUMED_DESIGN_EFFECT, DesignEffect
from edged.report.stored import counted_anew, stored_report
from edged.report.tally import Tally, Watched, coverage, figure, percent, withhold_unwatched
from edged.store import StoreReader

Period = Literal["week", "month"]


def days_of(period: Period, day: date) -> list[date]:
    """The days of the week, from Monday on, or of the month that holds `day`."""
    first = day - timedelta(days=day.weekday()) if period == "week" else day.replace(day=1)
    following = first + timedelta(days=7) if period == "week" else (first + timedelta(days=31)).replace(day=1)
    return [first + timedelta(days=number) for number in range((following - first).days)]


def build_period(
    reader: StoreReader,
    config: Config,
    period: Period,
    day: date,
    now_ms: int,
    say: Callable[[str], None] = lambda line: None,
) -> PeriodDocument:
    """The sums of the stored reports of the period that holds `day`; days without one are reported as they stand now.

    Days that have not begun are left out, those from before the record, and those of which neither the report nor the rows
    are whole any more. `say` gets a line on each stored report that cannot be used. Raise StoreError when the database
    cannot be read, Failed when no day is left.
    """
    days, zone = days_of(period, day), ZoneInfo(config.report.timezone)
    first = reader.first_instant()
    began = day_of(now_ms if first is None else first, zone)
    reports, lost = [], None
    for one in days:
        stored = stored_report(reader, one)
        if stored is None and (one == day or began <= one <= day_of(now_ms, zone)):
            try:
                if line := counted_anew(reader, zone, one):
                    say(line)
                stored = build_report(reader, config, one, now_ms)
            except Failed as error:
                lost = error
                say(str(error))
        reports += [stored] if stored is not None else []
    if lost is not None and not reports:
        raise lost
    return _summed(period, days, reports)


def _summed(period: Period, days: Sequence[date], reports: Sequence[ReportDocument]) -> PeriodDocument:
    watched = _watched(reports)
    of_masks = withhold_unwatched(_figure(reports), watched.for_masks)
    masks = any(report.get("masks_followed", True) for report in reports)
    newest = reports[-1]
    return {
        "v": 1,
        "period": period,
        "first_day": days[0].isoformat(),
        "last_day": days[-1].isoformat(),
        "site": newest["site"],
        "device": newest["device"],
        "tz": newest["tz"],
        "requirement": newest["requirement"],
        "target_percent": newest["target_percent"],
        "days": len(days),
        "days_reported": len(reports),
        "complete": len(reports) == len(days) and all(report["complete"] for report in reports),
        "masks_followed": masks,
        **of_masks,
        "verdict": verdict(newest["target_percent"], of_masks["interval"]) if masks else None,
        **coverage(watched),
        "by_day": [_day(report) for report in reports],
        "by_camera": _by_camera(reports),
        "violations": {
            "count": sum(report["violations"]["count"] for report in reports),
            "incorrect": sum(report["violations"]["incorrect"] for report in reports),
            "none": sum(report["violations"]["none"] for report in reports),
            "held_back": sum(report["violations"]["held_back"] for report in reports),
        },
        "gaps": {
            "count": sum(report["gaps"]["count"] for report in reports),
            "minutes": sum(report["gaps"]["minutes"] for report in reports),
        },
        **_optional(reports),
    }


class _Optional(TypedDict, total=False):
    camera_names: dict[str, str]
    attention: PeriodAttention
    drowsiness: PeriodDrowsiness


def _optional(reports: Sequence[ReportDocument]) -> _Optional:
    """What only some reports have."""
    found: _Optional = {}
    attention = [report["attention"] for report in reports if "attention" in report]
    drowsiness = [report["drowsiness"] for report in reports if "drowsiness" in report]
    # The newest name of each camera, of one that was removed too.
    if names := {camera: name for report in reports for camera, name in report.get("camera_names", {}).items()}:
        found["camera_names"] = names
    if attention:
        found["attention"] = {
            "passages": sum(part["passages"] for part in attention),
            "known_s": round(sum(part["known_s"] for part in attention), 1),
            "unknown_s": round(sum(part["unknown_s"] for part in attention), 1),
            "events": _events(part["distractions"] for part in attention),
        }
    if drowsiness:
        found["drowsiness"] = {
            "passages": sum(part["passages"] for part in drowsiness),
            "present_s": round(sum(part["present_s"] for part in drowsiness), 1),
            "eyes_read_s": round(sum(part["eyes_read_s"] for part in drowsiness), 1),
            "events": _events(part["events"] for part in drowsiness),
        }
    return found


def _tally(rows: Sequence[Counts]) -> Tally:
    return Tally(
        correct=sum(row["correct"] for row in rows),
        incorrect=sum(row["incorrect"] for row in rows),
        none=sum(row["none"] for row in rows),
        uncertain=sum(row["uncertain"] for row in rows),
    )


def _figure(reports: Sequence[Figure]) -> Figure:
    """As in the report of a day, on the effective passages of all days; those of a day without an interval of its own are
    fewer by what is assumed.
    """
    tally = _tally(reports)
    known = [report["interval"] for report in reports if report["interval"]]
    rest = sum(report["judged"] for report in reports if not report["interval"])
    effective = sum(interval["effective_judged"] for interval in known) + rest / ASSUMED_DESIGN_EFFECT
    assumed = rest > 0 or any(interval["design_effect_assumed"] for interval in known)
    blocks = sum(interval["blocks"] for interval in known)
    return figure(tally, effective, DesignEffect(tally.judged / effective if effective else 1.0, assumed, blocks))


def _watched(reports: Sequence[ReportDocument]) -> Watched:
    """Each day weighted by its open hours and cameras."""
    by_all = _weighted((one["coverage_percent"], _open_hours(one) * len(one["by_camera"])) for one in reports)
    return _of_masks([(row, _open_hours(one)) for one in reports for row in one["by_camera"]], by_all)


def _of_masks(days: Sequence[tuple[CameraRow, int]], by_all: float | None) -> Watched:
    """From rows of cameras and the open hours of each: those that followed masks, apart from all."""
    asked = [(row["coverage_percent"], hours) for row, hours in days if row.get("masks_followed", True)]
    mixed = 0 < len(asked) < len(days)
    return Watched(by_all, _weighted(asked) if mixed else by_all, mixed)


def _open_hours(report: ReportDocument) -> int:
    """Those that have begun: what is to come of a day that still runs weighs nothing."""
    return sum(hour["open"] and hour["watched_percent"] is not None for hour in report["by_hour"])


def _weighted(shares: Iterable[tuple[float | None, int]]) -> float | None:
    """The mean of percentages with their weights; of what is None, nothing."""
    known = [(share, weight) for share, weight in shares if share is not None]
    return percent(sum(share * weight for share, weight in known) / 100, sum(weight for _, weight in known))


def _day(report: ReportDocument) -> PeriodDay:
    for_masks, told = report.get("masks_coverage_percent"), "masks_coverage_percent" in report
    return {
        "date": report["date"],
        "complete": report["complete"],
        **_tally([report]).counts(),
        "compliance_percent": report["compliance_percent"],
        **coverage(Watched(report["coverage_percent"], for_masks, told)),
        "violations": report["violations"]["count"],
        "distractions": report["attention"]["distractions"]["count"] if "attention" in report else 0,
        "drowsiness_events": report["drowsiness"]["events"]["count"] if "drowsiness" in report else 0,
    }


def _by_camera(reports: Sequence[ReportDocument]) -> list[PeriodCamera]:
    rows = [(row, _open_hours(report)) for report in reports for row in report["by_camera"]]
    return [
        _camera(camera, [(row, hours) for row, hours in rows if row["camera"] == camera])
        for camera in sorted({row["camera"] for row, _ in rows})
    ]


def _camera(camera: str, days: Sequence[tuple[CameraRow, int]]) -> PeriodCamera:
    """From the camera's row and the open hours of each day: its percentage is withheld as that of the whole is."""
    rows = [row for row, _ in days]
    watched = _of_masks(days, _weighted((row["coverage_percent"], hours) for row, hours in days))
    return {
        "camera": camera,
        "masks_followed": any(row.get("masks_followed", True) for row in rows),
        **withhold_unwatched(_figure(rows), watched.for_masks),
        **coverage(watched),
        "gaps": sum(row["gaps"] for row in rows),
        "gap_minutes": sum(row["gap_minutes"] for row in rows),
    }


def _events(incidents: Iterable[Incidents]) -> PeriodEvents:
    reasons: Counter[str] = Counter()
    for one in incidents:
        reasons.update(one["by_reason"])
    return {"count": reasons.total(), "by_reason": dict(reasons)}
