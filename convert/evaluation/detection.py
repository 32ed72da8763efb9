"""The detectors' figures: average precision, recall by size, false finds, each with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convert.evaluation.bootstrap import Estimate, Numbers, Weights, divided, estimate, ratio
from convert.evaluation.matching import Outcome, Rows, match
from convert.evaluation.sources import Truth

NEEDED, STRICT = 0.4, 0.5
"""IoU from which a find is right; the second for who wants the box to fit better."""
AT = 0.6
"""The score at which recall and false finds are told: from here on a find may be a new face."""
CLEAR_SIDE = 20
"""Shorter side, in pixels, of the faces whose recall at AT is told."""
HEIGHTS = (10, 30, 50)
"""Pixels; faces lower than these are ignored, each time."""
SIZE_BANDS = ((0, 12), (12, 20), (20, 40), (40, 10_000))
"""Shorter sides in pixels."""

Finds = Sequence[Rows]
"""Of each picture, what a detector found in it."""


@dataclass(frozen=True)
class DetectionFigures:
    """What one detector did on one set. Where a set holds no face, only `false_finds` exist."""

    pictures: int
    faces: int
    ap: Estimate
    ap_strict: Estimate
    ap_above: dict[int, Estimate]
    recall_at: Estimate
    false_finds: Estimate
    recall: dict[str, Estimate]

    def record(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "pictures": self.pictures,
            "faces": self.faces,
            f"ap_iou_{NEEDED:g}": self.ap.record(),
            f"ap_iou_{STRICT:g}": self.ap_strict.record(),
            **{f"ap_faces_from_{height}px_high": value.record() for height, value in self.ap_above.items()},
            f"recall_{CLEAR_SIDE}px_at_{AT:g}": self.recall_at.record(),
            f"false_finds_a_picture_at_{AT:g}": self.false_finds.record(),
            "recall_by_size": {band: value.record() for band, value in self.recall.items()},
        }


def score(truths: Sequence[Truth], finds: Finds, heights: Sequence[int] = HEIGHTS) -> DetectionFigures:
    """All figures of one detector on these pictures."""
    outcomes = match_all(truths, finds)
    return DetectionFigures(
        pictures=len(truths),
        faces=sum(int(outcome.wanted.sum()) for outcome in outcomes),
        ap=average_precision(outcomes),
        ap_strict=average_precision(match_all(truths, finds, STRICT)),
        ap_above={height: average_precision(match_all(truths, finds, NEEDED, height)) for height in heights},
        recall_at=_recall(truths, outcomes, CLEAR_SIDE, np.inf, AT),
        false_finds=estimate(len(outcomes), ratio([false_finds(one) for one in outcomes], np.ones(len(outcomes)))),
        recall={
            f"{low}-{high}" if high < SIZE_BANDS[-1][1] else f">={low}": _recall(truths, outcomes, low, high, 0.0)
            for low, high in SIZE_BANDS
        },
    )


def match_all(
    truths: Sequence[Truth], finds: Finds, needed: float = NEEDED, least_height: float = 0.0
) -> list[Outcome]:
    """Every picture matched."""
    return [match(truth, found, needed, least_height) for truth, found in zip(truths, finds, strict=True)]


def average_precision(outcomes: Sequence[Outcome]) -> Estimate:
    """The area under the precision envelope over recall (all points)."""
    faces = np.array([outcome.wanted.sum() for outcome in outcomes], np.float64)
    if not faces.sum():
        return Estimate(float("nan"), float("nan"), float("nan"))
    scores = np.concatenate([outcome.scores[outcome.counts] for outcome in outcomes])
    right = np.concatenate([outcome.face[outcome.counts] >= 0 for outcome in outcomes])
    owner = np.repeat(np.arange(len(outcomes)), [int(outcome.counts.sum()) for outcome in outcomes])
    order = np.argsort(-scores, kind="stable")
    owner, right = owner[order], right[order]
    hits = owner[right]
    # Only at hits does precision matter. Before each: how many false finds, by picture; those after the last never count.
    before = np.zeros((len(hits) + 1, len(outcomes)), np.float32)
    np.add.at(before, (np.cumsum(right)[~right], owner[~right]), 1)
    before = np.cumsum(before[:-1], axis=0, out=before[:-1])

    def figure(weights: Weights) -> Numbers:
        often = weights[:, hits]
        rightly = np.cumsum(often, axis=1)
        precision = divided(rightly, rightly + weights @ before.T)
        np.nan_to_num(precision, copy=False)  # before the first find that was drawn
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        return divided((often * envelope).sum(axis=1), weights @ faces)

    return estimate(len(outcomes), figure)


def false_finds(outcome: Outcome, at: float = AT) -> int:
    """How many finds of one picture are none, at a score of `at` or more."""
    return int(((outcome.face < 0) & outcome.counts & (outcome.scores >= at)).sum())


def _recall(truths: Sequence[Truth], outcomes: Sequence[Outcome], low: float, high: float, at: float) -> Estimate:
    """The share of the faces of these sizes that were found, at a score of `at` or more; 0: at all."""
    chosen = [
        outcome.wanted & (truth.sides >= low) & (truth.sides < high)
        for truth, outcome in zip(truths, outcomes, strict=True)
    ]
    found = [
        (outcome.found_at[mine] >= max(at, np.finfo(float).tiny)).sum()
        for outcome, mine in zip(outcomes, chosen, strict=True)
    ]
    return estimate(len(outcomes), ratio(np.array(found, float), np.array([mine.sum() for mine in chosen], float)))
