"""The tables `[output.<id>]`: what notifies the people on the spot, the door, and the button by which they answer."""

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from edged.config.nearest import did_you_mean
from edged.config.section import Identifier, Line, Section

Rule = Literal[
    "mask_none",
    "mask_incorrect",
    "mask_correct",
    "inattention_long",
    "inattention_repeated",
    "drowsiness_notice",
    "drowsiness_warning",
    "drowsiness_alarm",
    "drowsiness_microsleep",
    "drowsiness_sleep",
    "drowsiness_perclos",
    "drowsiness_yawning",
    "drowsiness_nodding",
    "camera_lost",
    "alive",
]
"""What can be true now. A level of drowsiness includes the graver ones; `mask_correct`: everybody in view stands there."""
RULES: tuple[Rule, ...] = get_args(Rule)
Language = Literal["en", "de", "es", "fr", "it", "pt"]
TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
TimeOfDay = Annotated[str, Field(pattern=TIME_OF_DAY)]
PulseSeconds = Annotated[float, Field(ge=0.05, le=60)]
HoldSeconds = Annotated[float, Field(ge=0, le=60)]
Cameras = tuple[Identifier, ...]
BUILT_IN = ("auto", "chime", "voice", "alarm")


MOST_LINE = 4095
_ARGUMENT = r"([A-Z]+=)?([\w.-]+|([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2})"
_DEVICE = re.compile(rf"[A-Za-z][\w.-]*(:{_ARGUMENT}(,{_ARGUMENT})*)?", re.ASCII)
_WRITES = re.compile(r"(^|[:,=.])(file|tee)($|[:,])")
"""ALSA's ready-made devices that write into any file, or, with a `|`, into any program; `pcm.file` is `file`."""


def _line(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise ValueError('must be the name of a line, such as "GPIO17", or its number on the chip')
    if isinstance(value, int) and not 0 <= value <= MOST_LINE:
        raise ValueError(f"must be a number from 0 to {MOST_LINE}, or the name of a line")
    return value


class _Named(Section):
    name: Line | None = Field(None, min_length=1, max_length=64, description="Name for people, in Home Assistant too")


class _Line(Section):
    """One line of a GPIO chip."""

    chip: str | None = Field(
        None,
        min_length=1,
        max_length=120,
        description="Label, name or path of the GPIO chip; left out: whichever has a line of this name",
    )
    line: Annotated[int | str, BeforeValidator(_line)] = Field(
        description="Name of the line, or its number on the chip"
    )
    active_low: bool = Field(False, description="The line is active at 0 V")
    bias: Literal["as-is", "none", "pull-up", "pull-down"] = Field(
        "as-is", description="The chip's own resistor on the line"
    )

    @model_validator(mode="after")
    def _number_of_which_chip(self) -> "_Line":
        if self.chip is None and isinstance(self.line, int):
            raise ValueError(
                f"line = {self.line} is a number, which every chip has: name the chip too, or the line by its name"
            )
        return self


class _DrivenLine(_Line):
    drive: Literal["push-pull", "open-drain", "open-source"] = Field(
        "push-pull", description="How the chip drives the line: to both levels, only to 0 V, or only to its supply"
    )
    safe: Literal["inactive", "active"] = Field(
        "inactive", description="What the line is put to when edged ends, however it ends"
    )


class _NotifyingOutput(_Named):
    """When an output that notifies people is on."""

    when: tuple[Rule, ...] = Field(description="On while one of these is true")
    cameras: Cameras = Field((), max_length=16, description="Cameras whose rules count; none named: all of them")
    hold_seconds: HoldSeconds = Field(0, description="How long a rule must be true before the output is on")
    shortest_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        0.5, description="On for this long at least, even if the rule is true for less"
    )
    longest_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = Field(
        None, description="On for this long at most, as long as nothing new happens; left out: while the rule is true"
    )
    repeat_seconds: Annotated[float, Field(ge=1, le=86_400)] | None = Field(
        None, description="Notify again this long after the last time began, while the rule is true; left out: once"
    )
    quiet_from: TimeOfDay | None = Field(None, description="Local time from which the output is quiet")
    quiet_until: TimeOfDay | None = Field(None, description="Local time until which the output is quiet")

    @field_validator("when")
    @classmethod
    def _when_at_all(cls, value: tuple[Rule, ...]) -> tuple[Rule, ...]:
        if not value:
            raise ValueError('must name at least one rule, as in ["mask_none"]')
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _fitting_times(self) -> "_NotifyingOutput":
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValueError("quiet_from and quiet_until go together: give both, or neither")
        if self.quiet_from is not None and self.quiet_from == self.quiet_until:
            raise ValueError("quiet_from and quiet_until are the same: leave both out, or take the output out")
        if self.longest_seconds is not None and self.longest_seconds < self.shortest_seconds:
            raise ValueError(
                f"shortest_seconds = {self.shortest_seconds:g} must not be above longest_seconds = {self.longest_seconds:g}"
            )
        return self


class GpioOutput(_NotifyingOutput, _DrivenLine):
    """A lamp, buzzer or relay on a GPIO line."""

    kind: Literal["gpio"]
    pattern: Literal["steady", "pulses", "ramp"] = Field(
        "steady", description="Steadily on, in pulses, or in pulses that grow into a steady signal"
    )
    on_seconds: PulseSeconds = Field(0.3, description="Length of a pulse")
    off_seconds: PulseSeconds = Field(0.3, description="Pause between pulses")
    ramp_seconds: Annotated[float, Field(ge=1, le=600)] = Field(
        10, description="How long a ramp takes until it is steadily on"
    )

    @model_validator(mode="after")
    def _repeats(self) -> "GpioOutput":
        if self.repeat_seconds is not None and self.longest_seconds is None:
            raise ValueError("repeat_seconds needs longest_seconds: without it the line is on all the time anyway")
        if self.repeat_seconds and self.longest_seconds and self.repeat_seconds <= self.longest_seconds:
            raise ValueError("repeat_seconds must be above longest_seconds: it counts from where the last time began")
        return self


class SoundOutput(_NotifyingOutput):
    """Tones and spoken sentences, by ALSA."""

    kind: Literal["sound"]
    play: str = Field(
        "auto",
        min_length=1,
        max_length=4096,
        description='What is heard: "chime", "voice", "alarm", the path of a WAV file, or "auto", which fits the rule',
    )
    language: Language = Field("en", description="Language of the spoken sentences")
    device: str = Field("default", min_length=1, max_length=120, description="ALSA's name of the device")
    volume: Annotated[int, Field(ge=0, le=100)] = Field(80, description="Percent of full scale")

    @field_validator("device")
    @classmethod
    def _a_card(cls, value: str) -> str:
        if not _DEVICE.fullmatch(value) or _WRITES.search(value):
            raise ValueError(
                'must be a name that `aplay -L` lists, such as "default" or "plughw:CARD=Device,DEV=0"; what ALSA would write'
                " into files, pipe into programs or take apart further belongs into /etc/asound.conf, under a name of its own"
            )
        return value

    @field_validator("play")
    @classmethod
    def _a_sound(cls, value: str) -> str:
        if value not in BUILT_IN and not value.startswith("/"):
            raise ValueError('must be "auto", "chime", "voice", "alarm", or the whole path of a WAV file, from / on')
        return value


class DoorOutput(_Named, _DrivenLine):
    """A line for a door or turnstile, active while everybody in view wears a mask correctly. No safety device."""

    kind: Literal["door"]
    cameras: Cameras = Field((), max_length=16, description="Cameras that must see it; none named: all of them")
    hold_seconds: HoldSeconds = Field(1, description="How long everybody in view must have stood at correct")
    shortest_seconds: Annotated[float, Field(ge=0, le=60)] = Field(
        3, description="Active for this long at least, so that people can pass"
    )


class ButtonInput(_Named, _Line):
    """A button on a GPIO line by which somebody on the spot acknowledges."""

    kind: Literal["button"]
    acknowledges: tuple[Identifier, ...] = Field(
        (), max_length=32, description="Outputs that it silences; none named: all of them"
    )
    debounce_ms: Annotated[int, Field(ge=0, le=1000)] = Field(20, description="Shorter presses are none")


def _kind(value: Any) -> str | None:
    """By which model a table is read."""
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return kind if isinstance(kind, str) else None


# By a function: pydantic takes no key for it that is checked before, as all of ours are for NUL characters.
OutputConfig = Annotated[
    Annotated[GpioOutput, Tag("gpio")]
    | Annotated[SoundOutput, Tag("sound")]
    | Annotated[DoorOutput, Tag("door")]
    | Annotated[ButtonInput, Tag("button")],
    Discriminator(_kind),
]
OUTPUTS: tuple[type[Section], ...] = (GpioOutput, SoundOutput, DoorOutput, ButtonInput)
LINES = (GpioOutput, DoorOutput, ButtonInput)
MOST_OUTPUTS = 32


def check_outputs(outputs: dict[str, OutputConfig], cameras: set[str]) -> None:
    """Raise ValueError for what no single table shows: unknown names, and lines that two of them name."""
    if len(outputs) > MOST_OUTPUTS:
        raise ValueError(f"at most {MOST_OUTPUTS} outputs on one device")
    lines: dict[tuple[str | None, int | str], str] = {}
    for name, output in outputs.items():
        named = output.acknowledges if isinstance(output, ButtonInput) else output.cameras
        known, what = (set(outputs), "output") if isinstance(output, ButtonInput) else (cameras, "camera")
        for one in named:
            if one not in known:
                there = ", ".join(sorted(known)) or "none"
                meant = did_you_mean(one, known)
                raise ValueError(f'{name} names the {what} "{one}", which is not there; there are: {there}{meant}')
        if isinstance(output, LINES):
            other = lines.setdefault((output.chip, output.line), name)
            if other != name:
                raise ValueError(f"{name} and {other} name the same line {output.line}; give each its own")


__all__ = [
    "LINES",
    "OUTPUTS",
    "RULES",
    "ButtonInput",
    "DoorOutput",
    "GpioOutput",
    "OutputConfig",
    "Rule",
    "SoundOutput",
]
