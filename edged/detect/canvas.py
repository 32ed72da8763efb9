"""Lays a picture on the canvas that a one-stage detector runs on: scaled, and bordered to multiples of 32."""

from dataclasses import dataclass

import cv2
import numpy as np

from edged.types import Image


@dataclass(frozen=True)
class WorkingSize:
    """How large the detector sees the picture: `enlarge` times its size, but its longer side at most `long_side`.

    The bound on the side bounds memory and time, whatever the camera or the file brings.
    """

    long_side: int = 640
    enlarge: float = 2.0

    def scale(self, width: int, height: int) -> float:
        """The factor from the picture to what the network sees."""
        return min(self.long_side / max(width, height), self.enlarge)


SMALL_FACES = WorkingSize()
"""What our own detector is made for."""


class Canvas:
    """The canvas of one detector, kept from frame to frame: pictures of one camera are all of one size."""

    def __init__(self, working_size: WorkingSize, border: tuple[int, int, int] = (0, 0, 0)) -> None:
        """`border` is the colour (BGR) right of and below the picture."""
        self._working_size, self._border = working_size, border
        self._inner = (0, 0)
        self._buffer: Image = np.empty((0, 0, 3), np.uint8)

    def lay(self, image: Image) -> tuple[Image, float, float]:
        """The canvas with `image` (not empty) at its working size, and the scales along x and y; valid until the next call."""
        height, width = image.shape[:2]
        scale = self._working_size.scale(width, height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        if inner != self._inner:
            self._inner = inner
            self._buffer = np.empty((_up32(inner[1]), _up32(inner[0]), 3), np.uint8)
            self._buffer[:] = self._border
        inside = self._buffer[: inner[1], : inner[0]]
        if inner == (width, height):
            inside[:] = image
        else:
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            cv2.resize(image, inner, dst=inside, interpolation=way)
        return self._buffer, inner[0] / width, inner[1] / height


def _up32(length: int) -> int:
    return -(-length // 32) * 32
