"""Where frames wait for analysis: one place per camera, the newest frame wins, cameras share the analysis fairly."""

import threading
import time
from collections.abc import Callable

from edged.types import Frame

MOST_LEAD_S = 0.3
"""A camera that was away makes the others wait for so long at most, and for one frame of its own."""


class FrameInbox:
    """A bounded hand-over between many capture threads and one analysis thread.

    What is shared is the analysis' time, not its frames: of the cameras that wait, the one comes next that has had least of
    it. So a camera that asks for less than its share gets all it asks for, however many large and crowded pictures the
    others send. A frame costs the time from its `take` to the next.
    """

    def __init__(self, cameras: list[str], clock_s: Callable[[], float] = time.monotonic) -> None:
        self._frames: dict[str, Frame | None] = dict.fromkeys(cameras)
        self._dropped: dict[str, int] = dict.fromkeys(cameras, 0)
        self._order = list(cameras)
        """Of cameras that have had as much, the one that was served longest ago comes first."""
        self._clock_s = clock_s
        self._had_s: dict[str, float] = dict.fromkeys(cameras, 0.0)
        """Of the analysis' time; never less than MOST_LEAD_S behind the others that wait."""
        self._served: tuple[str, float] | None = None
        """The camera served last, and when."""
        self._changed = threading.Condition()
        self._closed = False

    def offer(self, frame: Frame) -> None:
        """Leave the newest frame; one that was not taken yet is dropped and counted."""
        with self._changed:
            if self._frames[frame.camera] is not None:
                self._dropped[frame.camera] += 1
            self._frames[frame.camera] = frame
            self._changed.notify_all()

    def offer_patiently(self, frame: Frame, timeout_s: float) -> bool:
        """Leave a frame of a recording, which can wait: return False when the last one is still there at time-out."""
        with self._changed:
            free = self._changed.wait_for(lambda: self._closed or self._frames[frame.camera] is None, timeout_s)
            if not free or self._closed:
                return False
            self._frames[frame.camera] = frame
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float) -> Frame | None:
        """The newest frame of the camera whose turn it is; None when none comes in time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._pay()
            while not self._closed:
                waiting = [camera for camera in self._order if self._frames[camera] is not None]
                if waiting:
                    return self._serve(waiting)
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return None
        return None

    def _serve(self, waiting: list[str]) -> Frame | None:
        camera = min(waiting, key=self._had_s.__getitem__)
        others_s = [self._had_s[name] for name in waiting if name != camera]
        self._had_s[camera] = max(self._had_s[camera], min(others_s, default=0.0) - MOST_LEAD_S)
        self._served = camera, self._clock_s()
        self._order.remove(camera)
        self._order.append(camera)
        frame, self._frames[camera] = self._frames[camera], None
        self._changed.notify_all()
        return frame

    def _pay(self) -> None:
        """Book what the last frame has cost."""
        if self._served is None:
            return
        camera, since_s = self._served
        self._had_s[camera] += max(0.0, self._clock_s() - since_s)
        self._served = None

    def is_empty(self) -> bool:
        """Whether every frame has been taken."""
        with self._changed:
            return all(frame is None for frame in self._frames.values())

    def take_dropped(self, camera: str) -> int:
        """How many frames of `camera` were dropped since this was last asked."""
        with self._changed:
            dropped, self._dropped[camera] = self._dropped[camera], 0
            return dropped

    def close(self) -> None:
        """Wake everybody who waits; nothing is handed over from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
