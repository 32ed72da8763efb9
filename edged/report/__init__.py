"""The daily compliance report: one canonical JSON, rendered to a table and lines for a terminal; to pages in `page`.

That one is not imported here: the daemon makes no page, and starts sooner without what draws them.
"""

from edged.report.build import build_report, canonical_json, report_sha256
from edged.report.counts import INCIDENTS, list_violations
from edged.report.day import day_of, day_span, finished_days, is_finished, parse_day
from edged.report.period import Period, build_period, days_of
from edged.report.screen import render_text
from edged.report.stored import counted_anew, stored_report
from edged.report.table import day_csv, render_csv, render_fleet_csv, render_period_csv

__all__ = [
    "INCIDENTS",
    "Period",
    "build_period",
    "build_report",
    "canonical_json",
    "counted_anew",
    "day_csv",
    "day_of",
    "day_span",
    "days_of",
    "finished_days",
    "is_finished",
    "list_violations",
    "parse_day",
    "render_csv",
    "render_fleet_csv",
    "render_period_csv",
    "render_text",
    "report_sha256",
    "stored_report",
]
