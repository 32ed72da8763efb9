"""Lines of GPIO chips by the kernel's character device: requested once, driven, and left at their safe level.

The one place that imports `gpiod` (libgpiod 2). What the kernel does when the process is killed: it takes the request back; the
pin then keeps its level or becomes an input, as its driver has it (see docs/outputs.md).
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from edged.config import ButtonInput, DoorOutput, GpioOutput
from edged.errors import Unavailable

CONSUMER = "edged"
DEVICES = Path("/dev")
MOST_PRESSES = 16
MISSING = "the library gpiod is not installed; run `pip install 'edged[outputs]'`, or install edged's package"

LineSettings = GpioOutput | DoorOutput | ButtonInput


def _library() -> Any:
    """Libgpiod's own Python package. Raise Unavailable where it is not installed."""
    try:
        import gpiod
        import gpiod.line
    except ImportError:
        raise Unavailable(MISSING) from None
    return gpiod


@dataclass(frozen=True, slots=True)
class ChipLine:
    """One line that was found: its chip's path and label, its number, its name, and who uses it, if anybody."""

    path: str
    label: str
    offset: int
    name: str
    user: str | None


class OutputLine:
    """One line that this process drives."""

    def __init__(self, request: Any, offset: int, safe: bool) -> None:
        self._request, self._offset, self._safe = request, offset, safe
        self._values = _library().line.Value
        self.active = safe

    def set(self, active: bool) -> None:
        """Raise OSError when the chip is gone."""
        if active != self.active:
            self._request.set_value(self._offset, self._values.ACTIVE if active else self._values.INACTIVE)
            self.active = active

    def close(self) -> None:
        """Put it to its safe level and give it back; a chip that is gone has neither."""
        with contextlib.suppress(OSError):
            self.set(self._safe)
        with contextlib.suppress(OSError):
            self._request.release()


class ButtonLine:
    """One line that is read; `fileno` becomes readable when the button was pressed."""

    def __init__(self, request: Any, offset: int) -> None:
        self._request, self._offset = request, offset
        self._active = _library().line.Value.ACTIVE

    def fileno(self) -> int:
        return int(self._request.fd)

    def presses(self) -> int:
        """How often it was pressed since the last time; call when `fileno` is readable. Raise OSError when the chip is gone."""
        return len(self._request.read_edge_events(MOST_PRESSES))

    def is_down(self) -> bool:
        """Whether it is pressed now. Raise OSError when the chip is gone."""
        return bool(self._request.get_value(self._offset) == self._active)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._request.release()


def open_output(settings: GpioOutput | DoorOutput) -> OutputLine:
    """Request the line, at its safe level. Raise Unavailable, naming the remedy."""
    library = _library()
    safe = settings.safe == "active"
    line = library.line
    drive = {
        "push-pull": line.Drive.PUSH_PULL,
        "open-drain": line.Drive.OPEN_DRAIN,
        "open-source": line.Drive.OPEN_SOURCE,
    }
    line_settings = library.LineSettings(
        direction=line.Direction.OUTPUT,
        drive=drive[settings.drive],
        bias=_bias(line, settings),
        active_low=settings.active_low,
        output_value=line.Value.ACTIVE if safe else line.Value.INACTIVE,
    )
    found = find(settings)
    return OutputLine(_request(library, found, line_settings), found.offset, safe)


def open_button(settings: ButtonInput) -> ButtonLine:
    """Request the line, and have presses counted. Raise Unavailable, naming the remedy."""
    library = _library()
    line = library.line
    line_settings = library.LineSettings(
        direction=line.Direction.INPUT,
        edge_detection=line.Edge.RISING,  # the moment at which it becomes active, whichever level that is
        bias=_bias(line, settings),
        active_low=settings.active_low,
        debounce_period=timedelta(milliseconds=settings.debounce_ms),
    )
    found = find(settings)
    return ButtonLine(_request(library, found, line_settings), found.offset)


def _bias(line: Any, settings: LineSettings) -> Any:
    bias = line.Bias
    return {"as-is": bias.AS_IS, "none": bias.DISABLED, "pull-up": bias.PULL_UP, "pull-down": bias.PULL_DOWN}[
        settings.bias
    ]


def _request(library: Any, found: ChipLine, line_settings: Any) -> Any:
    where = f"line {found.name or found.offset} of {found.label}"
    try:
        return library.request_lines(found.path, consumer=CONSUMER, config={found.offset: line_settings})
    except PermissionError:
        raise Unavailable(no_permission(found.path)) from None
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise Unavailable(in_use(where, found.user)) from None
        if error.errno in (errno.EINVAL, errno.ENOTSUP):
            raise Unavailable(
                f'{where}: the chip refuses these settings; try bias = "as-is" and the usual drive'
            ) from None
        raise Unavailable(f"{where}: cannot be requested ({os.strerror(error.errno or 0)})") from None


def in_use(where: str, user: str | None) -> str:
    """What to say of a line that `user` has, which calls itself so; None: it is not known who."""
    if user == CONSUMER:
        users = "its daemon, another of its outputs or an `edged outputs test`"
        return f"{where} is in use by edged: by {users}; see `edged outputs list`"
    return f"{where} is in use by {user or 'another program or driver'}; end that, or take another line"


def no_permission(path: str) -> str:
    """What to say of a chip that must not be opened."""
    return (
        f"{path}: no permission; edged's user must be in the group gpio, and the chip belong to it (edged's udev rule)"
    )


def find(settings: LineSettings) -> ChipLine:
    """The line that the settings name. Raise Unavailable when it is not there."""
    library = _library()
    refused: list[str] = []
    labels: list[str] = []
    for path in chip_paths():
        try:
            with library.Chip(path) as chip:
                about = chip.get_info()
                labels.append(f"{about.label} ({about.name})")
                if settings.chip not in (None, about.label, about.name, path):
                    continue
                if (found := _line_of(chip, about, settings.line, path)) is not None:
                    return found
                if settings.chip is not None:
                    raise Unavailable(f"chip {about.label} has no line {settings.line}; {_lines_of(chip, about)}")
        except PermissionError:
            refused.append(path)
        except OSError:
            continue  # it was pulled out at this moment
    if refused:
        raise Unavailable(no_permission(refused[0]))
    there = f"there are: {', '.join(labels)}" if labels else "this machine shows none: /dev/gpiochip* is empty"
    if settings.chip is None and labels:
        raise Unavailable(f"no chip has a line named {settings.line}; {there}")
    raise Unavailable(f"the GPIO chip {settings.chip or ''} is not there; {there}".replace("  ", " "))


def chip_paths() -> list[str]:
    """Every GPIO chip's device, in the order of their numbers."""
    devices = [path for path in DEVICES.glob("gpiochip*") if path.name[8:].isdigit()]
    return [str(path) for path in sorted(devices, key=lambda path: int(path.name[8:]))]


def _line_of(chip: Any, about: Any, line: int | str, path: str) -> ChipLine | None:
    try:
        offset = chip.line_offset_from_id(line)
        info = chip.get_line_info(offset)
    except (OSError, ValueError):
        return None
    return ChipLine(path, about.label, offset, info.name or "", (info.consumer or "a driver") if info.used else None)


def _lines_of(chip: Any, about: Any) -> str:
    """The first lines of a chip by their names, for a person."""
    names = [name for offset in range(about.num_lines) if (name := chip.get_line_info(offset).name)]
    shown = f", with names like {', '.join(names[:6])}" if names else ", none of which has a name"
    return f"it has {about.num_lines} lines{shown}"


def chips() -> Iterator[str]:
    """A line for a person about each chip of this machine."""
    library = _library()
    for path in chip_paths():
        try:
            with library.Chip(path) as chip:
                about = chip.get_info()
                yield f"{path}: {about.label}: {_lines_of(chip, about)}"
        except PermissionError:
            yield no_permission(path)
        except OSError as error:
            yield f"{path}: cannot be opened ({os.strerror(error.errno or 0)})"
