"""Makes the JPEG of a picture, faces pixelated before it is encoded, and searches the result once more for faces left over."""

from collections.abc import Sequence

import cv2
import numpy as np

from edged.ports import Detector
from edged.types import Box, Image

MOST_WIDTH = 640
QUALITY = 70
MARGIN = 0.3
"""Of a face's sides, pixelated around its box: hair, ears and chin identify a person, too."""
BLOCKS, LEAST_BLOCK = 6, 8
"""Squares across what is pixelated, and the least side of one in pixels."""
ROUNDS = 2
"""How often what the verifier has found is hidden, each time as one plain square; then the picture is withheld."""
NOT_HIDDEN = "a face in the picture could not be hidden"


def small_copy(image: Image) -> Image:
    """At most MOST_WIDTH wide, to be written to."""
    height, width = image.shape[:2]
    if width <= MOST_WIDTH:
        return image.copy()
    size = (MOST_WIDTH, max(1, round(height * MOST_WIDTH / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def jpeg(image: Image) -> bytes:
    """Encoded."""
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])


def hidden_jpeg(image: Image, boxes: Sequence[Box], verifier: Detector, sure: float) -> bytes | None:
    """The JPEG of `image`, which is written to, with `boxes` pixelated; None when faces in it cannot be hidden.

    `verifier` sees the JPEG as a viewer does; it must find nothing that scores `sure` or more.
    """
    for box in boxes:
        pixelate(image, box)
    for _ in range(ROUNDS + 1):
        encoded = jpeg(image)
        seen = np.asarray(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR), np.uint8)
        found = verifier.detect(seen)
        if not any(face.score >= sure for face in found):
            return encoded
        for face in found:
            pixelate(image, face.box, blocks=1)
    return None


def pixelate(image: Image, box: Box, blocks: int = BLOCKS) -> None:
    """Replace what is in and around `box` by at most `blocks` squares across."""
    height, width = image.shape[:2]
    x, y = MARGIN * box.width, MARGIN * box.height
    left, top = max(0, int(box.x1 - x)), max(0, int(box.y1 - y))
    right, bottom = min(width, int(box.x2 + x) + 1), min(height, int(box.y2 + y) + 1)
    if right <= left or bottom <= top:
        return
    part = image[top:bottom, left:right]
    across = (_blocks(right - left, blocks), _blocks(bottom - top, blocks))
    means = cv2.resize(part, across, interpolation=cv2.INTER_AREA)
    part[:] = cv2.resize(means, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)


def _blocks(side: int, most: int) -> int:
    return max(1, min(most, side // LEAST_BLOCK))
