"""Where frames wait for analysis: one place per camera, the newest frame wins, cameras take turns."""

import threading
import time

from edged.types import Frame


class FrameInbox:
    """A bounded hand-over between many capture threads and one analysis thread."""

    def __init__(self, cameras: list[str]) -> None:
        self._frames: dict[str, Frame | None] = dict.fromkeys(cameras)
        self._dropped: dict[str, int] = dict.fromkeys(cameras, 0)
        self._order = list(cameras)
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
        """The next camera's newest frame, cameras in turn; None when none comes in time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._closed:
                for camera in self._order:
                    frame = self._frames[camera]
                    if frame is not None:
                        self._frames[camera] = None
                        self._order.remove(camera)
                        self._order.append(camera)
                        self._changed.notify_all()
                        return frame
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return None
        return None

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
