"""Counts of passages by mask state, and the percentage they support."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from edged.report.statistics import Interval, bounds, design_effect, wilson

LEAST_JUDGED = 30
"""Below this no percentage is printed; up to twice this it is marked (the US NCHS rule for its surveys)."""

LEAST_COVERAGE_PERCENT = 50

STATES = ("correct", "incorrect", "none", "uncertain")


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

    def counts(self) -> dict[str, int]:
        own = {state: getattr(self, state) for state in STATES}
        return {"encounters": self.encounters, "judged": self.judged, **own}


@dataclass(slots=True)
class Blocks:
    """A tally, split by blocks of time so that the resemblance of people who arrive together can be estimated."""

    whole: Tally = field(default_factory=Tally)
    _by_block: defaultdict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))

    def add(self, block: int, state: str) -> None:
        self.whole.add(state)
        self._by_block[block].add(state)

    def figure(self) -> dict[str, Any]:
        """The counts, with percentage, interval and bounds where enough was judged, else with None in their place."""
        tally = self.whole
        figure: dict[str, Any] = tally.counts() | {
            "compliance_percent": None,
            "interval": None,
            "bounds": None,
            "uncertain_percent": None,
            "few": tally.judged < 2 * LEAST_JUDGED,
            "withheld": "few" if tally.judged < LEAST_JUDGED else None,
        }
        if tally.judged < LEAST_JUDGED:
            return figure
        figure["uncertain_percent"] = percent(tally.uncertain, tally.encounters)
        figure["compliance_percent"] = percent(tally.correct, tally.judged)
        figure["interval"] = self._interval()
        figure["bounds"] = percents(bounds(tally.correct, tally.judged, tally.uncertain))
        return figure

    def _interval(self) -> dict[str, Any]:
        effect = design_effect((block.correct, block.judged) for block in self._by_block.values())
        effective = self.whole.judged / effect.value
        return {
            **percents(wilson(self.whole.correct / self.whole.judged, effective)),
            "level": 95,
            "blocks": effect.blocks,
            "design_effect": round(effect.value, 2),
            "design_effect_assumed": effect.assumed,
            "effective_judged": round(effective, 1),
        }


def percent(part: float, whole: float) -> float | None:
    """With one decimal; None of nothing."""
    return round(100 * part / whole, 1) if whole else None


def percents(interval: Interval) -> dict[str, float]:
    return {"lower": round(100 * interval.lower, 1), "upper": round(100 * interval.upper, 1)}


def withhold_unwatched(figure: dict[str, Any], coverage_percent: float | None) -> dict[str, Any]:
    """The figure without its percentages when less than half of the open time was watched: the rest may differ."""
    if figure["withheld"] or (coverage_percent is not None and coverage_percent >= LEAST_COVERAGE_PERCENT):
        return figure
    hidden = dict.fromkeys(("compliance_percent", "interval", "bounds", "uncertain_percent"))
    return figure | hidden | {"withheld": "coverage"}
