"""Reports: a calendar of days, and each report of a day, week or month as a page, a table and JSON."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edged.console.render import render
from edged.console.route import Entry, asked_day, page, site_of
from edged.console.site import Site
from edged.errors import Failed, UsageError
from edged.report import Period, build_period, canonical_json, day_csv, day_of, days_of, render_period_csv
from edged.report.build import GOOD_COVERAGE_PERCENT
from edged.report.page import render_html, render_period_html
from edged.report.words import MONTHS, WEEKDAYS

SHEET_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
"""A report's page is one self-contained file, styles included, which may be kept and printed; it has no script."""
FORMS = {"html": "text/html; charset=utf-8", "csv": "text/csv; charset=utf-8", "json": "application/json"}
VERDICT_ICONS = {"met": "✓", "not met": "✗", "cannot tell": "?"}


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the calendar."""

    day: date
    state: str
    """"report": there is one; "running": today; "open": over, and without a report yet; "none": before the record; "future";
    "damaged": neither its report nor what that counted is whole any more."""
    percent: float | None = None
    verdict: str | None = None
    partial: bool = False


def reports(request: Request) -> Response:
    site = site_of(request)
    shown = _month(request.query_params.get("month"), site.today())
    known = {row["day"] for row in site.reader.reports()}
    first = site.reader.first_instant()
    began = site.today() if first is None else day_of(first, site.zone)
    days = [_day(site, day, known, began) for day in days_of("month", shown)]
    before, after = shown - timedelta(days=1), (shown + timedelta(days=31)).replace(day=1)
    return render(
        request,
        "reports.html",
        title="Reports",
        weeks=_weeks(days),
        weekdays=WEEKDAYS,
        icons=VERDICT_ICONS,
        month=f"{MONTHS[shown.month - 1]} {shown.year}",
        first=shown,
        earlier=f"{before:%Y-%m}"
        if before >= min(began, *(date.fromisoformat(day) for day in known), site.today())
        else None,
        later=f"{after:%Y-%m}" if after <= site.today() else None,
        target=site.config.report.target_percent,
        good_coverage_percent=GOOD_COVERAGE_PERCENT,
    )


def day_report(request: Request) -> Response:
    """Of a finished day as it was stored; of today, or of a day without one, as it stands."""
    site, form = site_of(request), _form(request)
    day = asked_day(request)
    report = site.report_of(day)
    if form == "csv":
        return _document(form, day_csv(site.reader, site.config, day, report), str(day))
    if form == "json":
        return _document(form, canonical_json(report), str(day))
    around = {"Day before": day - timedelta(days=1), "Day after": day + timedelta(days=1)}
    links = {label: f"/reports/{other}" for label, other in around.items() if other <= site.today()}
    return _document(form, _with_bar(render_html(report), f"/reports/{day}", links), str(day))


def period_report(request: Request) -> Response:
    site, form = site_of(request), _form(request)
    period: Period = "week" if request.path_params["period"] == "week" else "month"
    if request.path_params["period"] != period:
        raise HTTPException(404, "there are reports of a day, a week and a month")
    day = asked_day(request)
    report = build_period(site.reader, site.config, period, day, site.clock.utc_ms(), site.warn)
    first, name = days_of(period, day)[0], f"{days_of(period, day)[0]}-{period}"
    if form == "csv":
        return _document(form, render_period_csv(report), name)
    if form == "json":
        return _document(form, canonical_json(report), name)
    return _document(form, _with_bar(render_period_html(report), f"/reports/{period}/{first}", {}), name)


def _form(request: Request) -> str:
    form = request.query_params.get("as", "html")
    if form not in FORMS:
        raise UsageError(f"as: must be one of {', '.join(FORMS)}")
    return form


def _document(form: str, text: str, name: str) -> Response:
    headers = {"Content-Security-Policy": SHEET_POLICY}
    if form != "html":
        headers["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    return Response(text, headers=headers, media_type=FORMS[form])


def _with_bar(sheet: str, path: str, links: Mapping[str, str]) -> str:
    """The report's page with links back to the console above it, that are not printed."""
    shown = {"← Reports": "/reports", **links, "As CSV": f"{path}?as=csv", "As JSON": f"{path}?as=json"}
    items = "".join(f'<a href="{address}" style="padding:.4em .8em">{label}</a>' for label, address in shown.items())
    hide = "<style>@media print{nav{display:none}}nav a{color:#1c5a8f}</style>"
    bar = f'{hide}<nav aria-label="Console" style="background:#fff;padding:.6em 1em;font-size:11pt">{items}</nav>'
    return sheet.replace("<body>", f"<body>{bar}", 1)


def _month(text: str | None, today: date) -> date:
    """The first day of the month that is asked for. Raise UsageError."""
    if not text:
        return today.replace(day=1)
    match = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", text, re.ASCII)
    if match is None:
        raise UsageError(f"month: write it like {today:%Y-%m}")
    return date(int(match[1]), int(match[2]), 1)


def _day(site: Site, day: date, known: set[str], began: date) -> Day:
    if day > site.today():
        return Day(day, "future")
    if day.isoformat() not in known and not began <= day <= site.today():
        return Day(day, "none")
    if day.isoformat() not in known and day != site.today():
        return Day(day, "open")
    try:
        report = site.report_of(day)
    except Failed:  # its own page says why
        return Day(day, "damaged")
    state = "report" if report["complete"] else "running"
    return Day(day, state, report["compliance_percent"], report["verdict"], report["coverage_partial"])


def _weeks(days: Sequence[Day]) -> list[list[Day | None]]:
    """Rows from Monday to Sunday; None where the month has no day."""
    padded: list[Day | None] = [*([None] * days[0].day.weekday()), *days]
    padded += [None] * (-len(padded) % 7)
    return [padded[at : at + 7] for at in range(0, len(padded), 7)]


ROUTES = [
    page("/reports", reports),
    page("/reports/{day}", day_report),
    page("/reports/{period}/{day}", period_report),
]
ENTRY = Entry("Reports", "/reports")
