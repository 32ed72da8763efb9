"""Runs a program of the system to its end. However it behaves, whoever asked goes on in time."""

import errno
import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

KILLED_S = 0.5
"""So long a killed program is waited for; one that sleeps in a driver ends only when the driver lets it."""
MOST_BYTES = 1 << 20
"""No program that is run so says more; one that says the same line for ever would fill the memory within its time."""


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

    Raise OSError when it cannot be started or says more than MOST_BYTES, TimeoutExpired when it has not ended within
    `within_s`.
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
        said = _talk(program, given or b"", within_s)
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


def _talk(program: "subprocess.Popen[bytes]", given: bytes, within_s: float) -> tuple[bytes, bytes]:
    """Like `communicate`, which keeps whatever is said, however much."""
    deadline = time.monotonic() + within_s

    def left_s() -> float:
        if (left := deadline - time.monotonic()) <= 0:
            raise subprocess.TimeoutExpired(program.args, within_s)
        return left

    with selectors.DefaultSelector() as ready:
        said: list[bytearray] = []
        for pipe in (program.stdout, program.stderr):
            said.append(bytearray())
            ready.register(pipe, selectors.EVENT_READ, said[-1])  # type: ignore[arg-type]
        if program.stdin is not None:
            ready.register(program.stdin, selectors.EVENT_WRITE)
        while ready.get_map():
            for key, _ in ready.select(left_s()):
                if key.data is None:
                    given = given[_give(key.fd, given) :]
                    if not given:
                        ready.unregister(key.fileobj)
                        program.stdin.close()  # type: ignore[union-attr]
                elif not _hear(key.fd, key.data):
                    ready.unregister(key.fileobj)
    program.wait(left_s())
    return bytes(said[0]), bytes(said[1])


def _give(descriptor: int, given: bytes) -> int:
    """Write as much as a pipe takes that is ready; all counts as written where nobody reads it any more."""
    try:
        return os.write(descriptor, given[: select.PIPE_BUF])
    except BrokenPipeError:
        return len(given)


def _hear(descriptor: int, said: bytearray) -> bool:
    """Take in what a pipe has that is ready; False at its end. Raise OSError when that is too much."""
    part = os.read(descriptor, 65_536)
    said.extend(part)
    if len(said) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"it says more than {MOST_BYTES} bytes")
    return bool(part)
