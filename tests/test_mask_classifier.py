"""The mask classifier's side of the engine: batches, order, and refusal of nonsense."""

import numpy as np
import pytest

from edged.analyse.mask import CROP_SIZE, MAX_BATCH, MaskClassifier
from edged.errors import ModelError
from edged.types import Box, MaskState


class BrightnessEngine:
    """Calls bright faces correct and dark ones none."""

    name = "brightness"
    backend = "test"

    def __init__(self):
        self.batches = []

    def run(self, inputs):
        faces = inputs["faces"]
        assert faces.dtype == np.uint8
        assert faces.shape[1:] == (CROP_SIZE, CROP_SIZE, 3)
        self.batches.append(len(faces))
        light = faces.mean(axis=(1, 2, 3), dtype=np.float32) / 255
        return {"probabilities": np.stack([light, np.zeros_like(light), 1 - light], axis=1)}


class FixedEngine:
    name = "fixed"
    backend = "test"

    def __init__(self, answer):
        self.answer = answer

    def run(self, inputs):
        return self.answer


def picture():
    image = np.zeros((100, 200, 3), np.uint8)
    image[:, 100:] = 255
    return image


def test_scores_come_in_the_order_of_the_boxes():
    scores = MaskClassifier(BrightnessEngine()).judge(picture(), [Box(10, 10, 40, 40), Box(150, 10, 180, 40)])
    assert [score.state for score in scores] == [MaskState.NONE, MaskState.CORRECT]
    assert sum(scores[0]) == pytest.approx(1)


def test_no_face_needs_no_run():
    engine = BrightnessEngine()
    assert MaskClassifier(engine).judge(picture(), []) == []
    assert engine.batches == []


def test_a_crowd_is_judged_in_bounded_batches():
    engine = BrightnessEngine()
    boxes = [Box(10, 10, 40, 40), Box(150, 10, 180, 40)] * MAX_BATCH
    scores = MaskClassifier(engine).judge(picture(), boxes)
    assert engine.batches == [MAX_BATCH, MAX_BATCH]
    assert [score.state for score in scores] == [MaskState.NONE, MaskState.CORRECT] * MAX_BATCH


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"probabilities": np.zeros((1, 2), np.float32)},
        {"probabilities": np.full((1, 3), np.nan, np.float32)},
        {"probabilities": np.array([[1, -1, 0]] * 1, np.float32)},
        {"probabilities": np.full((1, 3), 50, np.float32)},
    ],
)
def test_an_answer_that_is_none_of_ours_is_refused(answer):
    with pytest.raises(ModelError, match="not a mask classifier"):
        MaskClassifier(FixedEngine(answer)).judge(picture(), [Box(10, 10, 40, 40)])
