"""The one place that knows every part: builds them, starts them in order, watches over them, stops them in reverse."""

import logging
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from edged import __version__, messages
from edged.assembly import model_names, wanted
from edged.clock import WatchedClock
from edged.config import Config, config_sha256, exposures, load_config
from edged.daemon.announced import Announced
from edged.daemon.commands import Commands
from edged.daemon.cooling import Cooling
from edged.daemon.parts import Inference, Telling, build_watching, load_inference
from edged.daemon.reporter import Reporter
from edged.daemon.status import StatusServer, socket_path
from edged.daemon.supervision import CameraWatch, Health
from edged.daemon.systemd import Notifier
from edged.device import device_id, device_model
from edged.errors import ConfigError, EdgedError
from edged.payloads.mqtt import StatePayload
from edged.ports import Clock
from edged.publish import Publisher, check_mqtt, read_password
from edged.records import Message
from edged.store import Store, StoreReader
from edged.store.files import Loss
from edged.store.recorder import Recorder
from edged.store.upkeep import Upkeep, known_reckoning
from edged.store.worker import StoreWorker
from edged.worker import Worker

log = logging.getLogger(__name__)

TICK_S = 0.25
LOOK_INTERVAL_S = 1.0
STATE_INTERVAL_S = 60.0
LAST_WORDS_S = 0.7
PUBLISHER_STUCK_AFTER_S = 20.0
"""While it dials, which a name server may hold up, it says so beforehand."""
SECOND_LOOK_S = 2.0
"""After a worker was found wedged, before systemd is asked to end the daemon."""
STARTED_AFRESH = 1
"""Exit code after which systemd starts the daemon again (`Restart=on-failure`)."""
RELOADABLE = {"camera", "mask", "attention", "drowsiness", "events", "models", "mqtt", "report"}


class App:
    """One daemon. Build it, then `run` it in the main thread."""

    def __init__(self, path: Path, config: Config, clock: Clock, *, until_played: bool = False) -> None:
        """Open the store and load the models; nothing runs yet. `until_played`: stop when all recordings have ended.

        Raise ConfigError, ModelError or StoreError when the daemon cannot serve.
        """
        self.started_s = clock.monotonic_s()
        self._stop_asked = threading.Event()
        self._reload_asked = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # from now on: loading the models takes a while
            signal.signal(number, self._on_signal)
        if not config.camera:
            raise ConfigError(f"{path}: no camera is configured; add a table like [camera.door] with a source")
        check_mqtt(config.mqtt)
        self._path, self._config, self._until_played = path, config, until_played
        self._notifier = Notifier()
        self._device = device_id(config.device.id)
        self._inference = load_inference(config)
        store = Store(config.store.path)
        self._clock = clock = WatchedClock(clock, known_reckoning(store))
        upkeep = Upkeep(clock, config.store, self._tell)
        self._store = StoreWorker(
            store, committed=self._committed, upkeep=upkeep, reopen=self._open_store_again, lost=self._tell_lost
        )
        self._reader = StoreReader(config.store.path)
        self._recorder = self._new_recorder()
        self._take_over(store)
        self._health = Health(self._device, self.started_s, clock, self._store, lambda: self._inference.models.backends)
        self._reload_problem: str | None = None
        self._reloads = 0
        self._was_stuck = False
        self._state: Mapping[str, Any] = {}
        self._told: Mapping[str, Any] = {}
        self._state_told_s = float("-inf")
        self._announced = Announced(self._reader, self._store)
        self._telling = self._build_telling()
        self._watching = build_watching(config, self._inference, self._new_recorder())
        self._watch = CameraWatch(config, self._recorder, clock, self._retain)
        self._cooling = Cooling(clock, lambda: (self._config, self._watching.cameras))
        self._commands = Commands(clock, path, lambda: (self._config, self._telling), self._reload)
        self._status = StatusServer(socket_path(config.store.path), self._status_answer)

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit code."""
        try:
            self._start()
            return self._serve()
        finally:
            self._stop()

    def _start(self) -> None:
        self._store.start()
        self._start_telling()
        self._watching.start()
        self._inference.backends.start()
        self._cooling.start()
        self._look()  # whoever asks how the daemon is gets a whole answer from the first moment on
        self._status.open()
        self._status.start()
        self._notifier.ready()
        cameras = ", ".join(self._config.camera)
        log.info("edged serves %s as %s (%s)", cameras, self._device, device_model())

    def _stop(self) -> None:
        """In reverse, within five seconds: pictures, analysis, messages, store."""
        self._notifier.stopping()
        self._status.stopping.set()
        self._cooling.stopping.set()
        self._commands.stop()
        self._telling.reporter.stopping.set()
        self._watching.stop()
        self._inference.backends.stopping.set()  # only now: it gives the GPU back, which analysis was using
        self._watch.finish(self._watching, "stopped")
        self._recorder.flush()
        self._deliver_last_words()
        self._stop_telling()
        self._status.stop(1.0)
        self._cooling.stop(0.5)
        self._inference.stop()
        if self._store.stop(2.0):
            self._store.close()
        else:
            log.error("the store did not finish in time")  # and still uses what `close` would close
        log.info("edged has stopped")

    def _deliver_last_words(self) -> None:
        """Give the ends of events that the stop has ended a moment to reach the broker; what does not waits in the outbox."""
        publisher, deadline = self._telling.publisher, time.monotonic() + LAST_WORDS_S
        while publisher and publisher.connected and time.monotonic() < deadline:
            try:
                if self._store.is_idle() and self._reader.outbox_depth() == 0:
                    return
            except EdgedError:
                return  # the disk is in trouble: stopping in time matters more
            time.sleep(0.02)

    def _serve(self) -> int:
        next_look_s = next_watchdog_s = 0.0
        while not self._stop_asked.wait(TICK_S):
            now_s = self._clock.monotonic_s()
            if self._reload_asked.is_set():
                self._reload_asked.clear()
                self._reload()
            self._commands.obey()
            if self._commands.restart_asked:
                return STARTED_AFRESH
            if now_s >= next_look_s:
                next_look_s = now_s + LOOK_INTERVAL_S
                self._look()
            failed = next((w for w in self._workers() if w.failure is not None), None)
            if failed is not None:
                log.critical(
                    "worker %s has failed (%s); the daemon ends to be started afresh", failed.name, failed.failure
                )
                return STARTED_AFRESH
            if self._notifier.watchdog_interval_s and now_s >= next_watchdog_s:
                next_watchdog_s = now_s + self._tell_watchdog(self._notifier.watchdog_interval_s)
            if self._until_played and self._watching.all_played:
                return 0
        return 0

    def _look(self) -> None:
        """Once a second: cameras, counts, the state document."""
        self._watch.look(self._watching)
        publisher = self._telling.publisher
        connected = publisher is not None and publisher.connected  # before its problem: connecting ends that first
        broker = publisher.problem if publisher else None
        was, self._state = self._state, self._document(broker)
        # Whoever hears the state has a broker: that there was none a moment ago is no news any more.
        told = self._state if connected or broker is None else self._document(None)
        now_s = self._clock.monotonic_s()
        due = now_s - self._state_told_s >= STATE_INTERVAL_S
        if due or _steady(self._state) != _steady(was):
            errors = self._state["errors"]
            self._notifier.status(errors[0] if errors else f"watching {', '.join(self._config.camera)}")
        if due or _steady(told) != _steady(self._told):
            self._told, self._state_told_s = told, now_s
            self._retain(messages.STATE.message(told))

    def _document(self, broker_problem: str | None) -> StatePayload:
        """The daemon's state now."""
        errors = self._health.errors(self._watching, broker_problem, self._reload_problem)
        errors += self._cooling.problems() + self._inference.backends.problems()
        if doubt := self._clock.doubt():
            errors.append(doubt)
        try:
            outbox: int | None = self._reader.outbox_depth()
        except EdgedError:
            outbox = None  # the store's own problem is in `errors` already
        return self._health.state(errors, outbox, self._cooling.heat, self._inference.backends.preparing)

    def _tell_watchdog(self, interval_s: float) -> float:
        """Tell systemd whether all is alive; return after how many seconds to do so again.

        A process that was frozen as a whole finds every worker late: they get a moment to show that they go on.
        """
        if self._all_progress():
            self._was_stuck = False
            self._notifier.alive()
            return interval_s / 2
        if self._was_stuck:
            self._notifier.wedged()
        self._was_stuck = True
        return SECOND_LOOK_S

    def _all_progress(self) -> bool:
        """Whether every worker makes progress; only then does systemd hear that the daemon is alive."""
        stuck = [worker.name for worker in self._workers() if worker.is_stuck()]
        publisher = self._telling.publisher
        if publisher and self._clock.monotonic_s() - publisher.beat_s() > PUBLISHER_STUCK_AFTER_S:
            stuck.append("publisher")
        if stuck:
            log.error("no progress in: %s", ", ".join(stuck))
        return not stuck

    def _workers(self) -> list[Worker]:
        return [self._store, self._status, self._cooling, self._telling.reporter, *self._watching.workers]

    def _reload(self) -> str | None:
        """Apply the file if it is valid; keep the last good settings, and say why, if it is not."""
        self._notifier.reloading(done=False)
        try:
            config = load_config(self._path)
            for line in exposures(self._path, config):
                log.warning("%s", line)
            self._apply(config)
        except EdgedError as error:
            self._reload_problem = f"the config was not reloaded: {error}"
            log.error("%s", self._reload_problem)
        else:
            self._reload_problem = None
        self._reloads += 1
        self._notifier.reloading(done=True)
        return self._reload_problem

    def _apply(self, config: Config) -> None:
        """Replace the parts that `config` shapes differently. Raise ConfigError when that needs a restart."""
        changed = {name for name in Config.model_fields if getattr(config, name) != getattr(self._config, name)}
        if fixed := changed - RELOADABLE:
            raise ConfigError(f"[{'], ['.join(sorted(fixed))}] changed, which needs `systemctl restart edged`")
        if not config.camera:
            raise ConfigError("no camera is left in it")
        check_mqtt(config.mqtt)
        inference = self._inference
        if "models" in changed or _models_of(config) != _models_of(self._config):
            inference = load_inference(config)
        self._config = config
        if changed & {"mqtt", "report", "camera", "device"}:  # discovery lists the cameras
            self._stop_telling()
            self._recorder.publishing = config.mqtt.host is not None
            self._telling = self._build_telling()
            self._start_telling()
            self._state_told_s = float("-inf")
        if changed & {"camera", "mask", "attention", "drowsiness", "events", "models", "mqtt"}:
            self._watching.stop()
            self._watch.finish(self._watching, "reload")
            self._take_up(inference)
            self._watching = build_watching(config, self._inference, self._new_recorder())
            self._watch = CameraWatch(config, self._recorder, self._clock, self._retain)
            self._watching.start()
        log.info("config reloaded; changed: %s", ", ".join(sorted(changed)) or "nothing")

    def _take_up(self, inference: Inference) -> None:
        """Use it from now on, when it is another; nobody uses the old one any more."""
        if inference is not self._inference:
            self._inference.stop()
            self._inference = inference
            inference.backends.start()

    def _build_telling(self) -> Telling:
        config, publisher = self._config, None
        if config.mqtt.host is not None:
            publisher = Publisher(
                config.mqtt,
                self._device,
                self._reader,
                self._store.acknowledge,
                discovery=self._announced.discovery(config, self._device) if config.mqtt.discovery else None,
                password=read_password(config.mqtt),
            )
            for topic in self._announced.gone(config):
                publisher.retain(
                    Message(topic, "", retain=True)
                )  # a broker forgets a topic whose retained value is empty
        publish = lambda report: self._retain(messages.REPORT_DAILY.text(report))  # noqa: E731
        models = lambda: self._inference.models.hashes  # noqa: E731
        return Telling(publisher, Reporter(config, self._reader, self._store, self._clock, publish, models))

    def _start_telling(self) -> None:
        if self._telling.publisher:
            self._telling.publisher.start()
        self._telling.reporter.start()

    def _stop_telling(self) -> None:
        self._telling.reporter.stop(1.0)
        if self._telling.publisher:
            self._telling.publisher.stop(1.5)

    def _new_recorder(self) -> Recorder:
        return Recorder(self._clock, self._store.submit, publishing=self._config.mqtt.host is not None)

    def _take_over(self, store: Store) -> None:
        """Put the record in order after the last run, whatever its end, and note that this one began."""
        left_open, last_known = store.open_events(), store.last_known()
        store.close_encounters()
        self._recorder.end_left_open(left_open, last_known)
        self._tell_restored(store)
        self._recorder.system_event("started", {"version": __version__, "left_open": len(left_open)})

    def _open_store_again(self) -> Store:
        store = Store(self._config.store.path)
        self._tell_restored(store)
        return store

    def _tell_restored(self, store: Store) -> None:
        """Record the gap when a damaged database was replaced."""
        if store.restored is None:
            return
        lost = store.restored
        log.error("%s was damaged; it is kept at %s", store.path, lost.quarantined)
        details = {
            "quarantined": str(lost.quarantined),
            "backup": lost.backup and str(lost.backup),
            "gap_from": lost.gap_from,
        }
        self._tell("recovered", details)

    def _tell_lost(self, loss: Loss, gap_from: int | None) -> None:
        """Record that the database's files were lost under the running daemon."""
        self._tell("recovered", {"reason": str(loss), "gap_from": gap_from})

    def _tell(self, state: str, details: Mapping[str, object]) -> None:
        self._new_recorder().system_event(state, details)  # its own: the store's thread comes here too

    def _committed(self) -> None:
        if self._telling.publisher:
            self._telling.publisher.wake()

    def _retain(self, message: Message) -> None:
        if self._telling.publisher:
            self._telling.publisher.retain(message)

    def _status_answer(self) -> dict[str, Any]:
        publisher = self._telling.publisher
        broker = {"configured": publisher is not None, "connected": bool(publisher and publisher.connected)}
        reload = {"count": self._reloads, "problem": self._reload_problem}
        about = {"pid": os.getpid(), "config_sha256": config_sha256(self._config), "reload": reload}
        return {**self._health.status(self._config, self._watching, self._state, broker), **about}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        (self._reload_asked if number == signal.SIGHUP else self._stop_asked).set()


def _models_of(config: Config) -> tuple[str, ...]:
    return model_names(config.models, wanted(config))


def _steady(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state document without what changes all the time by itself."""
    return {key: value for key, value in state.items() if key not in ("ts", "uptime_s", "outbox", "temperature_c")}
