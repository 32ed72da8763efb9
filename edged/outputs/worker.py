"""The thread that drives all local outputs: from what analysis sees to lines and sounds, without disk, network or broker."""

import logging
import math
import select
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from typing_extensions import assert_never

from edged.config import ButtonInput, Config, DoorOutput, GpioOutput, OutputConfig, SoundOutput
from edged.outputs.activation import concerns
from edged.outputs.bell import Bell
from edged.outputs.rules import CameraRules, Cause, Seen
from edged.outputs.units import Button, Door, DrivenLine, Heard, Inputs, Lamp, OutputState, PressedLine, Unit, Voice
from edged.pipeline import Outcome
from edged.ports import Clock
from edged.records import Notification
from edged.types import Frame
from edged.worker import Worker

log = logging.getLogger(__name__)

STEP_EVERY_S = 0.25
"""So often outputs are driven, even when nothing else happens."""
BLIND_AFTER_S, FRAMES_MISSED = 1.5, 4
"""A door that has had no analysed picture for so long, and so many frames, sees nothing."""
DEAD_AFTER_S = 5.0
"""A device of which a camera has had no analysed picture for so long, and so many at its present pace, is not alive."""
MOST_NOTIFICATIONS, MOST_ASKED = 256, 32


@dataclass(frozen=True, slots=True)
class Hardware:
    """What outputs are driven by; tests put doubles in its place."""

    output: Callable[[GpioOutput | DoorOutput], DrivenLine]
    button: Callable[[ButtonInput], PressedLine]
    player: Callable[[str, SoundOutput], Heard]

    @classmethod
    def of_this_machine(cls) -> "Hardware":
        """GPIO lines and sound cards."""
        from edged.outputs import gpio  # here, since most devices have no output
        from edged.outputs.sound import Player

        return cls(gpio.open_output, gpio.open_button, Player)


@dataclass(frozen=True, slots=True)
class _Acknowledgement:
    outputs: Sequence[str]
    """None named: all."""
    who: str
    time_s: float


class OutputWorker(Worker):
    """All outputs of one config. `observe` is called by the analysis thread, and never waits."""

    def __init__(
        self,
        config: Config,
        is_lost: Callable[[str], bool],
        clock: Clock,
        hardware: Hardware | None = None,
        interval_s: Callable[[str], float] | None = None,
    ) -> None:
        """`is_lost` says whether a camera gives no pictures, or none to be seen anything in, `interval_s` how far apart they
        are now, as in the config when left out; from any thread.
        """
        super().__init__("outputs")
        self.zone = ZoneInfo(config.report.timezone)
        """Of the quiet hours; a reload may set another."""
        self._is_lost, self._clock = is_lost, clock
        self._cameras = list(config.camera)
        self._blind_after_s = {
            name: max(BLIND_AFTER_S, FRAMES_MISSED / camera.fps) for name, camera in config.camera.items()
        }
        self._interval_s = interval_s or (lambda name: 1 / config.camera[name].fps)
        self._rules = {name: CameraRules(name, camera.drowsiness) for name, camera in config.camera.items()}
        self._units = _units(config, hardware or Hardware.of_this_machine()) if config.output else []
        self._bell = Bell()
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, Seen]] = {}
        """By camera: when its newest frame was analysed, and what that made true."""
        self._asked: deque[_Acknowledgement] = deque(maxlen=MOST_ASKED)
        self._tests: deque[tuple[str, float]] = deque(maxlen=MOST_ASKED)
        self._notifications: deque[Notification] = deque(maxlen=MOST_NOTIFICATIONS)
        self._notified: dict[str, list[str]] = {}
        """By the key of an event that is true now: the outputs that have notified of it."""
        self._states: Mapping[str, OutputState] = {unit.name: unit.state() for unit in self._units}

    @property
    def names(self) -> list[str]:
        """Every output, and button."""
        return [unit.name for unit in self._units]

    @property
    def threads(self) -> list[Worker]:
        """This one, and those of the sound cards; none where no output is configured."""
        if not self._units:
            return []
        return [
            self,
            *(unit.player for unit in self._units if isinstance(unit, Voice) and isinstance(unit.player, Worker)),
        ]

    def start(self) -> None:
        """Begin; does nothing where no output is configured."""
        if self._units:
            super().start()

    def observe(self, frame: Frame, outcome: Outcome) -> None:
        """Take in what a frame led to."""
        seen = self._rules[frame.camera].update(frame.time_s, outcome)
        with self._lock:
            known_s = self._seen.get(frame.camera, (-math.inf,))[0]
            # What ends when analysis falls silent comes without a picture: nothing was seen.
            self._seen[frame.camera] = self._clock.monotonic_s() if frame.index >= 0 else known_s, seen
        self._bell.ring()

    def acknowledge(self, output: str | None, who: str) -> str | None:
        """Silence one output, or all, until something new is true; from any thread. Return what is wrong, with the remedy."""
        problem = self._no_such(output) if output is not None else None
        if problem is None:
            self._asked.append(_Acknowledgement([output] if output else [], who, self._clock.monotonic_s()))
            self._bell.ring()
        return problem

    def test(self, output: str, seconds: float) -> str | None:
        """Switch one output on for so long, whatever is true; from any thread. Return what is wrong, with the remedy.

        Whether a sound is heard shows only while it is tried: `states` tells it then.
        """
        problem = self._no_such(output)
        if problem is None:
            self._tests.append((output, seconds))
            self._bell.ring()
            state = self._states[output]
            problem = None if state.kind == Voice.kind else state.problem
        return problem

    def states(self) -> Mapping[str, OutputState]:
        """Every output as it is now; from any thread."""
        return self._states

    def problems(self) -> list[str]:
        """What does not work, one line each, the remedy in it; from any thread."""
        return [f"output {name}: {state.problem}" for name, state in self._states.items() if state.problem]

    def take_notifications(self) -> list[Notification]:
        """What outputs have done about events since the last call: which have notified of them, and who acknowledged it."""
        taken = []
        while self._notifications:
            taken.append(self._notifications.popleft())
        return taken

    def work(self) -> None:
        """Drive until stopped, then leave every line safe."""
        try:
            while not self.stopping.is_set():
                self.beat()
                now_s = self._clock.monotonic_s()
                next_s = self.step(now_s)
                self._wait(min(STEP_EVERY_S, max(0.0, next_s - self._clock.monotonic_s())))
        finally:
            for unit in self._units:
                unit.close()

    def step(self, now_s: float) -> float:
        """Do everything that is due, and return when something may be due next."""
        while self._tests:
            name, seconds = self._tests.popleft()
            self._unit(name).test(now_s, seconds)
        while self._asked:
            self._silence(self._asked.popleft())
        with self._lock:
            seen = dict(self._seen)
        lost = {camera for camera in self._cameras if self._is_lost(camera)}
        minute = self._minute()
        next_s = now_s + STEP_EVERY_S
        for unit in self._units:
            next_s = min(next_s, unit.step(self._inputs(unit, now_s, seen, lost, minute)))
            for cause in unit.notifies_of(now_s):
                self._notify(cause, unit.name)
        for unit in self._units:  # only now: to open what is not there takes a moment
            unit.open(now_s)
        true_now = {cause.key for _, one in seen.values() for cause in one.causes}
        self._notified = {key: outputs for key, outputs in self._notified.items() if key in true_now}
        self._states = {unit.name: unit.state() for unit in self._units}
        return next_s

    def _inputs(
        self, unit: Unit, now_s: float, seen: Mapping[str, tuple[float, Seen]], lost: set[str], minute: int | None
    ) -> Inputs:
        cameras = [camera for camera in self._cameras if concerns(unit.cameras, camera)]
        age_s = {camera: now_s - seen[camera][0] if camera in seen else float("inf") for camera in cameras}
        blocked = any(seen[camera][1].blocked for camera in cameras if camera in seen)
        causes = {cause for camera in cameras if camera in seen for cause in seen[camera][1].at(now_s)}
        if blocked:
            causes = {cause for cause in causes if cause.rule != "mask_correct"}
        causes |= {Cause(camera, "camera_lost") for camera in cameras if camera in lost}
        alive_s = {name: max(DEAD_AFTER_S, FRAMES_MISSED * self._interval_s(name)) for name in cameras}
        if cameras and not lost.intersection(cameras) and all(age < alive_s[name] for name, age in age_s.items()):
            causes.add(Cause("", "alive"))
        sees = [camera not in lost and age_s[camera] <= self._blind_after_s[camera] for camera in cameras]
        blind = not sees or not all(sees)
        return Inputs(now_s, frozenset(causes), blocked, blind, minute)

    def _wait(self, timeout_s: float) -> None:
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        buttons = [unit for unit in self._units if isinstance(unit, Button) and unit.holder.line is not None]
        for button in buttons:
            poll.register(button.holder.line, 0 if button.chatters else select.POLLIN)  # type: ignore[arg-type]
        poll.poll(timeout_s * 1000)
        for button in buttons:
            poll.register(button.holder.line, select.POLLIN)  # type: ignore[arg-type]
        ready = {descriptor for descriptor, _ in poll.poll(0)}
        self._bell.clear()
        for button in buttons:
            readable = button.holder.line is not None and button.holder.line.fileno() in ready
            silences = any(unit.can_be_silenced() for unit in self._acknowledged_by(button.acknowledges))
            if button.was_pressed(self._clock.monotonic_s(), readable, silences):
                self._press(button)

    def _press(self, button: Button) -> None:
        log.info("button %s was pressed", button.name)
        self._asked.append(_Acknowledgement(button.acknowledges, f"button {button.name}", self._clock.monotonic_s()))

    def _acknowledged_by(self, outputs: Sequence[str]) -> list[Unit]:
        """None named: all."""
        return [unit for unit in self._units if not outputs or unit.name in outputs]

    def _silence(self, asked: _Acknowledgement) -> None:
        for unit in self._acknowledged_by(asked.outputs):
            for key in {cause.key for cause in unit.acknowledge() if cause.key}:
                self._notifications.append(
                    Notification(key, tuple(self._notified.get(key, ())), asked.time_s, asked.who)
                )

    def _notify(self, cause: Cause, output: str) -> None:
        outputs = self._notified.setdefault(cause.key, [])
        if cause.key and output not in outputs:
            outputs.append(output)
            self._notifications.append(Notification(cause.key, tuple(outputs)))

    def _minute(self) -> int | None:
        """Of the local day; None while the clock cannot be believed: quiet hours must not silence by mistake."""
        if not self._clock.trusted():
            return None
        local = datetime.fromtimestamp(self._clock.utc_ms() / 1000, tz=timezone.utc).astimezone(self.zone)
        return local.hour * 60 + local.minute

    def _no_such(self, output: str) -> str | None:
        there = ", ".join(self.names) or "none"
        return None if output in self.names else f"there is no output {output}; there are: {there}"

    def _unit(self, name: str) -> Unit:
        return next(unit for unit in self._units if unit.name == name)


def _units(config: Config, hardware: Hardware) -> list[Unit]:
    """Every output; lines first: they are driven before sounds are begun."""
    units = [make_unit(name, settings, hardware) for name, settings in config.output.items()]
    return sorted(units, key=lambda unit: isinstance(unit, Voice))


def make_unit(name: str, settings: OutputConfig, hardware: Hardware) -> Unit:
    """The unit of an output of any kind; it is not opened yet."""
    match settings:
        case GpioOutput():
            return Lamp(name, settings, hardware.output)
        case DoorOutput():
            return Door(name, settings, hardware.output)
        case ButtonInput():
            return Button(name, settings, hardware.button)
        case SoundOutput():
            return Voice(name, settings, hardware.player(name, settings))
        case _:
            assert_never(settings)
