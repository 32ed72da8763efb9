"""Hand-written detector, judge and numbers for the stages that need no pixels."""

from collections.abc import Iterable, Sequence

import numpy as np

from edged.types import JUDGED_STATES, Box, Detection, Image, MaskScores, MaskState, MaskVote, Track, Votes

BLACK: Image = np.zeros((48, 64, 3), np.uint8)
BARE = MaskScores(0.02, 0.03, 0.95)
WORN = MaskScores(0.95, 0.03, 0.02)
SPLIT = MaskScores(0.34, 0.33, 0.33)


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
