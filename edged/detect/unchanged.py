"""Tells where a picture shows something else than one before it: looking for faces elsewhere would find none that are new."""

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


def glance_at(image: Image) -> Glance:
    """A new array; a picture without pixels gives one without cells."""
    rows, columns = (-(-side // CELL) for side in image.shape[:2])
    if not (rows and columns):
        return np.empty((0, 0, 3), np.uint8)
    samples = CELL // SAMPLED
    # The nearest pixels first, which costs next to nothing, and only of these the mean.
    few = cv2.resize(image, (columns * samples, rows * samples), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(few, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def changed(glance: Glance, before: Glance) -> "NDArray[np.bool_]":
    """The cells that differ, rows x columns, of two pictures of one size."""
    if not glance.size:
        return np.zeros(glance.shape[:2], np.bool_)
    return np.asarray(cv2.absdiff(glance, before).max(axis=2) > CHANGE)
