"""The thread that finds the models a faster backend than the CPU; where there can be none it ends at once."""

import importlib.util
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edged.backends import BuildProgress
from edged.backends.switch import SwitchingEngine
from edged.config import Config
from edged.errors import EdgedError
from edged.worker import Worker

if TYPE_CHECKING:
    from edged.backends.search import Search

log = logging.getLogger(__name__)

FIRST_PICTURE_WAIT_S = 10.0
POLL_S = 0.2
WATCH_S = 2.0


class BackendWorker(Worker):
    """Goes through the models once; then lives on only as long as the GPU runs one of them.

    Whatever goes wrong in here the CPU goes on, so neither a failure nor a standstill of this thread ends the daemon.
    """

    stuck_after_s = 180.0
    """Opening the GPU may take a minute, and so may loading a plan."""

    def __init__(self, config: Config, engines: Sequence[SwitchingEngine]) -> None:
        """`engines` are those of the loaded models, in the order in which they are to be moved."""
        super().__init__("backends")
        self.building: BuildProgress | None = None
        self._config = config
        self._engines = engines
        self._search: Search | None = None
        self._reported: dict[str, None] = {}

    def switch(self) -> None:
        """Let every model take up what was offered to it; the analysis calls it between two frames."""
        for engine in self._engines:
            engine.switch()

    def problems(self) -> list[str]:
        """Why models run on the CPU that should not, one line each, the remedy in it."""
        broken = self._search.broken if self._search else None
        given_up = [engine.problem for engine in self._engines if engine.problem]
        if broken:
            given_up = [broken, *(problem for problem in given_up if broken not in problem)]
        if self.is_stuck():
            given_up.append("TensorRT has not responded for minutes, the CPU goes on; restart the device")
        if self.failure is not None:
            given_up.append(_unexpected(self.failure))
        return [*self._reported, *given_up]

    def work(self) -> None:
        """Search, then watch over what was found. Ends at once where there is nothing to find."""
        models = self._config.models
        if not models.tries_tensorrt:
            return
        if models.backend == "auto" and importlib.util.find_spec("tensorrt") is None:
            log.debug("no TensorRT here: the models stay on the CPU")
            return
        self._let_the_first_picture_pass()
        from edged.backends.search import Search  # takes a tenth of a second, which the start is spared

        self._search = search = Search(self._config, self._engines, self._report)
        try:
            self._guarded(search)
            while search.watch_over() and not self.stopping.wait(WATCH_S):
                self.beat()
        finally:
            search.close()

    def _let_the_first_picture_pass(self) -> None:
        """From now on the interpreter's lock, and cores, are taken from the analysis."""
        for _ in range(int(FIRST_PICTURE_WAIT_S / POLL_S)):
            if any(engine.has_run for engine in self._engines) or self.stopping.wait(POLL_S):
                return
            self.beat()

    def _guarded(self, search: "Search") -> None:
        """The search. What fails is reported, and what was found before serves on."""
        steps = search.steps()
        try:
            for self.building in steps:
                self.beat()
                if self.stopping.wait(POLL_S):
                    return
        except EdgedError as error:
            self._report(str(error))
        except Exception as error:  # the vendor's bindings raise anything; the daemon must not be started afresh for it
            log.exception("engines: unexpected error")
            self._report(_unexpected(error))
        finally:
            steps.close()
            self.building = None

    def _report(self, problem: str) -> None:
        if problem not in self._reported:
            self._reported[problem] = None
            log.error("%s", problem)


def _unexpected(error: BaseException) -> str:
    return f"engines: an unexpected {type(error).__name__}, the CPU goes on; please report it with the log"
