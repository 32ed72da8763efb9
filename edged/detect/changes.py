"""Compares downsampled pictures of one camera: which cells have changed, and whether another scene begins."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.types import Box, Image

CELL = 16
"""Side of a cell in pixels; a little less where the picture is no multiple of it. The smallest face worth finding is half as
large again, and fills most of one."""

SAMPLED = 4
"""A cell is the mean of so many times so many of its pixels: enough of them to average a sensor's noise away."""

CHANGE = 8
"""Steps of brightness or colour, of 255, by which a cell of an unchanged scene may differ. Sixteen pixels' mean noise is a
quarter of theirs: a sensor's in good light stays below, and where it does not, the detector runs on every picture."""

ROWS, COLUMNS = 14, 24
"""Of the grey thumbnails by which scenes are distinguished: people are a few cells of one, the scene is the rest."""
ALIKE = 0.35
"""Correlation of two grey thumbnails below which they are of two scenes. Brightness and contrast do not count. Over seventeen
recordings it is at most 0.22 across nine cuts, at least 0.68 within a scene at 4 pictures a second, and 0.40 where one
camera's recording of one person leaps."""
FLAT = 4.0
"""Steps of brightness, of 255. A grey thumbnail whose standard deviation is smaller shows nothing that could be compared: a lens
that is covered, a flash, the dark between two scenes."""


class Cells(NamedTuple):
    """A part of a thumbnail, within it; right and bottom exclusive. Without cells where right <= left or bottom <= top."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view of this part of an array with a thumbnail's rows and columns."""
        return array[self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """A downsampled picture."""

    colours: NDArray[np.uint8]
    """Rows x columns x 3, each the mean of sixteen of the pixels of a cell."""
    height: int
    width: int
    """The picture's, in pixels."""

    def is_like(self, other: "Thumbnail") -> bool:
        """Whether both are of pictures of one size."""
        return (self.height, self.width) == (other.height, other.width)

    def touched(self, box: Box, margin: float) -> Cells:
        """All cells of which something is at most `margin` (in units of its longer side) from `box`, which is finite."""
        left, top, right, bottom = self._extent(box, margin)
        return self._clipped(math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))

    def within(self, box: Box, margin: float) -> Cells:
        """All cells of which nothing is further than `margin` (in units of its longer side) from `box`, which is finite."""
        left, top, right, bottom = self._extent(box, margin)
        return self._clipped(math.ceil(left), math.ceil(top), math.floor(right), math.floor(bottom))

    def _extent(self, box: Box, margin: float) -> tuple[float, float, float, float]:
        rows, columns = self.colours.shape[:2]
        across, down = columns / max(self.width, 1), rows / max(self.height, 1)
        room = margin * max(box.width, box.height)
        return (box.x1 - room) * across, (box.y1 - room) * down, (box.x2 + room) * across, (box.y2 + room) * down

    def _clipped(self, left: int, top: int, right: int, bottom: int) -> Cells:
        rows, columns = self.colours.shape[:2]
        return Cells(max(left, 0), max(top, 0), max(min(right, columns), 0), max(min(bottom, rows), 0))


def downsampled(image: Image, rows: int, columns: int) -> Image:
    """`image`, which has pixels, as rows x columns cells, each the mean of SAMPLED x SAMPLED of its pixels."""
    # The nearest pixels first, which costs next to nothing, and only of these the mean.
    few = cv2.resize(image, (columns * SAMPLED, rows * SAMPLED), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(few, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def thumbnail(image: Image) -> Thumbnail:
    """A picture without pixels gives a thumbnail without cells."""
    height, width = image.shape[:2]
    rows, columns = -(-height // CELL), -(-width // CELL)
    colours = downsampled(image, rows, columns) if rows and columns else np.empty((0, 0, 3), np.uint8)
    return Thumbnail(colours, height, width)


def differ(one: NDArray[np.uint8], other: NDArray[np.uint8], by: float = CHANGE) -> "NDArray[np.bool_]":
    """Which cells of two parts of thumbnails, of one shape, differ by more than this in some colour: rows x columns."""
    if not one.size:
        return np.zeros(one.shape[:2], np.bool_)
    return np.asarray(cv2.absdiff(one, other).max(axis=2) > by)


def changed(now: Thumbnail, before: Thumbnail) -> "NDArray[np.bool_]":
    """The cells that differ, rows x columns, of two pictures of one size."""
    return differ(now.colours, before.colours)


class SceneCuts:
    """Notices a cut: in a recording, or when the camera was turned or swapped. Who was followed before is not there any more,
    however near to their place somebody else now stands. Each picture costs some hundredths of a millisecond.
    """

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        """The last picture that showed something."""

    def is_cut(self, image: Image) -> bool:
        """Whether this picture begins another scene."""
        now = _normalised(image)
        if now is None:
            return False
        last, self._last = self._last, now
        return last is not None and float((last * now).mean()) < ALIKE

    def forget(self) -> None:
        """The next picture begins a scene that nothing is compared with."""
        self._last = None


def _normalised(image: Image) -> NDArray[np.float32] | None:
    """The grey thumbnail with mean 0 and standard deviation 1; None of what is flat or has no pixels."""
    if not image.size:
        return None
    grey = cv2.cvtColor(downsampled(image, ROWS, COLUMNS), cv2.COLOR_BGR2GRAY)
    deviation = float(grey.std())
    if deviation < FLAT:
        return None
    return np.asarray((grey.astype(np.float32) - grey.mean()) / deviation, np.float32)
