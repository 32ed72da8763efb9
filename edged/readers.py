"""The models that each key of `[models]` can name, and how each is loaded: to add one, add a row to its table here.

What stands in `edged.baselines` is imported only when it is named.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from edged.analyse.landmarks import PASSES, LandmarkRegressor
from edged.analyse.mask import MaskClassifier
from edged.analyse.pose.fused import FusedPose
from edged.detect.anchor_free import AnchorFreeDetector
from edged.detect.canvas import WorkingSize
from edged.detect.mirrored import MirroringDetector
from edged.detect.rescorer import WORTH_IT, RescoredDetector
from edged.errors import ConfigError
from edged.ports import Detector, Engine, LandmarkReader, MaskJudge, PoseReader

T = TypeVar("T")
OpenModel = Callable[[str], Engine]
"""Opens the model of that name in the manifest."""

CLEAR_FACE = 24.0
"""Shorter side, in pixels, with which the network sees the smallest face worth finding: a camera's picture keeps its own size.
A third larger finds one face in a hundred more of at least 24 px, in nearly twice the time."""
MOST_ENLARGED = 2.0
LONGEST_SIDE = 1280

SURE_SCORES = {"edged": 0.6, "mtcnn": 0.6, "retinaface": 0.6}
"""From this score on, a detection of each detector may be a new face. Our own, rescored as for a camera and at a picture's own
size, then finds 92 to 94 % of the held-out faces of at least 20 px. It has a false positive in one picture of three of crowds,
many of them faces that nobody labelled, in one of 20 of ordinary people, and in none of 45 scenes without faces: a person
needs evidence over time."""

MTCNN_LEAST_SCORE = 0.3
"""O-Net lets through more than the package's 0.8: masked faces score low, and the tracker makes use of weak detections."""


class DetectionLimits(NamedTuple):
    """Which detections a detector returns."""

    smallest_face: float
    """The shorter side, in pixels, of the smallest face worth finding. RetinaFace, whose cost does not depend on it, gives
    smaller ones too."""
    least_score: float
    """Weaker detections are dropped. The tracker starts no track from weak ones, but follows known faces by them (ByteTrack)."""
    still: bool = False
    """Whether it is for single pictures, for which our own takes its time; a camera sees the same face again."""


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """One value of a key: the names of its models in the manifest, and what makes a reader of their engines, in that order."""

    models: tuple[str, ...]
    load: Callable[..., T]
    """Detectors are also given their DetectionLimits."""


def _own_detector(engines: Sequence[Engine], limits: DetectionLimits) -> Detector:
    size = WorkingSize(LONGEST_SIDE, min(MOST_ENLARGED, CLEAR_FACE / limits.smallest_face))
    detector, rescorer = engines
    first = AnchorFreeDetector(detector, size, limits.least_score)
    # A list that goes down to weak detections is ranked by its scores; a camera follows what begins with a sure one.
    begins_from = None if limits.least_score < WORTH_IT else SURE_SCORES["edged"]
    both = MirroringDetector(first) if limits.still else first
    return RescoredDetector(both, rescorer, limits.least_score, begins_from)


def _mtcnn(engines: Sequence[Engine], limits: DetectionLimits) -> Detector:
    from edged.baselines.mtcnn import Mtcnn, MtcnnSettings

    thresholds = (0.6, 0.7, max(MTCNN_LEAST_SCORE, limits.least_score))
    pnet, rnet, onet = engines
    return Mtcnn(pnet, rnet, onet, MtcnnSettings(smallest_face=limits.smallest_face, thresholds=thresholds))


def _retinaface(engines: Sequence[Engine], limits: DetectionLimits) -> Detector:
    from edged.baselines.retinaface import RetinaFace, RetinaFaceSettings

    return RetinaFace(engines[0], RetinaFaceSettings(score=limits.least_score), WorkingSize(LONGEST_SIDE, 1.0))


def _mask_classifier(engines: Sequence[Engine]) -> MaskJudge:
    return MaskClassifier(engines[0])


def _landmarks(passes: int, engines: Sequence[Engine]) -> LandmarkReader:
    return LandmarkRegressor(engines[0], passes)


def _fused_pose(engines: Sequence[Engine]) -> PoseReader:
    return FusedPose(engines[0])


def _heatmap_pose(engines: Sequence[Engine]) -> PoseReader:
    from edged.baselines.heatmap_pose import HeatmapPose

    return HeatmapPose(engines[0])


def _six_point_pose(engines: Sequence[Engine]) -> PoseReader:
    from edged.baselines.six_point_pose import SixPointPose

    return SixPointPose()


DETECTORS = {
    "edged": Choice(("detector", "rescorer"), _own_detector),
    "mtcnn": Choice(("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet"), _mtcnn),
    "retinaface": Choice(("retinaface",), _retinaface),
}
MASK_CLASSIFIERS = {
    "edged": Choice(("mask",), _mask_classifier),
    **{name: Choice((f"mask-{name}",), _mask_classifier) for name in ("resnet50", "xception", "mobilenet")},
}
LANDMARK_READERS = {
    "edged": Choice(("landmarks",), partial(_landmarks, PASSES)),
    # Trained on crops around the box alone: a second pass would frame faces in a way that is new to it.
    "efficientnet": Choice(("landmarks-efficientnet",), partial(_landmarks, 1)),
}
POSE_READERS = {
    "edged": Choice(("pose",), _fused_pose),
    "heatmap": Choice(("pose-heatmap",), _heatmap_pose),
    "pnp6": Choice((), _six_point_pose),
}


def make_detector(name: str, open_model: OpenModel, limits: DetectionLimits) -> Detector:
    """The detector called `name`, its models opened by `open_model`.

    This and the others raise ConfigError for a name that is not known or a size that makes no sense, and whatever
    `open_model` raises.
    """
    return _loaded("detector", DETECTORS, name, open_model, limits)


def make_mask_judge(name: str, open_model: OpenModel) -> MaskJudge:
    return _loaded("mask classifier", MASK_CLASSIFIERS, name, open_model)


def make_landmark_reader(name: str, open_model: OpenModel) -> LandmarkReader:
    return _loaded("landmark regressor", LANDMARK_READERS, name, open_model)


def make_pose_reader(name: str, open_model: OpenModel) -> PoseReader:
    return _loaded("head pose", POSE_READERS, name, open_model)


def using(table: Mapping[str, Choice[Any]], models: Collection[str]) -> list[str]:
    """The values of one key that need one of these models."""
    return [name for name, choice in table.items() if not set(models).isdisjoint(choice.models)]


def _loaded(kind: str, choices: dict[str, Choice[T]], name: str, open_model: OpenModel, *limits: DetectionLimits) -> T:
    if name not in choices:
        raise ConfigError(f"{kind} {name!r} is not known; known are: {', '.join(choices)}")
    return choices[name].load([open_model(model) for model in choices[name].models], *limits)
