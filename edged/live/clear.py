"""Clear views: who sees a camera's faces unhidden, why, and until when; each is recorded when it begins, and ends by itself."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from edged.config import PrivacyConfig
from edged.live.question import LONGEST_TEXT

LEFT_AFTER_S = 10.0
"""A view that had no viewer for so long is over."""
MOST = 16

Record = Callable[[str, str, str, int], None]
"""Takes camera, who, reason, and for how many minutes."""


@dataclass(slots=True)
class _View:
    until_s: float
    asked_s: float


@dataclass(slots=True, frozen=True)
class ClearView:
    """One that stands now. `left_s`: until it ends by itself."""

    camera: str
    who: str
    reason: str
    left_s: float


class ClearViews:
    """Thread-safe; time comes in, as monotonic seconds."""

    def __init__(self, record: Record) -> None:
        self.privacy = PrivacyConfig()
        self.seconds = 0.0
        """For how long cameras have been seen clearly, all views together."""
        self._record = record
        self._lock = threading.Lock()
        self._views: dict[tuple[str, str, str], _View] = {}
        self._summed_s: float | None = None

    def ask(self, camera: str, who: str, reason: str, now_s: float) -> str | None:
        """Why it is refused, or None; begins a view, or goes on with the one that this person began for this reason.

        A view that has ended by itself is refused until no viewer has asked for a while: a page left open must not go on.
        """
        if not self.privacy.clear_view:
            return "the clear picture is not allowed on this device: privacy.clear_view = false"
        if not (len(who.strip()) > 0 and len(reason.strip()) > 0 and max(len(who), len(reason)) <= LONGEST_TEXT):
            return f"the clear picture needs who asks, and a reason, of at most {LONGEST_TEXT} characters each"
        key = camera, who, reason
        with self._lock:
            self._forget(now_s)
            view = self._views.get(key)
            if view is None:
                if len(self._views) >= MOST:
                    return "too many clear views at once; ask again in a moment"
                minutes = self.privacy.clear_view_minutes
                view = self._views[key] = _View(now_s + 60.0 * minutes, now_s)
                self._record(camera, who, reason, minutes)
            view.asked_s = now_s
            if now_s >= view.until_s:
                return "the clear view has ended; close the picture, and ask again with a reason"
        return None

    def standing(self, now_s: float) -> list[ClearView]:
        """Those that have a viewer now; call about once a second."""
        with self._lock:
            self._forget(now_s)
            found = [
                ClearView(*key, left_s=view.until_s - now_s)
                for key, view in self._views.items()
                if now_s < view.until_s
            ]
            if self._summed_s is not None:
                self.seconds += len({view.camera for view in found}) * (now_s - self._summed_s)
            self._summed_s = now_s
        return found

    def _forget(self, now_s: float) -> None:
        self._views = {key: view for key, view in self._views.items() if now_s - view.asked_s <= LEFT_AFTER_S}
