"""The landmark regressor's side of the engine: order, batches, the way back to the picture, refusal of nonsense."""

import math

import cv2
import numpy as np
import pytest

from convert.data.landmarks import read_points
from edged.analyse.align import square_around, square_around_landmarks
from edged.analyse.landmarks import CROP_MARGIN, CROP_SIZE, MAX_BATCH, LandmarkRegressor
from edged.errors import ModelError
from edged.inference import default_engines_dir, load_manifest, open_engine
from edged.render.mean_face import MEAN_FACE, five_points
from edged.types import Box, Detection

FACE = (MEAN_FACE - MEAN_FACE.mean(axis=0)) / 3.0
"""The mean face about the crop's centre, in units of its side."""


class FixedEngine:
    """Answers the same for every face, and keeps what it was asked."""

    name = "fixed"
    backend = "test"

    def __init__(self, points=FACE, logs=None):
        self.points = np.asarray(points, np.float32)
        self.logs = np.zeros(68, np.float32) if logs is None else np.asarray(logs, np.float32)
        self.asked = []

    def run(self, inputs):
        faces = inputs["faces"]
        assert faces.dtype == np.uint8
        assert faces.shape[1:] == (CROP_SIZE, CROP_SIZE, 3)
        self.asked.append(faces.copy())
        return {
            "points": np.repeat(self.points[None], len(faces), axis=0),
            "log_deviations": np.repeat(self.logs[None], len(faces), axis=0),
        }


class AnswersInTurn(FixedEngine):
    """Answers with other points at each run."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers
        self.runs = 0

    def run(self, inputs):
        self.points = np.asarray(self.answers[self.runs], np.float32)
        self.runs += 1
        return super().run(inputs)


class AnswerEngine:
    name = "answer"
    backend = "test"

    def __init__(self, answer):
        self.answer = answer

    def run(self, inputs):
        return self.answer


def picture():
    return np.full((240, 320, 3), 120, np.uint8)


def detection(x=150.0, y=120.0, side=80.0, turn=0.0):
    direction = np.array([math.cos(turn), math.sin(turn)])
    eyes = np.array([[x, y]]) + np.array([[-0.2], [0.2]]) * direction * side
    points = np.concatenate([eyes, np.full((3, 2), [x, y])]).astype(np.float32)
    return Detection(Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2), 0.9, points)


def test_points_and_deviations_come_back_in_pixels_of_the_picture():
    engine = FixedEngine(logs=np.log(np.full(68, 2.0)))
    face = LandmarkRegressor(engine, passes=1).read(picture(), [detection(side=80)])[0]
    side = 80 * CROP_MARGIN
    np.testing.assert_allclose(face.points, FACE * side + (150, 120), atol=1e-3)
    np.testing.assert_allclose(face.deviations, 2.0 * side / CROP_SIZE, rtol=1e-5)
    assert face.points.dtype == np.float32
    assert face.deviations.shape == (68,)


def test_a_tilted_face_is_read_level_and_answered_tilted():
    face = LandmarkRegressor(FixedEngine(), passes=1).read(picture(), [detection(turn=0.5)])[0]
    line = five_points(face.points)[1] - five_points(face.points)[0]
    assert math.atan2(line[1], line[0]) == pytest.approx(0.5, abs=0.02)


def test_the_second_pass_follows_the_points_of_the_first():
    engine = FixedEngine()
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    LandmarkRegressor(engine, passes=1).read(image, [detection()])
    LandmarkRegressor(engine, passes=2).read(image, [detection()])
    assert len(engine.asked) == 3
    np.testing.assert_array_equal(engine.asked[0], engine.asked[1])
    assert not np.array_equal(engine.asked[1], engine.asked[2])


def test_answers_come_in_the_order_of_the_detections():
    places = [(60.0, 60.0), (250.0, 180.0), (150.0, 100.0)]
    faces = LandmarkRegressor(FixedEngine()).read(picture(), [detection(x, y, 50) for x, y in places])
    for face, place in zip(faces, places, strict=True):
        assert face.points.mean(axis=0) == pytest.approx(place, abs=15)


CENTRED = FACE - [0, square_around_landmarks(FACE * 1000, 1.0).y / 1000]
"""An answer whose square lies where the crop does, but for its side."""
FITTING = CENTRED / (square_around_landmarks(CENTRED * 1000, CROP_MARGIN).side / 1000)
"""An answer whose square is the crop."""


def test_a_face_that_stays_where_it_was_needs_one_run_and_one_that_moved_two():
    engine = FixedEngine(FITTING)
    reader = LandmarkRegressor(engine)
    (first,) = reader.read(picture(), [detection()])
    assert len(engine.asked) == 2
    (again,) = reader.read(picture(), [detection()], [first.points])
    assert len(engine.asked) == 3
    np.testing.assert_allclose(again.points, first.points, atol=0.01)
    engine.points = np.float32(FITTING + np.array([0.1, 0]))
    reader.read(picture(), [detection()], [first.points])
    assert len(engine.asked) == 5


def turned(points, angle):
    return points @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


@pytest.mark.parametrize("side", [40.0, 160.0])
@pytest.mark.parametrize(
    "change",
    [
        lambda p, much: p + np.array([much, 0]),
        lambda p, much: p - np.array([0, much]),
        lambda p, much: p * math.exp(much),
        lambda p, much: p * math.exp(-much),
        turned,
        lambda p, much: turned(p, -much),
    ],
)
def test_what_moved_turned_or_scaled_a_face_by_more_than_is_still_needs_another_run(change, side):
    for much, runs in ((0.045, 1), (0.06, 2)):
        engine = FixedEngine(FITTING)
        (first,) = LandmarkRegressor(engine).read(picture(), [detection(side=side)])
        engine.points, engine.asked = np.float32(change(FITTING, much)), []
        LandmarkRegressor(engine).read(picture(), [detection(side=side)], [first.points])
        assert len(engine.asked) == runs


def test_a_face_that_hangs_upside_down_is_still_when_its_angle_passes_half_a_turn():
    engine = FixedEngine(FITTING)
    (first,) = LandmarkRegressor(engine).read(picture(), [detection(turn=math.pi - 0.01)])
    engine.points, engine.asked = np.float32(turned(FITTING, 0.02)), []
    LandmarkRegressor(engine).read(picture(), [detection()], [first.points])
    assert len(engine.asked) == 1


def test_a_face_is_looked_for_along_its_points_before_and_not_in_its_box():
    engine = FixedEngine(FITTING)
    (before,) = LandmarkRegressor(engine).read(picture(), [detection(150, 120)])
    (after,) = LandmarkRegressor(engine).read(picture(), [detection(160, 130, 100, turn=0.2)], [before.points])
    np.testing.assert_allclose(after.points, before.points, atol=0.01)


def test_with_more_passes_a_known_face_gets_only_those_until_it_is_still():
    engine = FixedEngine(FITTING)
    (before,) = LandmarkRegressor(engine).read(picture(), [detection()])
    engine.asked = []
    LandmarkRegressor(engine, passes=4).read(picture(), [detection()], [before.points + 10])
    assert len(engine.asked) == 1
    shifting = AnswersInTurn([FITTING + 0.1, FITTING, FITTING])
    (after,) = LandmarkRegressor(shifting, passes=4).read(picture(), [detection()], [before.points])
    assert shifting.runs == 2
    side = square_around_landmarks(before.points, CROP_MARGIN).side
    np.testing.assert_allclose(after.points, before.points + 0.1 * side, atol=0.05)


def test_new_faces_among_known_ones_are_the_only_ones_read_twice():
    engine = FixedEngine(FITTING)
    places = [(60.0, 60.0), (250.0, 180.0), (150.0, 100.0)]
    detections = [detection(x, y, 50) for x, y in places]
    known = LandmarkRegressor(FixedEngine(FITTING)).read(picture(), detections)
    faces = LandmarkRegressor(engine).read(picture(), detections, [known[0].points, None, known[2].points])
    assert [len(asked) for asked in engine.asked] == [3, 1]
    for face, place in zip(faces, places, strict=True):
        assert face.points.mean(axis=0) == pytest.approx(place, abs=15)


@pytest.mark.parametrize("known", [1, 3])
def test_places_before_that_are_not_one_for_each_face_are_refused(known):
    with pytest.raises(ValueError, match="zip"):
        LandmarkRegressor(FixedEngine()).read(picture(), [detection()] * 2, [None] * known)


def test_known_faces_of_a_crowd_keep_their_places_across_batches():
    detections = [detection(20.0 + 7 * k, 120.0, 40.0) for k in range(MAX_BATCH + 3)]
    known = LandmarkRegressor(FixedEngine(FITTING)).read(picture(), detections)
    before = [face.points if k % 2 else None for k, face in enumerate(known)]
    engine = FixedEngine(FITTING)
    faces = LandmarkRegressor(engine).read(picture(), detections, before)
    assert [len(asked) for asked in engine.asked] == [MAX_BATCH, MAX_BATCH // 2, 3, 2]
    for face, other in zip(faces, known, strict=True):
        np.testing.assert_allclose(face.points, other.points, atol=0.01)


def test_no_face_needs_no_run():
    engine = FixedEngine()
    assert LandmarkRegressor(engine).read(picture(), []) == []
    assert engine.asked == []


def test_a_crowd_is_read_in_bounded_batches():
    engine = FixedEngine()
    faces = LandmarkRegressor(engine, passes=1).read(picture(), [detection()] * (2 * MAX_BATCH + 1))
    assert [len(asked) for asked in engine.asked] == [MAX_BATCH, MAX_BATCH, 1]
    assert len(faces) == 2 * MAX_BATCH + 1


def test_results_outlive_the_next_call():
    reader = LandmarkRegressor(FixedEngine())
    first = reader.read(picture(), [detection(100, 100)])[0]
    kept = first.points.copy()
    reader.read(picture(), [detection(200, 150)])
    np.testing.assert_array_equal(first.points, kept)


def good(count=1):
    return {"points": np.zeros((count, 68, 2), np.float32), "log_deviations": np.zeros((count, 68), np.float32)}


@pytest.mark.parametrize(
    "change",
    [
        {"points": None},
        {"log_deviations": None},
        {"points": np.zeros((1, 67, 2), np.float32)},
        {"points": np.zeros((2, 68, 2), np.float32)},
        {"points": np.full((1, 68, 2), np.nan, np.float32)},
        {"points": np.full((1, 68, 2), 1e6, np.float32)},
        {"log_deviations": np.zeros((1, 5), np.float32)},
        {"log_deviations": np.full((1, 68), np.inf, np.float32)},
        {"log_deviations": np.full((1, 68), 80, np.float32)},
    ],
)
def test_an_answer_that_is_none_of_ours_is_refused(change):
    answer = {name: value for name, value in {**good(), **change}.items() if value is not None}
    with pytest.raises(ModelError, match="not a landmark regressor"):
        LandmarkRegressor(AnswerEngine(answer)).read(picture(), [detection()])


@pytest.mark.parametrize(
    "box",
    [
        Box(0, 0, 0, 0),
        Box(math.nan, 0, 10, 10),
        Box(-1e30, -1e30, 1e30, 1e30),
        Box(300, 200, 340, 260),
        Box(-900, -900, -800, -800),
    ],
)
def test_odd_boxes_give_finite_landmarks(box):
    for points in (None, np.full((5, 2), np.nan, np.float32), np.zeros((5, 2), np.float32)):
        face = LandmarkRegressor(FixedEngine()).read(picture(), [Detection(box, 0.5, points)])[0]
        assert np.isfinite(face.points).all()
        assert np.isfinite(face.deviations).all()
        assert (face.deviations > 0).all()


def test_an_answer_with_all_points_in_one_place_is_survived():
    engine = FixedEngine(points=np.zeros((68, 2)))
    face = LandmarkRegressor(engine).read(picture(), [detection()])[0]
    assert np.isfinite(face.points).all()


MANIFEST = load_manifest(default_engines_dir())


def test_the_model_is_what_the_code_expects():
    entry = MANIFEST.entry("landmarks")
    assert entry.inputs["faces"].shape == ("batch", CROP_SIZE, CROP_SIZE, 3)
    assert f"{CROP_MARGIN}" in entry.preprocessing
    size = (MANIFEST.directory / entry.file).stat().st_size
    assert size <= 1_500_000


def nme(points, truth):
    return 100 * np.linalg.norm(points - truth, axis=1).mean() / np.linalg.norm(truth[36] - truth[45])


def test_faces_never_trained_on_are_read_well(shared):
    """Every tenth HELEN test face, its box a little off; the card's figures come from our detector's boxes."""
    reader = LandmarkRegressor(open_engine(MANIFEST, "landmarks", threads=1))
    rng = np.random.default_rng(0)
    errors = []
    for face in read_points(shared / "data/landmarks68/helen_test")[::10]:
        square = square_around(Box(*face.points.min(axis=0), *face.points.max(axis=0)), None, 1.1)
        x, y, half = *rng.normal((square.x, square.y), 0.03 * square.side), square.side / 2
        found = Detection(Box(x - half, y - half, x + half, y + half), 0.9, None)
        image = cv2.imread(str(face.path))
        errors.append(nme(reader.read(image, [found])[0].points, face.points))
    assert np.mean(errors) < 5.0
    assert np.mean(np.array(errors) > 10) < 0.05
