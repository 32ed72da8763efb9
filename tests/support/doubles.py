"""Hand-written detector, judge, readers and numbers for the stages that need no pixels."""

from collections.abc import Iterable, Sequence

import numpy as np

from edged.analyse.analyser import AnalyserSettings
from edged.config import MaskConfig
from edged.types import (
    JUDGED_STATES,
    Box,
    Detection,
    EyeReading,
    HeadPose,
    Image,
    Landmarks,
    Lens,
    MaskScores,
    MaskState,
    MaskVote,
    Points,
    Track,
    Votes,
)

BLACK: Image = np.zeros((480, 640, 3), np.uint8)
BARE = MaskScores(0.02, 0.03, 0.95)
WORN = MaskScores(0.95, 0.03, 0.02)
SPLIT = MaskScores(0.34, 0.33, 0.33)
AHEAD = HeadPose(2.0, -1.0, 0.5, 0.0, 0.0, 3.0)
OPEN, SHUT = EyeReading(0.96, 0.31), EyeReading(0.04, 0.08)
MOUTH_RATIO = 0.2


def square(x: float, y: float, side: float = 40.0) -> Box:
    """A face's box by its centre."""
    return Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def sighting(x: float, y: float = 100.0, side: float = 40.0, score: float = 0.9) -> Detection:
    return Detection(square(x, y, side), score)


def track(number: int, side: float = 60.0, *, seen: bool = True, x: float = 100.0) -> Track:
    box = square(x, 100, side)
    return Track(number, box, 0.0, 0.0, 2, Detection(box, 0.9) if seen else None)


def vote(
    number: int, time_s: float, state: MaskState, *, x: float = 100.0, since: float = 0.0, seen_s: float | None = None
) -> MaskVote:
    """What the signals say of one track; `seen_s` is given when it is out of sight."""
    last_seen_s = time_s if seen_s is None else seen_s
    return MaskVote(number, time_s, square(x, 100), since, last_seen_s, state, 0.9, Votes())


def scores_for(state: MaskState, score: float = 0.95) -> MaskScores:
    """Scores that speak for `state`, the rest shared out."""
    rest = (1 - score) / 2
    return MaskScores(*(score if state is judged else rest for judged in JUDGED_STATES))


def analyser_settings(**keys: float) -> AnalyserSettings:
    """Those of an entrance, but for `keys`; small faces are read too."""
    return AnalyserSettings(**{"smallest_face": MaskConfig().smallest_face, "smallest_landmarks": 32.0, **keys})


class ScriptedDetector:
    """Implements `edged.ports.Detector`: a list of faces for each picture in turn, then none."""

    def __init__(self, frames: Iterable[Sequence[Detection]]) -> None:
        self._frames = iter(frames)
        self.pictures: list[Image] = []

    def detect(self, image: Image) -> list[Detection]:
        self.pictures.append(image)
        return list(next(self._frames, []))


class ConstantJudge:
    """Implements `edged.ports.MaskJudge`: the same scores for everybody; remembers which boxes it was shown."""

    def __init__(self, scores: MaskScores = BARE) -> None:
        self.scores = scores
        self.batches: list[list[Box]] = []

    def judge(self, image: Image, boxes: Sequence[Box]) -> list[MaskScores]:
        self.batches.append(list(boxes))
        return [self.scores] * len(boxes)


def landmarks_in(box: Box, mouth_ratio: float = MOUTH_RATIO) -> Points:
    """68 landmarks strewn over a box, the lips apart by `mouth_ratio`; MOUTH_RATIO is no yawn."""
    spread = np.array([[k % 9 / 8, k // 9 / 8] for k in range(68)])
    spread[60], spread[64] = (0.3, 0.8), (0.7, 0.8)
    apart = mouth_ratio * 0.4 / 3
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        spread[upper], spread[lower] = (0.5, 0.8 - apart), (0.5, 0.8 + apart)
    return (spread * (box.width, box.height) + (box.x1, box.y1)).astype(np.float32)


class BoxLandmarks:
    """Implements `edged.ports.LandmarkReader`: `landmarks_in` each face's box.

    It remembers which faces it was shown, and where they were before.
    """

    def __init__(self) -> None:
        self.batches: list[list[Detection]] = []
        self.befores: list[list[Points | None]] = []
        self.mouth_ratio = MOUTH_RATIO

    def read(
        self, image: Image, detections: Sequence[Detection], before: Sequence[Points | None] = ()
    ) -> list[Landmarks]:
        self.batches.append(list(detections))
        self.befores.append(list(before))
        return [Landmarks(landmarks_in(face.box, self.mouth_ratio), np.ones(68, np.float32)) for face in detections]


class ConstantPose:
    """Implements `edged.ports.PoseReader`: everybody looks the same way; remembers who was said to be masked."""

    def __init__(self, pose: HeadPose | None = AHEAD) -> None:
        self.pose = pose
        self.masked: list[list[bool]] = []
        self.lenses: list[Lens] = []

    def read(
        self,
        image: Image,
        detections: Sequence[Detection],
        landmarks: Sequence[Landmarks],
        masked: Sequence[bool],
        lens: Lens,
    ) -> list[HeadPose | None]:
        assert len(detections) == len(landmarks) == len(masked)
        self.masked.append(list(masked))
        self.lenses.append(lens)
        return [self.pose] * len(detections)


class ConstantEyes:
    """Implements `edged.ports.EyeReader`: everybody's eyes alike; remembers the poses it was given."""

    def __init__(self, look: EyeReading = OPEN) -> None:
        self.look = look
        self.batches: list[list[HeadPose | None]] = []

    def read(self, image: Image, landmarks: Sequence[Landmarks], poses: Sequence[HeadPose | None]) -> list[EyeReading]:
        assert len(landmarks) == len(poses)
        self.batches.append(list(poses))
        return [self.look] * len(landmarks)
