"""When an output is on, and when a line is high within its pattern. Pure: time comes in."""

import math
from collections.abc import Collection
from dataclasses import dataclass, field

from edged.config import DoorOutput, GpioOutput, SoundOutput
from edged.outputs.rules import Cause

NEVER = math.inf


@dataclass(slots=True)
class Activation:
    """One output that notifies people: from causes to on and off. It is on in turns; a new cause begins a turn, or makes the
    present one last longer.
    """

    settings: GpioOutput | SoundOutput
    causes: frozenset[Cause] = frozenset()
    """Those that are true now and that it listens to, acknowledged or not."""
    on_since_s: float | None = None
    """When the present turn began; None while it is off."""
    acknowledged: frozenset[Cause] = frozenset()
    new_causes: frozenset[Cause] = frozenset()
    """Those of which the last update was the first to notify."""
    quiet: bool = False
    _true_since_s: float | None = None
    _notified: frozenset[Cause] = frozenset()
    _new_s: float = -math.inf
    """When the latest new cause came."""

    @property
    def spent_s(self) -> float:
        """When what is new has been on for as long as it may."""
        longest = self.settings.longest_seconds
        return NEVER if longest is None else self._new_s + longest

    @property
    def is_on(self) -> bool:
        return self.on_since_s is not None and not self.quiet

    @property
    def is_acknowledged(self) -> bool:
        """Whether something is true, and all of it was acknowledged."""
        return bool(self.causes) and not self.causes - self.acknowledged

    @property
    def open_causes(self) -> frozenset[Cause]:
        """What is true and was not acknowledged."""
        return self.causes - self.acknowledged

    @property
    def to_acknowledge(self) -> frozenset[Cause]:
        """What somebody who acknowledges now would silence."""
        return self.open_causes if self.on_since_s is not None else frozenset()

    def acknowledge(self) -> frozenset[Cause]:
        """Be silent until something new is true; return what was acknowledged by this."""
        fresh = self.to_acknowledge
        self.acknowledged |= fresh
        return fresh

    def update(self, now_s: float, causes: frozenset[Cause], quiet: bool) -> None:
        """Take in what is true now."""
        self.causes, self.quiet = causes, quiet
        self.acknowledged &= causes
        self.new_causes = frozenset()
        live = self.open_causes
        if not live:
            self._true_since_s = None
            over = self.on_since_s is not None and now_s - self.on_since_s >= self.settings.shortest_seconds - 1e-9
            if self.is_acknowledged or over:
                self.on_since_s, self._notified = None, frozenset()
            return
        if self._true_since_s is None:
            self._true_since_s = now_s
        if now_s - self._true_since_s < self.settings.hold_seconds - 1e-9:
            return
        self.new_causes = live - self._notified
        if self.on_since_s is None or (self.new_causes and now_s >= self.spent_s):
            self.on_since_s = now_s
        if self.new_causes:
            self._new_s = now_s
        self._notified = live

    def next_s(self, now_s: float) -> float:
        """When time alone may change something."""
        moments = [NEVER]
        if self._true_since_s is not None and self.on_since_s is None:
            moments.append(self._true_since_s + self.settings.hold_seconds)
        if self.on_since_s is not None and not self.open_causes:
            moments.append(self.on_since_s + self.settings.shortest_seconds)
        return min(moment for moment in moments if moment > now_s)

    def turn_s(self, now_s: float) -> float | None:
        """Seconds since its latest repetition began; None while it is off, quiet, or between repetitions."""
        if self.on_since_s is None or self.quiet:
            return None
        elapsed, longest, repeat = now_s - self.on_since_s, self.settings.longest_seconds, self.settings.repeat_seconds
        if repeat is not None:
            elapsed %= repeat
        return elapsed if longest is None or elapsed < longest - 1e-9 or now_s < self.spent_s - 1e-9 else None


def level(settings: GpioOutput, elapsed_s: float | None) -> tuple[bool, float]:
    """Whether the line is active so long after its pattern began, and after how many more seconds that changes."""
    if elapsed_s is None:
        return False, NEVER
    if settings.pattern == "steady" or (settings.pattern == "ramp" and elapsed_s >= settings.ramp_seconds):
        return True, NEVER
    period = settings.on_seconds + settings.off_seconds
    number, phase = divmod(elapsed_s + 1e-9, period)
    on = settings.on_seconds
    if settings.pattern == "ramp":
        on += settings.off_seconds * min(1.0, number * period / settings.ramp_seconds)
    return (True, on - phase) if phase < on else (False, period - phase)


def line_level(activation: Activation, settings: GpioOutput, now_s: float) -> tuple[bool, float]:
    """Whether the line is active now, and when to ask again."""
    elapsed = activation.turn_s(now_s)
    active, changes_in_s = level(settings, elapsed)
    moments = [activation.next_s(now_s), now_s + changes_in_s]
    if activation.is_on and activation.on_since_s is not None and settings.longest_seconds is not None:
        longest, repeat = settings.longest_seconds, settings.repeat_seconds
        began = activation.on_since_s + ((now_s - activation.on_since_s) // repeat * repeat if repeat else 0.0)
        moments += [began + longest, began + (repeat or NEVER), activation.spent_s]
    return active, min(moment for moment in moments if moment > now_s)


@dataclass(slots=True)
class Gate:
    """A door's line: active once everybody in view has stood at correct for long enough. It fails to its safe side."""

    settings: DoorOutput
    active: bool = False
    _true_since_s: float | None = None
    _active_since_s: float = field(default=-math.inf)

    def update(self, now_s: float, correct: bool, blocked: bool, blind: bool) -> bool:
        """Whether the line is active. `correct`: everybody in view stands there; `blocked`: somebody does not; `blind`: a
        camera that must see is lost, or analysis is.
        """
        if blind:
            self._true_since_s = None
            self.active = self.settings.safe == "active"
            self._active_since_s = -math.inf
            return self.active
        if not correct:
            self._true_since_s = None
        elif self._true_since_s is None:
            self._true_since_s = now_s
        if self._true_since_s is not None and now_s - self._true_since_s >= self.settings.hold_seconds - 1e-9:
            if not self.active or self._active_since_s == -math.inf:
                self._active_since_s = now_s
            self.active = True
        elif blocked or now_s - self._active_since_s >= self.settings.shortest_seconds - 1e-9:
            self.active = False
        return self.active

    def next_s(self, now_s: float) -> float:
        """When time alone may change something."""
        moments = [NEVER, self._active_since_s + self.settings.shortest_seconds]
        if self._true_since_s is not None:
            moments.append(self._true_since_s + self.settings.hold_seconds)
        return min(moment for moment in moments if moment > now_s)


def is_quiet(minute: int, quiet_from: str | None, quiet_until: str | None) -> bool:
    """Whether a minute of the local day lies in the quiet hours, which may span midnight."""
    if quiet_from is None or quiet_until is None:
        return False
    start, end = (int(text[:2]) * 60 + int(text[3:]) for text in (quiet_from, quiet_until))
    return start <= minute < end if start < end else minute >= start or minute < end


def concerns(cameras: Collection[str], camera: str) -> bool:
    """Whether an output that names these cameras listens to this one; none named: it listens to all."""
    return not cameras or camera in cameras
