"""The parent's side of one preparation: starts the child, hears how far it is, and says in one line why it failed."""

import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from edged.backends.verdict import Verdict, count_try, failed
from edged.backends.wire import MOST_BYTES_OF_A_MESSAGE, Message, Order, Progress
from edged.config import ModelsConfig
from edged.errors import ModelError
from edged.host.device import resident_mb
from edged.inference.tensorrt import CacheBusyError, EngineCache, EngineKey
from edged.processes.child import ChildProcess

__all__ = ["MEMORY_LIMIT_MB", "PATIENCE_S", "Preparation", "Progress", "Verdict"]

log = logging.getLogger(__name__)

MEMORY_LIMIT_MB = 3000
"""What a build may hold; TensorRT and the libraries that it loads take most of it."""
PATIENCE_S = 1800.0
"""The largest model takes minutes on a small Jetson, and more when the board is busy."""

MOST_MESSAGES_AT_ONCE = 1000
"""More than the socket holds."""

CHILD = (sys.executable, "-m", "edged.backends")
AGAIN = "`edged engines build --force` tries again"


class Preparation:
    """One engine being built, compared with the CPU and measured, in a child process of low priority."""

    def __init__(
        self,
        model: str,
        models: ModelsConfig,
        state_directory: Path,
        *,
        memory_limit_mb: int = MEMORY_LIMIT_MB,
        patience_s: float = PATIENCE_S,
        force: bool = False,
    ) -> None:
        """Start it, in the thread that outlives it: the child ends with that thread.

        `state_directory` is the folder of the plans, `engines_folder(config)`. With `force` the engine is built and judged
        anew; otherwise a verdict that is known comes as soon as the child is up.
        """
        self.model = model
        self._limit_mb, self._patience_s = memory_limit_mb, patience_s
        self._started_s = time.monotonic()
        self._doing = "starting"
        self._key: EngineKey | None = None
        self._end: Verdict | None = None
        self._process: ChildProcess | None = None
        self._ears, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._cache = EngineCache(state_directory)
                arguments = [model, str(theirs.fileno()), str(os.getpid())]
                self._process = ChildProcess([*CHILD, *arguments], [theirs.fileno()])
                order = Order(model=model, folder=state_directory, models=models, force=force)
                self._ears.send(order.to_json())
            except ModelError as error:
                self._finish(failed(model, str(error)))
            except OSError as error:
                self._finish(self._failed(f"no process can be started ({error.strerror})"))

    def poll(self) -> Progress | Verdict | None:
        """What is new: the progress since the last time, or nothing, or the end, which is told again when asked again.

        Never waits long, never raises. A crash, too much memory or too long a time is a verdict too, with the `problem`.
        """
        if self._end is not None or self._process is None:
            return self._end
        has_ended = self._process.has_ended()
        self._process.listen()
        news = self._news()
        if isinstance(news, Verdict):
            return self._finish(news)
        problem = self._crash() if has_ended else self._excess()
        if problem is None:
            return news
        return self._finish(self._counted(problem))

    def stop(self) -> None:
        """Kill and bury it; nothing of it stays behind. A second call does nothing."""
        if self._end is None:
            self._finish(self._failed("was stopped"))

    def _news(self) -> Progress | Verdict | None:
        """The last that the child has said."""
        news: Progress | Verdict | None = None
        for _ in range(MOST_MESSAGES_AT_ONCE):
            try:
                text = self._ears.recv(MOST_BYTES_OF_A_MESSAGE, socket.MSG_DONTWAIT)
            except (BlockingIOError, ConnectionError):
                break
            if not text:
                break
            try:
                message = Message.model_validate_json(text)
            except ValidationError:
                return self._failed("its process talks nonsense")
            self._key = message.key or self._key
            news = message.verdict or message.progress or news
            if message.progress is not None:
                self._doing = message.progress.what
        return news

    def _crash(self) -> str:
        """Why a child that said no verdict is gone."""
        code = self._process.exit_code if self._process else None
        said = list(self._process.said) if self._process else []
        if code == -signal.SIGKILL:
            return f"its process was killed while {self._doing} (the board may be out of memory)"
        end = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return f"its process crashed while {self._doing} ({', '.join([end, *said[-1:]])[:200]})"

    def _excess(self) -> str | None:
        """What the child takes more of than it may."""
        held_mb = resident_mb(self._process.pid) if self._process else 0.0
        if held_mb > self._limit_mb:
            return f"its process took more than {self._limit_mb} MB of memory while {self._doing}"
        if time.monotonic() - self._started_s > self._patience_s:
            return f"its process took longer than {self._patience_s:g} s, and was still {self._doing}"
        return None

    def _failed(self, problem: str) -> Verdict:
        return failed(self.model, f"model {self.model}: no engine, {problem}; the CPU goes on, {AGAIN}")

    def _counted(self, problem: str) -> Verdict:
        """The verdict on an end without one; remembered when it is not the first."""
        verdict = self._failed(problem)
        self._bury()
        if self._key is not None and verdict.problem is not None:
            try:
                count_try(self._cache, self._key, verdict.problem)
            except ModelError as error:
                log.warning("%s", error)
        return verdict

    def _finish(self, verdict: Verdict) -> Verdict:
        self._end = verdict
        self._bury()
        self._ears.close()
        return verdict

    def _bury(self) -> None:
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
