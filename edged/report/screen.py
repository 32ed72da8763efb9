"""The report in some lines of plain text, for a terminal: what the page says first, then cameras, violations and gaps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edged.report.tally import masks_watched
from edged.report.words import (
    UNSEEN_WORDS,
    VERDICT_WORDS,
    WORDS,
    duration,
    long_date,
    masks_apart,
    number,
    subject_of,
    with_names,
)

LABEL = 12
MOST_GAPS = 5


def render_text(report: Mapping[str, Any]) -> str:
    """The report of a day, a week or a month: the figures of its page, without charts and lists."""
    named = with_names(report, report.get("camera_names", {}))
    masks = named.get("masks_followed", True)
    facts = [*(_masks(named) if masks else ()), *_facts(named, masks), *_gaps(named)]
    lines = [*_head(named), "", *(f"{label:{LABEL}}{text}" for label, text in facts)]
    if named["by_camera"]:
        lines += ["", *_table(_cameras(named, masks))]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(report: Mapping[str, Any]) -> Iterator[str]:
    period = report.get("period")
    subject = subject_of(report)
    yield " ".join(filter(None, (f"{report['site']}:", subject, "report of a", period or "day")))
    if period:
        yield f"{long_date(report['first_day'])} to {long_date(report['last_day'])}, {report['tz']}"
        if not report["complete"]:
            counted = f"{report['days_reported']} of {report['days']} days"
            yield f"Not whole: {counted}. A day that has not ended counts until now."
        return
    yield f"{long_date(report['date'])}, open {report['open_from']}–{report['open_until']}, {report['tz']}"
    if not report["complete"]:
        yield f"Day not finished: counts until {report['as_of_local']}."


def _masks(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if report["compliance_percent"] is not None:
        few = f"; indicative only: {report['judged']} judged" if report["few"] else ""
        yield "Masks", f"{number(report['compliance_percent'])} % worn correctly ({_interval(report)}){few}"
    elif not report["encounters"]:
        yield "Masks", f"{UNSEEN_WORDS[masks_watched(report) != 0]}."
    else:
        yield "Masks", f"No percentage. {WORDS['withheld'][report['withheld']]}"
    if report["verdict"]:
        yield "Target", f"at least {number(report['target_percent'])} %: {VERDICT_WORDS[report['verdict']]}"
    states = ", ".join(f"{number(report[state])} {word.lower()}" for state, word in WORDS["state"].items())
    yield "Passages", f"{number(report['judged'])} judged of {number(report['encounters'])}: {states}"


def _facts(report: Mapping[str, Any], masks: bool) -> Iterator[tuple[str, str]]:
    watched = report["coverage_percent"]
    yield (
        "Watched",
        "no open time yet" if watched is None else f"{number(watched)} % of the open hours{masks_apart(report)}",
    )
    if masks:
        yield "Violations", _events(report["violations"], report["violations"], WORDS["state"])
    if "attention" in report:
        part = report["attention"]
        share = part.get("attentive_percent")
        known = f"known for {duration(part['known_s'])}" + ("" if share is None else f", {number(share)} % attentive")
        events = part.get("distractions") or part["events"]
        yield "Attention", f"{known}; distractions: {_events(events, events['by_reason'], WORDS['distraction'])}"
    if "drowsiness" in report:
        part = report["drowsiness"]
        events = _events(part["events"], part["events"]["by_reason"], WORDS["drowsiness"])
        yield "Drowsiness", f"eyes read for {duration(part['eyes_read_s'])}; events: {events}"


def _events(events: Mapping[str, Any], counts: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """How many, of what, and how many of them alerted nobody."""
    if not events["count"]:
        return "none"
    kinds = ", ".join(f"{number(counts[key])} {word.lower()}" for key, word in words.items() if counts.get(key))
    held_back = f"; {number(events['held_back'])} held back" if events.get("held_back") else ""
    return f"{number(events['count'])} ({kinds}){held_back}"


def _gaps(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    gaps = report["gaps"]
    if not gaps["count"]:
        yield "Gaps", "none"
        return
    yield "Gaps", f"{number(gaps['count'])}, together {duration(60 * gaps['minutes'])}"
    listed = gaps.get("listed", ())
    longest = sorted(sorted(listed, key=lambda gap: -gap["minutes"])[:MOST_GAPS], key=lambda gap: gap["from"])
    for gap in longest:
        reason = WORDS["reason"].get(gap["reason"], gap["reason"]) + (f" by {who}" if (who := gap.get("who")) else "")
        yield "", f"{gap['from_local']}–{gap['to_local']} {gap['camera']}: {reason}"
    if len(longest) < gaps["count"] and longest:
        yield "", "and shorter ones"


def _cameras(report: Mapping[str, Any], masks: bool) -> Iterator[tuple[str, ...]]:
    """The table by camera, its head first."""
    judged = ("judged", "worn correctly", "95 % interval", "uncertain") if masks else ()
    yield ("camera", *judged, "watched", "gaps")
    for row in report["by_camera"]:
        asked = row.get("masks_followed", True)
        interval = row["interval"]
        figures = (
            number(row["judged"]) if asked else "–",
            _percent(row["compliance_percent"]),
            f"{number(interval['lower'])} – {number(interval['upper'])}" if interval else "–",
            number(row["uncertain"]) if asked else "–",
        )
        gaps = f"{number(row['gaps'])} ({duration(60 * row['gap_minutes'])})" if row["gaps"] else "none"
        yield (row["camera"], *(figures if masks else ()), _percent(row["coverage_percent"]) + masks_apart(row), gaps)


def _table(rows: Iterator[tuple[str, ...]]) -> Sequence[str]:
    """The rows with their cells under each other: the first column to the left, figures to the right."""
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in cells
    ]


def _interval(figure: Mapping[str, Any]) -> str:
    return f"95 % interval {number(figure['interval']['lower'])} – {number(figure['interval']['upper'])} %"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{number(value)} %"
