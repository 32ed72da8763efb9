"""What other thresholds would have made of the passages that are stored, and why passages could not be judged. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edged.config import MaskConfig
from edged.report.tally import STATES
from edged.report.walk import Unjudged, why_unjudged

Passage = Mapping[str, Any]
"""A row of `encounters`, its votes parsed."""


REASONS: Mapping[Unjudged, str] = {
    "small": "too small",
    "few": "turned away or too quickly gone",
    "unsure": "whose votes did not agree",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """How many of the last passages got a verdict, and why the others got none: words, and how many."""

    people: int
    judged: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Passages by state, as they were and as they would have been, as far as what is stored allows."""

    before: Mapping[str, int]
    after: Mapping[str, int]

    @property
    def people(self) -> int:
        return sum(self.before.values())

    def uncertain_percent(self) -> tuple[int, int]:
        """Before and after."""
        people = max(1, self.people)
        return round(100 * self.before["uncertain"] / people), round(100 * self.after["uncertain"] / people)


def judged_of(passages: Sequence[Passage], settings: MaskConfig) -> Judged:
    """Count why passages got no verdict under `settings`, which must be those that were in force."""
    why = Counter(why_unjudged(passage, settings) for passage in passages if passage["state"] == "uncertain")
    reasons = tuple((words, why[reason]) for reason, words in REASONS.items() if why[reason])
    return Judged(len(passages), len(passages) - why.total(), reasons)


def what_if(passages: Iterable[Passage], settings: MaskConfig, requested: MaskConfig) -> WhatIf:
    """Each passage's state under `requested`, where `settings` were in force.

    Of a passage one score is stored, that of its verdict or of the state nearest to one, and its largest face. A verdict
    stays while both reach the new limits; a passage that lacked one of them would get that of most of its votes. One that
    reached both and got no verdict was seen too briefly, and would be again. Faces that were too small for the old limit left
    no votes, and no score, so that the effect of lowering it is underestimated.
    """
    before, after = Counter[str](), Counter[str]()
    for passage in passages:
        state = str(passage["state"])
        before[state] += 1
        brief = state == "uncertain" and _reaches(passage, settings)
        after[_nearest(passage) if _reaches(passage, requested) and not brief else "uncertain"] += 1
    return WhatIf(_all(before), _all(after))


def _reaches(passage: Passage, settings: MaskConfig) -> bool:
    score, face = float(passage["score"] or 0), float(passage["largest_face"] or 0)
    return score >= settings.enter_score and face >= settings.smallest_face


def _nearest(passage: Passage) -> str:
    """The verdict, or what most votes were for."""
    if passage["state"] != "uncertain":
        return str(passage["state"])
    votes = passage["votes"] or {}
    best = max((state for state in STATES if state != "uncertain"), key=lambda state: int(votes.get(state) or 0))
    return best if votes.get(best) else "uncertain"


def _all(counted: Mapping[str, int]) -> dict[str, int]:
    return {state: counted.get(state, 0) for state in STATES}
