"""Measures eyes and mouths on 68 landmarks: widths, and how far lids and lips stand apart."""

import math
from typing import NamedTuple

from edged.arrays import FARTHEST_PX
from edged.types import Points

LEAST_WIDTH = 1.0
"""Pixels. Corners closer together than this give no ratio: rounding alone would decide it."""

_Outline = list[list[float]]


class EyePair(NamedTuple):
    """One value for each eye of a face, as they stand in the image; None where it is unavailable."""

    image_left: float | None
    image_right: float | None


def eye_widths(points: Points) -> EyePair:
    """Distance between the corners of each eye, in pixels of `points` (68 x 2, iBUG order)."""
    left, right = _eyes(points)
    return EyePair(_width(left, 3), _width(right, 3))


def eye_aspect_ratios(points: Points) -> EyePair:
    """Each eye's aspect ratio (Soukupova and Cech, CVWW 2016): (|p2-p6| + |p3-p5|) / (2 |p1-p4|), p1…p6 in iBUG order.

    `points` is 68 x 2. About 0.3 for open eyes, 0.1 and less for shut ones; it differs between people.
    """
    left, right = _eyes(points)
    return EyePair(_eye_ratio(left), _eye_ratio(right))


def mouth_ratio(points: Points) -> float | None:
    """The inner lips' distance over their width: (|61-67| + |62-66| + |63-65|) / (2 |60-64|), iBUG numbers from 0.

    `points` is 68 x 2. 0 for a shut mouth; yawns go beyond 0.6. None where it is unavailable.
    """
    lips: _Outline = points[60:68].tolist()
    return _ratio(lips, 4, ((1, 7), (2, 6), (3, 5)))


def _eyes(points: Points) -> tuple[_Outline, _Outline]:
    outline: _Outline = points[36:48].tolist()
    return outline[:6], outline[6:]


def _eye_ratio(eye: _Outline) -> float | None:
    return _ratio(eye, 3, ((1, 5), (2, 4)))


def _width(outline: _Outline, end: int) -> float | None:
    """From the outline's first point to its point `end`. None when a point is not finite or not in any picture."""
    if not all(abs(value) <= FARTHEST_PX for point in outline for value in point):
        return None
    return math.dist(outline[0], outline[end])


def _ratio(outline: _Outline, end: int, pairs: tuple[tuple[int, int], ...]) -> float | None:
    width = _width(outline, end)
    if width is None or width < LEAST_WIDTH:
        return None
    return sum(math.dist(outline[upper], outline[lower]) for upper, lower in pairs) / (2 * width)
