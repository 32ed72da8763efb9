"""Puts one question to a process of its own, and waits so long and no longer: whoever opens a file on a dead mount hangs."""

import json
import select
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edged.processes.child import ChildProcess


@dataclass(frozen=True, slots=True)
class Answer:
    """What a process told. `told` is the line of JSON, None without one; `late` says that the time was up."""

    told: dict[str, Any] | None
    late: bool
    last_words: str


def ask(command: Sequence[str], patience_s: float) -> Answer:
    """Run `command`, which prints one object as a line of JSON; kill it after `patience_s`.

    Raise OSError when it cannot be started.
    """
    process = ChildProcess(command)
    poll = select.poll()
    poll.register(process, select.POLLIN)
    deadline = time.monotonic() + patience_s
    while (left := deadline - time.monotonic()) > 0 and (not poll.poll(left * 1000) or process.listen()):
        pass
    process.end(0.0)
    return Answer(_told(process.said), left <= 0, process.said[-1] if process.said else "without a word")


def _told(said: Iterable[str]) -> dict[str, Any] | None:
    """The one line of JSON among what libraries have to say."""
    for line in said:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict):
            return told
    return None
