"""Runs `edged selftest` beside the daemon, in a process of its own that may crash, hang or be ended, and reads what it found."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

from edged.ports import Clock
from edged.processes.child import ChildProcess, die_with_us

MOST_SECONDS = 300.0
"""A busy Raspberry Pi takes half a minute at the lowest priority."""
MOST_LINES = 100
"""Three for each model, and a few complaints."""

MOST_READS = 16
"""Of what a pipe holds at most."""

LOWEST_PRIORITY = ("nice", "-n", "19")

Answer = dict[str, Any]


class SelfTest:
    """At most one at a time; nothing here waits."""

    def __init__(self, clock: Clock, config_file: Path, most_seconds: float = MOST_SECONDS) -> None:
        self._clock = clock
        self._command = (
            *LOWEST_PRIORITY,
            sys.executable,
            "-m",
            "edged",
            "selftest",
            "--json",
            "--config",
            str(config_file),
        )
        self._most_seconds = most_seconds
        self._process: ChildProcess | None = None
        self._deadline_s = 0.0

    def start(self) -> str | None:
        """Start one; what is in the way, in one line, or None."""
        if self._process is not None:
            return "a self-test is running; ask again when it has answered"
        try:
            self._process = ChildProcess(die_with_us(self._command), lines_kept=MOST_LINES)
        except OSError as error:
            return f"the self-test cannot be started ({error.strerror}); ask again when the machine is less busy"
        self._deadline_s = self._clock.monotonic_s() + self._most_seconds
        return None

    def poll(self) -> Answer | None:
        """Its answer, once, when it has ended or taken too long."""
        process = self._process
        if process is None:
            return None
        ended = process.has_ended()
        if ended:
            for _ in range(MOST_READS):
                process.listen()
            answer = _answer(list(process.said), process.exit_code or 0)
        elif self._clock.monotonic_s() > self._deadline_s:
            line = f"it took longer than {self._most_seconds:.0f} s and was ended; run `edged selftest` on the device"
            answer = {"ok": False, "error": line}
        else:
            process.listen()
            return None
        self.stop()
        return answer

    def stop(self) -> None:
        """End it, if one runs; nothing is answered."""
        if self._process is not None:
            self._process.end(0.0)
            self._process = None


def _answer(said: list[str], code: int) -> Answer:
    """What an ended process found, from its lines of JSON and its last complaint."""
    found: list[dict[str, Any]] = []
    error = None
    for line in said:
        try:
            found.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            error = line.removeprefix("edged: ")
    if code < 0:
        error = f"it crashed ({signal.strsignal(-code) or code}); run `edged selftest` on the device"
    elif code and error is None:
        error = f"it ended with exit code {code}; run `edged selftest` on the device"
    machine = next((line["machine"] for line in found if "machine" in line), None)
    return {
        "ok": code == 0,
        "error": error if code else None,
        "machine": machine,
        "results": [line for line in found if "model" in line],
    }
