"""The report as one self-contained HTML page with inline SVG, for the screen and for A4."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from edged.report import charts
from edged.report.build import report_sha256
from edged.report.statistics import ASSUMED_DESIGN_EFFECT
from edged.report.tally import LEAST_JUDGED, masks_watched
from edged.report.vigilance import LEAST_KNOWN_S
from edged.report.words import WORDS, duration, long_date, masks_apart, number, signed, subject_of, with_names

SIZE = {
    "width": charts.WIDTH,
    "plot": charts.PLOT_HEIGHT,
    "row_width": charts.ROW_WIDTH,
    "row_height": charts.ROW_HEIGHT,
    "row_left": charts.ROW_LEFT,
}
MOST_NAMED = 20
"""Devices with one and the same trouble."""
MOST_LISTED = 500
"""Devices, and troubles, on a page over many devices."""


def render_html(report: Mapping[str, Any]) -> str:
    """The page for the report of a day: no script, nothing loaded from anywhere; every text is escaped."""
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=with_names(report, report.get("camera_names", {})),
            subject=subject_of(report),
            day=long_date(report["date"]),
            charts=_charts(report) | {"spark": charts.spark(report)},
            size=SIZE,
            words=WORDS,
            sha256=report_sha256(report),
        )
    )


def render_period_html(report: Mapping[str, Any]) -> str:
    """The page for the report of a week or month, as `render_html`."""
    first, last = (long_date(report[name]) for name in ("first_day", "last_day"))
    page = _environment().get_template("period.html")
    subject, sha256 = subject_of(report), report_sha256(report)
    named = with_names(report, report.get("camera_names", {}))
    return page.render(report=named, subject=subject, first=first, last=last, words=WORDS, sha256=sha256)


def render_fleet_html(report: Mapping[str, Any]) -> str:
    """The page for the report over many devices, as `render_html`: what is missing first, then the lowest percentages."""
    devices = sorted(
        report["by_device"],
        key=lambda row: (row["compliance_percent"] is None, row["compliance_percent"] or 0, row["device"]),
    )
    troubles = _grouped(report["troubles"])
    return (
        _environment()
        .get_template("fleet.html")
        .render(
            report=report,
            first=long_date(report["first_day"]),
            last=long_date(report["last_day"]),
            troubles=troubles[:MOST_LISTED],
            unlisted=max(0, len(troubles) - MOST_LISTED),
            devices=devices[:MOST_LISTED],
            more_devices=max(0, len(devices) - MOST_LISTED),
            charts=_charts(report),
            size=SIZE,
            words=WORDS,
            sha256=report_sha256(report),
        )
    )


def _grouped(troubles: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The same trouble of several days of one device is one line, and that of several devices on the same days too."""
    days: dict[tuple[str, str, str], list[str]] = {}
    for one in troubles:
        days.setdefault((one["kind"], one["device"], one["text"]), []).append(one["day"])
    devices: dict[tuple[str, str, str], list[str]] = {}
    for (kind, device, text), at in days.items():
        when = at[0] if len(at) == 1 else f"{len(at)} days from {min(at)}"
        devices.setdefault((kind, text, when), []).append(device)
    return [
        {"device": who[0], "text": text, "days": when}
        if len(who) == 1
        else {"device": f"{len(who)} devices", "text": f"{text}: {_first(who)}", "days": when}
        for (_, text, when), who in devices.items()
    ]


def _first(names: Sequence[str]) -> str:
    """Some of the names, so that a page that misses thousands still begins with its answer."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f", and {more} more, which the CSV names" if more > 0 else "")


def _charts(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hours": charts.hour_chart(report),
        "rows": charts.hour_rows(report),
        "answer": charts.answer_scale(report),
    }


@cache
def _environment() -> Environment:
    made = environment_of("edged.report")
    made.globals.update(
        least_judged=LEAST_JUDGED, least_known_s=LEAST_KNOWN_S, assumed_design_effect=ASSUMED_DESIGN_EFFECT
    )
    return made


def environment_of(package: str) -> Environment:
    """For the templates of `package`: every text is escaped, a name that is missing is an error, and numbers look alike."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "signed": signed, "duration": duration}
    environment.filters |= {"masks_apart": masks_apart, "masks_watched": masks_watched}
    return environment
