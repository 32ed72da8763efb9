"""All parts that the config shapes, in one object: a reload builds it anew and swaps it whole.

`Core` is what survives every reload (store, clock, recorder, device id). `Runtime` is the rest. `build_runtime` is the one
place that wires; it starts nothing and changes nothing outside, so that a config which cannot be used leaves the running
daemon as it was. It takes over from the runtime before it, explicitly, what the change does not concern:

* the loaded models, and the engines found for them, while `[models]` and what the cameras ask of them stay;
* the broker's connection, while `[mqtt]` stays: a camera that comes or goes is announced on it;
* cameras and analysis together, while nothing changes that either acts on (`ANALYSED`);
* else the capture of each camera whose own settings stay: its process goes on, and the new analysis gets its pictures.

To add a part (a console, a local output):

1. Give it a field of `Runtime`, and build it in `build_runtime` from `core`, `config` and the parts above it. A part that must
   survive every reload belongs to `Core` instead, and its config section not into `RELOADABLE` (`reload.py`).
2. Decide when the part of `before` serves on, and return that very object then: identity says what was handed over.
3. If it is a `Worker` of which the daemon's life depends, name it in `threads`: the supervisor checks it for failure and
   standstill, and feeds the watchdog by it. Start it in `start`; stop it in `close`, unless `successor` holds the same object.
4. What it reports once a second (problems, a document to publish) is asked for in `supervisor.py`; what a client may ask of
   it is a question on the request socket (see `questions.py`), what it may have done is a command (see `commands.py`).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from edged import messages
from edged.assembly import Models, build_pipeline, load_detector, load_models, model_names, tasks_of
from edged.backends.switch import SwitchingEngine
from edged.backends.worker import BackendWorker
from edged.capture import CameraWorker, FrameInbox
from edged.config import Config
from edged.daemon.analysis import AnalysisWorker
from edged.daemon.cameras import Cameras
from edged.daemon.core import Core
from edged.daemon.pace import Pace
from edged.daemon.reporter import Reporter
from edged.daemon.state import trouble_of
from edged.deliver import ChannelWorker, alert_channels, transports
from edged.live.view import Source, State
from edged.outputs.kept import keep, kept_in
from edged.outputs.worker import OutputWorker
from edged.ports import Engine
from edged.publish import Publisher, discovery_topic
from edged.readers import SURE_SCORES
from edged.records import PAUSED, Message
from edged.store.recorder import Recorder
from edged.worker import Worker

log = logging.getLogger(__name__)

ANALYSED = {"camera", "mask", "attention", "drowsiness", "events", "models", "output"}
"""Sections whose change needs new pipelines, or other observers of them."""
NOTIFYING = {"webhook", "mail", "report", "camera"}
"""Sections whose change needs other workers for webhook and mail: mails hold the site's and the cameras' names."""


@dataclass(frozen=True, slots=True)
class Inference:
    """The loaded models, each on the CPU, and what finds them a faster backend."""

    models: Models
    backends: BackendWorker

    def stop(self) -> None:
        """Stop building engines, and release the GPU; call when analysis has ended. Takes at most two seconds."""
        if not self.backends.stop(2.0):
            log.warning("the GPU does not answer; its thread is abandoned")


@dataclass(frozen=True, slots=True)
class Runtime:
    """One config in force. Used by the main thread; other threads read its fields."""

    config: Config
    inference: Inference
    publisher: Publisher | None
    """None where no broker is configured."""
    channels: Sequence[ChannelWorker]
    """The ways out besides the broker that are configured."""
    cameras: Cameras
    reporter: Reporter
    outputs: OutputWorker
    """Lives as long as `cameras`, whose analysis it observes."""

    @property
    def threads(self) -> list[Worker]:
        """The workers whose failure ends the daemon, and whose standstill stops the watchdog's signs of life."""
        parts = [self.publisher] if self.publisher else []
        return [*parts, *self.channels, self.reporter, *self.outputs.threads, *self.cameras.threads]

    def start(self, core: Core) -> None:
        """Start every part that does not run yet."""
        if core.outbound.publisher is not self.publisher:
            core.watch.publish_again()
        core.outbound.publisher, core.outbound.channels = self.publisher, self.channels
        core.outbound.limits = self.config.channels
        core.recorder.publishing = self.publisher is not None
        if self.publisher:
            self._announce(core, self.publisher)
            self.publisher.start()
        for channel in self.channels:
            channel.start()
        self.reporter.start()
        keep(kept_in(self.config.store.path), self.config.output)
        self.start_cameras(core)
        self.inference.backends.start()

    def start_cameras(self, core: Core) -> None:
        """Start them, and show them to viewers."""
        self._show(core)
        self.outputs.zone = ZoneInfo(self.config.report.timezone)
        self.outputs.start()
        self.cameras.start()

    def camera_state(self, camera: str) -> State | None:
        """Its state or trouble, and the reason; None of one that the config does not name."""
        worker = self.cameras.workers.get(camera)
        if worker is None:
            return None
        state = worker.state()
        return state.trouble or state.status, state.reason

    def end_capture(self, core: Core, reason: str, successor: "Runtime | None" = None) -> None:
        """Stop the cameras that `successor` does not keep; end what is open of them, for `reason`, and have it recorded."""
        self.reporter.stopping.set()
        if successor is not None and successor.cameras is self.cameras:
            return
        self.end_cameras(core, reason, successor.cameras if successor else None)

    def end_cameras(self, core: Core, reason: str, successor: Cameras | None = None) -> None:
        """As `end_capture`, of the cameras alone."""
        core.live.suspend()
        self.cameras.stop(successor, PAUSED if reason == PAUSED else "stopped")
        core.watch.finish(self.cameras, reason, successor)

    def close(self, successor: "Runtime | None" = None) -> None:
        """After `end_capture`: stop what is left and `successor` does not keep."""
        if successor is None or successor.inference is not self.inference:
            self.inference.backends.stopping.set()  # not before analysis has ended, which uses the GPU that this gives back
        self.reporter.stop(1.0)
        if successor is None or successor.outputs is not self.outputs:
            self.end_outputs()
        gone = [channel for channel in self.channels if successor is None or channel not in successor.channels]
        for channel in gone:
            channel.stopping.set()
        if self.publisher and (successor is None or successor.publisher is not self.publisher):
            self.publisher.stop(1.5)
        for channel in gone:
            channel.stop(0.5)
        if successor is None or successor.inference is not self.inference:
            self.inference.stop()

    def end_outputs(self) -> None:
        """After the cameras that they speak of; takes at most two seconds."""
        if not self.outputs.stop(2.0):
            log.error("the outputs did not stop in time; their lines are safe once the process has ended")

    def _show(self, core: Core) -> None:
        """From now on live pictures are of these cameras."""
        models = self.config.models
        source = Source(self.camera_state, lambda: load_detector(models), SURE_SCORES[models.detector])
        core.live.configure(source, self.config.privacy)

    def _announce(self, core: Core, publisher: Publisher) -> None:
        """Introduce the device to Home Assistant, or take that back, and what the broker keeps of cameras that are gone, and
        of this device under another prefix or name.
        """
        publisher.withdraw(core.announced.former(self.config, core.device), core.announced.withdrawn)
        if self.config.mqtt.discovery:
            publisher.introduce(core.announced.discovery(self.config, core.device))
        elif core.announced.was_introduced():  # else a broker that allows nothing there would refuse it for ever
            topic = discovery_topic(self.config.mqtt, core.device)
            publisher.retain(Message(topic, "", retain=True, absolute=True))
        for topic in core.announced.gone(self.config):
            publisher.retain(Message(topic, "", retain=True))  # an empty retained value makes a broker forget a topic


def build_runtime(core: Core, config: Config, before: Runtime | None = None) -> Runtime:
    """Every part for `config`, what can be kept taken from `before`. Nothing is started, and `before` runs on.

    Raise ConfigError or ModelError, naming the remedy, when the config cannot be served.
    """
    changed = set(Config.model_fields) if before is None else changed_sections(before.config, config)
    inference = before.inference if before and _needs(before.config) == _needs(config) else load_inference(config)
    publisher = before.publisher if before and "mqtt" not in changed else _build_publisher(core, config)
    stays = before is not None and not changed & {
        *ANALYSED,
        "mqtt",
    }  # [mqtt] says whether events are queued for a broker
    stays = stays and before is not None and alert_channels(before.config) == alert_channels(config)
    if before and stays:
        cameras, outputs = before.cameras, before.outputs
    else:
        cameras, outputs = build_cameras(core, config, inference, before)
    publish_report = lambda report: core.outbound.retain(messages.REPORT_DAILY.text(report))  # noqa: E731
    reporter = Reporter(
        config,
        core.reader,
        core.store,
        core.clock,
        publish_report,
        inference.models.hashes,
        before.reporter.submitted if before else None,
    )
    channels = _build_channels(core, config, before.channels if before and not changed & NOTIFYING else ())
    return Runtime(config, inference, publisher, channels, cameras, reporter, outputs)


def changed_sections(old: Config, new: Config) -> set[str]:
    """The names of the sections in which two configs differ."""
    return {name for name in Config.model_fields if getattr(new, name) != getattr(old, name)}


def load_inference(config: Config) -> Inference:
    """The models that the config's cameras need. Raise ModelError, naming the remedy, when one cannot be used."""
    engines: list[SwitchingEngine] = []

    def switching(engine: Engine) -> Engine:
        engines.append(SwitchingEngine(engine))
        return engines[-1]

    models = load_models(config.models, tasks_of(config), switching)
    return Inference(models, BackendWorker(config, engines))


def build_cameras(
    core: Core, config: Config, inference: Inference, before: Runtime | None
) -> tuple[Cameras, OutputWorker]:
    """Cameras, inbox, analysis, and the outputs that observe it, at rest while a pause stands; the capture of a camera whose
    settings `before` had too is taken from there.
    """
    pause = core.pauses.stands
    inbox = FrameInbox(list(config.camera))
    pipelines = {
        camera: build_pipeline(camera, settings, config, inference.models) for camera, settings in config.camera.items()
    }
    workers = {
        camera: before.cameras.workers[camera]
        if before and before.config.camera.get(camera) == settings
        else CameraWorker(camera, settings, inbox)
        for camera, settings in config.camera.items()
    }
    recorder = Recorder(
        core.clock, core.meters.submit, publishing=config.mqtt.host is not None, alerting=alert_channels(config)
    )
    pace = Pace({name: lambda worker=worker: worker.rate for name, worker in workers.items()})  # type: ignore[misc]
    outputs = OutputWorker(config, lambda camera: is_lost(workers[camera]), core.clock, interval_s=pace.interval_s)
    observers = [core.live.observe, core.meters.observe]
    if config.output:
        observers.insert(0, outputs.observe)  # nothing comes between a frame and its alarm
    analysis = AnalysisWorker(
        inbox, pipelines, recorder, inference.backends.switch, observers, outputs.take_notifications, pace
    )
    if pause is not None:
        analysis.rest()
        for worker in workers.values():
            worker.rest(f"by {pause.who}")
    return Cameras(inbox, workers, analysis, paused=pause is not None), outputs


def is_lost(camera: CameraWorker) -> bool:
    """Whether a camera gives no pictures, or none in which anything is seen; not while it is opened, nor of a recording's end."""
    state = camera.state()
    return trouble_of(state) is not None and not (camera.ended or state.is_opening)


def _build_publisher(core: Core, config: Config) -> Publisher | None:
    """Not connected yet, and nothing announced."""
    if config.mqtt.host is None:
        return None
    return Publisher(
        config.mqtt,
        core.device,
        core.reader,
        core.store.acknowledge,
        discovery=None,
    )


def _build_channels(core: Core, config: Config, kept: Sequence[ChannelWorker]) -> Sequence[ChannelWorker]:
    """The workers of all channels but the broker; `kept` ones serve on."""
    if kept:
        return kept
    found = transports(config, core.device, core.reader, core.clock)
    return [ChannelWorker(channel, made(), core.reader, core.store) for channel, made in found.items()]


def _needs(config: Config) -> object:
    """What decides which models are loaded, and how they are run."""
    return config.models, model_names(config.models, tasks_of(config))
