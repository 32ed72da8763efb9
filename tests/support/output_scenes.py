"""Outputs driven through a scripted minute, each told as the moments at which lines changed and clips began."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from edged.config import ButtonInput, Config, DoorOutput, GpioOutput, SoundOutput
from edged.errors import Unavailable
from edged.outputs import gpio
from edged.outputs.sound import _command, load_clips, read_wav
from edged.outputs.sound_plan import Playback
from edged.outputs.units import Button
from edged.outputs.worker import Hardware, OutputWorker
from edged.pipeline import Outcome
from edged.publish import device_discovery
from edged.types import Drowsiness, DrowsinessLevel, Event, EventKind, Frame, Image, MaskState, Signals
from support.doubles import vote
from support.gpio import FileChip, double
from support.storing import HandClock

STEP_S = 0.05
NOTHING: Image = np.zeros((0, 0, 3), np.uint8)


def drowsy(
    track: int, time_s: float, level: DrowsinessLevel, closure_s: float = 0.0, closed: bool | None = None
) -> Drowsiness:
    reasons: Any = ("microsleep",) if level in ("warning", "alarm") else ("perclos",) if level == "notice" else ()
    shut = closure_s > 0 if closed is None else closed
    return Drowsiness(track, time_s, 0.1, shut, closure_s, 0.1, None, None, 0.9, level, reasons, ())


def event(
    key: str,
    phase: Any,
    time_s: float,
    kind: EventKind = "mask",
    state: str = "none",
    why: str | None = None,
    **details: Any,
) -> Event:
    return Event(key, kind, phase, "door", 1, time_s, state, end_reason=why, details=details)


def outcome(*events: Event, masks: Iterable[Any] = (), drowsiness: Iterable[Drowsiness] = ()) -> Outcome:
    return Outcome([], [], Signals(masks=tuple(masks), drowsiness=tuple(drowsiness)), list(events), [])


class FakeLine:
    """A line whose changes are kept with their moments."""

    def __init__(self, clock: HandClock, safe: bool) -> None:
        self._clock, self.level, self._safe = clock, safe, safe
        self.changes: list[tuple[float, bool]] = []
        self.broken = False

    def set(self, active: bool) -> None:
        if self.broken:
            raise OSError(19, "No such device")
        if active != self.level:
            self.level = active
            self.changes.append((round(self._clock.monotonic_s(), 2), active))

    def close(self) -> None:
        if not self.broken:
            self.set(self._safe)


class FakePlayer:
    """A player whose clips are kept with their moments; "-" where it is to be silent, "!" where at once."""

    def __init__(self, clock: HandClock) -> None:
        self._clock, self.problem, self.last = clock, None, (None, False)
        self.played: list[tuple[float, str]] = []
        self.asked: list[Playback | None] = []
        self.is_there = True

    @property
    def heard(self) -> Playback | None:
        return self.last[0] if self.is_there else None

    def play(self, playback: Playback | None, *, cut: bool = False) -> None:
        self.asked.append(playback)
        if (playback, cut) != self.last and not (playback is None and self.last[0] is None):
            self.played.append((round(self._clock.monotonic_s(), 2), playback.clip if playback else "-!"[cut]))
        self.last = playback, cut

    def start(self) -> None:
        return

    def stop(self, timeout_s: float) -> bool:
        return True


class Stage:
    """The outputs of a config, on a clock that is moved by hand."""

    def __init__(self, config: Config, hour: int = 12) -> None:
        self.clock = HandClock()
        self.clock.monotonic = 0.0
        self.clock.utc = 1_780_272_000_000 + hour * 3_600_000  # 2026-06-01, at this hour
        self.lines: dict[str, FakeLine] = {}
        self.players: dict[str, FakePlayer] = {}
        self.lost: set[str] = set()
        self.missing = False

        def line(settings: GpioOutput | DoorOutput) -> FakeLine:
            if self.missing:
                raise Unavailable("the GPIO chip is not there")
            made = self.lines[str(settings.line)] = FakeLine(self.clock, settings.safe == "active")
            return made

        def button(settings: ButtonInput) -> Any:
            raise Unavailable("no button here")

        def player(name: str, settings: SoundOutput) -> FakePlayer:
            made = self.players[name] = FakePlayer(self.clock)
            return made

        self.worker = OutputWorker(config, self.lost.__contains__, self.clock, Hardware(line, button, player))
        self.worker.step(0.0)

    def see(self, what: Outcome, camera: str = "door") -> None:
        self.worker.observe(Frame(camera, 0, self.clock.monotonic_s(), NOTHING), what)
        self.worker.step(self.clock.monotonic_s())

    def pass_s(self, seconds: float, what: Outcome | None = None, camera: str = "door") -> None:
        """Time passes, and frames come with nothing new, ten a second; `what` is in each."""
        for step in range(round(seconds / STEP_S)):
            self.clock.pass_s(STEP_S)
            self.clock.monotonic = round(self.clock.monotonic, 6)
            if what is not None and step % 2 == 1:
                self.worker.observe(Frame(camera, 0, self.clock.monotonic_s(), NOTHING), what)
            self.worker.step(self.clock.monotonic_s())


def told(changes: Iterable[tuple[float, Any]]) -> str:
    """As "+10 -20": when a line went on and off; or "10 chime"."""
    return " ".join(f"{'-+'[what]}{at:g}" if isinstance(what, bool) else f"{at:g} {what}" for at, what in changes)


EMPTY = outcome()


def minute(config: Config, folder: Path) -> dict[str, Any]:
    """Somebody without a mask from 10 to 20 s, with one from 30 to 36 s; at 38 s the daemon stops."""
    stage = Stage(config)
    correct = [vote(1, 0, MaskState.CORRECT)]
    stage.pass_s(10, EMPTY)
    stage.see(outcome(event("e1", "start", 10), masks=[vote(1, 0, MaskState.NONE)]))
    stage.pass_s(10, outcome(masks=[vote(1, 0, MaskState.NONE)]))
    stage.see(outcome(event("e1", "end", 20, why="left")))
    stage.pass_s(10, EMPTY)
    stage.pass_s(6, outcome(masks=correct))
    stage.pass_s(2, EMPTY)
    for unit in stage.worker._units:
        unit.close()
    (name,) = config.output
    lines = [line.changes for line in stage.lines.values()]
    return {
        "edges": told(lines[0]) if lines else None,
        "played": told(stage.players[name].played) if stage.players else None,
        "line": next(iter(stage.lines), None),
        "entity": _entity(config, name),
        **_asked(config, folder),
        **_heard(config),
    }


def pressed(config: Config, folder: Path) -> dict[str, Any]:
    """What is off once the button is pressed, while somebody without a mask is in view."""
    stage = Stage(config)
    stage.see(outcome(event("e1", "start", 0), masks=[vote(1, 0, MaskState.NONE)]))
    stage.pass_s(1, EMPTY)
    button = next(unit for unit in stage.worker._units if isinstance(unit, Button))
    stage.worker._press(button)
    stage.pass_s(0.1, EMPTY)
    return {"off": sorted(name for name, state in stage.worker.states().items() if state.acknowledged)}


def _entity(config: Config, name: str) -> str:
    parts = device_discovery(config, "dev1")["cmps"]
    return str(parts[f"output_{name}_problem"]["name"]).removesuffix(" problem")


def _asked(config: Config, folder: Path) -> Mapping[str, Any]:
    """What the kernel is asked for: chip, line and settings; or why it cannot be had."""
    (settings,) = config.output.values()
    if isinstance(settings, SoundOutput):
        return {}
    FileChip(folder / "chips", "first", 0, ["RED", "DOOR"])
    FileChip(folder / "chips", "second", 1, ["SPARE", "RED", "DOOR"])
    with ExitStack() as patches:
        patches.enter_context(patch("edged.outputs.gpio._library", double))
        patches.enter_context(patch("edged.outputs.gpio.DEVICES", folder / "chips"))
        library = double()
        request = patches.enter_context(patch.object(library, "request_lines", wraps=library.request_lines))
        opened = gpio.open_button(settings) if isinstance(settings, ButtonInput) else gpio.open_output(settings)
        opened.close()
    ((path,), named) = request.call_args
    ((offset, asked),) = named["config"].items()
    return {
        "chip": Path(path).name,
        "offset": offset,
        "active low": asked.active_low,
        "bias": asked.bias.name,
        "drive": asked.drive.name,
        "first": asked.output_value.name,
        "debounce": asked.debounce_period.total_seconds(),
    }


def _heard(config: Config) -> Mapping[str, Any]:
    """The sound of what is played: how loud, how long, and where."""
    (settings,) = config.output.values()
    if not isinstance(settings, SoundOutput):
        return {}
    clips = load_clips(settings)
    lengths = {name: round(clip.seconds, 2) for name, clip in clips.items()}
    first = next(iter(clips.values()))
    loudest = max(int(np.abs(read_wav(Path(f"/dev/fd/{clip.descriptor}"))[0]).max()) for clip in clips.values())
    device = _command(settings.device, first)[-2]
    for clip in clips.values():
        clip.close()
    return {"lengths": lengths, "loudest": loudest, "device": device}
