"""Builds models and pipelines from the config: the one map from config keys to the settings of the stages."""

from collections.abc import Mapping
from dataclasses import dataclass

from edged.analyse import Analyser
from edged.analyse.analyser import AnalyserSettings
from edged.analyse.mask import MaskClassifier
from edged.config import CameraConfig, Config, ModelsConfig
from edged.detect import MODELS as DETECTOR_MODELS
from edged.detect import SURE_SCORES, Wanted, make_detector
from edged.encounters import Encounters, EncounterSettings
from edged.events import Events
from edged.events.mask import EventSettings, MaskEvents
from edged.inference import default_engines_dir, load_manifest, open_engine
from edged.pipeline import Pipeline
from edged.ports import Detector, Engine, MaskJudge
from edged.signals import Smoother
from edged.signals.mask import MaskVoter, VoteSettings
from edged.track import Tracker, TrackerSettings
from edged.types import MaskState

MASK_MODEL = "mask"

WEAKER_BY = 0.05
"""A find that is weaker than a new face must be by this much still pairs freely with faces already known."""

SETTLED_INTERVAL_S = 0.5
"""How often a face whose verdict stands is looked at again."""


@dataclass(frozen=True, slots=True)
class Models:
    """The loaded models, shared by all cameras."""

    detector: Detector
    judge: MaskJudge
    backends: Mapping[str, str]
    """Name of every loaded model, and what runs it."""
    hashes: Mapping[str, str]
    """Name and SHA-256 of every loaded model."""


def model_names(config: ModelsConfig) -> tuple[str, ...]:
    """The manifest's names of the models that the config needs."""
    return (*DETECTOR_MODELS[config.detector], MASK_MODEL)


def load_models(config: ModelsConfig) -> Models:
    """Verify and load what the config names. Raise ModelError, naming the remedy, when one cannot be used."""
    manifest = load_manifest(default_engines_dir())

    backends: dict[str, str] = {}

    def open_model(name: str) -> Engine:
        engine = open_engine(manifest, name, config.threads)
        backends[name] = engine.backend
        return engine

    detector = make_detector(config.detector, open_model, Wanted(config.smallest_face, config.least_score))
    judge = MaskClassifier(open_model(MASK_MODEL))
    return Models(detector, judge, backends, {name: manifest.entry(name).sha256 for name in backends})


def build_pipeline(
    camera: str, settings: CameraConfig, config: Config, models: Models, *, every_frame: bool = False
) -> Pipeline:
    """One camera's stages. `every_frame`: judge every sighting, also of faces whose verdict has settled."""
    mask, events = settings.mask, config.events
    sure = SURE_SCORES[config.models.detector]
    return Pipeline(
        camera=camera,
        detector=models.detector,
        tracker=Tracker(TrackerSettings(new_score=sure, high_score=sure - WEAKER_BY, lost_seconds=events.lost_seconds)),
        analyser=Analyser(
            models.judge,
            AnalyserSettings(
                smallest_face=mask.smallest_face, settled_interval_s=0.0 if every_frame else SETTLED_INTERVAL_S
            ),
        ),
        smoother=Smoother(
            MaskVoter(
                VoteSettings(
                    enter_score=mask.enter_score,
                    leave_score=mask.leave_score,
                    vote_seconds=mask.vote_seconds,
                    hold_seconds=mask.hold_seconds,
                    least_votes=mask.least_votes,
                )
            )
        ),
        events=Events(
            MaskEvents(
                camera,
                EventSettings(
                    violations=frozenset(MaskState(state) for state in mask.violations),
                    cooldown_seconds=mask.cooldown_seconds,
                    most_alerts_per_minute=mask.most_alerts_per_minute,
                    longest_seconds=events.longest_seconds,
                ),
            )
        ),
        encounters=Encounters(camera, EncounterSettings(encounter_seconds=events.encounter_seconds)),
    )
