"""Keypoints of heads and of nothing at all, for properties; and a camera whose readers say whatever they are told to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edged.analyse.eyes import EyeClassifier
from edged.analyse.pose.fused import FusedPose
from edged.analyse.pose.rotation import matrix_of
from edged.analyse.pose.shape import HEAD_SHAPE
from edged.assembly import Models, build_pipeline
from edged.config import CameraConfig, Config
from edged.pipeline import Outcome, Pipeline
from edged.types import Detection, Frame, Image, Landmarks, Lens, Points
from support.doubles import BARE, ConstantJudge, sighting

PICTURE_SIZE = (320, 240)
LENS = Lens.of(*PICTURE_SIZE)

ANY = st.floats(allow_nan=True, allow_infinity=True, width=32)
NONSENSE = st.sampled_from([math.nan, math.inf, -math.inf, 1e30, -1e30, 1e-30, 0.0, -1.0]) | ANY
SCALES = st.sampled_from([0.0, 1e-30, 1e-3, 0.02, 1.0, 1.0, 1.0, -1.0, 3.0, 1e3, 1e6, 1e20, 1e38])
PLACES = st.sampled_from([0.0, 0.0, -60.0, 250.0, -1e4, 1e6, 1e30])
ANGLES = st.tuples(st.floats(-90, 90), st.floats(-90, 90), st.floats(-180, 180))
UPPER_LIDS, LOWER_LIDS = [37, 38, 43, 44], [41, 40, 47, 46]
SEEDS = st.integers(0, 2**32 - 1)


def head(angles: Sequence[float] = (0.0, 0.0, 0.0), side: float = 100.0, *, shut: bool = False) -> Points:
    """68 landmarks of our head shape in the middle of the picture, `side` pixels between the outer eye corners."""
    shape = HEAD_SHAPE.copy()
    if shut:
        shape[UPPER_LIDS] = shape[LOWER_LIDS] - (0.0, 0.01, 0.0)
    turned = shape @ matrix_of(np.array(angles)).T
    depth = LENS.focal / side + turned[:, 2:]
    return (turned[:, :2] / depth * LENS.focal + (LENS.centre_x, LENS.centre_y)).astype(np.float32)


@st.composite
def heads(draw: st.DrawFn) -> Points:
    """A head turned anyhow, moved, mirrored, squeezed or blown up, with some points replaced by anything."""
    with np.errstate(all="ignore"):
        points = head(draw(ANGLES), draw(st.sampled_from([20.0, 60.0, 100.0])))
        points = (points * (draw(SCALES), draw(SCALES)) + (draw(PLACES), draw(PLACES))).astype(np.float32)
    for index, axis, value in draw(st.lists(st.tuples(st.integers(0, 67), st.integers(0, 1), NONSENSE), max_size=20)):
        points[index, axis] = value
    return points


@st.composite
def no_heads(draw: st.DrawFn) -> Points:
    """Points in one spot, on a line or on a circle, noise, points that are no numbers or in no picture."""
    chance = np.random.default_rng(draw(SEEDS))
    kind = draw(st.sampled_from(["spot", "line", "circle", "noise", "no numbers", "far", "anything"]))
    along = np.sort(chance.uniform(0, 1, 68)) if draw(st.booleans()) else chance.uniform(0, 1, 68)
    side, start = draw(st.sampled_from([1e-3, 1.0, 40.0, 200.0])), chance.uniform(0, 240, 2)
    match kind:
        case "spot":
            points = np.tile(start, (68, 1))
        case "line":
            points = start + along[:, None] * side * np.array([math.cos(start[0]), math.sin(start[0])])
        case "circle":
            points = start + side * np.column_stack([np.cos(2 * math.pi * along), np.sin(2 * math.pi * along)])
        case "noise":
            points = start + side * chance.normal(size=(68, 2))
        case "no numbers":
            points = head()
            points[chance.permutation(68)[5:]] = draw(st.sampled_from([math.nan, math.inf, -math.inf]))
        case "far":
            points = head() + draw(st.sampled_from([1e5, -1e6, 1e12]))
        case _:
            return draw(arrays(np.float32, (68, 2), elements=ANY))
    return np.asarray(points, np.float32)


KEYPOINTS = heads() | no_heads()
DEVIATIONS = st.sampled_from([np.full(68, value, np.float32) for value in (0.5, 2.0, 1e-6, 50.0, math.nan)]) | arrays(
    np.float32, 68, elements=NONSENSE
)


OPEN_EYES, SHUT_EYES = [0.97, 0.02, 0.01], [0.02, 0.97, 0.01]
"""What the eye classifier says."""


class ToldEngine:
    """Implements `edged.ports.Engine`: the same row for every face of the batch; `row` may be changed at any time."""

    name = "told"
    backend = "test"

    def __init__(self, **row: Sequence[float] | float) -> None:
        self.row = row

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        (batch,) = inputs.values()
        rows = {name: np.asarray(row, np.float32) for name, row in self.row.items()}
        return {name: np.broadcast_to(row, (len(batch), *row.shape)).copy() for name, row in rows.items()}


def pose_row(angles: Sequence[float] = (0.0, 0.0, 0.0), deviation: float = 4.0) -> dict[str, Sequence[float] | float]:
    """What the learned pose's engine says of a head turned so."""
    return {"columns": matrix_of(np.array(angles))[:, :2].T.reshape(-1).tolist(), "deviations": deviation}


class ToldLandmarks:
    """Implements `edged.ports.LandmarkReader`: every face has the landmarks in `told`."""

    def __init__(self) -> None:
        self.told = Landmarks(head(), np.ones(68, np.float32))

    def read(
        self, image: Image, detections: Sequence[Detection], before: Sequence[Points | None] = ()
    ) -> list[Landmarks]:
        return [self.told] * len(detections)


class ToldDetector:
    """Implements `edged.ports.Detector`: the faces in `told`."""

    def __init__(self) -> None:
        self.told: list[Detection] = [sighting(160, 120, 120)]

    def detect(self, image: Image) -> list[Detection]:
        return list(self.told)


@dataclass
class ToldCamera:
    """A cab's real pipeline, in which only models are doubles. As it begins, one person looks ahead with open eyes."""

    detector: ToldDetector = field(default_factory=ToldDetector)
    landmarks: ToldLandmarks = field(default_factory=ToldLandmarks)
    judge: ConstantJudge = field(default_factory=lambda: ConstantJudge(BARE))
    pose: ToldEngine = field(default_factory=lambda: ToldEngine(**pose_row()))
    eyes: ToldEngine = field(default_factory=lambda: ToldEngine(probabilities=OPEN_EYES))
    pipeline: Pipeline = field(init=False)
    frames: int = 0

    def __post_init__(self) -> None:
        config = Config.model_validate({"attention": {"target_yaw": 0, "target_pitch": 0}})
        camera = CameraConfig(source="images:///cab", profile="driver", attention=config.attention)
        pose, eyes = FusedPose(self.pose), EyeClassifier(self.eyes)
        models = Models(self.detector, self.judge, {}, {}, self.landmarks, pose, eyes)
        self.pipeline = build_pipeline("cab", camera, config, models, every_frame=True)

    def person(self, angles: Sequence[float] = (0.0, 0.0, 0.0), *, shut: bool = False) -> None:
        """From now on one person looks that way, eyes open or shut; pixels and keypoints agree."""
        self.landmarks.told = Landmarks(head(angles, shut=shut), np.ones(68, np.float32))
        self.pose.row, self.eyes.row = pose_row(angles), {"probabilities": SHUT_EYES if shut else OPEN_EYES}

    def show(self, time_s: float) -> Outcome:
        """Take the next frame."""
        self.frames += 1
        return self.pipeline.step(Frame("cab", self.frames, time_s, _NOISE[self.frames % len(_NOISE)]))


_NOISE: list[Image] = [
    np.random.default_rng(seed).integers(0, 255, (*PICTURE_SIZE[::-1], 3)).astype(np.uint8) for seed in range(4)
]
