"""The report as one self-contained HTML page with inline SVG, for the screen and for A4."""

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from edged.report import charts
from edged.report.build import report_sha256

STATE_WORDS = {
    "correct": "Worn correctly",
    "incorrect": "Worn incorrectly",
    "none": "No mask",
    "uncertain": "Uncertain",
}
REASON_WORDS = {
    "offline": "Camera offline",
    "stalled": "Camera stalled",
    "reconnecting": "Camera reconnecting",
    "not running": "edged was not running",
    "not analysed": "Pictures arrived, too few were analysed",
}
WITHHELD_WORDS = {
    "few": "Fewer than 30 passages were judged: too few for a percentage.",
    "coverage": "Less than half of the open time was watched: no percentage speaks for the whole day.",
}
DISTRACTION_WORDS = {"long": "Away for long", "repeated": "Away repeatedly"}
DROWSINESS_WORDS = {
    "microsleep": "Microsleep",
    "sleep": "Sleep",
    "perclos": "PERCLOS",
    "yawning": "Yawning",
    "nodding": "Nodding",
}
LEVEL_WORDS = {
    "alarm": "alarm",
    "warning": "warning",
    "notice": "notice",
    "alert": "wide awake",
    "unknown": "not known",
}
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


WORDS = {
    "state": STATE_WORDS,
    "reason": REASON_WORDS,
    "withheld": WITHHELD_WORDS,
    "distraction": DISTRACTION_WORDS,
    "drowsiness": DROWSINESS_WORDS,
    "level": LEVEL_WORDS,
}


def render_html(report: Mapping[str, Any]) -> str:
    """The page for the report of a day: no script, nothing loaded from anywhere; every text is escaped."""
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=_with_names(report, report.get("camera_names", {})),
            subject=_subject(report),
            day=_long_date(report["date"]),
            charts={
                "hours": charts.hour_chart(report),
                "rows": charts.hour_rows(report),
                "answer": charts.answer_scale(report),
                "spark": charts.spark(report),
            },
            size={
                "width": charts.WIDTH,
                "plot": charts.PLOT_HEIGHT,
                "row_width": charts.ROW_WIDTH,
                "row_height": charts.ROW_HEIGHT,
                "row_left": charts.ROW_LEFT,
            },
            words=WORDS,
            sha256=report_sha256(report),
        )
    )


def render_period_html(report: Mapping[str, Any]) -> str:
    """The page for the report of a week or month, as `render_html`."""
    first, last = (_long_date(report[name]) for name in ("first_day", "last_day"))
    page = _environment().get_template("period.html")
    subject, sha256 = _subject(report), report_sha256(report)
    named = _with_names(report, report.get("camera_names", {}))
    return page.render(report=named, subject=subject, first=first, last=last, words=WORDS, sha256=sha256)


def _with_names(part: Any, names: Mapping[str, str]) -> Any:
    """A copy of `part` of a report in which cameras go by their names for people."""
    if isinstance(part, Mapping):
        named = {key: _with_names(value, names) for key, value in part.items()}
        return named | {"camera": names.get(part["camera"], part["camera"])} if "camera" in part else named
    return [_with_names(value, names) for value in part] if isinstance(part, list) else part


def _subject(report: Mapping[str, Any]) -> str:
    """What was followed: "mask", "attention and drowsiness", …; "" when that is nothing."""
    masks = ["mask"] if report.get("masks_followed", True) else []
    *most, last = [*masks, *(name for name in ("attention", "drowsiness") if name in report)] or [""]
    return " and ".join(filter(None, (", ".join(most), last)))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("edged.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": _number, "signed": _signed, "duration": _duration}
    return environment


def _long_date(iso_date: str) -> str:
    """In English whatever the machine's locale is: the page has one language."""
    day = date.fromisoformat(iso_date)
    return f"{WEEKDAYS[day.weekday()]}, {day.day} {MONTHS[day.month - 1]} {day.year}"


def _number(value: float | None, digits: int = 1) -> str:
    """With thin spaces between thousands; a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:,.{0 if isinstance(value, int) else digits}f}".replace(",", "\u2009")


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _duration(seconds: float) -> str:
    """As people say it: 8 s, 2 min 05 s, 3 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
