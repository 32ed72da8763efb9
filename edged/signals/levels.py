"""Weighs what is known of a person's drowsiness into a score and a level that neither flickers nor jumps."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from edged.config import DrowsinessConfig
from edged.types import DROWSINESS_LEVELS, DrowsinessLevel, DrowsinessReason

KNOWN_LEVELS = DROWSINESS_LEVELS[1:]
"""Evidence of 1 is enough for a notice, of 2 for a warning, of 3 for an alarm."""

HYSTERESIS = 0.75
"""A level is left this far below where it is reached: 0.03 of PERCLOS."""


FORGET_SECONDS = 60.0
"""Without eyes that could be read for this long, what they showed before counts no more."""


@dataclass(slots=True)
class _Latch:
    """One level: on once its evidence has stood for the dwell time, off once it has been gone for as long."""

    threshold: float
    on: bool = False
    contrary_since_s: float | None = None

    def follow(self, now_s: float, evidence: float, dwell_s: float) -> None:
        contrary = evidence < self.threshold - HYSTERESIS if self.on else evidence >= self.threshold - 1e-9
        if not contrary:
            self.contrary_since_s = None
            return
        if self.contrary_since_s is None:
            self.contrary_since_s = now_s
        if now_s - self.contrary_since_s >= dwell_s - 1e-9:
            self.on, self.contrary_since_s = not self.on, None


@dataclass(slots=True)
class ClosureAlarm:
    """Remembers a microsleep or sleep until the eyes have been open for a while: one reopening does not end it. Where sleep is no
    reason that counts, who sleeps has a microsleep that lasts.
    """

    settings: DrowsinessConfig
    weight: int = 0
    reason: DrowsinessReason | None = None
    _open_s: float = 0.0
    _unseen_s: float = 0.0

    def follow(self, elapsed_s: float, closed: bool | None, closure_s: float) -> None:
        """Take in one frame: how long the eyes have been closed now, and the time since the last frame."""
        limits = self.settings
        # Floating point must not make a closure of exactly a limit the shorter one.
        lasted_s = closure_s + 1e-9
        sleeps = "sleep" in limits.reasons and lasted_s >= limits.sleep_seconds
        if sleeps or ("microsleep" in limits.reasons and lasted_s >= limits.microsleep_seconds):
            self.weight = max(self.weight, 3 if lasted_s >= limits.alarm_seconds else 2)
            self.reason, self._open_s = ("sleep" if sleeps or self.reason == "sleep" else "microsleep"), 0.0
        self._unseen_s = self._unseen_s + elapsed_s if closed is None else 0.0
        if closed is False:
            self._open_s += elapsed_s
        if self._open_s >= limits.recovery_seconds or self._unseen_s >= FORGET_SECONDS:
            self.weight, self.reason, self._open_s = 0, None, 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known in one frame; None where it is not known."""

    perclos: float | None
    eyes_seen: bool
    """Within the time that PERCLOS looks back."""
    long_closures: float
    """Between a blink and a microsleep, within a minute."""
    slow_blinks: float
    """How many standard deviations blinks are longer than they were."""
    yawns: int | None
    yawned_lately: bool
    nods: int | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The score from 0 to 1, None with too little seen; the level; and what it rests on, the gravest first."""

    score: float | None
    level: DrowsinessLevel
    reasons: tuple[DrowsinessReason, ...]


@dataclass(slots=True)
class Judge:
    """One person's level. Closures, and nods and yawns once there are enough, act at once; what creeps must stand for a
    while. A cue that cannot be read, or is no reason that counts, adds nothing and takes nothing away. The score is the logistic
    function of the same evidence: 0.27 is worth a notice, 0.5 a warning, 0.73 an alarm.
    """

    settings: DrowsinessConfig
    closures: ClosureAlarm = field(init=False)
    _latches: tuple[_Latch, _Latch, _Latch] = field(default_factory=lambda: (_Latch(1), _Latch(2), _Latch(3)))

    def __post_init__(self) -> None:
        self.closures = ClosureAlarm(self.settings)

    def judge(self, now_s: float, evidence: Evidence) -> Judgement:
        """Weigh one frame's evidence; `closures` has taken in the frame before."""
        limits = self.settings
        steps = (limits.perclos_notice, limits.perclos_warning, limits.perclos_alarm)
        eyes = (
            perclos_weight(evidence.perclos, steps) + self._supporting(evidence) if "perclos" in limits.reasons else 0.0
        )
        self._follow(now_s, evidence, eyes)
        standing = sum(latch.on for latch in self._latches)
        nodding = "nodding" in limits.reasons and (evidence.nods or 0) >= limits.nods
        yawning = "yawning" in limits.reasons and evidence.yawned_lately and (evidence.yawns or 0) >= limits.yawns
        level = min(max(standing + yawning, self.closures.weight, 2 * nodding), 3)
        if evidence.perclos is None and not level:
            return Judgement(None, "unknown", ())
        weight = eyes + self.closures.weight + 2 * nodding + yawning
        reasons: list[DrowsinessReason] = [self.closures.reason] if self.closures.reason else []
        reasons += ["perclos"] if standing else []
        reasons += ["nodding"] if nodding else []
        reasons += ["yawning"] if yawning else []
        return Judgement(round(1 / (1 + math.exp(2 - weight)), 4), KNOWN_LEVELS[level], tuple(reasons))

    def _supporting(self, evidence: Evidence) -> float:
        """What is no reason of its own: closures between a blink and a microsleep, and blinks that got slower."""
        slow = min(max((evidence.slow_blinks - 1) / 4, 0.0), 0.5)
        return min(0.3 * evidence.long_closures + slow, 0.9)

    def _follow(self, now_s: float, evidence: Evidence, weight: float) -> None:
        """Without PERCLOS the levels it led to stand, until the eyes have not been seen for too long to matter."""
        for latch in self._latches:
            if not evidence.eyes_seen:
                latch.on, latch.contrary_since_s = False, None
            elif evidence.perclos is not None:
                latch.follow(now_s, weight, self.settings.dwell_seconds)


def perclos_weight(perclos: float | None, steps: Sequence[float]) -> float:
    """PERCLOS as evidence: 0 up to half of the notice, then 1, 2, 3 at the three steps, straight between, 4 at most."""
    if perclos is None:
        return 0.0
    points = [(steps[0] / 2, 0.0), *((step, float(k)) for k, step in enumerate(steps, 1))]
    weight = 0.0
    for (low, below), (high, above) in itertools.pairwise(points):
        if perclos >= low:
            weight = below + (above - below) * (perclos - low) / (high - low) if high > low else above
    return min(weight, 4.0)
