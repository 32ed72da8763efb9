"""The outputs of one config, each with its rules, its hardware and its state; used by the outputs' thread only."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

from edged.backoff import backoff_s
from edged.config import ButtonInput, DoorOutput, GpioOutput, SoundOutput
from edged.errors import Unavailable
from edged.outputs.activation import NEVER, Activation, Gate, is_quiet, level, line_level
from edged.outputs.presses import CHATTERS, Presses
from edged.outputs.rules import Cause
from edged.outputs.sound_plan import Playback, SoundPlan, clip_for, heard_rules

log = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0
"""Between attempts to get a line that is not there, or taken."""


class DrivenLine(Protocol):
    """A GPIO line that can be set."""

    def set(self, active: bool) -> None: ...
    def close(self) -> None: ...


class PressedLine(Protocol):
    """A GPIO line that counts presses."""

    def fileno(self) -> int: ...
    def presses(self) -> int: ...
    def is_down(self) -> bool: ...
    def close(self) -> None: ...


class Heard(Protocol):
    """A sound card's thread; see `edged.outputs.sound.Player`."""

    problem: str | None
    heard: Playback | None

    def play(self, playback: Playback | None, *, cut: bool = False) -> None: ...
    def start(self) -> None: ...
    def stop(self, timeout_s: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Inputs:
    """What an output needs to know at one moment of the cameras that it listens to."""

    now_s: float
    causes: frozenset[Cause]
    blocked: bool
    """Somebody does not stand at correct."""
    blind: bool
    """A camera is lost, or its pictures are not analysed."""
    minute: int | None
    """Of the local day; None while the clock cannot be believed."""


@dataclass(frozen=True, slots=True)
class OutputState:
    """One output as others see it."""

    kind: str
    on: bool
    rules: tuple[str, ...] = ()
    acknowledged: bool = False
    problem: str | None = None


class _Closed(Protocol):
    def close(self) -> None: ...


Line = TypeVar("Line", bound=_Closed)


class Unit:
    """One output, or button."""

    kind: ClassVar[str]

    def __init__(self, name: str, cameras: tuple[str, ...]) -> None:
        self.name, self.cameras = name, cameras

    def open(self, now_s: float) -> None:
        """Get hold of the hardware, if it is not held, and the time for another try has come."""

    def step(self, inputs: Inputs) -> float:
        """Do what is due, and return when to be called again, at the latest."""
        raise TypeError(f"{type(self).__name__} has no step")

    def acknowledge(self) -> frozenset[Cause]:
        """Be silent until something new is true; return what this acknowledged."""
        return frozenset()

    def can_be_silenced(self) -> bool:
        """Whether `acknowledge` would silence anything now."""
        return False

    def notifies_of(self, now_s: float) -> Iterable[Cause]:
        """What people are notified of by it now, after the step of that moment."""
        return ()

    def test(self, now_s: float, seconds: float) -> None:
        """Be on for so long, whatever is true."""

    def state(self) -> OutputState:
        raise TypeError(f"{type(self).__name__} has no state")

    def close(self) -> None:
        """Leave it safe, and let it go."""


class LineHolder(Generic[Line]):
    """Holds one line, and tries again when it cannot be had, or is lost: what it is, and why it is not held."""

    def __init__(self, name: str, request: Callable[[], Line]) -> None:
        self.problem: str | None = None
        self.line: Line | None = None
        self._name, self._request = name, request
        self._failures, self._retry_s = 0, -NEVER

    def open(self, now_s: float) -> None:
        if self.line is not None or now_s < self._retry_s:
            return
        try:
            self.line = self._request()
        except Unavailable as error:
            self.lost(now_s, str(error))
        else:
            if self.problem is not None:
                log.info("output %s works again", self._name)
            self._failures, self.problem = 0, None

    def lost(self, now_s: float, problem: str) -> None:
        """The line cannot be used now."""
        self.close()
        self._failures += 1
        self._retry_s = now_s + backoff_s(self._failures, FIRST_WAIT_S, LONGEST_WAIT_S)
        if problem != self.problem:
            log.error("output %s: %s", self._name, problem)
            self.problem = problem

    def close(self) -> None:
        if self.line is not None:
            self.line.close()
            self.line = None


class LineUnit(Unit):
    """An output that drives a line."""

    def __init__(
        self, name: str, settings: GpioOutput | DoorOutput, request: Callable[[GpioOutput | DoorOutput], DrivenLine]
    ) -> None:
        super().__init__(name, settings.cameras)
        self.holder: LineHolder[DrivenLine] = LineHolder(name, lambda: request(settings))
        self._on = False
        self._tested = -NEVER, -NEVER

    def open(self, now_s: float) -> None:
        self.holder.open(now_s)

    def test(self, now_s: float, seconds: float) -> None:
        self._tested = now_s, now_s + seconds

    def drive(self, now_s: float, active: bool) -> None:
        self._on = active
        if self.holder.line is None:
            return
        try:
            self.holder.line.set(active)
        except OSError as error:
            self.holder.lost(now_s, f"the GPIO chip is gone ({error.strerror}); plug it in again")

    def tested_s(self, now_s: float) -> float | None:
        """For how long a test has been going on; None without one."""
        return now_s - self._tested[0] if now_s < self._tested[1] else None

    def close(self) -> None:
        self.holder.close()


class Lamp(LineUnit):
    """A lamp, buzzer or relay."""

    kind = "gpio"

    def __init__(
        self, name: str, settings: GpioOutput, request: Callable[[GpioOutput | DoorOutput], DrivenLine]
    ) -> None:
        super().__init__(name, settings, request)
        self._settings, self._activation, self._is_active = settings, Activation(settings), False

    def step(self, inputs: Inputs) -> float:
        causes = heard_rules(self._settings.when, inputs.causes)
        self._activation.update(inputs.now_s, causes, _quiet(self._settings, inputs))
        active, next_s = line_level(self._activation, self._settings, inputs.now_s)
        if (tested_s := self.tested_s(inputs.now_s)) is not None:
            active, changes_in_s = level(self._settings, tested_s)
            next_s = min(next_s, inputs.now_s + changes_in_s, self._tested[1])
        self._is_active = tested_s is not None or self._activation.turn_s(inputs.now_s) is not None
        self.drive(inputs.now_s, active)
        return next_s

    def acknowledge(self) -> frozenset[Cause]:
        return self._activation.acknowledge()

    def can_be_silenced(self) -> bool:
        return bool(self._activation.to_acknowledge)

    def notifies_of(self, now_s: float) -> Iterable[Cause]:
        is_on = self.holder.line is not None and self._activation.turn_s(now_s) is not None
        return self._activation.open_causes if is_on else ()

    def state(self) -> OutputState:
        return _state(self.kind, self._activation, self.holder.problem, self._is_active)


class Door(LineUnit):
    """A door's line."""

    kind = "door"

    def __init__(
        self, name: str, settings: DoorOutput, request: Callable[[GpioOutput | DoorOutput], DrivenLine]
    ) -> None:
        super().__init__(name, settings, request)
        self._gate = Gate(settings)

    def step(self, inputs: Inputs) -> float:
        correct = any(cause.rule == "mask_correct" for cause in inputs.causes)
        active = self._gate.update(inputs.now_s, correct, inputs.blocked, inputs.blind)
        tested = self.tested_s(inputs.now_s) is not None
        self.drive(inputs.now_s, active or tested)
        return min(self._gate.next_s(inputs.now_s), self._tested[1] if tested else NEVER)

    def state(self) -> OutputState:
        return OutputState(self.kind, self._on, ("mask_correct",) if self._on else (), False, self.holder.problem)


class Voice(Unit):
    """A sound card's output."""

    kind = "sound"

    def __init__(self, name: str, settings: SoundOutput, player: Heard) -> None:
        super().__init__(name, settings.cameras)
        self._settings, self._activation, self._plan = settings, Activation(settings), SoundPlan(settings)
        self.player = player
        self._tests, self._tested_until_s = 0, -NEVER
        self._asked: Playback | None = None
        """What is to be heard, unless it is only a test."""

    def open(self, now_s: float) -> None:
        self.player.start()

    def step(self, inputs: Inputs) -> float:
        causes = heard_rules(self._settings.when, inputs.causes)
        self._activation.update(inputs.now_s, causes, _quiet(self._settings, inputs))
        playback = self._asked = self._plan.update(self._activation, inputs.now_s)
        if playback is None and inputs.now_s < self._tested_until_s:
            playback = Playback(-self._tests, clip_for(self._settings.play, self._settings.when[0]))
        self.player.play(playback, cut=self._activation.is_acknowledged or self._activation.quiet)
        next_s = self._plan.next_s(self._activation, inputs.now_s)
        return min(next_s, self._tested_until_s) if inputs.now_s < self._tested_until_s else next_s

    def acknowledge(self) -> frozenset[Cause]:
        return self._activation.acknowledge()

    def can_be_silenced(self) -> bool:
        return bool(self._activation.to_acknowledge)

    def notifies_of(self, now_s: float) -> Iterable[Cause]:
        return self._activation.open_causes if self._asked is not None and self._asked == self.player.heard else ()

    def test(self, now_s: float, seconds: float) -> None:
        self._tests, self._tested_until_s = self._tests + 1, now_s + seconds

    def state(self) -> OutputState:
        on = self._activation.is_on and not self._activation.is_acknowledged
        return _state(self.kind, self._activation, self.player.problem, on)

    def close(self) -> None:
        self.player.stop(1.0)


class Button(Unit):
    """A button by which somebody acknowledges."""

    kind = "button"

    def __init__(self, name: str, settings: ButtonInput, request: Callable[[ButtonInput], PressedLine]) -> None:
        super().__init__(name, ())
        self.acknowledges = settings.acknowledges
        self.holder: LineHolder[PressedLine] = LineHolder(name, lambda: request(settings))
        self._presses = Presses()

    @property
    def chatters(self) -> bool:
        """Its line is still to be read, but nobody should be woken by it."""
        return self._presses.chatters

    def open(self, now_s: float) -> None:
        self.holder.open(now_s)

    def step(self, inputs: Inputs) -> float:
        chattered = self.chatters
        self._presses.settle(inputs.now_s)
        self._notify_chatter(chattered)
        return NEVER

    def was_pressed(self, now_s: float, readable: bool, silences: bool) -> bool:
        """Call after each wait; False also for what is no press of a hand. `readable`: its line is; `silences`: a press would
        silence something now.
        """
        line = self.holder.line
        if line is None:
            return False
        chattered = self.chatters
        try:
            if readable:
                pressed = bool(line.presses()) and self._presses.edge(now_s, silences)
            else:
                pressed = chattered and line.is_down() and self._presses.held(now_s)
        except OSError as error:
            self.holder.lost(now_s, f"the GPIO chip is gone ({error.strerror}); plug it in again")
            return False
        self._notify_chatter(chattered)
        return pressed

    def _notify_chatter(self, chattered: bool) -> None:
        """Say when the contact has begun to chatter, or no longer does: also a press may come after a time that is quiet."""
        if self.chatters and not chattered:
            log.error("output %s: %s", self.name, CHATTERS)
        elif chattered and not self.chatters:
            log.info("output %s works again", self.name)

    def state(self) -> OutputState:
        return OutputState(self.kind, False, (), False, self.holder.problem or (CHATTERS if self.chatters else None))

    def close(self) -> None:
        self.holder.close()


def _quiet(settings: GpioOutput | SoundOutput, inputs: Inputs) -> bool:
    return inputs.minute is not None and is_quiet(inputs.minute, settings.quiet_from, settings.quiet_until)


def _state(kind: str, activation: Activation, problem: str | None, on: bool) -> OutputState:
    rules = tuple(sorted({cause.rule for cause in activation.causes}))
    return OutputState(kind, on, rules, activation.is_acknowledged, problem)
