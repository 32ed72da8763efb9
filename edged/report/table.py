"""The report as one CSV table: the day, its hours, its violations and more, told apart by the first column."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from edged.config import Config
from edged.report.counts import INCIDENTS, list_violations
from edged.report.tally import masks_watched
from edged.store import StoreReader

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
    "began_utc",
)
COUNTS = ("encounters", "judged", "correct", "incorrect", "none", "uncertain", "compliance_percent")
VIGILANCE_COLUMNS = (
    "passages",
    "known_s",
    "attentive_percent",
    "distractions",
    "eyes_read_s",
    "drowsiness_events",
    "highest_perclos_percent",
    "yawns",
    "nods",
)
"""After all others, and only where cameras follow attention or drowsiness."""

MASKS_COVERAGE = "masks_coverage_percent"
"""The last column, and only where cameras that follow masks stand beside others: of the former alone."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


Listed = Iterable[Mapping[str, Any]]


def day_csv(reader: StoreReader, config: Config, day: date, report: Mapping[str, Any]) -> str:
    """The table of a day's `report`, with all of its events from the database, in the open hours that the report counts in.

    Those that the database does not keep any more are written where the report lists them.
    """
    hours = {"timezone": report["tz"], "open_from": report["open_from"], "open_until": report["open_until"]}
    then = config.model_copy(update={"report": config.report.model_copy(update=hours)})
    listed = {"mask": report["violations"]["first"], **_listed_incidents(report)}
    events = {
        kind: _joined(listed.get(kind, ()), list_violations(reader, then, day, kind)) for kind in ("mask", *INCIDENTS)
    }
    return render_csv(report, events.pop("mask"), events)


def _joined(listed: Listed, kept: Listed) -> Listed:
    """Every event once, oldest first; as the database has it where it does."""
    events = {row["event_id"]: row for row in (*listed, *kept)}
    return sorted(events.values(), key=lambda row: (row["at"], row["event_id"]))


def render_csv(
    report: Mapping[str, Any], violations: Listed | None = None, incidents: Mapping[str, Listed] | None = None
) -> str:
    """RFC 4180 text with a `day` row, an `hour` row for each hour, and a `violation` row for each violation.

    Where cameras follow it, an `attention` and a `drowsiness` row for the site (no camera) and for each camera, and an
    `inattention event` or `drowsiness event` row for each such event. `violations` are all of the day's (see
    `list_violations`), and `incidents` all of each other kind; without them only those the report lists are written.
    """
    buffer = io.StringIO()
    more = VIGILANCE_COLUMNS if "attention" in report or "drowsiness" in report else ()
    table = csv.DictWriter(buffer, (*COLUMNS, *more, *_last_column(report)), restval="")
    table.writeheader()
    for row in (_day(report), *map(_hour, report["by_hour"]), *_attention(report), *_drowsiness(report)):
        table.writerow(guarded(row | {"date": report["date"]}))
    for violation in report["violations"]["first"] if violations is None else violations:
        table.writerow(guarded(_violation(violation) | {"date": report["date"]}))
    for kind, listed in (_listed_incidents(report) | dict(incidents or {})).items():
        for incident in listed:
            table.writerow(guarded(_violation(incident) | {"record": f"{kind} event", "date": report["date"]}))
    return buffer.getvalue()


def render_period_csv(report: Mapping[str, Any]) -> str:
    """The same columns, with a row for the week or month, one for each of its days, and one for each camera."""
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, (*COLUMNS, *_last_column(report)), restval="")
    table.writeheader()
    whole = _day({**report, "utc_start": ""}) | {"record": report["period"], "date": report["first_day"]}
    days = [{"record": "day", "date": day["date"]} | _coverage(day) | _counts(day) for day in report["by_day"]]
    cameras = [{"record": "camera", "camera": row["camera"]} | _whole(row) for row in report["by_camera"]]
    table.writerows(guarded(row) for row in (whole, *days, *cameras))
    return buffer.getvalue()


FLEET_COLUMNS = ("device", "days", "distractions", "drowsiness_events", "violations", "trouble")
"""After all others, in the table over many devices."""


def render_fleet_csv(report: Mapping[str, Any]) -> str:
    """The same columns and some more: what is wrong first, then a row for the whole, each day, hour, device and entrance."""
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, (*COLUMNS, *FLEET_COLUMNS, *_last_column(report)), restval="")
    table.writeheader()
    days = {"date": report["first_day"], "days": report["days"]}
    troubles = [
        {"record": one["kind"], "date": one["day"], "device": one["device"], "trouble": one["text"]}
        for one in report["troubles"]
    ]
    whole = days | {"record": report["period"], "violations": report["violations"]["count"]} | _whole(report)
    daily = [
        {
            "record": "day",
            "date": row["date"],
            "violations": row["violations"],
        }
        | _coverage(row)
        | _counts(row)
        for row in report["by_day"]
    ]
    hours = [_hour({**row, "utc_start": ""}) for row in report["by_hour"]]
    table.writerows(guarded(row) for row in (*troubles, whole, *daily, *hours, *_devices(report, days)))
    return buffer.getvalue()


def _devices(report: Mapping[str, Any], days: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    same = ("violations", "distractions", "drowsiness_events")
    for row in report["by_device"]:
        about = {"device": row["device"], "site": row["site"]}
        yield {"record": "device", **days, "days": row["days_reported"], **about, **_whole(row)} | {
            n: row[n] for n in same
        }
        for camera in row["by_camera"]:
            yield {"record": "entrance", **days, **about, "camera": camera["entrance"], **_whole(camera)}


def _whole(row: Mapping[str, Any]) -> dict[str, Any]:
    interval = row["interval"] or {"lower": None, "upper": None}
    bounds = {"interval_lower": interval["lower"], "interval_upper": interval["upper"]}
    return {**_counts(row), **bounds, **_coverage(row)} | ({"site": row["site"]} if "site" in row else {})


def _last_column(report: Mapping[str, Any]) -> tuple[str, ...]:
    return (MASKS_COVERAGE,) if MASKS_COVERAGE in report else ()


def _coverage(row: Mapping[str, Any]) -> dict[str, Any]:
    """What was watched, as `coverage_percent` and, where a report tells it apart, for masks."""
    by_all = row["coverage_percent"] if "coverage_percent" in row else row["watched_percent"]
    apart = {"masks_coverage_percent", "masks_watched_percent"} & row.keys()
    return {"coverage_percent": by_all} | ({MASKS_COVERAGE: masks_watched(row)} if apart else {})


def _counts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in COUNTS}


def _attention(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The site's row, then each camera's."""
    if (section := report.get("attention")) is not None:
        same = ("passages", "known_s", "attentive_percent")
        for row, count in [
            (section, section["distractions"]["count"]),
            *((camera, camera["distractions"]) for camera in section["by_camera"]),
        ]:
            own = {name: row[name] for name in same}
            yield {"record": "attention", "camera": row.get("camera"), **own, "distractions": count}


def _drowsiness(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The site's row, then each camera's."""
    if (section := report.get("drowsiness")) is not None:
        same = ("passages", "eyes_read_s", "highest_perclos_percent", "yawns", "nods")
        for row, count in [
            (section, section["events"]["count"]),
            *((camera, camera["events"]) for camera in section["by_camera"]),
        ]:
            own = {name: row[name] for name in same}
            yield {"record": "drowsiness", "camera": row.get("camera"), **own, "drowsiness_events": count}


def _listed_incidents(report: Mapping[str, Any]) -> dict[str, Listed]:
    """The events each section lists, by kind."""
    listed: dict[str, Listed] = {}
    if "attention" in report:
        listed["inattention"] = report["attention"]["distractions"]["first"]
    if "drowsiness" in report:
        listed["drowsiness"] = report["drowsiness"]["events"]["first"]
    return listed


def _day(report: Mapping[str, Any]) -> dict[str, Any]:
    interval = report["interval"] or {"lower": None, "upper": None}
    return {
        "record": "day",
        "utc": report["utc_start"],
        "site": report["site"],
        **_counts(report),
        "interval_lower": interval["lower"],
        "interval_upper": interval["upper"],
        **_coverage(report),
    }


def _hour(hour: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "record": "hour",
        "local_time": hour["label"],
        "utc": hour["utc_start"],
        **_counts(hour),
        **_coverage(hour),
    }


def _violation(violation: Mapping[str, Any]) -> dict[str, Any]:
    same = ("camera", "state", "duration_s", "score", "held_back", "event_id")
    return {
        "record": "violation",
        "local_time": violation["local"],
        "utc": violation["at"],
        "began_utc": violation.get("began", ""),
        **{name: violation[name] for name in same},
    }


def guarded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Text a spreadsheet would run as a formula is led by an apostrophe, which makes it text."""
    return {
        name: f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
        for name, value in row.items()
    }
