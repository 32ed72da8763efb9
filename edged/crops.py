"""Cuts faces out of a picture as square crops of one size: the same function in training and in service."""

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.arrays import FARTHEST_PX
from edged.errors import ModelError
from edged.ports import Engine
from edged.types import Box, Image


def square_crops(
    image: Image, boxes: Sequence[Box], size: int, margin: float, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Cut one square a box, of side `margin` times the box's longer side, centred on the box, resized to `size`.

    Returns N x size x size x 3 BGR uint8: `out[:N]` where `out` is given (at least N long), else a new array.
    Outside the picture the nearest edge pixel is repeated. A box that is empty, not finite or wholly outside gives
    some crop of that kind too, never an error: its owner decides what such a face is worth. An empty picture gives black.
    """
    if out is None:
        out = np.empty((len(boxes), size, size, 3), np.uint8)
    crops = out[: len(boxes)]
    height, width = image.shape[:2]
    for crop, box in zip(crops, boxes, strict=True):
        if height == 0 or width == 0:
            crop[:] = 0
            continue
        x, y, side = _square(box, margin, width, height)
        if side > size:
            _shrink(image, crop, x, y, side)
        else:
            _grow(image, crop, x, y, side)
    return crops


def tame(value: float) -> float:
    """A coordinate, pulled in where it is beyond every picture; 0 where it is not finite."""
    return max(-FARTHEST_PX, min(FARTHEST_PX, value)) if math.isfinite(value) else 0.0


def _square(box: Box, margin: float, width: int, height: int) -> tuple[float, float, float]:
    """Left, top and side of the square, at least one pixel wide and touching the picture or its near surroundings."""
    x1, y1, x2, y2 = map(tame, box)
    side = max(margin * max(x2 - x1, y2 - y1), 1.0)
    x = max(-side, min(float(width), (x1 + x2 - side) / 2))
    y = max(-side, min(float(height), (y1 + y2 - side) / 2))
    return x, y, side


def _shrink(image: Image, crop: NDArray[np.uint8], x: float, y: float, side: float) -> None:
    """Average the part inside the picture into its place in `crop`, then repeat the edges there."""
    size = len(crop)
    left, right, column, column_end = _overlap(x, side, size, image.shape[1])
    top, bottom, row, row_end = _overlap(y, side, size, image.shape[0])
    inside = cv2.resize(
        image[top:bottom, left:right], (column_end - column, row_end - row), interpolation=cv2.INTER_AREA
    )
    crop[row:row_end, column:column_end] = inside
    crop[row:row_end, :column] = crop[row:row_end, column : column + 1]
    crop[row:row_end, column_end:] = crop[row:row_end, column_end - 1 : column_end]
    crop[:row] = crop[row]
    crop[row_end:] = crop[row_end - 1]


def _overlap(start: float, side: float, size: int, length: int) -> tuple[int, int, int, int]:
    """Along one axis: the picture's part (first, end) and the crop's part (first, end) that show each other."""
    first = min(max(round(start), 0), length - 1)
    end = min(max(round(start + side), first + 1), length)
    scale = size / side
    place = min(max(round((first - start) * scale), 0), size - 1)
    place_end = min(max(round((end - start) * scale), place + 1), size)
    return first, end, place, place_end


def _grow(image: Image, crop: NDArray[np.uint8], x: float, y: float, side: float) -> None:
    """Interpolate to sub-pixel places, which matters when the whole face is a dozen pixels."""
    left, right = _window(x, side, image.shape[1])
    top, bottom = _window(y, side, image.shape[0])
    scale = side / len(crop)
    # Pixel centres lie at +0.5 on both sides of the map.
    offset = 0.5 * scale - 0.5
    back = np.array([[scale, 0, x + offset - left], [0, scale, y + offset - top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = image[top:bottom, left:right]
    cv2.warpAffine(patch, back, (len(crop), len(crop)), crop, flags, cv2.BORDER_REPLICATE)


def _window(start: float, side: float, length: int) -> tuple[int, int]:
    """The part of one axis that interpolation can touch: OpenCV refuses to warp from very large pictures."""
    first = min(max(math.floor(start) - 2, 0), length - 1)
    return first, min(max(math.ceil(start + side) + 2, first + 1), length)


def probabilities(engine: Engine, inputs: Mapping[str, NDArray[np.uint8]], kind: str) -> list[list[float]]:
    """What a classifier of three classes says of each crop in its one input. Raise ModelError for a model that is no `kind`."""
    (crops,) = inputs.values()
    output = engine.run(inputs).get("probabilities")
    if output is None or output.shape != (len(crops), 3) or not ((output >= 0) & (output < 1.01)).all():
        raise ModelError(
            f"model {engine.name}: its output is not {len(crops)} x 3 probabilities; "
            f"it is not {kind} of edged's: name another in the config"
        )
    rows: list[list[float]] = output.tolist()
    return rows
