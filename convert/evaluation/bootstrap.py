"""Intervals by resampling pictures: what a figure might have been, had other pictures of the same kind been drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
LEVEL = 95.0
"""Percent of the draws that an interval holds."""

_BLOCK = 50  # draws computed at once: bounds the memory

Numbers = NDArray[np.float64]
Weights = NDArray[np.float64]
"""Draws x pictures: how often each picture was drawn."""


@dataclass(frozen=True)
class Estimate:
    """A figure, and the interval that holds 95 % of what the resampled pictures gave."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """As cards have it; a figure that does not exist is a dash."""
        if np.isnan(self.value):
            return "–"
        digits = 3 if abs(self.value) < 10 else 1
        return f"{self.value:.{digits}f} ({self.low:.{digits}f}–{self.high:.{digits}f})"

    def record(self) -> list[float | None]:
        """Value, low, high; null for what does not exist."""
        return [None if np.isnan(number) else round(number, 4) for number in (self.value, self.low, self.high)]


def draws(pictures: int, count: int = DRAWS, seed: int = 0) -> Weights:
    """`count` samples with replacement of as many pictures, each as a row of weights."""
    if not pictures:
        return np.zeros((count, 0))
    shares = np.full(pictures, 1 / pictures)
    return np.random.default_rng(seed).multinomial(pictures, shares, size=count).astype(np.float64)


def estimate(pictures: int, figure: Callable[[Weights], Numbers], count: int = DRAWS) -> Estimate:
    """`figure` gives one number for each row of weights; the value is that of all pictures once.

    Draws in which the figure does not exist (NaN) say nothing of it.
    """
    value = float(figure(np.ones((1, pictures)))[0])
    weights = draws(pictures, count)
    drawn = np.concatenate([figure(weights[start : start + _BLOCK]) for start in range(0, count, _BLOCK)])
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn) or np.isnan(value):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.percentile(drawn, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def ratio(above: Sequence[float] | Numbers, below: Sequence[float] | Numbers) -> Callable[[Weights], Numbers]:
    """The figure "so many of so many", from each picture's two counts."""
    top, bottom = np.asarray(above, np.float64), np.asarray(below, np.float64)

    def figure(weights: Weights) -> Numbers:
        return divided(weights @ top, weights @ bottom)

    return figure


def divided(above: Numbers, below: Numbers) -> Numbers:
    """NaN where nothing is to be divided by."""
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0), np.float64)
