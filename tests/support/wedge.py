"""Becomes `edged run`, in which one worker does as it is told once a file is there.

`python -m support.wedge FILE WORKER HOW LIMIT …`: WORKER is a worker's name. HOW: `deadlock` waits for what
never comes, `spin` runs in circles, `hold` keeps the interpreter from everybody, as a library that never returns can. LIMIT:
after how many seconds without a sign of life the worker counts as wedged, 0 for what the daemon itself says. The rest is the
command that would have been run.
"""

import ctypes
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edged.cli import main as edged
from edged.worker import Worker

FOR_EVER_S = 3600


def deadlock() -> None:
    threading.Event().wait()


def spin() -> None:
    while True:
        pass


def hold() -> None:
    ctypes.PyDLL(None).sleep(FOR_EVER_S)


HOW: dict[str, Callable[[], None]] = {"deadlock": deadlock, "spin": spin, "hold": hold}


def obeying(way: Callable[..., Any], file: Path, name: str, how: str, limit_s: float) -> Callable[..., Any]:
    """A sign of life of a worker, which is its last once `file` is there."""

    def last(one: Any, *values: Any) -> Any:
        if one.name == name:
            if limit_s:
                one.stuck_after_s = limit_s
            if file.exists():
                HOW[how]()
        return way(one, *values)

    return last


def main() -> None:
    file, name, how, limit_s, _python, _dash_m, _edged, *arguments = sys.argv[1:]
    Worker.beat = obeying(Worker.beat, Path(file), name, how, float(limit_s))  # type: ignore[method-assign]
    edged(arguments)


if __name__ == "__main__":
    main()
