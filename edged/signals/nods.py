"""Counts how often a head nods off."""

from collections import deque
from dataclasses import dataclass, field

from edged.config import DrowsinessConfig
from edged.signals.direction import Direction
from edged.signals.learned import Smoothed

DROP_SECONDS, LONGEST_SECONDS = 1.0, 5.0
"""The head goes down within the first time, and is back up within the second."""

SUSTAINED_DEGREES, SUSTAINED_SECONDS = 15.0, 1.5
"""Or stays down this far for this long."""

AWAKE_SECONDS = 0.5
"""Who was seen with open eyes so shortly before the head went down looks at something; so may who was not seen."""


@dataclass(frozen=True, slots=True)
class _Moment:
    at_s: float
    pitch: float
    yaw: float
    eyes_open: bool | None


@dataclass(slots=True)
class _Drop:
    """A head that went down from `top`, and is not back up."""

    since_s: float
    top: float
    yaw: float
    """As it went down."""
    counts: bool
    bottom: float
    seen_open: bool = False

    def turns(self, yaw: float) -> bool:
        """Whether the head turns aside by more than it goes down: it looks at something."""
        return abs(yaw - self.yaw) > self.top - self.bottom


SMOOTHED_OVER_S = 0.12
LOST_SECONDS = 1.0


@dataclass(slots=True)
class NodFinder:
    """One person's head: it nods off when it drops with eyes that were not open before, and comes up again."""

    settings: DrowsinessConfig
    _moments: deque[_Moment] = field(default_factory=lambda: deque(maxlen=256))
    _pitch: Smoothed = field(default_factory=lambda: Smoothed(SMOOTHED_OVER_S))
    _drop: _Drop | None = None

    def follow(self, now_s: float, head: Direction | None, eyes_open: bool | None, usual_pitch: float) -> bool:
        """Take in one frame; whether it completes a nod. `head` and `eyes_open` are None where they cannot be seen."""
        if head is None:
            if now_s - self._pitch.last_s > LOST_SECONDS:
                self.forget()
            return False
        now = _Moment(now_s, self._pitch.follow(now_s, head.pitch), head.yaw, eyes_open)
        if self._drop is not None:
            return self._come_up(now, usual_pitch, self._drop)
        self._moments.append(now)
        while now_s - self._moments[0].at_s > DROP_SECONDS + AWAKE_SECONDS + 0.25:
            self._moments.popleft()
        self._drop = self._gone_down(now)
        return False

    def forget(self) -> None:
        """Begin anew: what happened meanwhile is not known."""
        self._moments.clear()
        self._pitch.forget()
        self._drop = None

    def _gone_down(self, now: _Moment) -> _Drop | None:
        """Whether the head has just gone down, from where, and whether the eyes were open when it began to."""
        recent = [m for m in self._moments if now.at_s - m.at_s <= DROP_SECONDS]
        top = max(moment.pitch for moment in recent)
        depth = top - now.pitch
        if depth < self.settings.nod_degrees:
            return None
        *_, began = (moment for moment in recent if top - moment.pitch <= 0.2 * depth)
        awake_s = began.at_s - AWAKE_SECONDS
        before = {moment.eyes_open for moment in self._moments if awake_s <= moment.at_s <= began.at_s}
        drop = _Drop(now.at_s, top, began.yaw, counts=False in before and True not in before, bottom=now.pitch)
        drop.counts &= not drop.turns(now.yaw)
        return drop

    def _come_up(self, now: _Moment, usual_pitch: float, drop: _Drop) -> bool:
        pitch, down_s = now.pitch, now.at_s - drop.since_s
        drop.bottom = min(drop.bottom, pitch)
        drop.counts &= not drop.turns(now.yaw)
        if pitch >= (drop.top + drop.bottom) / 2 or down_s > 2 * LONGEST_SECONDS:
            self._drop = None
            self._moments.clear()
            return drop.counts and down_s <= LONGEST_SECONDS
        drop.seen_open |= now.eyes_open is True
        stays_down = usual_pitch - pitch >= SUSTAINED_DEGREES
        if drop.counts and not drop.seen_open and stays_down and down_s >= SUSTAINED_SECONDS:
            drop.counts = False
            return True
        return False
