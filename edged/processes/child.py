"""A child process: it dies with this one, its output is read without waiting, and it is ended whatever it does."""

import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

LAUNCH = (sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")))
KILL_WAIT_S = 0.5
STARVED_S = 10.0
"""A killed process on a busy machine ends only once it gets the processor; the lower its priority, the later."""
MOST_BYTES_OF_A_LINE = 4096
MOST_LINES_KEPT = 20
FOR_CHILDREN = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "OPENCV_FFMPEG_LOGLEVEL": "16", "LC_ALL": "C.UTF-8"}
"""What they say is read, in English whatever the user's language: FFmpeg's errors tell a wrong password from a wrong address."""
NOT_FOR_CHILDREN = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY", "LISTEN_FDS")


def die_with_us(command: Sequence[str]) -> list[str]:
    """The command line of a foreign program that must not outlive this process."""
    return [*LAUNCH, str(os.getpid()), *command]


class ChildProcess:
    """One running process in a session of its own. What it prints is kept in `said`, and goes at debug into the log."""

    def __init__(
        self,
        command: Sequence[str],
        descriptors: Sequence[int] = (),
        hide: Callable[[str], str] = str,
        gentle_signal: signal.Signals = signal.SIGTERM,
        lines_kept: int = MOST_LINES_KEPT,
    ) -> None:
        """Start it. `descriptors` are open in it under the same numbers; `hide` takes passwords out of what it says.

        Raise OSError when it cannot be started.
        """
        self.said: deque[str] = deque(maxlen=lines_kept)
        self._hide = hide
        self._gentle_signal = gentle_signal
        self._line = b""
        environment = {key: value for key, value in os.environ.items() if key not in NOT_FOR_CHILDREN}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            pass_fds=descriptors,
            start_new_session=True,
            env={**environment, **FOR_CHILDREN},
        )
        assert self._process.stdout is not None  # noqa: S101  for the type checker
        self._stdout = self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; of one that a signal ended, the signal's number, negative."""
        return self._process.poll()

    def fileno(self) -> int:
        """What becomes readable when the process says something."""
        return self._stdout.fileno()

    def listen(self) -> bool:
        """Take in what it said since the last time; False once it will never say anything again."""
        try:
            said = os.read(self._stdout.fileno(), 65_536)
        except BlockingIOError:
            return True
        except (OSError, ValueError):
            return False
        *lines, self._line = (self._line + said).split(b"\n")
        self._line = self._line[-MOST_BYTES_OF_A_LINE:]
        for line in lines if said else [*lines, self._line]:
            self._log_line(line[-MOST_BYTES_OF_A_LINE:].decode(errors="replace").strip())
        return bool(said)

    def has_ended(self) -> bool:
        """Whether it has ended; also reaps it."""
        return self._process.poll() is not None

    def end(self, patience_s: float) -> bool:
        """Ask it to end, kill it when it does not in time; return False when not even that helps now.

        A process in uninterruptible sleep in a driver cannot be killed; ask `has_ended` of it from time to time.
        """
        if not self.has_ended() and patience_s > 0:
            self._process.send_signal(self._gentle_signal)
            self._wait(patience_s)
        if not self.has_ended():
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                log.debug("process %d went by itself", self._process.pid)
            self._wait_for_the_kill()
        self.listen()
        self._stdout.close()
        return self.has_ended()

    def _wait_for_the_kill(self) -> None:
        """Longer where it only waits for the processor: nothing but a driver keeps a process from being killed."""
        deadline = time.monotonic() + STARVED_S
        self._wait(KILL_WAIT_S)
        while not self.has_ended() and not self._is_held() and time.monotonic() < deadline:
            self._wait(KILL_WAIT_S / 10)

    def _is_held(self) -> bool:
        """Whether it is in uninterruptible sleep."""
        try:
            return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "D"
        except OSError:
            return False

    def _wait(self, timeout_s: float) -> None:
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return

    def _log_line(self, line: str) -> None:
        if line:
            line = self._hide(line)
            self.said.append(line)
            log.debug("process %d: %s", self._process.pid, line)


@dataclass(frozen=True, slots=True)
class Reply:
    """`content` is the object that the process printed, None without one; `timed_out`: it was killed before it had ended."""

    content: dict[str, Any] | None
    timed_out: bool
    last_line: str


def ask(command: Sequence[str], timeout_s: float) -> Reply:
    """Run `command`, which prints one object as a line of JSON; kill it after `timeout_s`: a file on a dead mount hangs.

    Raise OSError when it cannot be started.
    """
    process = ChildProcess(command)
    poll = select.poll()
    poll.register(process, select.POLLIN)
    deadline = time.monotonic() + timeout_s
    while (left := deadline - time.monotonic()) > 0 and (not poll.poll(left * 1000) or process.listen()):
        pass
    process.end(0.0)
    return Reply(_object(process.said), left <= 0, process.said[-1] if process.said else "no output")


def _object(lines: Iterable[str]) -> dict[str, Any] | None:
    """The first JSON object among the lines that libraries print."""
    for line in lines:
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            return content
    return None
