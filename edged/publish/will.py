"""Chooses how the broker is asked to say that this device is gone: as well as it lets us."""

from edged.publish import problems
from edged.publish.problems import LinkDown

QUALITIES: tuple[tuple[int, bool] | None, ...] = ((1, True), (1, False), (0, False), None)
"""QoS and retention of the will, from the best to none at all."""

PATIENCE = 3
"""So often the best one is refused before another is tried: a broker that starts may refuse anything for a moment."""

REMEMBERED_S = 3600.0
"""After so long the best one is tried first again."""


class WillChoice:
    """What brokers in the cloud do not let in with a retained will, they let in with a lesser one. One thread's own."""

    def __init__(self) -> None:
        self._failures = 0
        self._level = 0
        self._settled = 0
        self._settled_at = 0.0

    def next(self, now: float) -> tuple[int, bool] | None:
        """QoS and retention to connect with, None for no will."""
        if self._settled and now - self._settled_at >= REMEMBERED_S:
            self._settled = 0
        self._level = self._settled or self._candidate()
        return QUALITIES[self._level]

    def accepted(self, now: float) -> None:
        """The broker let us in."""
        self._failures = 0
        if self._level != self._settled:
            self._settled, self._settled_at = self._level, now

    def refused(self, error: LinkDown) -> None:
        """The broker did not; count it where the will may be why."""
        self._settled = 0
        if error.code in (problems.NO_RETAIN, problems.NO_QOS):
            self._failures = max(self._failures, PATIENCE) + (0 if self._failures < PATIENCE else 1)
        elif error.refused and error.code in problems.WILL_MAY_BE_TO_BLAME:
            self._failures += 1
        else:
            self._failures = 0

    def complaint(self, prefix: str) -> str | None:
        """What does not work because of a lesser will."""
        return problems.will_refused(prefix) if self._settled else None

    def _candidate(self) -> int:
        """The best one, and after it was refused often enough, every second time one of the others."""
        others = self._failures - PATIENCE
        return 0 if others < 0 or others % 2 else 1 + others // 2 % (len(QUALITIES) - 1)
