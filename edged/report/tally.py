"""Counts of passages by mask state, and the percentage they support."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from typing_extensions import NotRequired, TypedDict

from edged.payloads.report import Bounds, Counts, Figure, Interval
from edged.report.statistics import DesignEffect, Range, bounds, design_effect, wilson

LEAST_JUDGED = 30
"""Below this no percentage is printed; up to twice this it is marked (the US NCHS rule for its surveys)."""

LEAST_COVERAGE_PERCENT = 50

STATES = ("correct", "incorrect", "none", "uncertain")


class _NoFigure(TypedDict):
    compliance_percent: None
    interval: None
    bounds: None
    uncertain_percent: None


_NO_FIGURE: _NoFigure = {"compliance_percent": None, "interval": None, "bounds": None, "uncertain_percent": None}


@dataclass(slots=True)
class Tally:
    """Passages counted by state; only judged ones are ever a denominator."""

    correct: int = 0
    incorrect: int = 0
    none: int = 0
    uncertain: int = 0

    def add(self, state: str) -> None:
        """Count one passage; a state this version does not know is no verdict."""
        name = state if state in STATES else "uncertain"
        setattr(self, name, getattr(self, name) + 1)

    @property
    def judged(self) -> int:
        return self.correct + self.incorrect + self.none

    @property
    def encounters(self) -> int:
        return self.judged + self.uncertain

    def counts(self) -> Counts:
        return {
            "encounters": self.encounters,
            "judged": self.judged,
            "correct": self.correct,
            "incorrect": self.incorrect,
            "none": self.none,
            "uncertain": self.uncertain,
        }


@dataclass(slots=True)
class Blocks:
    """A tally, split by blocks of time so that the resemblance of people who arrive together can be estimated."""

    whole: Tally = field(default_factory=Tally)
    _by_block: defaultdict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))

    def add(self, block: int, state: str) -> None:
        self.whole.add(state)
        self._by_block[block].add(state)

    def figure(self) -> Figure:
        """The counts, and what they support."""
        effect = design_effect((block.correct, block.judged) for block in self._by_block.values())
        return figure(self.whole, self.whole.judged / effect.value, effect)


def figure(tally: Tally, effective_judged: float, effect: DesignEffect) -> Figure:
    """The counts, with percentage, interval and bounds where enough was judged, else with None in their place.

    `effective_judged` is the number of independent passages that tell as much.
    """
    if tally.judged < LEAST_JUDGED:
        return {**tally.counts(), **_NO_FIGURE, "few": True, "withheld": "few"}
    interval: Interval = {
        **percents(wilson(tally.correct / tally.judged, effective_judged)),
        "level": 95,
        "blocks": effect.blocks,
        "design_effect": round(effect.value, 2),
        "design_effect_assumed": effect.assumed,
        "effective_judged": round(effective_judged, 1),
    }
    return {
        **tally.counts(),
        "compliance_percent": percent(tally.correct, tally.judged),
        "interval": interval,
        "bounds": percents(bounds(tally.correct, tally.judged, tally.uncertain)),
        "uncertain_percent": percent(tally.uncertain, tally.encounters),
        "few": tally.judged < 2 * LEAST_JUDGED,
        "withheld": None,
    }


def percent(part: float, whole: float) -> float | None:
    """With one decimal; None of nothing."""
    return round(100 * part / whole, 1) if whole else None


def part_percent(tally: Tally, watched_percent: float | None) -> float | None:
    """The compliance of a part of a report, such as an hour; None when too few were judged or too little was watched."""
    watched = watched_percent is not None and watched_percent >= LEAST_COVERAGE_PERCENT
    return percent(tally.correct, tally.judged) if watched and tally.judged >= LEAST_JUDGED else None


class Watched(NamedTuple):
    """How much of the open time was watched. A figure of masks rests on the cameras that follow them alone."""

    by_all: float | None
    for_masks: float | None
    mixed: bool
    """Whether some cameras follow masks and some do not: else both percentages are one."""


class _Coverage(TypedDict):
    coverage_percent: float | None
    masks_coverage_percent: NotRequired[float | None]


class _HourCoverage(TypedDict):
    watched_percent: float | None
    masks_watched_percent: NotRequired[float | None]


def coverage(watched: Watched) -> _Coverage:
    """As reports tell it: that for masks only where it says something else."""
    told: _Coverage = {"coverage_percent": watched.by_all}
    return {**told, "masks_coverage_percent": watched.for_masks} if watched.mixed else told


def hour_coverage(watched: Watched) -> _HourCoverage:
    """As `coverage`, of an hour."""
    told: _HourCoverage = {"watched_percent": watched.by_all}
    return {**told, "masks_watched_percent": watched.for_masks} if watched.mixed else told


def masks_watched(row: Mapping[str, Any]) -> float | None:
    """How much the cameras that follow masks watched, by a report, or a row of one, of whatever version."""
    names = ("masks_coverage_percent", "masks_watched_percent", "coverage_percent", "watched_percent")
    share: float | None = row[next(name for name in names if name in row)]
    return share


def percents(interval: Range) -> Bounds:
    return {"lower": round(100 * interval.lower, 1), "upper": round(100 * interval.upper, 1)}


def withhold_unwatched(figure: Figure, coverage_percent: float | None) -> Figure:
    """The figure without its percentages when less than half of the open time was watched: the rest may differ.

    `coverage_percent` is that of the cameras that follow masks.
    """
    if figure["withheld"] or (coverage_percent is not None and coverage_percent >= LEAST_COVERAGE_PERCENT):
        return figure
    return {**figure, **_NO_FIGURE, "withheld": "coverage"}
