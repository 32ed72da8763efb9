"""Chooses which pictures of a stream are wanted, so that at most so many a second are."""

CREDIT = 0.98
"""Part of an interval after which the next picture is due: a camera's own jitter must not halve the rate."""


class Pace:
    """Told of every picture's time, says which to take."""

    def __init__(self, fps: float) -> None:
        self._interval_s = CREDIT / fps
        self._next_due_s: float | None = None

    def due(self, time_s: float) -> bool:
        """Whether the picture of this moment is to be taken; call once for each picture, times not falling."""
        if self._next_due_s is None:
            self._next_due_s = time_s + self._interval_s
            return True
        if time_s < self._next_due_s:
            return False
        # One interval of credit: streams come in bursts, and the late half of a pair must not cost a turn.
        self._next_due_s = max(self._next_due_s, time_s - self._interval_s) + self._interval_s
        return True
