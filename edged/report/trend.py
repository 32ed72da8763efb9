"""A day's figure beside earlier days': the same weekday last week, and the four weeks before."""

from collections.abc import Sequence
from datetime import date, timedelta

from edged.payloads.report import Comparison, Figure, Points, Trend
from edged.report.statistics import newcombe, wilson
from edged.report.stored import stored_report
from edged.report.tally import LEAST_JUDGED, percent
from edged.store import StoreReader

FOUR_WEEKS = 28


def build_trend(reader: StoreReader, day: date, figure: Figure) -> Trend:
    """Compare `figure` with the stored reports of the 28 days before `day`.

    Days whose own percentage was withheld are not compared with, and count for nothing.
    """
    history = [(before, _stored(reader, before)) for before in _days_before(day)]
    published = [stored for _, stored in history if stored is not None]
    week_before = next((stored for before, stored in history if before == day - timedelta(days=7)), None)
    return {
        "last_week": _comparison(figure, [week_before] if week_before else []),
        "four_weeks": _comparison(figure, published),
        "history": [
            {"date": before.isoformat(), "compliance_percent": stored and stored["compliance_percent"]}
            for before, stored in history
        ],
    }


def _days_before(day: date) -> list[date]:
    return [day - timedelta(days=distance) for distance in range(FOUR_WEEKS, 0, -1)]


def _stored(reader: StoreReader, day: date) -> Figure | None:
    """The day's stored report if it has a percentage; one that cannot be used is no reason to fail today's."""
    report = stored_report(reader, day)
    if report is None or report["interval"] is None:
        return None
    counts, effective = (report["correct"], report["judged"]), report["interval"]["effective_judged"]
    return report if counts[0] <= counts[1] >= LEAST_JUDGED and effective > 0 else None


def _comparison(figure: Figure, earlier: Sequence[Figure]) -> Comparison | None:
    """Pool `earlier` and subtract it from `figure`; None when either has no percentage to compare."""
    interval, known = figure["interval"], [report["interval"] for report in earlier if report["interval"]]
    if not known or interval is None:
        return None
    judged = sum(report["judged"] for report in earlier)
    correct = sum(report["correct"] for report in earlier)
    before, effective = correct / judged, sum(one["effective_judged"] for one in known)
    now = figure["correct"] / figure["judged"]
    difference = newcombe(now, wilson(now, interval["effective_judged"]), before, wilson(before, effective))
    points: Points = {
        "value": round(100 * difference.value, 1),
        "lower": round(100 * difference.lower, 1),
        "upper": round(100 * difference.upper, 1),
    }
    return {
        "days": len(earlier),
        "judged": judged,
        "compliance_percent": percent(correct, judged),
        "difference_points": points,
        "direction": ("better" if difference.value > 0 else "worse") if difference.is_clear else "no clear change",
    }
