"""Knows when a picture shows no more than one before it in which nobody was: looking for faces again would find none."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.types import Image

Glance = NDArray[np.uint8]
"""A picture's coarse look: rows x columns x 3, each the mean of sixteen of the pixels of a cell."""

CELL = 16
"""Side of a cell in pixels. The smallest face worth finding is half as large again, and fills most of one."""

SAMPLED = 4
"""Of a cell every so-manieth pixel of every so-manieth row counts: enough of them to average a sensor's noise away."""

CHANGE = 8
"""Steps of brightness or colour, of 255, by which a cell of an unchanged scene may differ. Sixteen pixels' mean noise is a
quarter of theirs: a sensor's in good light stays below, and where it does not, every picture is looked at."""

LOOK_AGAIN_S = 1.0
"""No picture tells about another for longer, whatever it shows."""


class EmptyScene:
    """One camera's last picture in which nobody was found. Times come with the pictures, in seconds."""

    def __init__(self) -> None:
        self._empty: Glance | None = None
        self._looked_s = 0.0

    def still_shows_nobody(self, time_s: float, glance: Glance) -> bool:
        """Whether that picture tells who is in this one: nobody. It is compared with that one, not with the one before,
        so that slow changes add up.
        """
        if self._empty is None or not glance.size or not 0 <= time_s - self._looked_s < LOOK_AGAIN_S:
            return False
        return glance.shape == self._empty.shape and int(cv2.absdiff(glance, self._empty).max()) <= CHANGE

    def looked(self, time_s: float, glance: Glance, *, found: bool) -> None:
        """Faces were looked for in this picture."""
        self._empty, self._looked_s = None if found else glance, time_s


def glance_at(image: Image) -> Glance:
    """A new array; a picture without pixels gives one without cells."""
    rows, columns = (-(-side // CELL) for side in image.shape[:2])
    if not (rows and columns):
        return np.empty((0, 0, 3), np.uint8)
    samples = CELL // SAMPLED
    # The nearest pixels first, which costs next to nothing, and only of these the mean.
    few = cv2.resize(image, (columns * samples, rows * samples), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(few, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
