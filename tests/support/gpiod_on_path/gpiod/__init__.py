"""Stands in for the package `gpiod` where there is no GPIO chip: chips are files, and each level of a line is a line of a log.

`test_outputs_gpio.py` holds this surface against the real package. A chip is a JSON file `gpiochip<n>` with its label and the
names of its lines, in the folder that EDGED_GPIO_CHIPS names. As the kernel does, a line belongs to one request at a time, is
given back when its process dies, however that dies, and keeps its level then, as on a Raspberry Pi.
"""

import contextlib
import errno
import fcntl
import json
import os
import sys
import time
from collections import namedtuple
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from . import line
from .line import Bias, Direction, Drive, Edge, Value

__all__ = [
    "Bias",
    "Chip",
    "ChipInfo",
    "Direction",
    "Drive",
    "Edge",
    "LineInfo",
    "LineRequest",
    "LineSettings",
    "Value",
    "line",
]

ChipInfo = namedtuple("ChipInfo", "name label num_lines")
LineInfo = namedtuple("LineInfo", "offset name used consumer")


@dataclass
class LineSettings:
    direction: Direction = Direction.AS_IS
    edge_detection: Edge = Edge.NONE
    bias: Bias = Bias.AS_IS
    drive: Drive = Drive.PUSH_PULL
    active_low: bool = False
    debounce_period: timedelta = timedelta(0)
    event_clock: object = None
    output_value: Value = Value.INACTIVE


class Chip:
    def __init__(self, path):
        self._path = Path(path)
        self._about = json.loads(self._path.read_text())  # FileNotFoundError and PermissionError are OSErrors here, too

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, traceback):
        self.close()

    def close(self):
        self._about = None

    def get_info(self):
        return ChipInfo(self._path.name, self._about["label"], len(self._about["lines"]))

    def line_offset_from_id(self, id):  # noqa: A002  as the real one has it
        names = self._about["lines"]
        if isinstance(id, int) and 0 <= id < len(names):
            return id
        if isinstance(id, str) and id in names:
            return names.index(id)
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    def get_line_info(self, line):
        offset = self.line_offset_from_id(line)
        with _lock_file(self._path, offset).open("a+") as file:
            used = not _lock(file)
            file.seek(0)
            consumer = file.read()
        return LineInfo(offset, self._about["lines"][offset], used, consumer if used else "")


class LineRequest:
    def __init__(self, chip, offset, settings, lock):
        self._chip, self._offset, self._settings, self._lock = chip, offset, settings, lock
        self._events = None
        if settings.direction is Direction.OUTPUT:
            self.set_value(offset, settings.output_value)
        else:
            presses = chip.with_name(f"{chip.name}.{offset}.presses")
            with contextlib.suppress(FileExistsError):
                os.mkfifo(presses)
            self._events = os.open(presses, os.O_RDWR | os.O_NONBLOCK)

    @property
    def fd(self):
        return self._events

    def set_value(self, line, value):
        if not self._chip.exists():
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        high = (value is Value.ACTIVE) != self._settings.active_low
        with log_of(self._chip, line).open("a") as log:
            log.write(f"{time.monotonic():.6f} {int(high)}\n")

    def get_value(self, line):
        is_down = self._chip.with_name(f"{self._chip.name}.{line}.down").exists()
        return Value.ACTIVE if is_down else Value.INACTIVE

    def read_edge_events(self, max_events=None):
        return list(os.read(self._events, max_events or 64))

    def release(self):
        if self._events is not None:
            os.close(self._events)
        self._lock.close()


def request_lines(path, config, consumer=None, event_buffer_size=None, output_values=None):
    ((offset, settings),) = config.items()
    chip = Path(path)
    json.loads(chip.read_text())
    lock = _lock_file(chip, offset).open("a+")
    if not _lock(lock):
        lock.close()
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    lock.truncate(0)
    lock.write(consumer)
    lock.flush()
    return LineRequest(chip, offset, settings, lock)


def log_of(chip, offset):
    """Every level that the line had, with the moment: "<monotonic seconds> <0 or 1>"."""
    return Path(chip).with_name(f"{Path(chip).name}.{offset}.levels")


def _lock_file(chip, offset):
    return chip.with_name(f"{chip.name}.{offset}.lock")


def _lock(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# The chips of this machine are those of the folder.
if (folder := os.environ.get("EDGED_GPIO_CHIPS")) and "edged.outputs.gpio" in sys.modules:
    sys.modules["edged.outputs.gpio"].DEVICES = Path(folder)
