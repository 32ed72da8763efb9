"""The daemon's main thread: starts the parts in order, carries out commands, reloads, and stops in reverse."""

import logging
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from edged.config import Config, load_layered
from edged.config.trial import Trial
from edged.daemon.commands import Commands
from edged.daemon.configure import Configure
from edged.daemon.core import open_core
from edged.daemon.pause_commands import Pausing
from edged.daemon.questions import Questions
from edged.daemon.reload import Reloader, check_servable
from edged.daemon.requests import Requests
from edged.daemon.state import Health
from edged.daemon.supervisor import Supervisor
from edged.daemon.walktest import keep_walk_test
from edged.errors import EdgedError
from edged.host.device import device_model
from edged.host.systemd import Notifier
from edged.ports import Clock

log = logging.getLogger(__name__)

TICK_S = 0.25
SUPERVISE_EVERY_S = 1.0
DRAIN_S = 0.7
STORE_S = 10.0
"""For what an old card takes seconds to write; with all else still less than the service's TimeoutStopSec."""
STARTED_AFRESH = 1
"""Exit code after which systemd starts the daemon again (`Restart=on-failure`)."""


class App:
    """One daemon. Build it, then `run` it in the main thread.

    `core` lives as long as the process; `reloader.runtime` is everything that the config shapes.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        clock: Clock,
        *,
        trial: Trial | None = None,
        until_played: bool = False,
        wait_for_camera: bool = False,
    ) -> None:
        """Open the store and load the models; nothing runs yet. `until_played`: stop when all recordings have ended.
        `trial` hears when the daemon has come up with the config. `wait_for_camera`: serve also while there is none.

        Raise ConfigError, ModelError or StoreError when the daemon cannot serve.
        """
        started_s = clock.monotonic_s()
        # Its `put` may interrupt itself; an Event's `set` in a handler may wait for a lock that the interrupted code holds.
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._reload_asked = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # from now on: loading the models takes a while
            signal.signal(number, self._on_signal)
        self._path, self._until_played = path, until_played
        check_servable(path, config, wait_for_camera=wait_for_camera)
        self._notifier = Notifier()
        self.core = core = open_core(config, clock)
        self.reloader = Reloader(path, core, config, trial, wait_for_camera=wait_for_camera)
        self.pausing = Pausing(core, lambda: self.reloader.runtime.config, self._change_cameras)
        self._configure = Configure(path, self.reloader.apply)
        local = {"configure": self._change_settings, "walktest": self._keep_walk_test}
        self._commands = Commands(core.clock, path, local | self.pausing.verbs)
        health = Health(core.device, started_s, core.clock, core.store)
        self._supervisor = Supervisor(core, self.reloader, health, self._notifier)
        questions = Questions(core, self.reloader, health, self._supervisor, self.pausing)
        self._status = Requests(self._commands, questions.verbs).server(config.store.path)
        self._live = core.live.server(config.store.path)
        self._supervisor.servers = self._status, self._live

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit code."""
        try:
            self._start()
            return self._serve()
        finally:
            self._stop()

    def _start(self) -> None:
        self.core.store.start()
        self.reloader.runtime.start(self.core)
        self._supervisor.thermal.start()
        self._supervisor.supervise()  # whoever asks for the status gets a whole answer from the first moment on
        for server in (self._status, self._live):
            server.open()
            server.start()
        self._notifier.ready()
        self.reloader.begin_trial()
        cameras = ", ".join(self.reloader.runtime.config.camera) or "no camera yet"
        log.info("edged serves %s as %s (%s)", cameras, self.core.device, device_model())

    def _stop(self) -> None:
        """In reverse, within five seconds where the disk keeps up: pictures, analysis, messages, store."""
        self._notifier.stopping()
        for server in (self._status, self._live):
            server.stopping.set()
        self.core.live.close()
        self._supervisor.thermal.stopping.set()
        core, runtime = self.core, self.reloader.runtime
        self._commands.stop(runtime)
        runtime.end_capture(core, "stopped")
        core.recorder.flush()
        self._drain_outbox()
        runtime.close()
        self._status.stop(1.0)
        self._live.stop(1.0)
        self._supervisor.thermal.stop(0.5)
        if core.store.stop(STORE_S):
            core.store.close()
        else:
            log.error("the store did not finish in time")  # and still uses what `close` would close
        log.info("edged has stopped")

    def _drain_outbox(self) -> None:
        """Give the ends of events that the stop has ended a moment to reach the broker; the rest waits in the outbox."""
        core, deadline = self.core, time.monotonic() + DRAIN_S
        while core.outbound.connected and time.monotonic() < deadline:
            try:
                if core.store.is_idle() and core.reader.outbox_depth("mqtt") == 0:
                    return
            except EdgedError:
                return  # the disk is in trouble: stopping in time matters more
            time.sleep(0.02)

    def _serve(self) -> int:
        next_supervision_s = next_watchdog_s = 0.0
        while not self._is_asked_to_stop():
            now_s = self.core.clock.monotonic_s()
            self._commands.handle(self.reloader.runtime)
            if self._commands.restart_asked:
                return STARTED_AFRESH
            if self._reload_asked or self._commands.reload_asked:
                self._reload_asked = False
                self._reload()
            self.pausing.check()
            if now_s >= next_supervision_s:
                next_supervision_s = now_s + SUPERVISE_EVERY_S
                self._supervisor.supervise()
            if failed := self._supervisor.failed:
                log.critical(
                    "worker %s has failed (%s); the daemon ends, so that systemd restarts it",
                    failed.name,
                    failed.failure,
                )
                return STARTED_AFRESH
            if self._notifier.watchdog_interval_s and now_s >= next_watchdog_s:
                next_watchdog_s = now_s + self._supervisor.feed_watchdog(self._notifier.watchdog_interval_s)
            self.reloader.check_trial()
            if self._until_played and self.reloader.runtime.cameras.all_played:
                break
        self.reloader.check_trial(ended=True)
        return 0

    def _reload(self) -> None:
        self._notifier.reloading(done=False)
        before = self.reloader.runtime
        self.reloader.reload()
        self._commands.reloaded(self.reloader.problem, swapped=self.reloader.runtime is not before)
        self._notifier.reloading(done=True)

    def _change_settings(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The verb `configure`."""
        before = self.reloader.runtime
        answer = self._configure.answer(asked)
        if self.reloader.runtime is not before:
            problem = None
            try:
                self.reloader.follow(load_layered(self._path))
            except EdgedError as error:  # somebody has saved a file meanwhile; what is in force stays
                problem = f"the settings were changed, and their files cannot be read since: {error}"
                log.error("%s", problem)
            self.reloader.problem = problem
            self._commands.reloaded(problem, swapped=True)
        return answer

    def _change_cameras(self, reason: str) -> None:
        """A pause begins or ends."""
        self.reloader.change_cameras(reason)
        self._supervisor.supervise()

    def _keep_walk_test(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The verb `walktest`."""
        core, config = self.core, self.reloader.runtime.config
        return keep_walk_test(asked, config, core.reader, core.clock.utc_ms(), core.store.submit)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.put(number)

    def _is_asked_to_stop(self) -> bool:
        """Wait for signals, for TICK_S at most, and take all that have come."""
        stop = False
        try:
            number = self._signals.get(timeout=TICK_S)
            while True:
                stop |= number != signal.SIGHUP
                self._reload_asked |= number == signal.SIGHUP
                number = self._signals.get_nowait()
        except Empty:
            return stop
