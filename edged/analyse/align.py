"""Cuts faces out of a picture as level square crops of one size, and says where each crop lies in the picture.

Coordinates here, in the picture and in the crop, have their origin at the outer corner of the first pixel, as boxes do:
a crop of size S spans 0 to S. The same functions are used in training and in service.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.crops import tame
from edged.types import Box, Image, Points

_SHRINK_FROM = 1.25
"""From so many picture pixels a crop pixel on, the picture is averaged down first: interpolation alone would alias."""

_HALVE_FROM = 2 * _SHRINK_FROM
"""Twice as coarse pixels are halved first, which takes less than half of the time that averaging them at once does. None of the
pictures that the models learned from was so large."""

_SURROUND = 3
"""Pixels kept around the part of the picture that a crop shows, so that interpolation sees its neighbours."""

FOREHEAD = 0.22
"""What a detector's box adds above the brows, in units of the height that the 68 landmarks span."""

Affine = NDArray[np.float64]
"""2 x 3: (x, y, 1) of one frame to (x, y) of another."""


class Square(NamedTuple):
    """A turned square in a picture: centre and side in pixels, `angle` in radians, clockwise in the image."""

    x: float
    y: float
    side: float
    angle: float


@dataclass(frozen=True, slots=True, eq=False)
class AlignedCrops:
    """N faces: `pixels` N x size x size x 3 BGR uint8, and for each the affine from its crop back to the picture."""

    pixels: NDArray[np.uint8]
    to_picture: NDArray[np.float64]
    """N x 2 x 3, for coordinates whose origin is the outer corner of the first pixel."""


def square_around(box: Box, points: Points | None, margin: float) -> Square:
    """The square of side `margin` times the box's longer side, centred on it, turned as the line of the eyes is.

    `points` are a detector's five; without them, or where they are not finite, the square is upright. A box that is
    empty or not finite gives some small finite square: its owner decides what such a face is worth.
    """
    x1, y1, x2, y2 = (tame(value) for value in box)
    side = max(margin * max(x2 - x1, y2 - y1), 1.0)
    return Square((x1 + x2) / 2, (y1 + y2) / 2, side, eye_line_angle(points))


def eye_line_angle(points: Points | None) -> float:
    """The angle of the line from the image-left to the image-right eye, in radians, clockwise; 0 where unknown."""
    if points is None or not np.isfinite(points[:2]).all():
        return 0.0
    dx, dy = (float(value) for value in points[1].astype(np.float64) - points[0])
    return math.atan2(dy, dx)


def square_around_landmarks(points: Points, margin: float) -> Square:
    """What `square_around` gives for a face with these 68 landmarks, its box taken along the line of its eyes."""
    exact = points.astype(np.float64)
    angle = eye_line_angle(np.stack([exact[36:42].mean(axis=0), exact[42:48].mean(axis=0)]))
    cos, sin = math.cos(angle), math.sin(angle)
    level = exact @ np.array([[cos, -sin], [sin, cos]])
    low, high = level.min(axis=0), level.max(axis=0)
    low[1] -= FOREHEAD * (high[1] - low[1])
    x, y = np.array([[cos, -sin], [sin, cos]]) @ ((low + high) / 2)
    return Square(tame(x), tame(y), max(margin * float((high - low).max()), 1.0), angle)


def crop_to_picture(square: Square, size: int) -> Affine:
    """The affine from the coordinates of a crop `size` pixels wide to those of the picture."""
    scale = square.side / size
    cos, sin = scale * math.cos(square.angle), scale * math.sin(square.angle)
    half = size / 2
    return np.array([[cos, -sin, square.x - half * (cos - sin)], [sin, cos, square.y - half * (sin + cos)]], np.float64)


def inverse(affine: Affine) -> Affine:
    """The way back. The affine must not be flat, which `crop_to_picture` never is."""
    linear = np.linalg.inv(affine[:, :2])
    return np.column_stack([linear, -linear @ affine[:, 2]])


def apply(affine: Affine, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """N x 2 points moved by `affine`."""
    return np.asarray(points @ affine[:, :2].T + affine[:, 2], np.float64)


def aligned_crops(
    image: Image, squares: Sequence[Square], size: int, out: NDArray[np.uint8] | None = None
) -> AlignedCrops:
    """Show each square as a crop `size` pixels wide and high, level, by one warp a face.

    The pixels are `out[:N]` where `out` is given (at least N long), else a new array. Outside the picture the nearest
    edge pixel is repeated; a square wholly outside gives some crop of that kind. An empty picture gives black.
    """
    if out is None:
        out = np.empty((len(squares), size, size, 3), np.uint8)
    pixels = out[: len(squares)]
    to_picture = np.empty((len(squares), 2, 3), np.float64)
    for crop, square, affine in zip(pixels, squares, to_picture, strict=True):
        affine[:] = crop_to_picture(square, size)
        if image.shape[0] == 0 or image.shape[1] == 0:
            crop[:] = 0
        else:
            _warp(image, crop, square, affine)
    return AlignedCrops(pixels, to_picture)


def _warp(image: Image, crop: NDArray[np.uint8], square: Square, affine: Affine) -> None:
    """Fill `crop`, averaging first where the face is much larger."""
    # OpenCV refuses to warp from very large pictures, and averaging all of one would cost too much.
    reach = square.side * (abs(math.cos(square.angle)) + abs(math.sin(square.angle))) / 2
    left, right = _window(square.x - reach, square.x + reach, image.shape[1])
    top, bottom = _window(square.y - reach, square.y + reach, image.shape[0])
    patch = image[top:bottom, left:right]
    patch, shrink = _shrunk(patch, square.side / len(crop))
    back = affine.copy()
    back[:, 2] -= left, top
    back /= shrink[:, None]
    # OpenCV counts from the first pixel's centre, on both sides of the map.
    back[:, 2] += back[:, :2].sum(axis=1) * 0.5 - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cv2.warpAffine(patch, back, (len(crop), len(crop)), crop, flags, cv2.BORDER_REPLICATE)


def _shrunk(patch: Image, scale: float) -> tuple[Image, NDArray[np.float64]]:
    """The patch averaged until a crop's pixel is about one of its own, of `scale` at first; and by how much, across and down."""
    shrink = np.ones(2)
    while scale >= _HALVE_FROM and min(patch.shape[:2]) >= 2:
        height, width = patch.shape[0] // 2, patch.shape[1] // 2
        patch = np.asarray(
            cv2.resize(patch[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA), np.uint8
        )
        scale, shrink = scale / 2, shrink * 2
    if scale >= _SHRINK_FROM:
        height, width = patch.shape[:2]
        smaller = max(1, round(width / scale)), max(1, round(height / scale))
        patch = np.asarray(cv2.resize(patch, smaller, interpolation=cv2.INTER_AREA), np.uint8)
        shrink = shrink * (width / smaller[0], height / smaller[1])
    return patch, shrink


def _window(start: float, end: float, length: int) -> tuple[int, int]:
    """The part of one axis that a crop can touch, at least one pixel."""
    first = min(max(math.floor(start) - _SURROUND, 0), length - 1)
    return first, min(max(math.ceil(end) + _SURROUND, first + 1), length)
