"""Turns drowsiness into events of kind `drowsiness`, whose state is the gravest reason there was for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

from edged.config import DrowsinessConfig, EventsConfig
from edged.events.life import EventLives, Sighting, Told
from edged.types import Drowsiness, DrowsinessLevel, DrowsinessReason, Event, MaskVote

LEVELS: tuple[DrowsinessLevel, ...] = get_args(DrowsinessLevel)
"""From "not enough seen" up."""

GRAVEST_FIRST: tuple[DrowsinessReason, ...] = ("sleep", "microsleep", "perclos", "nodding", "yawning")


@dataclass(frozen=True, slots=True)
class _Worst:
    """The worst of one event so far."""

    level: DrowsinessLevel = "unknown"
    perclos: float | None = None
    closure_s: float = 0.0
    score: float | None = None
    reasons: tuple[DrowsinessReason, ...] = ()

    def with_(self, now: Drowsiness, reasons: Sequence[DrowsinessReason]) -> "_Worst":
        """With one more frame taken in."""
        return _Worst(
            level=max(self.level, now.level, key=LEVELS.index),
            perclos=_larger(self.perclos, now.perclos),
            closure_s=max(self.closure_s, now.closure_s),
            score=_larger(self.score, now.score),
            reasons=tuple(reason for reason in GRAVEST_FIRST if reason in self.reasons or reason in reasons),
        )

    def told(self) -> Told:
        details = {"level": self.level, "perclos": self.perclos, "closure_s": self.closure_s}
        return Told(self.reasons[0], self.score, details={**details, "reasons": list(self.reasons)})


@dataclass(slots=True)
class DrowsinessEvents:
    """One camera's drowsy people."""

    camera: str
    settings: DrowsinessConfig = field(default_factory=DrowsinessConfig)
    limits: EventsConfig = field(default_factory=EventsConfig)
    lives: EventLives = field(init=False)
    _worst: dict[int, _Worst] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lives = EventLives(self.camera, "drowsiness", self.settings, self.limits)

    def update(self, time_s: float, faces: Sequence[MaskVote], drowsiness: Sequence[Drowsiness]) -> list[Event]:
        """The events this frame causes, in the order they are to be told. `faces` say who is where."""
        events = self.lives.see(time_s, Sighting.of(faces))
        for one in drowsiness:
            events += self._follow(one, time_s)
        self._worst = {track: worst for track, worst in self._worst.items() if self.lives.told(track)}
        return events

    def finish(self, time_s: float, reason: str) -> list[Event]:
        """End everything that is open: the camera is stopping, or its settings change."""
        self._worst.clear()
        return self.lives.finish(time_s, reason)

    def _follow(self, now: Drowsiness, time_s: float) -> list[Event]:
        track, before = now.track, self.lives.told(now.track)
        reasons = [reason for reason in GRAVEST_FIRST if reason in now.reasons and reason in self.settings.reasons]
        if not reasons:
            return [] if before is None else [self.lives.end(track, time_s, "recovered")]
        known = self._worst.get(track, _Worst()) if before else _Worst()
        worst = self._worst[track] = known.with_(now, reasons)
        told = worst.told()
        if before is None:
            since_s = dict(zip(now.reasons, now.reasons_s, strict=False)).get(worst.reasons[0], 0.0)
            return [self.lives.start(track, time_s, told, self._quiet(now), time_s - since_s)]
        if self.lives.is_overdue(track, time_s):
            return [self.lives.end(track, time_s, "longest", told)]
        alerts = not self.lives.has_alerted(track) and self._reaches(now) and not self._reaches(known)
        if alerts or worst.reasons != known.reasons:
            return [self.lives.update(track, time_s, told, None if alerts else "told")]
        self.lives.retell(track, told)
        return []

    def _reaches(self, one: Drowsiness | _Worst) -> bool:
        return LEVELS.index(one.level) >= LEVELS.index(self.settings.alert_level)

    def _quiet(self, now: Drowsiness) -> str | None:
        return None if self._reaches(now) else "level"


def _larger(a: float | None, b: float | None) -> float | None:
    return max((value for value in (a, b) if value is not None), default=None)
