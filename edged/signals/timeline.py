"""What is kept of each track: a state, its own time, which never runs backwards, and sums over its last seconds."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from edged.types import Face

State = TypeVar("State")

LONGEST_STEP_S = 2.0
"""Frames further apart than this tell nothing about the time between them; a frame that is older by up to this much
came late, and one that is older still means that the clock was set."""

LONGEST_LEAP_S = 3600.0

WARY_STEP_S, DOUBTED_FOR_S = 0.6, 10.0
"""The same for some time after the clock went back: it may have been single frames that had wrong times, and what passes on
the way from there to the right ones has not passed. Where frames are further apart, only the doubt passes."""


class PerTrack(Generic[State]):
    """One camera's states, one for each track that is there."""

    def __init__(self, new: Callable[[], State]) -> None:
        """`new` makes the state of a track that was not there before."""
        self._new = new
        self._states: dict[int, State] = {}

    def of(self, faces: Sequence[Face]) -> list[tuple[State, Face]]:
        """Each face with its track's state, in the order of `faces`; the states of tracks that are not there are forgotten."""
        before, self._states = self._states, {}
        for face in faces:
            track = face.track.id
            self._states[track] = before[track] if track in before else self._new()
        return [(self._states[face.track.id], face) for face in faces]


class Step(NamedTuple):
    """The way to the present frame: `elapsed_s` since the last one, 0 when nothing connects them (`broken`)."""

    elapsed_s: float
    broken: bool


@dataclass(slots=True)
class Timeline:
    """Turns the times of frames into `now_s`, seconds since the first of them that never run backwards."""

    now_s: float = 0.0
    _last_s: float | None = None
    _doubted_until_s: float = -1.0
    """`now_s` until which the clock's word is in doubt."""

    def advance(self, time_s: float) -> Step | None:
        """Go on to a frame. None when it came late, doubled or with a time that is none: it must not be used."""
        if not math.isfinite(time_s):
            return None
        if self._last_s is None:
            self._last_s = time_s
            return Step(0.0, broken=True)
        elapsed = time_s - self._last_s
        if -LONGEST_STEP_S <= elapsed <= 0:
            return None
        if elapsed < 0:
            self._doubted_until_s = self.now_s + DOUBTED_FOR_S
        doubted = self.now_s <= self._doubted_until_s
        self._last_s = time_s
        if 0 < elapsed <= (WARY_STEP_S if doubted else LONGEST_STEP_S):
            self.now_s += elapsed
            return Step(elapsed, broken=False)
        if doubted:
            self._doubted_until_s -= min(max(elapsed, 0.0), LONGEST_STEP_S)
        else:
            self.now_s += min(elapsed, LONGEST_LEAP_S)
        return Step(0.0, broken=True)


@dataclass(slots=True)
class SlidingSum:
    """A sum over the last `window_s` seconds, exact to a sixtieth of them, in memory that does not grow."""

    window_s: float
    _parts: deque[tuple[int, float]] = field(default_factory=deque)
    _total: float = 0.0

    PARTS = 60

    def add(self, now_s: float, amount: float) -> None:
        """Add to the sum, as of now."""
        part = self._part(now_s)
        if self._parts and self._parts[-1][0] == part:
            self._parts[-1] = (part, self._parts[-1][1] + amount)
            self._total += amount
        else:
            self._parts.append((part, amount))
            self._recount(part)

    def total(self, now_s: float) -> float:
        """What was added within the window."""
        part = self._part(now_s)
        if self._parts and self._parts[0][0] <= part - self.PARTS:
            self._recount(part)
        return self._total

    def age_s(self, now_s: float) -> float:
        """How long ago the oldest of what is in the sum began to be added, to a sixtieth of the window; 0 without any."""
        self.total(now_s)
        return max(0.0, now_s - self._parts[0][0] * self.window_s / self.PARTS) if self._parts else 0.0

    def clear(self) -> None:
        """Begin anew."""
        self._parts.clear()
        self._total = 0.0

    def _part(self, now_s: float) -> int:
        return math.floor(now_s * self.PARTS / self.window_s)

    def _recount(self, part: int) -> None:
        while self._parts and self._parts[0][0] <= part - self.PARTS:
            self._parts.popleft()
        self._total = math.fsum(amount for _, amount in self._parts)
