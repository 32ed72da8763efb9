"""Matches what a detector found with what is there: greedily, best score first, ignored faces counting neither way."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.evaluation.sources import Truth
from edged.detect.boxes import iou
from edged.types import Detection


@dataclass(frozen=True, eq=False)
class Outcome:
    """One picture's K finds, best first, and N faces.

    Of a find: its `scores`, its place among the detector's finds, the `face` that it takes, or -1, and whether it `counts`
    (one on an ignored face does not). Of a face: whether it is to be found (`wanted`), and the score at which it was, 0
    where it was not.
    """

    scores: NDArray[np.float64]
    order: NDArray[np.intp]
    face: NDArray[np.intp]
    counts: NDArray[np.bool_]
    wanted: NDArray[np.bool_]
    found_at: NDArray[np.float64]


def match(truth: Truth, finds: Sequence[Detection], needed: float, least_height: float = 0.0) -> Outcome:
    """A find is right when it overlaps a face that no better find took by at least `needed` IoU.

    Faces lower than `least_height` pixels are ignored, as those marked so: a find that takes no other face, and overlaps
    one of these, is no find at all.
    """
    scores = np.array([find.score for find in finds], np.float64)
    order = np.argsort(-scores, kind="stable")
    boxes = np.array([finds[place].box for place in order], np.float64).reshape(-1, 4)
    ignored = truth.ignored | (truth.heights < least_height)
    overlaps = iou(boxes, truth.boxes)
    face, counts = np.full(len(order), -1, np.intp), np.ones(len(order), bool)
    found_at = np.zeros(len(truth.boxes))
    barred = ignored.copy()
    for row, overlap in enumerate(overlaps if len(truth.boxes) else ()):
        free = np.where(barred, -1.0, overlap)
        best = int(free.argmax())
        if free[best] >= needed:
            face[row], barred[best], found_at[best] = best, True, scores[order[row]]
        else:
            counts[row] = not bool((overlap[ignored] >= needed).any())
    return Outcome(scores[order], order, face, counts, ~ignored, found_at)
