"""The second stage: which detections are looked at again, and what becomes of their scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.detect.rescorer import MAX_BATCH, SURE, WORTH_IT, RescoredDetector, shifted
from edged.detect.schedule import DetectionSchedule
from edged.errors import ModelError
from edged.ports import NONE_KNOWN, Known
from edged.track import Tracker
from edged.types import Box, Detection, Expected

PICTURE = np.zeros((240, 320, 3), np.uint8)


class Finds:
    """A detector with a list of finds; what lies on the left half is in the neighbourhood of any box."""

    def __init__(self, *scores: float) -> None:
        self.found = [Detection(Box(10.0 * k, 10, 10.0 * k + 8, 20), score) for k, score in enumerate(scores)]

    def detect(self, image, known=NONE_KNOWN):
        return list(self.found)

    def detect_around(self, image, boxes, known=NONE_KNOWN):
        return list(self.found[:1]) if boxes else None


class Says:
    """An engine that adds the same to each score, or answers something else."""

    name, backend = "rescorer", "test"

    def __init__(self, gain: float = 0.0, shape: tuple[int, ...] | None = None) -> None:
        self.gain, self.shape, self.batches = gain, shape, []

    def run(self, inputs):
        assert inputs["faces"].dtype == np.uint8
        assert inputs["faces"].shape[1:] == (80, 80, 3)
        self.batches.append(len(inputs["faces"]))
        return {"evidence": np.full(self.shape or len(inputs["faces"]), self.gain, np.float32)}


def scores(found):
    return [round(detection.score, 3) for detection in found]


def test_a_find_that_is_no_face_drops_below_the_limit():
    assert RescoredDetector(Finds(0.65, 0.62), Says(-1.5), 0.35, None).detect(PICTURE) == []


def test_a_doubtful_face_gains_but_a_sure_one_is_not_looked_at_again():
    engine = Says(0.8)
    assert scores(RescoredDetector(Finds(0.97, 0.5), engine, 0.05, None).detect(PICTURE)) == [0.97, 0.69]
    assert engine.batches == [1]


def test_for_a_camera_scores_only_fall_of_what_may_begin_a_track():
    assert scores(RescoredDetector(Finds(0.7), Says(0.8), 0.35, 0.6).detect(PICTURE)) == [0.7]
    engine = Says(-0.5)
    found = scores(RescoredDetector(Finds(0.7, 0.55), engine, 0.35, 0.6).detect(PICTURE))
    assert found == [round(shifted(0.7, -0.5), 3), 0.55]
    assert engine.batches == [1], "what is weaker begins no track"


def test_who_is_a_person_already_is_not_looked_at_again():
    engine = Says(-0.5)
    detector = RescoredDetector(Finds(0.7, 0.7), engine, 0.35, 0.6)
    second = detector.detect(PICTURE)[1].box
    assert sorted(scores(detector.detect(PICTURE, Known([second])))) == [round(shifted(0.7, -0.5), 3), 0.7]
    assert detector.detect_around(PICTURE, [second], Known([Box(0, 10, 8, 20)]))[0].score == 0.7
    assert engine.batches == [2, 1]


HERE = Finds(0.9).found[0].box
BESIDE = Box(HERE.x1 + 6, HERE.y1, HERE.x2 + 6, HERE.y2)
"""Overlaps HERE by an IoU of a seventh."""
OVER = Box(HERE.x1 + 5, HERE.y1, HERE.x2 + 5, HERE.y2)
"""Overlaps HERE by an IoU of 3 / 13."""


def test_what_is_weak_where_somebody_was_hardly_seen_is_looked_at_and_gains_nothing():
    """Else a track that has lost its person goes on with whatever looks a little like a face there."""
    engine = Says(-1.0)
    detector = RescoredDetector(Finds(0.3, 0.3), engine, 0.05, 0.6)
    assert sorted(scores(detector.detect(PICTURE, Known([HERE], [HERE])))) == [round(shifted(0.3, -1.0), 3), 0.3]
    assert engine.batches == [1]
    assert scores(RescoredDetector(Finds(0.3), Says(2.0), 0.05, 0.6).detect(PICTURE, Known((), [HERE]))) == [0.3]


@pytest.mark.parametrize(
    ("score", "place", "looked"),
    [
        (0.3, HERE, [1]),
        (0.3, OVER, [1]),
        (0.3, BESIDE, []),
        (0.65, HERE, []),
        (0.95, HERE, []),
        (WORTH_IT - 0.01, HERE, []),
    ],
    ids=["weak", "near", "beside", "strong: it is that person", "sure", "as good as nothing"],
)
def test_only_what_is_weak_and_at_the_place_is_looked_at(score, place, looked):
    engine = Says(-1.0)
    RescoredDetector(Finds(score), engine, 0.05, 0.6).detect(PICTURE, Known([place, HERE], [place]))
    assert engine.batches == looked


PEOPLE = [
    Expected(HERE, clear=False, track=1),
    Expected(Box(100, 10, 108, 20), clear=True, track=2),
    Expected(HERE, False),
]


@pytest.mark.parametrize(("rescore_unclear", "unclear"), [(True, [HERE]), (False, [])])
def test_the_detector_is_told_who_was_hardly_seen(rescore_unclear, unclear):
    asked = []

    class Asked(Finds):
        def detect(self, image, known=NONE_KNOWN):
            asked.append(known.unclear)
            return list(self.found)

        def detect_around(self, image, boxes, known=NONE_KNOWN):
            asked.append(known.unclear)
            return list(self.found)

    DetectionSchedule(Asked(0.9), rescore_unclear=rescore_unclear).detect(0.0, PICTURE, PEOPLE)
    assert asked == [unclear, unclear]


def test_only_tracks_past_the_birth_gate_are_known_to_the_detector():
    """Else one look at a fist would be the last, and its score would raise a person."""

    asked = []

    class Asked(Finds):
        def detect_around(self, image, boxes, known=NONE_KNOWN):
            asked.append((len(known.people), sum(one.track > 0 for one in tracker.expected(time_s))))
            return list(self.found)

    tracker = Tracker()
    schedule = DetectionSchedule(Asked(0.9))
    for frame in range(12):
        time_s = frame / 10
        tracker.update(time_s, schedule.detect(time_s, PICTURE, tracker.expected(time_s)))
    assert asked[0] == (0, 0)
    assert asked[-1] == (1, 1)


def test_a_picture_of_sure_faces_costs_nothing_more():
    engine = Says(1.0)
    RescoredDetector(Finds(0.99, 0.96), engine, 0.35, None).detect(PICTURE)
    assert engine.batches == []


def test_the_best_comes_first_again():
    class OnlyTheSecond(Says):
        def run(self, inputs):
            return {"evidence": np.array([-1.0, 0.9], np.float32)}

    found = RescoredDetector(Finds(0.6, 0.5), OnlyTheSecond(), 0.05, None).detect(PICTURE)
    assert [detection.box.x1 for detection in found] == [10, 0]


def test_weak_finds_stay_behind_and_are_not_looked_at():
    engine = Says(-1.0)
    found = RescoredDetector(Finds(0.5, WORTH_IT - 0.01), engine, 0.01, None).detect(PICTURE)
    assert engine.batches == [1]
    assert found[0].box.x1 == 0
    assert found[1].score < WORTH_IT / 1.9


def test_a_crowd_is_asked_about_in_bounded_batches():
    engine = Says()
    found = RescoredDetector(Finds(*[0.5] * (2 * MAX_BATCH + 3)), engine, 0.1, None).detect(PICTURE)
    assert engine.batches == [MAX_BATCH, MAX_BATCH, 3]
    assert len(found) == 2 * MAX_BATCH + 3


def test_neighbourhoods_are_rescored_too_and_none_stays_none():
    detector = RescoredDetector(Finds(0.5, 0.5), Says(0.5), 0.05, None)
    assert scores(detector.detect_around(PICTURE, [Box(0, 0, 5, 5)])) == [round(shifted(0.5, 0.5), 3)]
    assert detector.detect_around(PICTURE, []) is None


@pytest.mark.parametrize("engine", [Says(shape=(3, 1)), Says(float("nan")), Says(float("inf"))])
def test_an_answer_that_is_none_is_refused_with_its_model_named(engine):
    with pytest.raises(ModelError, match="model rescorer: its answer is not"):
        RescoredDetector(Finds(0.5), engine, 0.1, None).detect(PICTURE)


@given(st.floats(WORTH_IT, SURE), st.floats(-4, 4))
def test_scores_stay_scores_and_move_as_the_evidence_says(score, gain):
    found = RescoredDetector(Finds(score), Says(gain), 0.0, None).detect(PICTURE)[0].score
    assert 0 <= found < 1
    assert (found > score) == (np.float32(gain) > 0) or found == pytest.approx(score)


def test_a_shift_is_one_in_logits():
    assert shifted(0.5, np.log(3)) == pytest.approx(0.75)
    assert shifted(0.0, 5.0) == 0
    assert shifted(1.0, -5.0) == pytest.approx(1)
