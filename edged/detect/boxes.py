"""Geometry of many boxes at once: overlaps and suppression, for every detector.

Boxes are N x 4 arrays of floats (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2; every function keeps their dtype.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.types import Box

Floats: TypeAlias = NDArray[np.floating[Any]]
Kind: TypeAlias = Literal["union", "min"]
"""What an intersection is divided by: the area of both boxes together, or the smaller box's."""


SAME_FACE = 0.45
"""Detections that overlap by more than this IoU are of one face."""
AT_PLACE = 0.2
"""A detection that overlaps the place where somebody is expected by more than this IoU is theirs."""


def areas(boxes: Floats) -> Floats:
    """Width times height of each box; no pixel is added."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def iou(a: Floats, b: Floats, kind: Kind = "union") -> Floats:
    """Intersection over union (or over the smaller area) of every box of `a` with every one of `b`, as N x M.

    Boxes without area overlap nothing: 0, never NaN.
    """
    width = np.minimum(a[:, None, 2], b[None, :, 2])
    width -= np.maximum(a[:, None, 0], b[None, :, 0])
    height = np.minimum(a[:, None, 3], b[None, :, 3])
    height -= np.maximum(a[:, None, 1], b[None, :, 1])
    np.maximum(width, 0, out=width)
    np.maximum(height, 0, out=height)
    common = np.multiply(width, height, out=width)
    area_a, area_b = areas(a)[:, None], areas(b)[None, :]
    whole = np.minimum(area_a, area_b) if kind == "min" else area_a + area_b - common
    return np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)


def beside(boxes: Sequence[Box], others: Sequence[Box], overlap: float = SAME_FACE) -> list[int]:
    """The places of those of `boxes` that are not the same face as any of `others`."""
    if not boxes or not others:
        return list(range(len(boxes)))
    return np.flatnonzero(iou(np.array(boxes), np.array(others)).max(axis=1) <= overlap).tolist()


def suppress(boxes: Floats, scores: Floats, threshold: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: indices of the boxes kept, best score first; scores must be above 0.

    Going down the scores, a box is kept unless it overlaps a *kept* one by more than `threshold` IoU.
    """
    sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    # Backwards: of equal scores, common where a network is quite sure, the last one comes first.
    kept = cv2.dnn.NMSBoxes(sizes[::-1].tolist(), scores[::-1].tolist(), 0.0, threshold)
    return len(scores) - 1 - np.array(kept, np.intp)
