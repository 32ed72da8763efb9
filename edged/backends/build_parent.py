"""The parent's side of one build: starts the child process, follows its progress, and says in one line why it failed."""

import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from edged.backends import BuildProgress
from edged.backends.status import BuildResult, count_attempt, failed
from edged.config import ModelsConfig
from edged.errors import ModelError
from edged.host.device import resident_mb
from edged.inference.tensorrt import CacheBusyError, CacheFullError, EngineCache, EngineKey
from edged.processes import channel
from edged.processes.child import ChildProcess

log = logging.getLogger(__name__)

MEMORY_LIMIT_MB = 3000
"""What a build may hold; TensorRT and the libraries that it loads take most of it."""
TIMEOUT_S = 1800.0
"""The largest model takes minutes on a small Jetson, and more when the board is busy."""

MOST_MESSAGES_AT_ONCE = 1000
"""More than the socket holds."""

CHILD = (sys.executable, "-m", "edged.backends")
AGAIN = "`edged engines build --force` tries again"


class _Crossing(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def send(self, peer: socket.socket) -> None:
        """See `channel.send`."""
        channel.send(peer, self.model_dump(mode="json"))


class BuildRequest(_Crossing):
    """What the parent sends once: the model, and the folder of the plans."""

    model: str
    folder: Path
    models: ModelsConfig
    force: bool = False
    """Build, compare and measure anew, whatever is known."""


class BuildMessage(_Crossing):
    """What the child sends, one of these: its progress, the key that it is going to build, or, last of all, the result."""

    progress: BuildProgress | None = None
    key: EngineKey | None = None
    result: BuildResult | None = None


class EngineBuild:
    """One engine being built, compared with the CPU and measured, in a child process of low priority."""

    def __init__(
        self,
        model: str,
        models: ModelsConfig,
        state_directory: Path,
        *,
        memory_limit_mb: int = MEMORY_LIMIT_MB,
        timeout_s: float = TIMEOUT_S,
        force: bool = False,
    ) -> None:
        """Start it, in the thread that outlives it: the child ends with that thread.

        `state_directory` is the folder of the plans, `engines_folder(config)`. With `force` the engine is built and compared
        anew; otherwise a result that is known comes as soon as the child is up.
        """
        self.model = model
        self._limit_mb, self._timeout_s = memory_limit_mb, timeout_s
        self._started_s = time.monotonic()
        self._step = "starting"
        self._key: EngineKey | None = None
        self._result: BuildResult | None = None
        self._process: ChildProcess | None = None
        self._socket, theirs = channel.pair()
        with theirs:
            try:
                self._cache = EngineCache(state_directory)
                arguments = [model, str(theirs.fileno()), str(os.getpid())]
                self._process = ChildProcess([*CHILD, *arguments], [theirs.fileno()])
                BuildRequest(model=model, folder=state_directory, models=models, force=force).send(self._socket)
            except ModelError as error:
                self._finish(failed(model, str(error)))
            except OSError as error:
                self._finish(
                    self._failed(f"no process can be started ({error.strerror}); free memory, or restart edged")
                )

    def poll(self) -> BuildProgress | BuildResult | None:
        """What is new: the progress since the last time, or nothing, or the result, which later calls return again.

        Never blocks, never raises. A crash, too much memory or too long a time is a result too, with the `problem`.
        """
        if self._result is not None or self._process is None:
            return self._result
        has_ended = self._process.has_ended()
        self._process.listen()
        latest = self._latest()
        if isinstance(latest, BuildResult):
            return self._finish(latest)
        problem = self._crash() if has_ended else self._excess()
        if problem is None:
            return latest
        return self._finish(self._counted(problem))

    def stop(self) -> None:
        """Kill and reap it; nothing of it stays behind. A second call does nothing."""
        if self._result is None:
            self._finish(self._failed("was stopped"))

    def _latest(self) -> BuildProgress | BuildResult | None:
        """The last message that the child sent."""
        latest: BuildProgress | BuildResult | None = None
        for _ in range(MOST_MESSAGES_AT_ONCE):
            try:
                message = BuildMessage.model_validate(channel.receive(self._socket, socket.MSG_DONTWAIT))
            except (BlockingIOError, ConnectionError):
                break
            except ValueError:
                return self._failed("its process sent a message that cannot be read")
            self._key = message.key or self._key
            latest = message.result or message.progress or latest
            if message.progress is not None:
                self._step = message.progress.step
        return latest

    def _crash(self) -> str:
        """Why a child that sent no result has ended."""
        code = self._process.exit_code if self._process else None
        output = list(self._process.said) if self._process else []
        if code == -signal.SIGKILL:
            return f"its process was killed while {self._step} (the board may be out of memory)"
        end = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return f"its process crashed while {self._step} ({', '.join([end, *output[-1:]])[:200]})"

    def _excess(self) -> str | None:
        """Which limit the child exceeds."""
        held_mb = resident_mb(self._process.pid) if self._process else 0.0
        if held_mb > self._limit_mb:
            return f"its process took more than {self._limit_mb} MB of memory while {self._step}"
        if time.monotonic() - self._started_s > self._timeout_s:
            return f"its process took longer than {self._timeout_s:g} s, and was still {self._step}"
        return None

    def _failed(self, problem: str) -> BuildResult:
        return failed(self.model, f"model {self.model}: no engine, {problem}; the CPU goes on, {AGAIN}")

    def _counted(self, problem: str) -> BuildResult:
        """The result of a build that ended without one; remembered when it is not the first."""
        result = self._failed(problem)
        self._end()
        if self._key is not None and result.problem is not None:
            try:
                count_attempt(self._cache, self._key, result.problem)
            except ModelError as error:
                log.warning("%s", error)
        return result

    def _finish(self, result: BuildResult) -> BuildResult:
        self._result = result
        self._end()
        self._socket.close()
        return result

    def _end(self) -> None:
        """End the process, and remove what it was writing."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if not process.end(0):
            log.error("model %s: process %d cannot be killed now; a driver holds it", self.model, process.pid)
        try:
            with self._cache.building():
                pass
        except CacheBusyError:
            log.debug("another process builds engines: it has removed what was left")
        except CacheFullError as error:
            log.warning("%s", error)
