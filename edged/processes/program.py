"""Runs a program of the system to its end. However it behaves, whoever asked goes on in time."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

KILLED_S = 0.5
"""So long a killed program is waited for; one that sleeps in a driver ends only when the driver lets it."""


def run(
    command: Sequence[str],
    within_s: float,
    *,
    given: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    umask: int = -1,
) -> "subprocess.CompletedProcess[bytes]":
    """Like `subprocess.run`, whose limit is none: it waits for ever for a killed program that sleeps in a driver, or has left
    its output to another one. Here both are left to the kernel. `given` is what the program reads.

    Raise OSError when it cannot be started, TimeoutExpired when it has not ended within `within_s`.
    """
    program = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        umask=umask,
        start_new_session=True,  # those that it starts are killed with it
    )
    try:
        said = program.communicate(given, timeout=within_s)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            program.wait(KILLED_S)
        raise
    finally:
        for pipe in (program.stdin, program.stdout, program.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
    return subprocess.CompletedProcess(command, program.returncode, *said)
