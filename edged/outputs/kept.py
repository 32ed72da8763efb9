"""Remembers which lines the daemon drives, for whoever must put them to their safe level when the config cannot be read."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from pydantic import TypeAdapter, ValidationError

from edged.config import DoorOutput, GpioOutput, OutputConfig
from edged.files import read_regular, replace

log = logging.getLogger(__name__)

NAME = "outputs.json"
MOST_BYTES = 256 * 1024
DrivenOutput: TypeAlias = GpioOutput | DoorOutput
_OUTPUT: TypeAdapter[OutputConfig] = TypeAdapter(OutputConfig)
_HAVE_A_USUAL = {"bias", "drive", "safe"}
_OF_A_LINE = {"chip", "line", "active_low"} | _HAVE_A_USUAL


def driven(outputs: Mapping[str, OutputConfig]) -> dict[str, DrivenOutput]:
    """Those that drive a line."""
    return {name: output for name, output in outputs.items() if isinstance(output, GpioOutput | DoorOutput)}


def kept_in(database: Path) -> Path:
    """The service's state directory, which is known whatever the config says; without a service the folder of the database."""
    return Path(os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or database.parent) / NAME


def keep(file: Path, outputs: Mapping[str, OutputConfig]) -> None:
    """Call before lines are driven: write them down, unless they are already. A disk that takes no writing stops nothing."""
    lines = {name: output.model_dump(mode="json") for name, output in driven(outputs).items()}
    data = json.dumps(lines).encode() if lines else b""
    try:
        if not data:
            file.unlink(missing_ok=True)
        elif _read(file) != data:
            replace(file, data, 0o640)
    except OSError as error:
        log.warning(
            "%s: cannot be written (%s); after a crash with a config that is wrong, lines keep their levels",
            file,
            error.strerror,
        )


def kept(file: Path) -> dict[str, DrivenOutput]:
    """The lines that were driven last, as far as that can be read."""
    try:
        tables = json.loads(_read(file))
    except (ValueError, RecursionError):
        return {}
    return driven(dict(_valid(file, tables))) if isinstance(tables, dict) else {}


def _valid(file: Path, tables: Mapping[str, object]) -> Iterator[tuple[str, OutputConfig]]:
    for name, table in tables.items():
        try:
            yield name, _OUTPUT.validate_python(table)
        except ValidationError:
            if (line := _line_of(table)) is not None:
                yield name, line
            else:
                log.warning(
                    "%s: which line output %s has cannot be read from it; that line keeps its level", file, name
                )


def _line_of(table: object) -> DoorOutput | None:
    """The line of an output that another version wrote down, as a door's, which needs nothing else; None where even that
    cannot be read.

    What this version does not know is passed over; a drive, bias or safe level that it does not know is the usual one.
    """
    if (
        not isinstance(table, dict) or "safe" not in table
    ):  # a line without a safe level is one that is read, not driven
        return None
    line: dict[str, object] = {"kind": "door", **{key: table[key] for key in _OF_A_LINE if key in table}}
    try:
        return DoorOutput.model_validate(line)
    except ValidationError as error:
        wrong = {detail["loc"][0] for detail in error.errors() if detail["loc"]}
    if not wrong or not wrong <= _HAVE_A_USUAL:
        return None
    return DoorOutput.model_validate({key: value for key, value in line.items() if key not in wrong})


def _read(file: Path) -> bytes:
    """Empty where there is nothing to be read."""
    try:
        return read_regular(file, MOST_BYTES)
    except (OSError, ValueError):
        return b""
