"""The report as one self-contained HTML page with inline SVG, for the screen and for A4."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from edged.report import charts
from edged.report.build import report_sha256
from edged.report.words import WORDS, duration, long_date, number, signed, subject_of, with_names


def render_html(report: Mapping[str, Any]) -> str:
    """The page for the report of a day: no script, nothing loaded from anywhere; every text is escaped."""
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=with_names(report, report.get("camera_names", {})),
            subject=subject_of(report),
            day=long_date(report["date"]),
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
    first, last = (long_date(report[name]) for name in ("first_day", "last_day"))
    page = _environment().get_template("period.html")
    subject, sha256 = subject_of(report), report_sha256(report)
    named = with_names(report, report.get("camera_names", {}))
    return page.render(report=named, subject=subject, first=first, last=last, words=WORDS, sha256=sha256)


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
    environment.filters |= {"number": number, "signed": signed, "duration": duration}
    return environment
