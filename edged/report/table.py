"""The report as one CSV table: the day, its hours, and its violations, told apart by the first column."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

COLUMNS = (
    "record",
    "date",
    "local_time",
    "utc",
    "camera",
    "state",
    "duration_s",
    "score",
    "held_back",
    "event_id",
    "encounters",
    "judged",
    "correct",
    "incorrect",
    "none",
    "uncertain",
    "compliance_percent",
    "interval_lower",
    "interval_upper",
    "coverage_percent",
    "site",
)
COUNTS = ("encounters", "judged", "correct", "incorrect", "none", "uncertain", "compliance_percent")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def render_csv(report: Mapping[str, Any], violations: Iterable[Mapping[str, Any]] | None = None) -> str:
    """RFC 4180 text with a `day` row, an `hour` row for each hour, and a `violation` row for each violation.

    `violations` are all of the day's (see `list_violations`); without them only those the report lists are written.
    """
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, COLUMNS, restval="")
    table.writeheader()
    for row in (_day(report), *map(_hour, report["by_hour"])):
        table.writerow(_guarded(row | {"date": report["date"]}))
    for violation in report["violations"]["first"] if violations is None else violations:
        table.writerow(_guarded(_violation(violation) | {"date": report["date"]}))
    return buffer.getvalue()


def _day(report: Mapping[str, Any]) -> dict[str, Any]:
    interval = report["interval"] or {"lower": None, "upper": None}
    return {
        "record": "day",
        "utc": report["utc_start"],
        "site": report["site"],
        **{name: report[name] for name in COUNTS},
        "interval_lower": interval["lower"],
        "interval_upper": interval["upper"],
        "coverage_percent": report["coverage_percent"],
    }


def _hour(hour: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "record": "hour",
        "local_time": hour["label"],
        "utc": hour["utc_start"],
        **{name: hour[name] for name in COUNTS},
        "coverage_percent": hour["watched_percent"],
    }


def _violation(violation: Mapping[str, Any]) -> dict[str, Any]:
    same = ("camera", "state", "duration_s", "score", "held_back", "event_id")
    return {
        "record": "violation",
        "local_time": violation["local"],
        "utc": violation["at"],
        **{name: violation[name] for name in same},
    }


def _guarded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Text a spreadsheet would run as a formula is led by an apostrophe, which makes it text."""
    return {
        name: f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
        for name, value in row.items()
    }
