"""Reads the reports that were stored, and tells those that are not what was stored, or not of this version."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from edged.errors import Failed
from edged.payloads.basics import adapter
from edged.payloads.report import Figure, ReportDocument
from edged.report.day import day_span
from edged.store import StoreReader

CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00", re.ASCII)


class Stored(NamedTuple):
    """What the store has of a day's report; neither where it has none."""

    report: ReportDocument | None = None
    flaw: str | None = None
    """Why it cannot be used, in words."""


def read_stored(reader: StoreReader, day: date) -> Stored:
    """The report of a finished day as it was stored. Raise StoreError when the database cannot be read."""
    row = reader.report(day.isoformat())
    return Stored() if row is None else _read(row, day)


def stored_report(reader: StoreReader, day: date) -> ReportDocument | None:
    """The report of a finished day as it was stored; None without one that can be used. Raise as `read_stored`."""
    return read_stored(reader, day).report


def counted_anew(reader: StoreReader, zone: ZoneInfo, day: date) -> str | None:
    """What to say before a day is counted anew, since its stored report cannot be used; None where it has none.

    Raise Failed where the store does not have all of the day any more, so that counting would give a wrong report.
    """
    flaw = read_stored(reader, day).flaw
    if flaw is None:
        return None
    if has_lost(reader, zone, day):
        raise Failed(
            f"{day}: its stored report cannot be used ({flaw}), and the store does not have all of that day any more;"
            " an older backup of the database may have the report: see `edged db`"
        )
    return f"{day}: its stored report cannot be used ({flaw}); it is counted anew from the events and passages"


def has_lost(reader: StoreReader, zone: ZoneInfo, day: date) -> bool:
    """Whether the store has fewer rows of a day than its report counted, as once retention deletes them."""
    counted = next((row["counted"] for row in reader.reports() if row["day"] == day.isoformat()), None)
    if not isinstance(counted, dict):
        return False
    now = reader.counted(*day_span(day, zone))
    return any(isinstance(was := counted.get(table), int) and count < was for table, count in now.items())


def is_damaged(row: Mapping[str, Any]) -> bool:
    """Whether the text of a stored report is another one than was written."""
    text = row["report"]
    return not isinstance(text, str) or hashlib.sha256(text.encode(errors="replace")).hexdigest() != row["sha256"]


def flaw_of(report: object) -> str | None:
    """Why this cannot be shown as the report of a day; None where it can."""
    try:
        _document().validate_python(report, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "report"
        return f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}"
    whole = cast(ReportDocument, report)
    try:
        date.fromisoformat(whole["date"])
        ZoneInfo(whole["tz"])
    except (ValueError, KeyError, OSError):
        return "date or tz: is none"
    clocks = whole["open_from"], whole["open_until"]
    if not all(map(CLOCK.fullmatch, clocks)):
        return "open_from or open_until: is no time of day"
    return (
        None
        if all(map(_is_complete, (whole, *whole["by_camera"])))
        else "compliance_percent: stands without what goes with it"
    )


def _is_complete(figure: Figure) -> bool:
    """Whether a percentage has its interval, and one that is missing its reason."""
    if figure["compliance_percent"] is not None:
        return figure["interval"] is not None and figure["bounds"] is not None
    return figure["withheld"] is not None or not figure["encounters"]


def _read(row: Mapping[str, Any], day: date) -> Stored:
    if is_damaged(row):
        return Stored(flaw="it is damaged")
    try:
        report = json.loads(row["report"])
    except ValueError:
        return Stored(flaw="it is no JSON")
    flaw = flaw_of(report)
    if flaw is None and report["date"] != day.isoformat():
        flaw = f"it is that of {report['date']}"
    return Stored(flaw=flaw) if flaw else Stored(report)


@cache
def _document() -> TypeAdapter[ReportDocument]:
    """Made at its first use: most starts of the daemon read no report for a while."""
    return adapter(ReportDocument)
