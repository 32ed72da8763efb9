"""The mask state's figures on found faces: confusion, macro-F1, and how honest the probabilities are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.evaluation.bootstrap import Estimate, Numbers, Weights, divided, estimate, ratio
from convert.evaluation.detection import Finds, match_all
from convert.evaluation.sources import UNTOLD, Truth
from edged.config import MaskConfig
from edged.types import JUDGED_STATES

SMALLEST = 16
"""Shorter side in pixels: below, the state is hard to tell by eye too."""
BINS = 10
SURE = MaskConfig().enter_score
"""The score at which a verdict is taken up, where it stands."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Labelled faces that were found, M of them: which picture and face, their true states, sides, and probabilities M x 3."""

    picture: NDArray[np.intp]
    face: NDArray[np.intp]
    states: NDArray[np.int64]
    sides: NDArray[np.float64]
    scores: NDArray[np.float64]

    @property
    def answers(self) -> NDArray[np.intp]:
        """The most probable state of each."""
        return np.asarray(self.scores.argmax(axis=1))

    def only(self, chosen: NDArray[np.bool_]) -> "Judged":
        """Some of the faces."""
        return Judged(
            self.picture[chosen], self.face[chosen], self.states[chosen], self.sides[chosen], self.scores[chosen]
        )


@dataclass(frozen=True, eq=False)
class MaskFigures:
    """What a classifier did on one set. `macro_f1` is the mean over the states that the set holds."""

    pictures: int
    confusion: NDArray[np.int64]
    """Rows are truth, columns the answer, in the order of JUDGED_STATES."""
    macro_f1: Estimate
    f1: dict[str, Estimate]
    recall: dict[str, Estimate]
    sure_wrong: Estimate
    """The share of faces told a wrong state with at least SURE."""
    calibration: Estimate

    def record(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "pictures": self.pictures,
            "faces": int(self.confusion.sum()),
            "order": [str(state) for state in JUDGED_STATES],
            "confusion_rows_truth": self.confusion.tolist(),
            "macro_f1": self.macro_f1.record(),
            "f1": {state: value.record() for state, value in self.f1.items()},
            "recall": {state: value.record() for state, value in self.recall.items()},
            f"wrong_from_{SURE:g}": self.sure_wrong.record(),
            "calibration_error": self.calibration.record(),
        }


def wanted_finds(truths: Sequence[Truth], finds: Finds) -> list[list[tuple[int, int]]]:
    """Of each picture, (find, face) for every find whose face has a state and is large enough to be judged."""
    return [
        [
            (int(place), int(face))
            for place, face in zip(outcome.order, outcome.face, strict=True)
            if face >= 0 and truth.states[face] != UNTOLD and truth.sides[face] >= SMALLEST
        ]
        for truth, outcome in zip(truths, match_all(truths, finds), strict=True)
    ]


def score(judged: Judged, pictures: int) -> MaskFigures:
    """All figures; `pictures` is how many were looked at, with faces or without."""
    count = len(JUDGED_STATES)
    table = np.zeros((pictures, count, count))
    np.add.at(table, (judged.picture, judged.states, judged.answers), 1)
    present = table.sum(axis=(0, 2)) > 0

    def confusions(weights: Weights) -> Numbers:
        return (weights @ table.reshape(pictures, -1)).reshape(-1, count, count)

    def f1(weights: Weights) -> Numbers:
        drawn = confusions(weights)
        right = np.diagonal(drawn, axis1=1, axis2=2)
        return np.nan_to_num(divided(2 * right, drawn.sum(axis=1) + drawn.sum(axis=2)))

    def recall(weights: Weights) -> Numbers:
        drawn = confusions(weights)
        return divided(np.diagonal(drawn, axis1=1, axis2=2), drawn.sum(axis=2))

    def macro(weights: Weights) -> Numbers:
        return np.asarray(f1(weights)[:, present].mean(axis=1)) if present.any() else np.full(len(weights), np.nan)

    named = [(k, str(state)) for k, state in enumerate(JUDGED_STATES) if present[k]]
    return MaskFigures(
        pictures=pictures,
        confusion=table.sum(axis=0).astype(np.int64),
        macro_f1=estimate(pictures, macro),
        f1={name: estimate(pictures, _column(f1, k)) for k, name in named},
        recall={name: estimate(pictures, _column(recall, k)) for k, name in named},
        sure_wrong=_sure_wrong(judged, pictures),
        calibration=calibration_error(judged, pictures),
    )


def _column(figure: Callable[[Weights], Numbers], column: int) -> Callable[[Weights], Numbers]:
    """One of the figures that `figure` gives for each row of weights."""
    return lambda weights: np.asarray(figure(weights)[:, column], np.float64)


def _sure_wrong(judged: Judged, pictures: int) -> Estimate:
    wrong = (judged.answers != judged.states) & (judged.scores.max(axis=1, initial=0.0) >= SURE)
    cases, faces = (np.bincount(judged.picture[rows], minlength=pictures) for rows in (wrong, slice(None)))
    return estimate(pictures, ratio(cases.astype(np.float64), faces.astype(np.float64)))


def calibration_error(judged: Judged, pictures: int) -> Estimate:
    """Expected calibration error: the mean gap between confidence and accuracy over equal bins of confidence."""
    confidence = judged.scores.max(axis=1, initial=0.0)
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.zeros((pictures, BINS))
    np.add.at(gaps, (judged.picture, place), confidence - (judged.answers == judged.states))
    counts = np.bincount(judged.picture, minlength=pictures).astype(np.float64)

    def figure(weights: Weights) -> Numbers:
        return divided(np.abs(weights @ gaps).sum(axis=1), weights @ counts)

    return estimate(pictures, figure)
