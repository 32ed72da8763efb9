"""Which rules are true now, and why: from what each frame led to. Pure: time comes in with the frame."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import cast

from edged.config import DrowsinessConfig, Rule
from edged.pipeline import Outcome
from edged.types import DROWSINESS_LEVELS, Drowsiness, DrowsinessLevel, Event, MaskState

LINGER_S = 60.0
"""An alarm about somebody who sank out of sight goes on for this long, unless open eyes are seen."""

VANISHED = ("left", "camera silent")
"""Why an event ends without having seen that all is well."""

LEVEL_RULES: dict[DrowsinessLevel, Rule] = {
    "notice": "drowsiness_notice",
    "warning": "drowsiness_warning",
    "alarm": "drowsiness_alarm",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that makes a rule true. Another one of the same rule is another cause, of which people are notified anew."""

    camera: str
    rule: Rule
    key: str = ""
    """Of the event that it belongs to; "" where there is none."""
    occurrence: int = 0
    """Counts the closures of the eyes within one event."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one camera's latest frame makes true."""

    time_s: float = -math.inf
    causes: frozenset[Cause] = frozenset()
    blocked: bool = False
    """Somebody is in view who does not stand at correct."""
    lingering: frozenset[Cause] = frozenset()
    """Alarms of somebody who sank out of sight: in `causes` too, and true until `lingers_until_s` at most."""
    lingers_until_s: float = -math.inf

    def at(self, now_s: float) -> frozenset[Cause]:
        """What is true at a moment at which no newer frame has come."""
        return self.causes if now_s < self.lingers_until_s else self.causes - self.lingering


@dataclass(slots=True)
class _OpenEvent:
    event: Event
    level: DrowsinessLevel = "unknown"
    reasons: Collection[str] = ()
    closures: int = 0
    """How many of at least a microsleep there have been."""
    asleep: bool = False


@dataclass(slots=True)
class CameraRules:
    """One camera's rules. What people do is true while its event is open: as settings, votes and levels have decided."""

    camera: str
    settings: DrowsinessConfig = field(default_factory=DrowsinessConfig)
    _open: dict[str, _OpenEvent] = field(default_factory=dict)
    _lingering: frozenset[Cause] = frozenset()
    _lingers_until_s: float = -math.inf
    _eyes_open_s: float = 0.0
    _last_s: float = math.inf

    def update(self, time_s: float, outcome: Outcome) -> Seen:
        """What is true after this frame."""
        self._follow_events(time_s, outcome.events)
        by_track = {one.track: one for one in outcome.signals.drowsiness}
        for opened in self._open.values():
            if opened.event.kind == "drowsiness":
                self._follow_drowsiness(opened, by_track.get(opened.event.track or 0))
        self._let_linger(time_s, by_track.values())
        states = [vote.state for vote in outcome.signals.masks]
        all_correct = bool(states) and all(state is MaskState.CORRECT for state in states)
        causes = {cause for opened in self._open.values() for cause in self._causes(opened)} | self._lingering
        if all_correct:
            causes.add(Cause(self.camera, "mask_correct"))
        blocked = bool(states) and not all_correct
        return Seen(time_s, frozenset(causes), blocked, self._lingering, self._lingers_until_s)

    def _follow_events(self, time_s: float, events: Iterable[Event]) -> None:
        for event in events:
            if event.phase != "end":
                self._open.setdefault(event.key, _OpenEvent(event)).event = event
            elif (ended := self._open.pop(event.key, None)) and event.end_reason in VANISHED:
                alarms = frozenset(cause for cause in self._causes(ended) if cause.rule == "drowsiness_alarm")
                if alarms:
                    self._lingering |= alarms
                    self._lingers_until_s, self._eyes_open_s = time_s + LINGER_S, 0.0

    def _follow_drowsiness(self, opened: _OpenEvent, now: Drowsiness | None) -> None:
        """Somebody who is not followed any more stays as they were last seen."""
        if now is None:
            return
        opened.level, opened.reasons = now.level, now.reasons
        asleep = now.closure_s >= self.settings.microsleep_seconds
        opened.closures += asleep and not opened.asleep
        opened.asleep = asleep

    def _let_linger(self, time_s: float, people: Iterable[Drowsiness]) -> None:
        """Open eyes for as long as ends a closure end an alarm, whoever's they are: the driver's track may be a new one."""
        elapsed_s, self._last_s = max(0.0, time_s - self._last_s), time_s
        closed = [one.closed for one in people]
        if True in closed:
            self._eyes_open_s = 0.0
        elif False in closed:
            self._eyes_open_s += elapsed_s
        if self._lingering and (self._eyes_open_s >= self.settings.recovery_seconds or time_s >= self._lingers_until_s):
            self._lingering, self._lingers_until_s = frozenset(), -math.inf

    def _causes(self, opened: _OpenEvent) -> Iterable[Cause]:
        event = opened.event
        if event.kind != "drowsiness":
            return [Cause(self.camera, cast(Rule, f"{event.kind}_{event.state}"), event.key)]
        reached = DROWSINESS_LEVELS.index(opened.level)
        rules = [rule for level, rule in LEVEL_RULES.items() if DROWSINESS_LEVELS.index(level) <= reached]
        rules += [cast(Rule, f"drowsiness_{reason}") for reason in opened.reasons]
        return [Cause(self.camera, rule, event.key, opened.closures) for rule in rules]
