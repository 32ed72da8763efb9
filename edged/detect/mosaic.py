"""Lays parts of one picture side by side on one small canvas, so that one run of a detector looks at them all; pure geometry."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edged.types import Box, Image

MARGIN = 0.75
"""How far around an expected face is looked, in units of its longer side: nobody walks further from one picture to the next,
at 15 a second, than he was expected to."""
FACE = 80.0
"""Longer side, in canvas pixels, at which larger expected faces are looked at, whatever their size in the picture: a box
trembles by as much of a face then, near and far."""
STEP = 8
"""Parts begin at multiples of the network's finest stride, in the picture and on the canvas: who keeps still is seen alike."""
UNIT = 32
"""A canvas measures multiples of this."""
LONGEST = 1280
"""No engine is built for a longer canvas."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a picture and its place on the canvas."""

    left: int
    top: int
    right: int
    bottom: int
    """In the picture's pixels, within it; right and bottom exclusive."""
    scale: float
    """Canvas pixels a picture pixel."""
    x: int = 0
    y: int = 0
    """Where its top left corner is on the canvas."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on the canvas."""
        return (
            max(1, round((self.right - self.left) * self.scale)),
            max(1, round((self.bottom - self.top) * self.scale)),
        )


def around(box: Box, width: int, height: int, largest_scale: float) -> Part | None:
    """The neighbourhood of an expected face in a picture of that size; None where none of it is within the picture."""
    side = max(box.width, box.height)
    scale = min(largest_scale, FACE / side)
    step = STEP / scale
    left, top = (int(math.floor((value - MARGIN * side) / step) * step) for value in box[:2])
    right, bottom = (math.ceil(value + MARGIN * side) for value in box[2:])
    part = Part(max(left, 0), max(top, 0), min(right, width), min(bottom, height), scale)
    return part if part.left < part.right and part.top < part.bottom else None


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Parts with their places; none overlaps another. Width and height are multiples of UNIT."""

    parts: tuple[Part, ...]
    width: int
    height: int

    @property
    def area(self) -> int:
        """Pixels of the canvas."""
        return self.width * self.height

    def draw(self, image: Image) -> Image:
        """A new canvas, black between the parts."""
        canvas = np.zeros((self.height, self.width, 3), np.uint8)
        for part in self.parts:
            width, height = part.size
            seen = image[part.top : part.bottom, part.left : part.right]
            there = canvas[part.y : part.y + height, part.x : part.x + width]
            if part.scale == 1:
                there[:] = seen
            else:
                way = cv2.INTER_AREA if part.scale < 1 else cv2.INTER_LINEAR
                cv2.resize(seen, (width, height), dst=there, interpolation=way)
        return canvas


def arrange(parts: Sequence[Part]) -> Mosaic:
    """Place `parts` (at least one) in rows, the highest first, on the smallest canvas among some widths, of equals the squarest."""
    ranked = sorted(parts, key=lambda part: -part.size[1])
    canvases = (_in_rows(ranked, width) for width in _widths(ranked))
    return min(canvases, key=lambda mosaic: (mosaic.area, mosaic.width + mosaic.height))


def _widths(parts: Sequence[Part]) -> Iterator[int]:
    """From that of the widest part to that of all in one row, at most a dozen."""
    least = _up(max(part.size[0] for part in parts), UNIT)
    most = min(_up(sum(_up(part.size[0], STEP) for part in parts), UNIT), max(LONGEST, least))
    yield from range(least, most + 1, UNIT * max(1, (most - least) // (11 * UNIT)))


def _in_rows(parts: Sequence[Part], width: int) -> Mosaic:
    """`parts` from the highest down, from left to right and from the top down, on a canvas of that width."""
    placed = []
    x = y = row = 0
    for part in parts:
        part_width, part_height = (_up(side, STEP) for side in part.size)
        if x + part_width > width:
            x, y, row = 0, y + row, 0
        placed.append(Part(part.left, part.top, part.right, part.bottom, part.scale, x, y))
        x, row = x + part_width, max(row, part_height)
    return Mosaic(tuple(placed), width, _up(y + row, UNIT))


def _up(length: int, unit: int) -> int:
    return -(-length // unit) * unit
