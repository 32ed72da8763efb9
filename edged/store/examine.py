"""Examines the database and its disk in a process of its own: `python -m edged.store.examine place|soundness PATH`.

A disk or mount that does not answer hangs whoever asks it; this process may. It prints one line of JSON: a `Place`,
`{"sound": bool}`, or `{"lost": reason}`.
"""

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from edged.errors import StoreError
from edged.store.files import require_ours
from edged.store.recovery import is_sound


@dataclass(frozen=True, slots=True)
class Place:
    """Where the database lies or will lie: the nearest folder that is there, and what can be done in it."""

    folder: str
    writable: bool
    free_bytes: int
    exists: bool
    """The database itself."""
    problem: str | None = None
    """Why what is there cannot be the database."""


def place_of(path: Path) -> Place:
    """Raise OSError when the folder or its disk cannot be asked."""
    folder = next((parent for parent in path.parents if _is_there(parent)), Path("/"))
    free = shutil.disk_usage(folder).free
    try:
        require_ours(path)
    except StoreError as error:
        return Place(str(folder), os.access(folder, os.W_OK), free, True, str(error))
    return Place(str(folder), os.access(folder, os.W_OK), free, _is_there(path))


def _is_there(path: Path) -> bool:
    """As `Path.exists`, but a disk that fails is no missing file."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def main(question: str, path: Path) -> None:
    """Answer one question."""
    try:
        answer: dict[str, object] = asdict(place_of(path)) if question == "place" else {"sound": is_sound(path)}
    except OSError as error:
        answer = {"lost": error.strerror or str(error)}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
