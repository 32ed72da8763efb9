"""Matches what a detector found with what is there: greedily, best score first, ignored faces counting neither way."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.evaluation.sources import Truth
from edged.detect.boxes import iou
from edged.types import Detection

Rows = NDArray[np.float64]
"""N x 5, one picture's finds in a detector's order: x1, y1, x2, y2 in pixels, and score."""


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


def rows_of(found: Sequence[Detection]) -> Rows:
    """What a detector found in one picture, as numbers: there are millions of finds, most of them next to nothing."""
    return np.array([(*one.box, one.score) for one in found], np.float64).reshape(-1, 5)


def match(truth: Truth, finds: Rows, needed: float, least_height: float = 0.0) -> Outcome:
    """A find is right when it overlaps a face that no better find took by at least `needed` IoU.

    Faces lower than `least_height` pixels are ignored, as those marked so: a find that takes no other face, and overlaps
    one of these, is no find at all.
    """
    scores, order = finds[:, 4], np.argsort(-finds[:, 4], kind="stable")
    boxes = finds[order, :4]
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
