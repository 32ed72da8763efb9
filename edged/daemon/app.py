"""The daemon's main thread: starts the parts in order, watches over them, reloads the config, stops in reverse."""

import logging
import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

from edged import messages
from edged.assembly import load_detector
from edged.capture.attached import attached
from edged.config import Config, Layered, config_sha256, exposures, load_layered
from edged.config.trial import SERVED_S, Trial
from edged.daemon.commands import Commands
from edged.daemon.configure import Configure
from edged.daemon.core import open_core, waiting
from edged.daemon.meters import metrics_document
from edged.daemon.pausing import Pausing
from edged.daemon.requests import Exclusive, Question, Requests
from edged.daemon.runtime import build_cameras, build_runtime, changed_sections
from edged.daemon.supervision import Health
from edged.daemon.thermal import ThermalMonitor, limit_rates
from edged.daemon.walktest import keep_walk_test
from edged.errors import ConfigError, EdgedError
from edged.host.device import device_model
from edged.host.systemd import Notifier
from edged.live.glimpse import glimpses
from edged.payloads.mqtt import StatePayload
from edged.ports import Clock
from edged.publish import check_mqtt
from edged.readers import SURE_SCORES
from edged.worker import Worker

log = logging.getLogger(__name__)

TICK_S = 0.25
SUPERVISE_EVERY_S = 1.0
STATE_INTERVAL_S = 60.0
DRAIN_S = 0.7
RECHECK_S = 2.0
"""After a worker was found stuck, before systemd is asked to end the daemon."""
STARTED_AFRESH = 1
"""Exit code after which systemd starts the daemon again (`Restart=on-failure`)."""
NO_CAMERA = "no camera is configured"
RELOADABLE = {
    "camera",
    "mask",
    "attention",
    "drowsiness",
    "events",
    "models",
    "mqtt",
    "report",
    "privacy",
    "console",
    "output",
    "webhook",
    "mail",
}


class App:
    """One daemon. Build it, then `run` it in the main thread.

    `_core` lives as long as the process; `_runtime` is everything that the config shapes, and one assignment swaps it.
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
        self._stop_asked = threading.Event()
        self._reload_asked = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # from now on: loading the models takes a while
            signal.signal(number, self._on_signal)
        self._path, self._until_played, self._wait_for_camera = path, until_played, wait_for_camera
        self._check(config)
        self._notifier = Notifier()
        self._core = core = open_core(config, clock)
        self._runtime = build_runtime(core, config)
        self._health = Health(core.device, started_s, core.clock, core.store)
        self._thermal = ThermalMonitor(core.clock)
        self._configure = Configure(path, self._configured)
        local = {"configure": self._change_settings, "walktest": self._keep_walk_test}
        self._pausing = Pausing(core, lambda: self._runtime.config, self._change_cameras)
        self._commands = Commands(core.clock, path, local | self._pausing.verbs)
        questions: dict[str, Question] = {
            "status": self._status_answer,
            "metrics": self._metrics,
            "outputs": self._outputs,
            "glimpses": Exclusive(self._glimpses),
        }
        self._status = Requests(self._commands, questions).server(config.store.path)
        self._live = core.live.server(config.store.path)
        self._reload_problem: str | None = None
        self._reloads = 0
        self._trial, self._trial_due_s = trial, float("inf")
        self._was_stuck = False
        self._state: Mapping[str, Any] = {}
        self._published_state: Mapping[str, Any] = {}
        self._state_published_s = float("-inf")

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit code."""
        try:
            self._start()
            return self._serve()
        finally:
            self._stop()

    def _start(self) -> None:
        self._core.store.start()
        self._runtime.start(self._core)
        self._thermal.start()
        self._supervise()  # whoever asks for the status gets a whole answer from the first moment on
        for server in (self._status, self._live):
            server.open()
            server.start()
        self._notifier.ready()
        self._trial_due_s = self._core.clock.monotonic_s() + SERVED_S
        cameras = ", ".join(self._runtime.config.camera) or "no camera yet"
        log.info("edged serves %s as %s (%s)", cameras, self._core.device, device_model())

    def _stop(self) -> None:
        """In reverse, within five seconds: pictures, analysis, messages, store."""
        self._notifier.stopping()
        for server in (self._status, self._live):
            server.stopping.set()
        self._core.live.close()
        self._thermal.stopping.set()
        core, runtime = self._core, self._runtime
        self._commands.stop(runtime)
        runtime.end_capture(core, "stopped")
        core.recorder.flush()
        self._drain_outbox()
        runtime.close()
        self._status.stop(1.0)
        self._live.stop(1.0)
        self._thermal.stop(0.5)
        if core.store.stop(2.0):
            core.store.close()
        else:
            log.error("the store did not finish in time")  # and still uses what `close` would close
        log.info("edged has stopped")

    def _drain_outbox(self) -> None:
        """Give the ends of events that the stop has ended a moment to reach the broker; the rest waits in the outbox."""
        core, deadline = self._core, time.monotonic() + DRAIN_S
        while core.outbound.connected and time.monotonic() < deadline:
            try:
                if core.store.is_idle() and core.reader.outbox_depth("mqtt") == 0:
                    return
            except EdgedError:
                return  # the disk is in trouble: stopping in time matters more
            time.sleep(0.02)

    def _serve(self) -> int:
        next_supervision_s = next_watchdog_s = 0.0
        while not self._stop_asked.wait(TICK_S):
            now_s = self._core.clock.monotonic_s()
            self._commands.handle(self._runtime)
            if self._commands.restart_asked:
                return STARTED_AFRESH
            if self._reload_asked.is_set() or self._commands.reload_asked:
                self._reload_asked.clear()
                self._reload()
            self._pausing.check()
            if now_s >= next_supervision_s:
                next_supervision_s = now_s + SUPERVISE_EVERY_S
                self._supervise()
            failed = next((w for w in self._workers() if w.failure is not None), None)
            if failed is not None:
                log.critical(
                    "worker %s has failed (%s); the daemon ends to be started afresh", failed.name, failed.failure
                )
                return STARTED_AFRESH
            if self._notifier.watchdog_interval_s and now_s >= next_watchdog_s:
                next_watchdog_s = now_s + self._feed_watchdog(self._notifier.watchdog_interval_s)
            if now_s >= self._trial_due_s:
                self._come_up()
            if self._until_played and self._runtime.cameras.all_played:
                break
        self._come_up()
        return 0

    def _come_up(self) -> None:
        """The config in force is one that the daemon can serve with."""
        self._trial_due_s = float("inf")
        if self._trial:
            self._trial.passed()

    def _supervise(self) -> None:
        """Once a second: cameras, counts, rates, the state document."""
        config, cameras, outbound = self._runtime.config, self._runtime.cameras, self._core.outbound
        self._core.watch.supervise(config, cameras)
        self._core.live.drop_unused()
        self._core.meters.sample(config, cameras)
        self._core.watch.publish_outputs(self._runtime.outputs.states())
        too_slow = limit_rates(config, cameras.workers, self._thermal.share)
        connected, broker = outbound.connected, outbound.problem  # in this order: connecting ends the problem first
        was, self._state = self._state, self._document(broker, too_slow)
        # Whoever receives the state has a broker: that there was none a moment ago is no news any more.
        state = self._state if connected or broker is None else self._document(None, too_slow)
        now_s = self._core.clock.monotonic_s()
        due = now_s - self._state_published_s >= STATE_INTERVAL_S
        if due or _steady(self._state) != _steady(was):
            errors, until = self._state["errors"], self._state["paused_until"]
            doing = f"paused until {until}" if until else f"watching {', '.join(config.camera)}"
            self._notifier.status(errors[0] if errors else doing)
        if due or _steady(state) != _steady(self._published_state):
            self._published_state, self._state_published_s = state, now_s
            outbound.retain(messages.STATE.message(state))

    def _document(self, broker_problem: str | None, too_slow: list[str]) -> StatePayload:
        """The daemon's state now."""
        core, inference = self._core, self._runtime.inference
        errors = self._health.errors(self._runtime.cameras, broker_problem, self._reload_problem)
        errors += self._runtime.outputs.problems()
        errors += self._thermal.problems() + too_slow + inference.backends.problems()
        errors += self._trial.left_out if self._trial else ()
        if not self._runtime.config.camera:
            errors.append(
                f"{NO_CAMERA}; open the console, or add a table like [camera.door] with a source to {self._path}"
            )
        errors += [channel.problem for channel in self._runtime.channels if channel.problem]
        if doubt := core.clock.problem():
            errors.append(doubt)
        outbox = waiting(core.reader, "mqtt")
        pause = core.pauses.stands
        return self._health.state(
            inference.models.backends,
            errors,
            outbox,
            self._thermal.state,
            inference.backends.building,
            None if pause is None else pause.until,
        )

    def _feed_watchdog(self, interval_s: float) -> float:
        """Tell systemd whether every worker makes progress; return after how many seconds to do so again.

        A process that was frozen as a whole finds every worker late: they get a moment to show that they go on.
        """
        if self._all_progress():
            self._was_stuck = False
            self._notifier.alive()
            return interval_s / 2
        if self._was_stuck:
            self._notifier.trigger_watchdog()
        self._was_stuck = True
        return RECHECK_S

    def _all_progress(self) -> bool:
        """Whether every worker makes progress; only then does systemd hear that the daemon is alive."""
        stuck = [worker.name for worker in self._workers() if worker.is_stuck()]
        if stuck:
            log.error("no progress in: %s", ", ".join(stuck))
        return not stuck

    def _workers(self) -> list[Worker]:
        return [self._core.store, self._status, self._live, self._thermal, *self._runtime.threads]

    def _reload(self) -> None:
        """Put the file in force if it is valid; keep the config as it is, and say why, if it is not."""
        self._notifier.reloading(done=False)
        before = self._runtime
        try:
            layered = load_layered(self._path)
            config = layered.config
            for line in layered.left_out:
                log.warning("%s", line)
            for line in exposures(self._path, config):
                log.warning("%s", line)
            self._apply(config)
            self._follow(layered)
        except EdgedError as error:
            self._reload_problem = f"the config was not reloaded: {error}"
            log.error("%s", self._reload_problem)
        else:
            self._reload_problem = None
        self._reloads += 1
        self._commands.reloaded(self._reload_problem, swapped=self._runtime is not before)
        self._notifier.reloading(done=True)

    def _check(self, config: Config) -> None:
        """Raise ConfigError when the daemon could not serve under it."""
        if not config.camera and not self._wait_for_camera:
            raise ConfigError(
                f"{self._path}: {NO_CAMERA}; add a table like [camera.door] with a source, or start "
                "with `--wait-for-camera`, and let the console's setup add one"
            )
        check_mqtt(config.mqtt)

    def _follow(self, layered: Layered) -> None:
        """These files are what the daemon serves under; if it comes up with them, they are good."""
        if self._trial:
            self._trial.follow(layered)
        self._trial_due_s = self._core.clock.monotonic_s() + SERVED_S

    def _change_settings(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The verb `configure`."""
        before = self._runtime
        answer = self._configure.answer(asked)
        if self._runtime is not before:
            self._reload_problem = None
            self._follow(load_layered(self._path))
            self._commands.reloaded(None, swapped=True)
        return answer

    def _keep_walk_test(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The verb `walktest`."""
        core = self._core
        return keep_walk_test(asked, self._runtime.config, core.reader, core.clock.utc_ms(), core.store.submit)

    def _configured(self, config: Config) -> bool:
        """Put `config` in force, as `_apply`; give False where that takes a restart."""
        if changed_sections(self._runtime.config, config) - RELOADABLE:
            self._check(config)
            return False
        self._apply(config)
        return True

    def _apply(self, config: Config) -> None:
        """Swap the runtime for one of `config`. Raise ConfigError or ModelError, and change nothing, when that cannot be."""
        core, old = self._core, self._runtime
        changed = changed_sections(old.config, config)
        if fixed := changed - RELOADABLE:
            raise ConfigError(f"[{'], ['.join(sorted(fixed))}] changed, which needs `systemctl restart edged`")
        self._check(config)
        if changed:
            new = build_runtime(core, config, before=old)
            old.end_capture(core, "reload", successor=new)
            old.close(successor=new)
            self._runtime = new
            new.start(core)
            self._state_published_s = float("-inf")
        log.info("config reloaded; changed: %s", ", ".join(sorted(changed)) or "nothing")

    def _change_cameras(self, reason: str) -> None:
        """Other ones, at rest or not as the pause has it, with other outputs; everything else goes on."""
        core, old = self._core, self._runtime
        cameras, outputs = build_cameras(core, old.config, old.inference, None)
        new = replace(old, cameras=cameras, outputs=outputs)
        old.end_cameras(core, reason)
        old.end_outputs()
        self._runtime = new
        new.start_cameras(core)
        self._supervise()

    def _status_answer(self) -> dict[str, Any]:
        runtime = self._runtime  # read once: a reload may swap it meanwhile
        broker = {"configured": runtime.publisher is not None, "connected": self._core.outbound.connected}
        reload = {"count": self._reloads, "problem": self._reload_problem}
        about: dict[str, Any] = {"pid": os.getpid(), "config_sha256": config_sha256(runtime.config), "reload": reload}
        about["channels"] = self._core.outbound.status(self._core.reader)
        about |= {"paused": self._pausing.status(), "live": self._core.live.status()}
        about["outputs"] = self._outputs()["outputs"]
        about["workers"] = {worker.name: worker.last_beat_s for worker in self._workers()}
        return {**self._health.status(runtime.config, runtime.cameras, self._state, broker), **about}

    def _outputs(self) -> dict[str, Any]:
        """Every local output as it is now."""
        return {"v": 1, "outputs": {name: asdict(state) for name, state in self._runtime.outputs.states().items()}}

    def _glimpses(self) -> dict[str, Any]:
        """What each attached camera sees that is not configured; nothing while nobody may be watched."""
        if self._pausing.status() is not None:
            return {"v": 1, "glimpses": {}}
        config = self._runtime.config
        in_use, models = [camera.source for camera in config.camera.values()], config.models
        found = glimpses(attached(), in_use, lambda: load_detector(models), SURE_SCORES[models.detector])
        return {"v": 1, "glimpses": found}

    def _metrics(self) -> dict[str, Any]:
        core = self._core
        rows = core.store.waiting, core.store.dropped
        return metrics_document(self._status_answer(), core.meters.figures(), *rows, core.live.clear.seconds)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        (self._reload_asked if number == signal.SIGHUP else self._stop_asked).set()


def _steady(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state document without what changes all the time by itself."""
    return {key: value for key, value in state.items() if key not in ("ts", "uptime_s", "outbox", "temperature_c")}
