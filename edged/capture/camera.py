"""Keeps one camera going: opens it, paces it, reopens it with back-off, and says what state it is in."""

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import Literal

import cv2

from edged.capture.inbox import FrameInbox
from edged.capture.sources import PictureSource, open_source
from edged.config import CameraConfig
from edged.config.source import redact
from edged.errors import SourceLost
from edged.types import Frame, Image
from edged.worker import Worker

log = logging.getLogger(__name__)

MOST_BROKEN = 25
"""Pictures in a row that cannot be decoded before the source is opened anew: a cable's crackle is no loss."""
ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}

CameraStatus = Literal["online", "stalled", "reconnecting", "offline"]


@dataclass(frozen=True, slots=True)
class CameraState:
    """What is known about a camera at one moment."""

    status: CameraStatus
    since_s: float
    reconnects: int
    reason: str | None
    frames: int
    """Pictures seen since the start."""


class CameraWorker(Worker):
    """One capture thread. Its pictures go into the inbox; it never waits for whoever takes them, unless it plays a recording."""

    first_wait_s = 1.0
    longest_wait_s = 30.0
    """From one try to open a lost source to the next."""

    def __init__(self, camera: str, config: CameraConfig, inbox: FrameInbox) -> None:
        super().__init__(f"camera-{camera}")
        self.camera = camera
        self.ended = False
        """True once a recording that does not loop has played to its end."""
        self._config = config
        self._inbox = inbox
        self._lock = threading.Lock()
        self._state = CameraState("offline", time.monotonic(), 0, "not opened yet", 0)
        self._last_picture_s = time.monotonic()
        self._last_time_s = float("-inf")
        self._index = 0
        self._broken = 0

    def state(self) -> CameraState:
        """The present state; a camera that is open but silent for `stall_seconds` is stalled."""
        with self._lock:
            state, silent_s = self._state, time.monotonic() - self._last_picture_s
        if state.status == "online" and silent_s > self._config.stall_seconds:
            since = time.monotonic() - silent_s
            reason = f"no picture for {silent_s:.0f} s"
            return CameraState("stalled", since, state.reconnects, reason, state.frames)
        return state

    def is_stuck(self) -> bool:
        """A silent camera is its own matter: reported as stalled, and no reason to restart the daemon."""
        return False

    def work(self) -> None:
        """Open, play, and open again until stopped."""
        wait_s = self.first_wait_s
        while not self.stopping.is_set() and not self.ended:
            before = self._state.frames
            try:
                source = open_source(self._config.source)
            except SourceLost as error:
                self._became("offline", str(error))
            else:
                self._play(source)
                wait_s = self.first_wait_s if self._state.frames > before else wait_s
            if self.ended or self.stopping.wait(wait_s * random.uniform(0.8, 1.2)):  # noqa: S311  jitter, not a secret
                break
            wait_s = min(wait_s * 2, self.longest_wait_s)

    def _play(self, source: PictureSource) -> None:
        """Hand pictures over until the source ends, fails, or the worker is stopped."""
        try:
            if self._play_to_end(source):
                self.ended = True
                self._became("offline", "the recording has ended")
        except SourceLost as error:
            self._became("reconnecting", str(error))
        finally:
            source.close()

    def _play_to_end(self, source: PictureSource) -> bool:
        start_s = max(time.monotonic(), self._last_time_s)  # a recording opened again may have been ahead of the clock
        next_due = 0.0
        interval = 0.98 / self._config.fps  # a camera's own jitter must not halve the rate
        while not self.stopping.is_set():
            at = source.skip()
            if at is None:
                return True
            time_s = time.monotonic() if _is_camera(self._config) else start_s + at
            if source.live and not _is_camera(self._config) and self.stopping.wait(max(0.0, time_s - time.monotonic())):
                return False
            if self._state.status != "online":  # not before: a source that opens but shows nothing is no use
                self._became("online", None)
            self._seen()
            self._last_time_s = time_s
            if time_s >= next_due:
                # One interval of credit: streams come in bursts, and the late half of a pair must not cost a turn.
                next_due = max(next_due, time_s - interval) + interval if next_due > 0 else time_s + interval
                self._hand_over(source, time_s)
        return False

    def _hand_over(self, source: PictureSource, time_s: float) -> None:
        try:
            picture = source.picture()
        except SourceLost:
            self._broken += 1
            if self._broken >= MOST_BROKEN:
                self._broken = 0
                raise
            return
        self._broken = 0
        frame = Frame(self.camera, self._index, time_s, self._oriented(picture))
        self._index += 1
        if source.live:
            self._inbox.offer(frame)
        else:
            while not self._inbox.offer_patiently(frame, 0.5) and not self.stopping.is_set():
                self._seen(0)

    def _oriented(self, image: Image) -> Image:
        """Turned and cut to the region; the cut is a view, not a copy."""
        if self._config.rotation:
            image = cv2.rotate(image, ROTATIONS[self._config.rotation])  # type: ignore[assignment]
        height, width = image.shape[:2]
        left, top, right, bottom = self._config.region
        return image[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]

    def _seen(self, pictures: int = 1) -> None:
        with self._lock:
            self._last_picture_s = time.monotonic()
            old = self._state
            self._state = CameraState(old.status, old.since_s, old.reconnects, old.reason, old.frames + pictures)

    def _became(self, status: CameraStatus, reason: str | None) -> None:
        """Take up a state, and log it once, not at every retry."""
        now = time.monotonic()
        with self._lock:
            old = self._state
            again = status == "online" and old.frames > 0
            changed = old.status != status or old.reason != reason
            since = now if old.status != status else old.since_s
            self._state = CameraState(status, since, old.reconnects + again, reason, old.frames)
            if status == "online":
                self._last_picture_s = now
        if changed:
            source = redact(self._config.source)
            log.log(
                logging.INFO if status == "online" else logging.WARNING,
                "camera %s (%s) is %s%s",
                self.camera,
                source,
                status,
                f": {reason}" if reason else "",
            )


def _is_camera(config: CameraConfig) -> bool:
    """Whether pictures are of this very moment, as against of a recording's time line."""
    return not config.source.startswith(("file:", "images:"))
