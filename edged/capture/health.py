"""Tells pictures that stand still or show nothing from good ones; pure: time comes in with the picture."""

import zlib
from typing import Literal, NamedTuple

import numpy as np

from edged.types import Image

Trouble = Literal["frozen", "black", "covered"]

IN_WORDS: dict[Trouble, str] = {
    "frozen": "it gives the very same picture again and again; it is opened anew from time to time",
    "black": "its pictures are black: switch on the light, and take off the cap",
    "covered": "its pictures show nothing: see what is in front of the lens",
}

LOOK_EVERY_S = 0.5
FROZEN_AFTER_S = 10.0
"""A sensor's noise changes every picture; the very same one for this long comes from a driver that repeats itself."""
BAD_AFTER_S = 5.0
GOOD_AFTER_S = 1.5
THUMBNAIL = 64
"""Rows and columns looked at, at most."""
BLACK_MEAN, NOT_BLACK_MEAN = 12.0, 20.0
"""Brightness, 0 to 255, below which a picture is black, and above which it no longer is."""
FLAT_DEVIATION, NOT_FLAT_DEVIATION = 4.0, 8.0
"""Standard deviation of brightness: that of a hand, tape or paint over the lens, and that of a scene."""


class PictureFigures(NamedTuple):
    """What a thumbnail tells: mean and standard deviation of brightness, 0 to 255, and the pixels' checksum."""

    mean: float
    deviation: float
    checksum: int


def figures(image: Image) -> PictureFigures:
    """Of every so-manieth pixel: no resize, a few thousand values."""
    height, width = image.shape[:2]
    thumbnail = np.ascontiguousarray(image[:: max(1, height // THUMBNAIL), :: max(1, width // THUMBNAIL)])
    return PictureFigures(float(thumbnail.mean()), float(thumbnail.mean(axis=2).std()), zlib.crc32(thumbnail.tobytes()))


class PictureWatch:
    """Follows one camera's pictures; `trouble` is the present verdict."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None
        self._next_look_s = float("-inf")
        self._checksum: int | None = None
        self._same_since_s = 0.0
        self._bad: Trouble | None = None
        self._since_s = 0.0

    def look(self, time_s: float, image: Image) -> Trouble | None:
        """The verdict after this picture; most calls do nothing."""
        if time_s < self._next_look_s:
            return self.trouble
        self._next_look_s = time_s + LOOK_EVERY_S
        now_bad = self._judge(time_s, figures(image))
        if now_bad != self._bad:
            self._bad, self._since_s = now_bad, time_s
        patience = 0.0 if now_bad == "frozen" else GOOD_AFTER_S if now_bad is None else BAD_AFTER_S
        if time_s - self._since_s >= patience:
            self.trouble = now_bad
        return self.trouble

    def _judge(self, time_s: float, seen: PictureFigures) -> Trouble | None:
        if seen.checksum != self._checksum:
            self._checksum, self._same_since_s = seen.checksum, time_s
        # The limits of a verdict that stands are wider: no flicker at the edge.
        if seen.deviation < (NOT_FLAT_DEVIATION if self.trouble in ("black", "covered") else FLAT_DEVIATION):
            return "black" if seen.mean < (NOT_BLACK_MEAN if self.trouble == "black" else BLACK_MEAN) else "covered"
        return "frozen" if time_s - self._same_since_s >= FROZEN_AFTER_S else None
