"""Finds faces in one picture; each detector is a class behind `edged.ports.Detector`, made by name here."""

from collections.abc import Callable
from dataclasses import dataclass

from edged.detect.anchor_free import AnchorFreeDetector
from edged.detect.canvas import WorkingSize
from edged.detect.mtcnn import Mtcnn, MtcnnSettings
from edged.detect.retinaface import RetinaFace, RetinaFaceSettings
from edged.errors import ConfigError
from edged.ports import Detector, Engine

MODELS: dict[str, tuple[str, ...]] = {
    "edged": ("detector",),
    "mtcnn": ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet"),
    "retinaface": ("retinaface",),
}
"""The manifest's names of the models behind each detector."""

SURE_SCORES = {"edged": 0.6, "mtcnn": 0.6, "retinaface": 0.6}
"""From this score on, a find of each detector may be a new face. Our own, looking at a picture as it is, then finds 93 % of the
held-out faces of at least 24 px. It tells a false one in one picture of three of crowds, many of them faces that nobody labelled,
in one of fourteen of ordinary people, and in one of four of scenes that fool detectors: a person wants evidence over time."""

CLEAR_FACE = 24.0
"""Shorter side, in pixels, with which the network sees the smallest face worth finding: a camera's picture is looked at as it is.
A third larger finds one face in a hundred more of at least 24 px, in nearly twice the time."""
MOST_ENLARGED = 2.0
LONGEST_SIDE = 1280

# O-Net lets through more than the package's 0.8: masked faces score low, and the tracker makes use of weak sightings.
MTCNN_LEAST_SCORE = 0.3


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for."""

    smallest_face: float
    """The shorter side, in pixels, of the smallest face worth finding. RetinaFace, whose cost does not depend on it, gives
    smaller ones too."""
    least_score: float
    """Weaker finds are dropped. The tracker starts no track from weak ones, but follows known faces by them (ByteTrack)."""


def make_detector(name: str, open_model: Callable[[str], Engine], wanted: Wanted) -> Detector:
    """The detector called `name`, its models opened by `open_model` under the names that `MODELS` lists.

    Raise ConfigError for a name or size that makes no sense, and whatever `open_model` raises.
    """
    if name not in MODELS:
        raise ConfigError(f"detector {name!r} is not known; known are: {', '.join(MODELS)}")
    engines = [open_model(model) for model in MODELS[name]]
    if name == "edged":
        size = WorkingSize(LONGEST_SIDE, min(MOST_ENLARGED, CLEAR_FACE / wanted.smallest_face))
        return AnchorFreeDetector(engines[0], size, wanted.least_score)
    if name == "retinaface":
        return RetinaFace(engines[0], RetinaFaceSettings(score=wanted.least_score), WorkingSize(LONGEST_SIDE, 1.0))
    pnet, rnet, onet = engines
    thresholds = (0.6, 0.7, max(MTCNN_LEAST_SCORE, wanted.least_score))
    return Mtcnn(pnet, rnet, onet, MtcnnSettings(smallest_face=wanted.smallest_face, thresholds=thresholds))


__all__ = [
    "MODELS",
    "SURE_SCORES",
    "AnchorFreeDetector",
    "Mtcnn",
    "MtcnnSettings",
    "RetinaFace",
    "RetinaFaceSettings",
    "Wanted",
    "make_detector",
]
