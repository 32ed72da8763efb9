"""Checks whether an output can work here: chip, line, permission, sound card, clips; and tries one out."""

import os
import select
import time
from collections.abc import Callable, Iterable

from edged.config import ButtonInput, OutputConfig, SoundOutput
from edged.errors import Failed, Unavailable
from edged.outputs import gpio
from edged.outputs.kept import DrivenOutput
from edged.outputs.rules import Cause
from edged.outputs.sound import load_clips, play_silence
from edged.outputs.units import Inputs
from edged.outputs.worker import Hardware, make_unit


def examine(settings: OutputConfig, *, held: bool = False) -> str:
    """What the output is driven by, for a person. `held`: the running daemon has it, and its line is in use by that.

    Raise Unavailable, naming the remedy, when it cannot work.
    """
    if isinstance(settings, SoundOutput):
        return _examine_sound(settings)
    found = gpio.find(settings)
    if not os.access(found.path, os.R_OK | os.W_OK):
        raise Unavailable(gpio.no_permission(found.path))
    where = f"line {found.name or found.offset} of {found.label} ({found.path}, number {found.offset})"
    if found.user == gpio.CONSUMER and held:
        return f"{where}, which the running daemon drives"
    if found.user is not None:
        raise Unavailable(f"{where} is in use by {found.user}; end that, or take another line")
    return f"{where} is free"


def _examine_sound(settings: SoundOutput) -> str:
    """Play a moment of silence, so that the card shows whether it takes samples."""
    clips = load_clips(settings)
    for clip in clips.values():
        clip.close()
    if problem := play_silence(settings.device):
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
