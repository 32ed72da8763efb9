"""The report as one CSV table: the day, its hours, its violations and more, told apart by the first column."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    "violations",
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
INCIDENT_COLUMNS = {"attention": "distractions", "drowsiness": "drowsiness_events"}
"""Where the events of each of a report's sections are counted."""

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
    """RFC 4180 text: the day's `_sums`, an `hour` row for each hour, and a `violation` row for each violation.

    An `inattention event` or `drowsiness event` row for each such event. `violations` are all of the day's (see
    `list_violations`), and `incidents` all of each other kind; without them only those the report lists are written.
    """
    rows = [*_sums(report, "day", map(_hour, report["by_hour"]))]
    rows += map(_violation, report["violations"]["first"] if violations is None else violations)
    for kind, listed in (_listed_incidents(report) | dict(incidents or {})).items():
        rows += [_violation(incident) | {"record": f"{kind} event"} for incident in listed]
    return _text(report, ({"date": report["date"], **row} for row in rows))


def render_period_csv(report: Mapping[str, Any]) -> str:
    """The same columns: the `_sums` of the week or month, with a `day` row for each of its days."""
    days = ({"record": "day", "date": day["date"]} | _counts(day) | _covered(day) for day in report["by_day"])
    return _text(report, ({"date": report["first_day"], **row} for row in _sums(report, report["period"], days)))


def _text(report: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> str:
    """What the sections that the report does not have would fill is left out."""
    buffer = io.StringIO()
    followed = any(section in report for section in INCIDENT_COLUMNS)
    columns = (*COLUMNS, *(VIGILANCE_COLUMNS if followed else ()), *_last_column(report))
    table = csv.DictWriter(buffer, columns, restval="", extrasaction="ignore")
    table.writeheader()
    table.writerows(map(guarded, rows))
    return buffer.getvalue()


def _sums(report: Mapping[str, Any], record: str, parts: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """What every report of a device has: a row for the whole, `parts`, and a `camera` row for each camera.

    Where cameras follow it, an `attention` and a `drowsiness` row for the site (no camera), and for each camera in the
    report of a day.
    """
    yield {"record": record, "utc": report.get("utc_start", "")} | _whole(report) | _covered(report)
    yield from parts
    for row in report["by_camera"]:
        yield {"record": "camera", "camera": row["camera"]} | _whole(row)
    yield from _attention(report)
    yield from _drowsiness(report)


FLEET_COLUMNS = ("device", "days", "distractions", "drowsiness_events", "trouble")
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


def _covered(row: Mapping[str, Any]) -> dict[str, Any]:
    """How much was watched of a day or more, and how many events there were, of a whole report or of a day in one."""
    events = {"violations": row["violations"]} | {
        column: _incidents(row[section]) if section in row else row.get(column, "")
        for section, column in INCIDENT_COLUMNS.items()
    }
    counts = {name: found["count"] if isinstance(found, Mapping) else found for name, found in events.items()}
    return {**_coverage(row), **counts}


def _incidents(section: Mapping[str, Any]) -> Any:
    """The events of a section: `distractions` in the report of a day on attention, `events` in the others."""
    return section["distractions"] if "distractions" in section else section["events"]


def _attention(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return _followed(report, "attention", ("passages", "known_s", "attentive_percent"))


def _drowsiness(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return _followed(report, "drowsiness", ("passages", "eyes_read_s", "highest_perclos_percent", "yawns", "nods"))


def _followed(report: Mapping[str, Any], name: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The site's row of a section, then each camera's where the report has those."""
    if (section := report.get(name)) is not None:
        for row in (section, *section.get("by_camera", ())):
            events = _incidents(row)
            count = events["count"] if isinstance(events, Mapping) else events
            own = {column: row.get(column) for column in columns}
            yield {"record": name, "camera": row.get("camera"), **own, INCIDENT_COLUMNS[name]: count}


def _listed_incidents(report: Mapping[str, Any]) -> dict[str, Listed]:
    """The events each section lists, by kind."""
    listed: dict[str, Listed] = {}
    if "attention" in report:
        listed["inattention"] = report["attention"]["distractions"]["first"]
    if "drowsiness" in report:
        listed["drowsiness"] = report["drowsiness"]["events"]["first"]
    return listed


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
