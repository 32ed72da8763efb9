"""Remembers with which layers the daemon came up, and sets those aside with which it twice did not."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edged.config.change import steps
from edged.config.layers import CONSOLE, Layered, hash_of, layers_folder
from edged.files import read_regular, replace

log = logging.getLogger(__name__)

MARK = "starts.json"
MOST_FAILED = 2
MOST_BYTES = 64 * 1024
SERVED_S = 10.0
"""A daemon that has served for so long has come up."""


class Trial:
    """One start of the daemon with the layers of `layered`. Nothing is written where there are none, or where they are known."""

    def __init__(self, layered: Layered) -> None:
        self._layered = layered
        self._folder = layers_folder(layered.config)
        mark = _read(self._folder / MARK)
        good, failed = mark.get("good"), mark.get("failed")
        self._good: Mapping[str, str] = good if isinstance(good, dict) else {}
        self._failed = failed if type(failed) is int and mark.get("trying") == self._now else 0

    @property
    def is_open(self) -> bool:
        """Whether the daemon has not yet come up with these layers: one of them may be why it does not."""
        return bool(self._now) and self._now != self._good

    @property
    def left_out(self) -> tuple[str, ...]:
        """One line for each layer that is not in force."""
        return self._layered.left_out

    def begin(self) -> list[str]:
        """Count a start. A line for each layer that is set aside, since the daemon failed with it twice: load anew then."""
        if not self.is_open:
            return []
        if self._failed >= MOST_FAILED:
            return self._set_aside()
        self._write({"good": self._good, "trying": self._now, "failed": self._failed + 1})
        return []

    def follow(self, layered: Layered) -> None:
        """Other layers are in force from now on: a reload has taken them up."""
        self._layered = layered

    def passed(self) -> None:
        """The daemon came up."""
        if self.is_open:
            self._good, self._failed = self._now, 0
            self._write({"good": self._good})

    @property
    def _now(self) -> dict[str, str]:
        return {layer.path.name: layer.sha256 for layer in self._layered.layers}

    def _set_aside(self) -> list[str]:
        lines = []
        for layer in self._layered.layers:
            if self._good.get(layer.path.name) == layer.sha256:
                continue
            aside = layer.path.with_name(layer.path.name + ".refused")
            try:
                layer.path.replace(aside)
                back = self._restore(layer.path)
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                lines.append(f"{layer.path}: edged did not start with it twice, and it cannot be set aside ({why})")
                continue
            then = "the one before it is in force again" if back else "the settings without it are in force"
            lines.append(f"{layer.path}: edged did not start with it twice; it is now {aside.name}, and {then}")
        return lines

    def _restore(self, file: Path) -> bool:
        """Bring back the console's file with which the daemon came up last; False where it is not kept."""
        if file.name != CONSOLE:
            return False
        for step in reversed(steps(self._layered.config)):
            data = read_regular(step, MOST_BYTES * 4)
            if hash_of(data) == self._good.get(file.name):
                replace(file, data, 0o640)
                return True
        return False

    def _write(self, mark: Mapping[str, Any]) -> None:
        """A disk that takes no writing must not keep the daemon from starting."""
        try:
            replace(self._folder / MARK, json.dumps(mark).encode(), 0o640)
        except OSError as error:
            log.warning("%s: cannot be written (%s)", self._folder / MARK, error.strerror)


def _read(path: Path) -> dict[str, Any]:
    """What is remembered; nothing where it cannot be read."""
    try:
        mark = json.loads(read_regular(path, MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return mark if isinstance(mark, dict) else {}
