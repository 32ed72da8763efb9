"""The words and the spelling of figures that every form of the report for people shares."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from edged.report.tally import LEAST_JUDGED
from edged.types import MASK_WORDS

STATE_WORDS = {value: words.capitalize() for value, words in MASK_WORDS.items()}
REASON_WORDS = {
    "offline": "Camera offline",
    "stalled": "Camera stalled",
    "reconnecting": "Camera lost: edged tried to open it again",
    "paused": "Paused",
    "not running": "edged was not running",
    "not analysed": "Pictures arrived, too few were analysed",
}
WITHHELD_WORDS = {
    "few": f"Fewer than {LEAST_JUDGED} passages were judged: too few for a percentage.",
    "coverage": "Less than half of the open time was watched: no percentage speaks for the whole day.",
}
UNSEEN_WORDS = {True: "Nobody was seen", False: "Nothing was watched"}
"""Of a day or period without a passage, by whether any of its open time was watched."""
VERDICT_WORDS = {"met": "met", "not met": "not met", "cannot tell": "the interval cannot tell"}
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


WORDS: Mapping[str, Mapping[Any, str]] = {
    "state": STATE_WORDS,
    "reason": REASON_WORDS,
    "unseen": UNSEEN_WORDS,
    "withheld": WITHHELD_WORDS,
    "distraction": DISTRACTION_WORDS,
    "drowsiness": DROWSINESS_WORDS,
    "level": LEVEL_WORDS,
}


def with_names(part: Any, names: Mapping[str, str]) -> Any:
    """A copy of `part` of a report in which cameras go by their names for people."""
    if isinstance(part, Mapping):
        named = {key: with_names(value, names) for key, value in part.items()}
        return named | {"camera": names.get(part["camera"], part["camera"])} if "camera" in part else named
    return [with_names(value, names) for value in part] if isinstance(part, list) else part


def subject_of(report: Mapping[str, Any]) -> str:
    """What was followed: "mask", "attention and drowsiness", …; "" when that is nothing."""
    masks = ["mask"] if report.get("masks_followed", True) else []
    *most, last = [*masks, *(name for name in ("attention", "drowsiness") if name in report)] or [""]
    return " and ".join(filter(None, (", ".join(most), last)))


def long_date(iso_date: str) -> str:
    """In English whatever the machine's locale is: the page has one language."""
    day = date.fromisoformat(iso_date)
    return f"{WEEKDAYS[day.weekday()]}, {day.day} {MONTHS[day.month - 1]} {day.year}"


def number(value: float | None, digits: int = 1) -> str:
    """With thin spaces between thousands; a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:,.{0 if isinstance(value, int) else digits}f}".replace(",", "\u2009")


def masks_apart(row: Mapping[str, Any]) -> str:
    """What follows on a row's coverage where that of the cameras that follow masks is another: " (for masks 98.0 %)"."""
    apart = row.get("masks_coverage_percent")
    return "" if apart in (None, row["coverage_percent"]) else f" (for masks {number(apart)} %)"


def signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def duration(seconds: float) -> str:
    """As people say it: 8 s, 2 min 05 s, 3 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
