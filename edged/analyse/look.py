"""What a place in the picture looks like, in a few hundred numbers: enough to tell whether it still looks the very same."""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.types import Box, Image

Look: TypeAlias = NDArray[np.float32]
"""SIDE x SIDE grey values without their mean, of length 1: brightness and contrast leave it as it is."""

SIDE = 24
LEAST_BOX = 6
"""Pixels; there is nothing to compare in less."""
LEAST_CONTRAST = 2.0
"""Standard deviation in grey levels; in the dark there is nothing but noise."""


def look_at(image: Image, box: Box) -> Look | None:
    """The look of `box` as far as it lies in the picture; None where there is nothing to see."""
    height, width = image.shape[:2]
    left, right = (min(max(round(x), 0), width) for x in (box.x1, box.x2))
    top, bottom = (min(max(round(y), 0), height) for y in (box.y1, box.y2))
    if right - left < LEAST_BOX or bottom - top < LEAST_BOX:
        return None
    grey = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_BGR2GRAY)
    small = np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)
    return None if small.std() < LEAST_CONTRAST else _unit(small)


def blended(looks: list[Look]) -> Look:
    """The mean of looks at one place: noise and trembling go, what is there stays."""
    return _unit(np.mean(looks, axis=0, dtype=np.float32))


def likeness(a: Look, b: Look) -> float:
    """1 for the very same look, 0 for looks that have nothing in common: the correlation of their grey values."""
    return float((a * b).sum())


def _unit(grey: NDArray[np.float32]) -> Look:
    centred = grey - grey.mean()
    return np.asarray(centred / max(float(np.sqrt((centred * centred).sum())), 1e-6), np.float32)
