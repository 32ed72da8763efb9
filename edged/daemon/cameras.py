"""The parts of a running daemon that the config shapes, built together, started in order, stopped in reverse.

Sources, pipelines and the broker's connection can be replaced while the daemon runs (a reload); the store cannot.
"""

import logging
import time
from dataclasses import dataclass

from edged.assembly import Models, build_pipeline, load_models, wanted
from edged.backends.choice import BackendWorker
from edged.backends.switch import SwitchingEngine
from edged.capture import CameraWorker, FrameInbox
from edged.config import Config
from edged.daemon.analysis import AnalysisWorker
from edged.daemon.reporter import Reporter
from edged.ports import Engine
from edged.publish import Publisher
from edged.store.recorder import Recorder
from edged.worker import Worker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watching:
    """Cameras and the analysis of their pictures."""

    inbox: FrameInbox
    cameras: dict[str, CameraWorker]
    analysis: AnalysisWorker

    def start(self) -> None:
        self.analysis.start()
        for camera in self.cameras.values():
            camera.start()

    def stop(self) -> None:
        """Stop taking pictures, then analysing them; what is open is ended and recorded. Takes at most three seconds."""
        for camera in self.cameras.values():
            camera.stopping.set()
        deadline = time.monotonic() + 1.0
        for camera in self.cameras.values():
            if not camera.stop(max(0.05, deadline - time.monotonic())):
                log.warning("camera %s does not let go; its thread is left behind", camera.camera)
        self.analysis.stopping.set()
        self.inbox.close()
        if not self.analysis.stop(2.0):
            log.warning("analysis does not end; what it holds is lost")

    @property
    def workers(self) -> list[Worker]:
        return [self.analysis, *self.cameras.values()]

    @property
    def all_played(self) -> bool:
        """Whether every camera was a recording that has ended, and every picture of it was analysed."""
        return all(camera.ended for camera in self.cameras.values()) and self.inbox.is_empty()


@dataclass(frozen=True, slots=True)
class Telling:
    """The broker's connection and the daily report."""

    publisher: Publisher | None
    reporter: Reporter


@dataclass(frozen=True, slots=True)
class Inference:
    """The loaded models, each on the CPU, and what finds them a faster backend."""

    models: Models
    backends: BackendWorker

    def stop(self) -> None:
        """Stop preparing engines, and give the GPU back; call when analysis has ended. Takes at most two seconds."""
        if not self.backends.stop(2.0):
            log.warning("the GPU does not answer; its thread is left behind")


def load_inference(config: Config) -> Inference:
    """What the cameras of the config want. Raise ModelError, naming the remedy, when a model cannot be used."""
    engines: list[SwitchingEngine] = []

    def switching(engine: Engine) -> Engine:
        engines.append(SwitchingEngine(engine))
        return engines[-1]

    models = load_models(config.models, wanted(config), switching)
    return Inference(models, BackendWorker(config, engines))


def build_watching(config: Config, inference: Inference, recorder: Recorder) -> Watching:
    """Cameras, inbox and analysis for every camera of the config."""
    models = inference.models
    inbox = FrameInbox(list(config.camera))
    pipelines = {camera: build_pipeline(camera, settings, config, models) for camera, settings in config.camera.items()}
    cameras = {camera: CameraWorker(camera, settings, inbox) for camera, settings in config.camera.items()}
    return Watching(inbox, cameras, AnalysisWorker(inbox, pipelines, recorder, inference.backends.switch))
