"""What is known about a camera at one moment, and the one place where that is kept and logged."""

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import Literal

from edged.capture.health import IN_WORDS, Trouble

log = logging.getLogger(__name__)

CameraStatus = Literal["online", "stalled", "reconnecting", "offline"]
"""`online` gives pictures; `stalled` fell silent, and is started again; `reconnecting` has failed, and is tried again;
`offline` cannot be opened."""


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
    trouble_since_s: float = 0.0

    @property
    def is_opening(self) -> bool:
        """Whether it is being opened for the first time: nobody knows yet whether it can be."""
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
        """Count pictures; 0 says that the source is well, but waits for us."""
        with self._lock:
            self._last_picture_s = time.monotonic()
            self._state = replace(self._state, frames=self._state.frames + pictures)

    def became(self, status: CameraStatus, reason: str | None) -> None:
        """Take up a status, and log it once, not at every retry."""
        now = time.monotonic()
        with self._lock:
            old = self._state
            again = status == "online" and old.frames > 0
            since = now if old.status != status else old.since_s
            self._state = CameraState(status, since, old.reconnects + again, reason, old.frames)
            if status == "online":
                self._last_picture_s = now
        if old.status != status or old.reason != reason:
            level = logging.INFO if status == "online" else logging.WARNING
            name = self._camera if reason and reason.startswith(self._source) else f"{self._camera} ({self._source})"
            log.log(level, "camera %s is %s%s", name, status, f": {reason}" if reason else "")

    def troubled(self, trouble: Trouble | None) -> None:
        """Take up what is wrong with the pictures, or that nothing is."""
        with self._lock:
            old = self._state
            if old.trouble == trouble:
                return
            reason = IN_WORDS[trouble] if trouble else None
            self._state = replace(old, trouble=trouble, trouble_since_s=time.monotonic(), reason=reason)
        if trouble:
            log.warning("camera %s (%s): %s", self._camera, self._source, reason)
        else:
            log.info("camera %s (%s) gives good pictures again", self._camera, self._source)
