"""Geometry of many boxes at once: overlaps, suppression, squaring; pure NumPy, for every detector.

Boxes are N x 4 arrays of floats (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2; every function keeps their dtype.
"""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Kind: TypeAlias = Literal["union", "min"]
"""What an intersection is divided by: the area of both boxes together, or the smaller box's."""

_BLOCK = 256  # rows compared at once: bounds memory to N x 256 overlaps


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


def suppress(boxes: Floats, scores: Floats, threshold: float, kind: Kind = "union") -> NDArray[np.intp]:
    """Greedy non-maximum suppression: indices of the boxes kept, best score first.

    Going down the scores, a box is kept unless it overlaps a *kept* one by more than `threshold`.
    """
    left = _best_first(scores)
    kept = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[iou(boxes[best][None], boxes[left], kind)[0] <= threshold]
    return np.array(kept, np.intp)


def suppress_strictly(boxes: Floats, scores: Floats, threshold: float, kind: Kind = "union") -> NDArray[np.intp]:
    """Non-maximum suppression without mercy: indices of the boxes kept, best score first.

    A box is dropped when it overlaps *any* better one by more than `threshold`, even one that was itself dropped.
    """
    order = _best_first(scores)
    ranked = boxes[order]
    keep = np.ones(len(order), bool)
    for start in range(0, len(order), _BLOCK):
        block = ranked[start : start + _BLOCK]
        overlaps = iou(ranked[: start + len(block)], block, kind) > threshold
        better = np.arange(len(overlaps))[:, None] < np.arange(start, start + len(block))
        keep[start : start + len(block)] = ~(overlaps & better).any(axis=0)
    return order[keep]


def squares(boxes: Floats) -> Floats:
    """The boxes made square about their centres, with the longer side."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    side = np.maximum(width, height)
    x1 = boxes[:, 0] + width / 2 - side / 2
    y1 = boxes[:, 1] + height / 2 - side / 2
    return np.stack([x1, y1, x1 + side, y1 + side], axis=1)


def clip(boxes: Floats, right: float, bottom: float) -> Floats:
    """The boxes with every corner moved into 0 … `right`, 0 … `bottom`."""
    limit = np.array([right, bottom, right, bottom], boxes.dtype)
    return np.clip(boxes, np.zeros(4, boxes.dtype), limit)


def best(scores: Floats, count: int) -> NDArray[np.intp]:
    """Indices of the `count` best scores (all, when there are fewer), in their given order."""
    if len(scores) <= count:
        return np.arange(len(scores))
    return np.sort(np.argpartition(scores, -count)[-count:])


def _best_first(scores: Floats) -> NDArray[np.intp]:
    """Equal scores, common where a network is quite sure, come last one first: the same on every machine."""
    return np.argsort(scores, kind="stable")[::-1]
