"""Measures how far a person's eyes are open, in the person's own range, and follows closures from their first frame.

The lids' aspect ratio differs between people more than a blink changes it, so it is set against what is usual for this
one; the classifier needs no such history. Both speak where both can, and either alone.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from edged.config import DrowsinessConfig
from edged.signals.learned import LearnedValue
from edged.types import EyeReading

SHORTEST_SECONDS = 0.05
"""A closure shorter than any blink is noise."""

BRIDGED_SECONDS = 0.1
"""Eyes open for less than this within a closure did not open."""

SURELY_OPEN, WEAK_SECONDS = 0.6, 0.6
"""Within a long closure the same for eyes that never came to look this far open: glare on glasses, lids that flutter."""

GRACE_SECONDS = 0.5
"""For this long eyes that cannot be read are taken to stay closed."""

USUAL_RATIO, SMALLEST_RATIO, LARGEST_RATIO = 0.28, 0.15, 0.5
"""The aspect ratio of open eyes: of most people, and the range within which one's own is believed."""

SHUT_SHARE, LARGEST_SHUT_SHARE = 0.6, 0.75
"""The aspect ratio of shut eyes as a share of that of open ones, until blinks have shown it, and the most it may be.
Our own landmarks keep more distance between shut lids than there is."""

LEARNING_SECONDS, SAMPLES, EARLY_SAMPLE_S, LATE_SAMPLE_S = 3.0, 300, 0.1, 1.0
"""The usual ratio is believed after so long; it rests on the last so many samples, ten a second in the first 30
seconds, then one a second: the last five minutes."""

OPEN_QUANTILE = 0.9
LARGEST_CHANGE_PER_S = 0.02

RATIO_WEIGHT, LEAST_BLINKS, MOST_BLINKS = 0.3, 3, 20
"""How much the ratio counts beside the classifier before its range is known, and how many blinks make it known."""

LOWERED_SHARE = 0.75
"""Lids that are merely lowered look closed to a classifier: eyes are at least this share of as open as the ratio says."""


def _open_ratio(ratios: Sequence[float]) -> float:
    """That of open eyes: blinks and half closed eyes lie below it."""
    return sorted(ratios)[int(OPEN_QUANTILE * (len(ratios) - 1))]


@dataclass(slots=True)
class OpennessMeter:
    """One person's eyes, from what single frames show of them to 0 (shut) … 1 (as open as usual)."""

    _ratios: LearnedValue = field(default_factory=lambda: LearnedValue(_open_ratio, most=SAMPLES, least=1))
    _first_s: float | None = None
    _open_ratio: float = USUAL_RATIO
    _shut_ratios: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_BLINKS))
    _dip: float | None = None

    def measure(self, now_s: float, eyes: EyeReading, learn: bool) -> float | None:
        """The openness in one frame, or None when it does not tell. `learn`: the head is as it is when eyes are open."""
        ratio, probability = finite(eyes.aspect_ratio), finite(eyes.open_probability)
        if eyes.unavailable is not None or (ratio is None and probability is None):
            return None
        if probability is not None:
            probability = min(max(probability, 0.0), 1.0)
        openness = self._fused(ratio, probability)
        if learn and ratio is not None:
            self._learn_open(now_s, ratio, probability, openness)
            self._learn_shut(ratio, probability)
        return openness

    def _fused(self, ratio: float | None, probability: float | None) -> float:
        if ratio is None:
            return probability if probability is not None else 0.0
        shut = self._shut_ratio()
        share = min(max((ratio - shut) / (self._open_ratio - shut), 0.0), 1.0)
        if probability is None:
            return share
        weight = self._ratio_weight()
        return max(weight * share + (1 - weight) * probability, LOWERED_SHARE * share)

    def _shut_ratio(self) -> float:
        """Never so near the open ratio that noise would decide."""
        shut = SHUT_SHARE * self._open_ratio
        if len(self._shut_ratios) >= LEAST_BLINKS:
            shut = self._learned_shut_ratio()
        return min(max(shut, 0.0), LARGEST_SHUT_SHARE * self._open_ratio)

    def _ratio_weight(self) -> float:
        """A ratio that hardly changes when the classifier sees a blink has little to say."""
        if len(self._shut_ratios) < LEAST_BLINKS:
            return RATIO_WEIGHT
        moved = 1 - self._learned_shut_ratio() / self._open_ratio
        return min(max(moved, 0.0), 0.4)

    def _learned_shut_ratio(self) -> float:
        """The lower quartile of the blinks': among them are looks down, whose lids only look shut to the classifier."""
        return sorted(self._shut_ratios)[len(self._shut_ratios) // 4]

    def _learn_open(self, now_s: float, ratio: float, probability: float | None, openness: float) -> None:
        """Follow the usual ratio of open eyes: fast at first, then slowly; closed and half closed eyes do not count."""
        if self._first_s is None:
            self._first_s = now_s
        early = self._ratios.count < SAMPLES
        open_enough = openness >= 0.5 if probability is not None or not early else True
        elapsed_s, every_s = now_s - self._ratios.sampled_s, EARLY_SAMPLE_S if early else LATE_SAMPLE_S
        if not open_enough or not self._ratios.sample(now_s, min(max(ratio, 0.0), 1.0), every_s):
            return
        if now_s - self._first_s < LEARNING_SECONDS:
            return
        usual = min(max(self._ratios.value, SMALLEST_RATIO), LARGEST_RATIO)
        if not early:
            most = LARGEST_CHANGE_PER_S * self._open_ratio * min(elapsed_s, 10.0)
            usual = min(max(usual, self._open_ratio - most), self._open_ratio + most)
        self._open_ratio = usual

    def _learn_shut(self, ratio: float, probability: float | None) -> None:
        """Note the lowest ratio of each blink that the classifier is sure of; a long one counts no more than a short."""
        if probability is None:
            return
        if probability < 0.15:
            self._dip = ratio if self._dip is None else min(self._dip, ratio)
        elif probability > 0.5 and self._dip is not None:
            self._shut_ratios.append(min(max(self._dip, 0.0), 1.0))
            self._dip = None


@dataclass(frozen=True, slots=True)
class Closure:
    """Eyes that were closed: from the first closed frame to the first open one, or to the last that was seen closed."""

    started_s: float
    ended_s: float
    reopened: bool
    """False: the eyes went out of sight, and may have stayed closed."""

    @property
    def seconds(self) -> float:
        return self.ended_s - self.started_s


@dataclass(slots=True)
class ClosureFollower:
    """One person's present closure."""

    settings: DrowsinessConfig
    closed: bool | None = None
    _started_s: float | None = None
    _last_closed_s: float = 0.0
    _opened_s: float | None = None
    """When the eyes may have opened: soon it is sure."""
    _widest: float = 0.0
    """How far they have been open since."""

    def follow(self, now_s: float, openness: float | None) -> Closure | None:
        """Take in one frame; return the closure that is now known to be over."""
        self.closed = self._decide(openness)
        if self.closed is None or openness is None:
            return self._out_of_sight(now_s)
        if not self.closed:
            return self._open(now_s, openness)
        over = None
        if self._opened_s is not None and now_s - self._opened_s > self._bridged_s():
            over = self._finish(self._opened_s, reopened=True)
        if self._started_s is None:
            self._started_s = now_s
        self._opened_s, self._last_closed_s = None, now_s
        return over

    def seconds(self, now_s: float) -> float:
        """How long the present closure has lasted; 0 while the eyes are open."""
        if self._started_s is None or self._opened_s is not None:
            return 0.0
        return (now_s if self.closed else self._last_closed_s) - self._started_s

    def began_before(self, now_s: float) -> bool:
        """Whether there is a closure, or one that may just be over, that began before this moment."""
        return self._started_s is not None and self._started_s < now_s

    def forget(self) -> None:
        """Drop the present closure: what came after it is not known, or it was none."""
        self.closed = self._started_s = self._opened_s = None

    def _decide(self, openness: float | None) -> bool | None:
        """Hysteresis: open eyes close below one limit, closed ones open above another."""
        if openness is None:
            return None
        was_closed = self._started_s is not None and self._opened_s is None
        return openness <= self.settings.open_above if was_closed else openness < self.settings.closed_below

    def _bridged_s(self) -> float:
        """For how long eyes that opened must stay open before they have."""
        lasted_s = (self._opened_s or 0.0) - (self._started_s or 0.0)
        is_weak = self._widest < SURELY_OPEN and lasted_s >= self.settings.long_closure_seconds
        return WEAK_SECONDS if is_weak else BRIDGED_SECONDS

    def _open(self, now_s: float, openness: float) -> Closure | None:
        if self._started_s is None:
            return None
        if self._opened_s is None:
            self._opened_s, self._widest = now_s, 0.0
        self._widest = max(self._widest, openness)
        if now_s - self._opened_s >= self._bridged_s():
            return self._finish(self._opened_s, reopened=True)
        return None

    def _out_of_sight(self, now_s: float) -> Closure | None:
        if self._started_s is None:
            return None
        if self._opened_s is not None:
            return self._finish(self._opened_s, reopened=True)
        if now_s - self._last_closed_s > GRACE_SECONDS:
            return self._finish(self._last_closed_s, reopened=False)
        return None

    def _finish(self, ended_s: float, reopened: bool) -> Closure | None:
        """The closure as it was; None for one too short to be more than noise."""
        started_s, self._started_s, self._opened_s = self._started_s, None, None
        if started_s is None:
            return None
        closure = Closure(started_s, ended_s, reopened)
        return closure if closure.seconds >= SHORTEST_SECONDS - 1e-9 else None


def finite(value: float | None) -> float | None:
    """The value, or None when it is no number."""
    return value if value is not None and math.isfinite(value) else None
