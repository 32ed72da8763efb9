"""Events: what happened, filtered, a page at a time; the same as CSV."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from edged.console.events import KIND_WORDS, shown_events, words_of
from edged.console.render import render
from edged.console.route import Entry, page, site_of
from edged.console.signs import MASK_ICONS
from edged.console.site import Site
from edged.errors import UsageError
from edged.messages import iso
from edged.report import day_span, parse_day
from edged.report.table import guarded
from edged.store import lasted_ms

A_PAGE = 100
A_PART = 1000
WEEK_DAYS = 7
COLUMNS = (
    "began_utc",
    "confirmed_utc",
    "local",
    "camera",
    "kind",
    "state",
    "what",
    "lasted_s",
    "score",
    "held_back",
    "event_id",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The filter: local days, both included; a kind and a camera, or "" for all."""

    first: date
    last: date
    kind: str
    camera: str
    skip: int

    def query(self, **changed: Any) -> str:
        """As the end of an address."""
        known = {"from": self.first, "to": self.last, "kind": self.kind, "camera": self.camera, "skip": self.skip}
        return urlencode({key: value for key, value in {**known, **changed}.items() if value})

    def rows(self, site: Site, limit: int, skip: int, until: int | None = None) -> list[dict[str, Any]]:
        """Newest first; `until`: only those that began before it, else all of these days."""
        begin, end = day_span(self.first, site.zone).start, day_span(self.last, site.zone).end
        kinds = (self.kind,) if self.kind else ()
        until = end if until is None else until
        return site.reader.latest_events(limit, since=begin, until=until, kinds=kinds, camera=self.camera, skip=skip)


def events(request: Request) -> Response:
    site, asked = site_of(request), _asked(request)
    rows = asked.rows(site, A_PAGE + 1, asked.skip)
    return render(
        request,
        "events.html",
        title="Events",
        asked=asked,
        today=site.today(),
        kinds=KIND_WORDS,
        cameras={camera: site.camera_name(camera) for camera in site.config.camera},
        icons=MASK_ICONS,
        events=shown_events(site, rows[:A_PAGE]),
        newer=asked.query(skip=max(0, asked.skip - A_PAGE)) if asked.skip else None,
        older=asked.query(skip=asked.skip + A_PAGE) if len(rows) > A_PAGE else None,
        table=asked.query(skip=0),
        keeps=site.config.store.retention_days,
    )


def table(request: Request) -> Response:
    """All of them, however many, oldest last, without the whole of it in memory."""
    site, asked = site_of(request), _asked(request)
    name = f"events-{asked.first}-{asked.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_lines(site, asked), media_type="text/csv; charset=utf-8", headers=headers)


def _lines(site: Site, asked: Asked) -> Iterator[str]:
    """Each part begins where the one before it ended, whatever is stored meanwhile: counted from the newest, a row came twice."""
    yield ",".join(COLUMNS) + "\r\n"
    zone = site.zone
    until, skip = day_span(asked.last, zone).end, 0
    while True:
        rows = asked.rows(site, A_PART, skip, until)
        text = io.StringIO()
        csv.DictWriter(text, COLUMNS).writerows(guarded(_line(row, zone)) for row in rows)
        yield text.getvalue()
        if len(rows) < A_PART:
            return
        oldest = rows[-1]["started_at"]
        given = sum(row["started_at"] == oldest for row in rows)
        until, skip = oldest + 1, given + (skip if until == oldest + 1 else 0)


def _line(row: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    lasted = lasted_ms(row)
    return {
        "began_utc": iso(row["began_at"]) or "",
        "confirmed_utc": iso(row["started_at"]),
        "local": datetime.fromtimestamp(row["started_at"] / 1000, zone).isoformat(timespec="seconds"),
        "camera": row["camera"],
        "kind": row["kind"],
        "state": row["state"],
        "what": words_of(row),
        "lasted_s": "" if lasted is None else lasted / 1000,
        "score": "" if row["score"] is None else row["score"],
        "held_back": (row["details"] or {}).get("held_back", ""),
        "event_id": row["event_id"],
    }


def _asked(request: Request) -> Asked:
    """The filter in the address. Raise UsageError, with what would be right."""
    site, query = site_of(request), request.query_params
    today, now = site.today(), site.clock.utc_ms()
    last = parse_day(query["to"], site.zone, now) if query.get("to") else today
    first = parse_day(query["from"], site.zone, now) if query.get("from") else last - timedelta(days=WEEK_DAYS - 1)
    if first > last:
        raise UsageError(f"from {first}: is after to {last}; the earlier day comes first")
    skip = query.get("skip", "0")
    if not (skip.isascii() and skip.isdecimal() and len(skip) < 8):
        raise UsageError("skip: must be a number")
    kind = query.get("kind", "")
    if kind and kind not in KIND_WORDS:
        raise UsageError(f"kind: must be one of {', '.join(KIND_WORDS)}")
    return Asked(first, last, kind, query.get("camera", ""), int(skip))


ROUTES = [page("/events", events), page("/events.csv", table)]
ENTRY = Entry("Events", "/events")
