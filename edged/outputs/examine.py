"""Checks whether an output can work here: chip, line, permission, sound card, clips; and tries one out."""

import os
import select
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from edged.config import ButtonInput, OutputConfig, SoundOutput
from edged.errors import EdgedError, Failed, Unavailable
from edged.outputs import gpio
from edged.outputs.kept import DrivenOutput
from edged.outputs.rules import Cause
from edged.outputs.sound import BUSY, load_clips, play_silence
from edged.outputs.units import Inputs
from edged.outputs.worker import Hardware, make_unit


@dataclass(frozen=True, slots=True)
class Examined:
    """One output: what it is driven by, for a person, or why it cannot work, with the remedy."""

    name: str
    kind: str
    line: str
    problem: str | None


def examine(outputs: Mapping[str, OutputConfig], *, held: bool = False) -> Iterator[Examined]:
    """Every output, as it is examined. `held`: the running daemon has them, and their lines are in use by that."""
    taken: dict[tuple[str, int], str] = {}
    for name, settings in outputs.items():
        try:
            line = (
                _examine_sound(settings, held)
                if isinstance(settings, SoundOutput)
                else _line(name, settings, taken, held)
            )
        except EdgedError as error:
            yield Examined(name, settings.kind, "", str(error))
        else:
            yield Examined(name, settings.kind, line, None)


def _line(name: str, settings: gpio.LineSettings, taken: dict[tuple[str, int], str], held: bool) -> str:
    """`taken`: the lines of the outputs before it. Raise Unavailable, naming the remedy, when it cannot work."""
    found = gpio.find(settings)
    if not os.access(found.path, os.R_OK | os.W_OK):
        raise Unavailable(gpio.no_permission(found.path))
    where = f"line {found.name or found.offset} of {found.label} ({found.path}, number {found.offset})"
    other = taken.setdefault((found.path, found.offset), name)
    if other != name:  # by its name and by its number, which only the chip knows to be the same
        raise Unavailable(f"{where} is also that of output {other}; give each its own")
    if found.user == gpio.CONSUMER and held:
        return f"{where}, which the running daemon drives"
    if found.user is not None:
        raise Unavailable(gpio.in_use(where, found.user))
    return f"{where} is free"


def _examine_sound(settings: SoundOutput, held: bool) -> str:
    """Play a moment of silence, so that the card shows whether it takes samples. Raise Unavailable when it does not."""
    clips = load_clips(settings)
    for clip in clips.values():
        clip.close()
    problem = play_silence(settings.device)
    if held and problem is not None and BUSY in problem:  # a device that does not mix is so in each alarm
        return f'device = "{settings.device}" is in use, as while the running daemon plays on it; see `edged status`'
    if problem is not None:
        raise Unavailable(problem)
    return f'device = "{settings.device}" plays; {len(clips)} clip{"s" * (len(clips) != 1)} in {settings.language}'


def try_out(name: str, settings: OutputConfig, seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Switch an output on for so long, without the daemon. Raise Unavailable when it cannot, Failed for a button not pressed."""
    if isinstance(settings, ButtonInput):
        _wait_for_press(settings, seconds)
        return
    unit = make_unit(name, settings, Hardware.of_this_machine())
    began_s = now_s = time.monotonic()
    unit.open(now_s)
    unit.test(now_s, seconds)
    try:
        while (now_s := time.monotonic()) < began_s + seconds:
            nothing: frozenset[Cause] = frozenset()
            next_s = unit.step(Inputs(now_s, nothing, blocked=False, blind=False, minute=None))
            if problem := unit.state().problem:
                raise Unavailable(problem)
            sleep(max(0.0, min(next_s - now_s, began_s + seconds - now_s, 0.1)))
    finally:
        unit.close()


def _wait_for_press(settings: ButtonInput, seconds: float) -> None:
    line = gpio.open_button(settings)
    try:
        poll = select.poll()
        poll.register(line, select.POLLIN)
        if not poll.poll(seconds * 1000) or not line.presses():
            raise Failed(f"the button was not pressed within {seconds:g} s; see its wiring, active_low and bias")
    finally:
        line.close()


def make_safe(lines: Iterable[tuple[str, DrivenOutput]]) -> list[str]:
    """Put every line to its safe level, after a daemon that could not; return what could not be done, one line each.

    Where two settings mean one line, the later ones hold.
    """
    problems = []
    for name, settings in lines:
        try:
            gpio.open_output(settings).close()
        except Unavailable as error:
            problems.append(f"output {name}: {error}")
    return problems
