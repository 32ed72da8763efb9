"""Lays parts of one picture side by side on one small canvas, so that one run of a detector covers them all: the crop pass."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edged.types import Box, Image

MARGIN = 0.75
"""How far a crop extends around an expected face, in units of its longer side: nobody walks further from one picture to the next,
at 15 a second, than he was expected to."""
ROOM = 48.0
"""The least by which it extends, in canvas pixels. With less of the picture around it a small face scores less than in a full
pass: one of up to 24 pixels by 1.06 in logits without this, by 0.14 with it, one of up to 40 by 0.52 and 0.19."""
FACE = 112.0
"""Longer side, in canvas pixels, up to which an expected face is scaled as in the whole picture; larger ones at the half, the
quarter and so on, down to this. A scale that followed every change of size would make the box tremble."""
STEP = 16
"""Parts begin and end at multiples of so many canvas pixels, in the picture and on the canvas: who keeps still is seen alike."""
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
    def area(self) -> int:
        """Pixels of the picture."""
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on the canvas."""
        return (
            max(1, round((self.right - self.left) * self.scale)),
            max(1, round((self.bottom - self.top) * self.scale)),
        )


def around(box: Box, width: int, height: int, largest_scale: float) -> Part | None:
    """The crop around an expected face in a picture of that size; None where none of it is within the picture."""
    side = max(box.width, box.height)
    halvings = max(0, math.ceil(math.log2(largest_scale * side / FACE)))
    scale = largest_scale / 2**halvings
    step, room = STEP / scale, max(MARGIN * side, ROOM / scale)
    left, top = (round(math.floor((value - room) / step) * step) for value in box[:2])
    right, bottom = (round(math.ceil((value + room) / step) * step) for value in box[2:])
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
                _resize(seen, there)
        return canvas


def _resize(seen: Image, there: Image) -> None:
    """Averaged down, interpolated up. Halves first, which is several times as fast as the same in one odd step."""
    height, width = there.shape[:2]
    while seen.shape[0] >= 2 * height and seen.shape[1] >= 2 * width:
        even = seen[: seen.shape[0] // 2 * 2, : seen.shape[1] // 2 * 2]
        seen = np.asarray(cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    way = cv2.INTER_AREA if width < seen.shape[1] else cv2.INTER_LINEAR
    cv2.resize(seen, (width, height), dst=there, interpolation=way)


def merged(parts: Sequence[Part]) -> list[Part]:
    """The same places in fewer parts: of one scale and so near to each other that one part around both is no larger."""
    left: list[Part] = []
    for part in parts:
        while (other := next((one for one in left if _is_joined(part, one)), None)) is not None:
            left.remove(other)
            part = _joint(part, other)
        left.append(part)
    return left


def _joint(a: Part, b: Part) -> Part:
    """The smallest part that holds both."""
    left, top = min(a.left, b.left), min(a.top, b.top)
    return Part(left, top, max(a.right, b.right), max(a.bottom, b.bottom), a.scale)


def _is_joined(a: Part, b: Part) -> bool:
    return a.scale == b.scale and _joint(a, b).area <= a.area + b.area


def arrange(parts: Sequence[Part]) -> Mosaic:
    """Place `parts` (at least one) in rows, the highest first, on the smallest canvas of some widths; of equals the squarest."""
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
