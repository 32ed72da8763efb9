"""Builds models and pipelines from the config: each stage gets the sections of it that it acts on."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edged.analyse import Analyser
from edged.analyse.analyser import AnalyserSettings, LensMaker, Readers
from edged.analyse.eyes import MODEL as EYE_MODEL
from edged.analyse.eyes import EyeClassifier
from edged.analyse.static import StaticFaces
from edged.config import CameraConfig, Config, EventsConfig, ModelsConfig, Tasks
from edged.detect.changes import SceneCuts
from edged.detect.schedule import DetectionSchedule
from edged.events import Events
from edged.events.encounters import Encounters
from edged.events.kinds import DrowsinessEvents, InattentionEvents, MaskEvents
from edged.inference import default_engines_dir, load_manifest, open_engine
from edged.pipeline import Pipeline
from edged.ports import Detector, Engine, EyeReader, LandmarkReader, MaskJudge, PoseReader
from edged.readers import (
    DETECTORS,
    LANDMARK_READERS,
    MASK_CLASSIFIERS,
    POSE_READERS,
    SURE_SCORES,
    DetectionLimits,
    make_detector,
    make_landmark_reader,
    make_mask_judge,
    make_pose_reader,
)
from edged.signals import Smoother
from edged.signals.attention import AttentionMonitor
from edged.signals.driver import DriverFinder
from edged.signals.drowsiness import DrowsinessMonitor
from edged.signals.mask import MaskVoter
from edged.track import Tracker, TrackerSettings
from edged.types import Lens

Wrap = Callable[[Engine], Engine]
"""Makes of a loaded engine the one that the stages get."""

MASK_ONLY = Tasks(mask=True, attention=False, drowsiness=False)
EVERYTHING = Tasks(mask=True, attention=True, drowsiness=True)

MOST_READ_OFFLINE = 64
"""Faces read in one frame of a recording, where no live picture waits."""


@dataclass(frozen=True, slots=True)
class Models:
    """The loaded models, shared by all cameras; what no camera needs is None."""

    detector: Detector
    judge: MaskJudge
    engines: Mapping[str, Engine]
    """Every loaded model, by its name."""
    hashes: Mapping[str, str]
    """Name and SHA-256 of every loaded model."""
    landmarks: LandmarkReader | None = None
    pose: PoseReader | None = None
    eyes: EyeReader | None = None

    @property
    def backends(self) -> dict[str, str]:
        """Name of every loaded model, and what runs it now."""
        return {name: engine.backend for name, engine in self.engines.items()}

    def readers(self, tasks: Tasks) -> Readers | None:
        """What reads the faces of a camera with these tasks, as far as it was loaded."""
        if not tasks.landmarks or self.landmarks is None:
            return None
        return Readers(self.landmarks, self.pose, self.eyes if tasks.drowsiness else None)


def tasks_of(config: Config) -> Tasks:
    """The tasks of all cameras, taken together."""
    tasks = [camera.tasks for camera in config.camera.values()]
    return Tasks(
        mask=any(one.mask for one in tasks),
        attention=any(one.attention for one in tasks),
        drowsiness=any(one.drowsiness for one in tasks),
        one_person=bool(tasks) and all(one.one_person for one in tasks),
    )


def model_names(config: ModelsConfig, tasks: Tasks = MASK_ONLY) -> tuple[str, ...]:
    """The manifest's names of the models that are needed for these tasks."""
    names = (*DETECTORS[config.detector].models, *MASK_CLASSIFIERS[config.mask].models)
    if tasks.landmarks:
        names += (*LANDMARK_READERS[config.landmarks].models, *POSE_READERS[config.pose].models)
    return (*names, EYE_MODEL) if tasks.drowsiness else names


def load_models(config: ModelsConfig, tasks: Tasks = MASK_ONLY, wrap: Wrap | None = None) -> Models:
    """Verify and load what is needed for these tasks, and no more: each model costs memory.

    The stages get what `wrap` makes of each engine. Raise ModelError, naming the remedy, when one cannot be used.
    """
    manifest = load_manifest(default_engines_dir())
    engines: dict[str, Engine] = {}

    def open_model(name: str) -> Engine:
        engine: Engine = open_engine(manifest, name, config.threads, config.providers)
        engines[name] = wrap(engine) if wrap else engine
        return engines[name]

    detector = make_detector(config.detector, open_model, DetectionLimits(config.smallest_face, config.least_score))
    judge = make_mask_judge(config.mask, open_model)
    landmarks = make_landmark_reader(config.landmarks, open_model) if tasks.landmarks else None
    pose = make_pose_reader(config.pose, open_model) if tasks.landmarks else None
    eyes = EyeClassifier(open_model(EYE_MODEL)) if tasks.drowsiness else None
    hashes = {name: manifest.entry(name).sha256 for name in engines}
    return Models(detector, judge, engines, hashes, landmarks, pose, eyes)


def load_detector(config: ModelsConfig) -> Detector:
    """The config's detector once more, for whoever shares it with nobody: on one thread of the CPU. Raise ModelError."""
    manifest = load_manifest(default_engines_dir())
    limits = DetectionLimits(config.smallest_face, config.least_score)
    return make_detector(config.detector, lambda name: open_engine(manifest, name, 1, ()), limits)


def lens_maker(settings: CameraConfig) -> LensMaker:
    """The lens behind pictures that were turned and cut to the region as `settings` say.

    The field of view is that of the camera's own picture, before it is turned and cut.
    """
    left, top, right, bottom = settings.region
    turned = settings.rotation in (90, 270)

    def lens(width: int, height: int) -> Lens:
        whole_width, whole_height = width / (right - left), height / (bottom - top)
        across = whole_height if turned else whole_width
        focal = Lens.of(round(across), 0, settings.field_of_view).focal
        return Lens(focal, whole_width * (0.5 - left), whole_height * (0.5 - top))

    return lens


def build_pipeline(
    camera: str, settings: CameraConfig, config: Config, models: Models, *, every_frame: bool = False
) -> Pipeline:
    """One camera's stages. `every_frame`: look for faces in every picture, and judge and read every sighting, also of small
    faces, settled verdicts, pictures of faces.
    """
    events, tasks = config.events, settings.tasks
    detector = _detector(settings, config.models, models)
    driver = DriverFinder() if tasks.one_person else None
    # A bowed head's mask is not judged: where masks count, everybody is read.
    alone = None if every_frame or tasks.mask else driver
    return Pipeline(
        camera=camera,
        detector=detector,
        tracker=Tracker(TrackerSettings(new_score=SURE_SCORES[config.models.detector]), events.patience_s(tasks)),
        analyser=Analyser(
            models.judge,
            _analyser_settings(settings, every_frame),
            models.readers(tasks),
            lens_maker(settings),
            only=lambda: alone.track if alone else None,
        ),
        smoother=_smoother(settings, driver),
        events=_events(camera, settings, events),
        encounters=Encounters(camera, events),
        static=None if every_frame or events.static_seconds == 0 else _static_faces(settings, events.static_seconds),
        # A driver who falls asleep must not become somebody new: neither because the sinking head is weakly seen, nor because
        # headlights and tunnels change the whole picture.
        schedule=None
        if every_frame
        else DetectionSchedule(detector, one_person=alone is not None, rescore_unclear=not tasks.drowsiness),
        cuts=None if tasks.drowsiness else SceneCuts(),
    )


def _static_faces(settings: CameraConfig, seconds: float) -> StaticFaces:
    """Whose eyes are read is never a picture, however still: somebody who does not wake up must not be forgotten."""
    largest = settings.drowsiness.smallest_face if settings.tasks.drowsiness else math.inf
    return StaticFaces(seconds, largest)


def _detector(settings: CameraConfig, config: ModelsConfig, models: Models) -> Detector:
    """The shared detector, or for a camera that looks for faces of another size one of its own on the same engines."""
    if settings.smallest_face is None:
        return models.detector
    return make_detector(
        config.detector, models.engines.__getitem__, DetectionLimits(settings.smallest_face, config.least_score)
    )


def _smoother(settings: CameraConfig, driver: DriverFinder | None) -> Smoother:
    """The signals that the camera wants; where it does not look for masks, every mask is uncertain."""
    tasks = settings.tasks
    return Smoother(
        MaskVoter(settings.mask, enabled=tasks.mask),
        AttentionMonitor(settings.attention) if tasks.attention else None,
        DrowsinessMonitor(settings.drowsiness) if tasks.drowsiness else None,
        driver,
    )


def _events(camera: str, settings: CameraConfig, limits: EventsConfig) -> Events:
    """The events of the camera's tasks."""
    tasks = settings.tasks
    return Events(
        MaskEvents(camera, settings.mask, limits) if tasks.mask else None,
        InattentionEvents(camera, settings.attention, limits) if tasks.attention else None,
        DrowsinessEvents(camera, settings.drowsiness, limits) if tasks.drowsiness else None,
    )


def _analyser_settings(settings: CameraConfig, every_frame: bool) -> AnalyserSettings:
    """When faces are judged, and from which size on they are read."""
    smallest = settings.mask.smallest_face
    if every_frame:
        return AnalyserSettings(smallest, 0.0, settled_interval_s=0.0, pose_holds_s=0.0, most_read=MOST_READ_OFFLINE)
    tasks, sides = settings.tasks, []
    if tasks.attention:
        sides.append(settings.attention.smallest_face)
    if tasks.drowsiness:
        sides.append(settings.drowsiness.smallest_face)
    return AnalyserSettings(smallest, min(sides, default=0.0))
