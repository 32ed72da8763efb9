"""The publisher's waits between attempts to connect, and its choice of a will."""

from edged.backoff import backoff_s
from edged.publish import problems
from edged.publish.problems import Disconnected
from edged.publish.timing import Timing

# So many connections in a row that were accepted and soon lost again are no accident.
FLAPPING = 4
# So many connections that ended for a known cause are followed by the next one at once; as many more in ten minutes.
MOST_PROMPT = 20
PROMPT_REFILL_S = 600.0 / MOST_PROMPT


class Backoff:
    """Doubling waits between attempts. Only a connection that stayed up starts them anew; one that was accepted and
    soon lost counts as a failure, or two devices of one name would reconnect every second.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._failures = 0
        self._short_lived = 0
        self._prompt = float(MOST_PROMPT)
        self._counted_at = 0.0

    def failed(self) -> None:
        """An attempt was not accepted."""
        self._failures += 1

    def ended(self, lasted_s: float) -> None:
        """An accepted connection was lost again after `lasted_s`."""
        self._short_lived = 0 if self.steady(lasted_s) else self._short_lived + 1
        self._failures = self._short_lived

    def retry_at_once(self, now: float) -> None:
        """The cause of the last connection's end is known: connect again at once, unless that happens too often."""
        self._prompt = min(MOST_PROMPT, self._prompt + max(0.0, now - self._counted_at) / PROMPT_REFILL_S)
        self._counted_at = now
        if self._prompt >= 1:
            self._prompt -= 1
            self._short_lived = self._failures = 0

    def steady(self, lasted_s: float) -> bool:
        """Whether a connection that has lasted so long can be relied upon."""
        return lasted_s >= self._timing.steady_s

    @property
    def flapping(self) -> bool:
        """Whether connections are accepted only to be lost, again and again."""
        return self._short_lived >= FLAPPING

    @property
    def delay_s(self) -> float:
        """How long to wait before the next attempt; a little less by chance, so that a site's devices spread out."""
        return backoff_s(self._failures, self._timing.first_delay_s, self._timing.longest_delay_s)


class RateLimit:
    """Lets so many through in so much time, and counts the rest."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._since = float("-inf")
        self._let_through = 0
        self._held_back = 0

    def take(self, now: float) -> int | None:
        """None when this one is too much; else how many were, since the last one that was not."""
        if now - self._since >= self._seconds:
            self._since, self._let_through = now, 0
        if self._let_through >= self._most:
            self._held_back += 1
            return None
        self._let_through += 1
        held_back, self._held_back = self._held_back, 0
        return held_back


QUALITIES: tuple[tuple[int, bool] | None, ...] = ((1, True), (1, False), (0, False), None)
"""QoS and retention of the will, from the best to none at all."""

PATIENCE = 3
"""So often the best one is refused before another is tried: a broker that starts may refuse anything for a moment."""

REMEMBERED_S = 3600.0
"""After so long the best one is tried first again."""


class WillChoice:
    """Cloud brokers that refuse a connection with a retained will accept one with a lesser will, or none. One thread's own."""

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

    def refused(self, error: Disconnected) -> None:
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
