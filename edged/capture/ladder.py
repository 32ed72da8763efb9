"""How long to wait before a lost camera is opened again, and when to try more than that; pure."""

from collections.abc import Callable

STEADY_S = 2.0
"""A camera that gave pictures for this long is well again: its next loss begins with the shortest wait."""
FAILURES_BEFORE_RESET = 3
RESET_EVERY_S = 600.0
MOST_RESETS = 6
"""In a row, without a picture between them; then only opening goes on, and the reason says so."""


class Ladder:
    """Counts one camera's failures. Opening again is always a new process: it costs little, and cures the most."""

    def __init__(self, first_wait_s: float, longest_wait_s: float, jitter: Callable[[], float]) -> None:
        """`jitter()` is a factor around 1."""
        self._first_wait_s, self._longest_wait_s, self._jitter = first_wait_s, longest_wait_s, jitter
        self._wait_s = first_wait_s
        self._failures = 0
        self._last_reset_s = float("-inf")
        self.resets = 0
        """Since the last time that the camera was well."""

    def worked(self, for_s: float) -> None:
        """The camera gave pictures for this long, and is lost again."""
        if for_s >= STEADY_S:
            self._wait_s = self._first_wait_s
            self._failures = self.resets = 0

    def next_wait_s(self) -> float:
        """How long to wait now; longer each time."""
        wait_s = self._wait_s * self._jitter()
        self._wait_s = min(self._wait_s * 2, self._longest_wait_s)
        self._failures += 1
        return wait_s

    def reset_is_due(self, now_s: float) -> bool:
        """Whether opening has failed so often that a reset should be tried now; counts it when so."""
        if (
            self._failures < FAILURES_BEFORE_RESET
            or self.resets >= MOST_RESETS
            or now_s - self._last_reset_s < RESET_EVERY_S
        ):
            return False
        self._last_reset_s = now_s
        self.resets += 1
        return True
