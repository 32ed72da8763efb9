"""What is usual for one person, and what a trembling value is at heart: the same for heads and mouths."""

import math
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

SAMPLE_EVERY_S = 0.5
SAMPLES = 240
"""Two minutes of them."""
LEAST_SAMPLES = 6

_TINY = 1e-9


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of both middle ones."""
    return statistics.median(values)


def lower_quartile(values: Sequence[float]) -> float:
    """The value that a quarter lies below."""
    return sorted(values)[len(values) // 4]


@dataclass(slots=True)
class UsualValue:
    """`summary` of a value over the last two minutes, from two samples a second; `value` as given for the first three
    seconds.
    """

    summary: Callable[[Sequence[float]], float]
    value: float
    _samples: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    _sampled_s: float = -math.inf

    def add(self, now_s: float, value: float) -> None:
        """Take in one frame; finite values only."""
        if now_s - self._sampled_s < SAMPLE_EVERY_S - _TINY:
            return
        self._sampled_s = now_s
        self._samples.append(value)
        if len(self._samples) >= LEAST_SAMPLES:
            self.value = self.summary(self._samples)


@dataclass(slots=True)
class Smoothed:
    """A first-order low-pass filter with the time constant `over_s`, whatever the time between frames."""

    over_s: float
    last_s: float = 0.0
    """When a value was seen last."""
    _value: float | None = None

    def follow(self, now_s: float, value: float) -> float:
        """Take in one frame; the smoothed value."""
        elapsed_s, self.last_s = now_s - self.last_s, now_s
        before = value if self._value is None else self._value
        self._value = before + (value - before) * elapsed_s / (elapsed_s + self.over_s)
        return self._value

    def forget(self) -> None:
        """Begin anew with the next value."""
        self._value = None
