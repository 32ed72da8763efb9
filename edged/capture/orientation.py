"""Turns and mirrors pictures as the camera is mounted, into a given picture where there is one."""

import cv2
import numpy as np

from edged.capture.order import Flip
from edged.types import Image

ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
FLIPS = {"horizontal": 1, "vertical": 0}


class Orientation:
    """`rotation` degrees clockwise, then mirrored: "horizontal" swaps left and right, "vertical" top and bottom."""

    def __init__(self, rotation: int, flip: Flip) -> None:
        self._turn = ROTATIONS.get(rotation)
        self._flip = FLIPS.get(flip)
        self._between: Image | None = None

    @property
    def changes(self) -> bool:
        """Whether pictures need any work."""
        return self._turn is not None or self._flip is not None

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what becomes of such a picture."""
        return (height, width) if self._turn in (None, cv2.ROTATE_180) else (width, height)

    def apply(self, image: Image, into: Image | None = None) -> Image:
        """The picture turned and mirrored, written to `into` where given; the picture itself where nothing is to be done."""
        if self._turn is None and self._flip is None:
            if into is None:
                return image
            np.copyto(into, image)
            return into
        if self._turn is not None:
            last = self._flip is None
            turned = cv2.rotate(image, self._turn, dst=into if last else self._between)
            if last:
                return np.asarray(turned, dtype=np.uint8)
            image = self._between = np.asarray(turned, dtype=np.uint8)
        assert self._flip is not None  # noqa: S101  for the type checker
        return np.asarray(cv2.flip(image, self._flip, dst=into), dtype=np.uint8)
