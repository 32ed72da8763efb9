"""Values that are learned slowly from a person, within bounds, and values that are smoothed: for heads, eyes and mouths alike."""

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
class LearnedValue:
    """What is usual for one person or camera: `summary` of the last `most` samples, and `initial` until there are `least`."""

    summary: Callable[[Sequence[float]], float]
    initial: float = 0.0
    most: int = SAMPLES
    least: int = LEAST_SAMPLES
    sampled_s: float = -math.inf
    _samples: deque[float] = field(init=False)
    _value: float | None = None

    def __post_init__(self) -> None:
        self._samples = deque(maxlen=self.most)

    def add(self, value: float) -> None:
        """Take one sample; finite values only."""
        self._samples.append(value)
        self._value = None

    def sample(self, now_s: float, value: float, every_s: float = SAMPLE_EVERY_S) -> bool:
        """Take one sample unless the last one is less than `every_s` old; return whether it was taken."""
        if now_s - self.sampled_s < every_s - _TINY:
            return False
        self.sampled_s = now_s
        self.add(value)
        return True

    @property
    def count(self) -> int:
        """How many samples it rests on."""
        return len(self._samples)

    @property
    def value(self) -> float:
        """The summary, worked out once for each new sample."""
        if self.count < self.least:
            return self.initial
        if self._value is None:
            self._value = self.summary(self._samples)
        return self._value


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
