"""Where the page's drawings put their marks: plain numbers in SVG units, worked out from the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any

from edged.report.tally import STATES, masks_watched
from edged.report.words import STATE_WORDS

WIDTH = 720.0
LEFT = 42.0
PLOT_HEIGHT = 130.0
ROW_WIDTH, ROW_HEIGHT = 320.0, 22.0
ROW_LEFT, ROW_RIGHT = 68.0, 240.0
"""Where an hour's parts begin, and where the fullest hour's end; the figures stand to the right of it."""
FULLY_WATCHED_PERCENT = 99.95


@dataclass(frozen=True, slots=True)
class Bar:
    """One state's part of an hour's column; `y` is its top."""

    state: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One hour: its bars, its text below, and the share of its width that was not watched (None when closed)."""

    x: float
    width: float
    label: str
    note: str
    title: str
    judged: str
    percent: str
    bars: Sequence[Bar]
    unwatched: float | None


@dataclass(frozen=True, slots=True)
class HourChart:
    columns: Sequence[Column]
    ticks: Sequence[tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Part:
    """One state's part of an hour's row; `x` is its left."""

    state: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Row:
    """One hour for narrow screens: its text, its parts, and the share of its height that was not watched."""

    y: float
    label: str
    title: str
    judged: str
    percent: str
    parts: Sequence[Part]
    unwatched: float


@dataclass(frozen=True, slots=True)
class HourRows:
    rows: Sequence[Row]
    height: float


@dataclass(frozen=True, slots=True)
class Scale:
    """The answer's number line; every mark is None where the report has none."""

    ticks: Sequence[tuple[float, str]]
    lower: float
    upper: float
    point: float
    worst: float
    best: float
    target: float | None


@dataclass(frozen=True, slots=True)
class Spark:
    """Four weeks of percentages: runs of neighbouring days joined by lines, and this day's own point."""

    runs: Sequence[Sequence[tuple[float, float]]]
    today: tuple[float, float] | None
    top: str
    bottom: str


def hour_chart(report: Mapping[str, Any]) -> HourChart:
    hours = report["by_hour"]
    step = _nice_step(max((hour["encounters"] for hour in hours), default=0))
    most = max((hour["encounters"] for hour in hours), default=0)
    top = step * max(1, ceil(most / step))
    slot = (WIDTH - LEFT) / max(1, len(hours))
    columns = [_column(hour, LEFT + slot * number, slot, PLOT_HEIGHT / top) for number, hour in enumerate(hours)]
    ticks = [(_rounded(PLOT_HEIGHT - value * PLOT_HEIGHT / top), value) for value in range(0, top + 1, step)]
    return HourChart(columns, ticks)


def hour_rows(report: Mapping[str, Any]) -> HourRows:
    """The hours one under the other, for screens too narrow for columns; those in which nothing could happen are left out."""
    hours = [hour for hour in report["by_hour"] if hour["open"] or hour["encounters"]]
    most = max((hour["encounters"] for hour in hours), default=0)
    unit = (ROW_RIGHT - ROW_LEFT) / max(1, most)
    return HourRows(
        [_row(hour, ROW_HEIGHT * number, unit) for number, hour in enumerate(hours)], ROW_HEIGHT * len(hours)
    )


def answer_scale(report: Mapping[str, Any], width: float = 300.0) -> Scale | None:
    """The interval, the bounds and the target on one line that ends at 100 %; None when the percentage is withheld."""
    if report["interval"] is None:
        return None
    target = report["target_percent"]
    lowest = min(report["bounds"]["lower"], report["interval"]["lower"], 100 if target is None else target)
    start = max(0, 10 * floor((lowest - 2) / 10))

    def place(value: float) -> float:
        return _rounded((value - start) * width / (100 - start))

    step = 10 if start >= 50 else 20
    return Scale(
        ticks=[(place(value), str(value)) for value in range(100, start - 1, -step)],
        lower=place(report["interval"]["lower"]),
        upper=place(report["interval"]["upper"]),
        point=place(report["compliance_percent"]),
        worst=place(report["bounds"]["lower"]),
        best=place(report["bounds"]["upper"]),
        target=None if target is None else place(target),
    )


def spark(report: Mapping[str, Any], width: float = 210.0, height: float = 40.0) -> Spark | None:
    """None when no earlier day has a percentage."""
    values = [day["compliance_percent"] for day in report["trend"]["history"]]
    known = [value for value in [*values, report["compliance_percent"]] if value is not None]
    if not [value for value in values if value is not None]:
        return None
    low, high = floor(min(known)), ceil(max(known))
    spread = max(1, high - low)
    step = width / len(values)

    def place(number: int, value: float) -> tuple[float, float]:
        return _rounded(number * step), _rounded(height - (value - low) * height / spread)

    own = report["compliance_percent"]
    return Spark(
        runs=_runs([None if value is None else place(number, value) for number, value in enumerate(values)]),
        today=None if own is None else place(len(values), own),
        top=str(low + spread),
        bottom=str(low),
    )


def _short(count: int) -> str:
    """A number that has room below a bar: of thousands no more than the thousands."""
    return str(count) if count < 10_000 else f"{(count + 500) // 1000}k"


def _column(hour: Mapping[str, Any], x: float, slot: float, unit: float) -> Column:
    bars, bottom = [], PLOT_HEIGHT
    for state in STATES:
        if hour[state]:
            height = hour[state] * unit
            bottom -= height
            bars.append(Bar(state, _rounded(bottom), _rounded(height)))
    clock, _, note = hour["label"].partition(" ")
    return Column(
        x=_rounded(x),
        width=_rounded(slot),
        label=clock.removesuffix(":00"),
        note=note,
        title=_title(hour),
        judged=_short(hour["judged"]) if hour["judged"] else "–" if hour["open"] else "",
        percent="" if hour["compliance_percent"] is None else f"{hour['compliance_percent']:.0f}",
        bars=bars,
        unwatched=_unwatched(hour),
    )


def _row(hour: Mapping[str, Any], y: float, unit: float) -> Row:
    parts, left = [], ROW_LEFT
    for state in STATES:
        if hour[state]:
            parts.append(Part(state, _rounded(left), _rounded(hour[state] * unit)))
            left += hour[state] * unit
    return Row(
        y=_rounded(y),
        label=hour["label"],
        title=_title(hour),
        judged=str(hour["judged"]) if hour["judged"] else "–",
        percent="" if hour["compliance_percent"] is None else f"{hour['compliance_percent']:.0f} %",
        parts=parts,
        unwatched=_unwatched(hour) or 0.0,
    )


def _title(hour: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{hour[state]} {STATE_WORDS[state].lower()}" for state in STATES)
    share = masks_watched(hour)
    watched = "" if share is None else f", watched {share:.0f} %"
    return f"{hour['label']}: {counts}{watched}"


def _unwatched(hour: Mapping[str, Any]) -> float | None:
    if (share := masks_watched(hour)) is None:
        return None if not hour["open"] else 0.0
    return 0.0 if share >= FULLY_WATCHED_PERCENT else _rounded(1 - share / 100)


def _runs(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """Neighbouring points together; a day without one breaks the line."""
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is not None:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _nice_step(most: int) -> int:
    """1, 2 or 5 times a power of ten, so that three to five lines reach `most`."""
    if most <= 4:
        return 1
    power = 10 ** floor(log10(most / 4))
    return int(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= most / 4))


def _rounded(value: float) -> float:
    return round(value, 2)
