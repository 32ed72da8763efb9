"""One camera's state, and what is wrong with its pictures: the one place where that is kept and logged."""

import logging
import threading
import time
import zlib
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from edged.types import CameraStatus, Image

Trouble = Literal["frozen", "black", "covered"]

IN_WORDS: dict[Trouble, str] = {
    "frozen": "it gives the very same picture again and again; it is opened again from time to time",
    "black": "its pictures are black: switch on the light, and take off the cap",
    "covered": "its pictures show nothing: see what is in front of the lens",
}

CHECK_EVERY_S = 0.5
FROZEN_AFTER_S = 10.0
"""A sensor's noise changes every picture; the very same one for this long comes from a driver that repeats itself."""
BAD_AFTER_S = 5.0
GOOD_AFTER_S = 1.5
THUMBNAIL = 64
"""Rows and columns of the subsample, at most."""
BLACK_MEAN, NOT_BLACK_MEAN = 12.0, 20.0
"""Brightness, 0 to 255, below which a picture is black, and above which it no longer is."""
FLAT_DEVIATION, NOT_FLAT_DEVIATION = 4.0, 8.0
"""Standard deviation of brightness: that of a hand, tape or paint over the lens, and that of a scene."""


class PictureFigures(NamedTuple):
    """Of a subsampled picture: mean and standard deviation of brightness, 0 to 255, and the pixels' checksum."""

    mean: float
    deviation: float
    checksum: int


def figures(image: Image) -> PictureFigures:
    """Of a subsample, every n-th row and column: no resize, a few thousand values."""
    height, width = image.shape[:2]
    thumbnail = np.ascontiguousarray(image[:: max(1, height // THUMBNAIL), :: max(1, width // THUMBNAIL)])
    return PictureFigures(float(thumbnail.mean()), float(thumbnail.mean(axis=2).std()), zlib.crc32(thumbnail.tobytes()))


class PictureMonitor:
    """Detects frozen, black and covered pictures of one camera; pure: time comes in with the picture."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None
        self._next_check_s = float("-inf")
        self._checksum: int | None = None
        self._same_since_s = 0.0
        self._bad: Trouble | None = None
        self._since_s = 0.0

    def check(self, time_s: float, image: Image) -> Trouble | None:
        """The trouble after this picture, None when there is none; most calls do nothing."""
        if time_s < self._next_check_s:
            return self.trouble
        self._next_check_s = time_s + CHECK_EVERY_S
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
        # Hysteresis: the limits of a trouble that stands are wider.
        if seen.deviation < (NOT_FLAT_DEVIATION if self.trouble in ("black", "covered") else FLAT_DEVIATION):
            return "black" if seen.mean < (NOT_BLACK_MEAN if self.trouble == "black" else BLACK_MEAN) else "covered"
        return "frozen" if time_s - self._same_since_s >= FROZEN_AFTER_S else None


log = logging.getLogger(__name__)

NOT_OPENED = "not opened yet"


@dataclass(frozen=True, slots=True)
class CameraState:
    """What is known about a camera at one moment."""

    status: CameraStatus
    since_s: float
    reconnects: int
    reason: str | None
    frames: int
    """Pictures seen since the start."""
    trouble: Trouble | None = None
    """What is wrong with the pictures of a camera that is online: they stand still, or show nothing; `reason` says it."""

    @property
    def is_opening(self) -> bool:
        """Whether it is being opened for the first time: it is not known yet whether it can be."""
        return self.reason == NOT_OPENED


class StateKeeper:
    """One camera's state; written by its thread, read by all."""

    def __init__(self, camera: str, source: str, stall_seconds: float) -> None:
        """`source` is fit for people."""
        self._camera, self._source, self._stall_seconds = camera, source, stall_seconds
        self._lock = threading.Lock()
        now = time.monotonic()
        self._state = CameraState("offline", now, 0, NOT_OPENED, 0)
        self._last_picture_s = now

    def state(self) -> CameraState:
        """The present state; a camera that is open but silent for `stall_seconds` is stalled."""
        with self._lock:
            state, silent_s = self._state, time.monotonic() - self._last_picture_s
        if state.status == "online" and silent_s >= self._stall_seconds:
            return replace(
                state, status="stalled", since_s=time.monotonic() - silent_s, reason=f"no picture for {silent_s:.0f} s"
            )
        return state

    def seen(self, pictures: int = 1) -> None:
        """Count pictures; 0 says that the source works, but waits for analysis."""
        with self._lock:
            self._last_picture_s = time.monotonic()
            self._state = replace(self._state, frames=self._state.frames + pictures)

    def became(self, status: CameraStatus, reason: str | None) -> None:
        """Set the status, and log it once, not at every retry."""
        now = time.monotonic()
        with self._lock:
            old = self._state
            again = status == "online" and old.frames > 0
            since = now if old.status != status else old.since_s
            self._state = CameraState(status, since, old.reconnects + again, reason, old.frames)
            if status == "online":
                self._last_picture_s = now
        if old.status != status or old.reason != reason:
            level = logging.INFO if status in ("online", "paused") else logging.WARNING
            name = self._camera if reason and reason.startswith(self._source) else f"{self._camera} ({self._source})"
            log.log(level, "camera %s is %s%s", name, status, f": {reason}" if reason else "")

    def troubled(self, trouble: Trouble | None) -> None:
        """Set what is wrong with the pictures, or that nothing is."""
        with self._lock:
            old = self._state
            if old.trouble == trouble:
                return
            reason = IN_WORDS[trouble] if trouble else None
            self._state = replace(old, trouble=trouble, reason=reason)
        if trouble:
            log.warning("camera %s (%s): %s", self._camera, self._source, reason)
        else:
            log.info("camera %s (%s) gives good pictures again", self._camera, self._source)
