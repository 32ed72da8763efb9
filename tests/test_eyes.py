"""The eye reader's side of the engine: crops, weights, what cannot be read, and refusal of nonsense."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edged.analyse.eyes import (
    EYE_MARGIN,
    EYE_SIZE,
    LARGEST_PITCH,
    LARGEST_YAW,
    MAX_BATCH,
    NEARER_YAW,
    SMALLEST_EYE,
    EyeClassifier,
    EyeFrame,
    eye_crops,
)
from edged.errors import ModelError
from edged.types import EyeReading, HeadPose, Landmarks

FRONTAL = HeadPose(0, 0, 0, 0, 0, 1)
BRIGHT, DARK, GREEN = (255, 255, 255), (0, 0, 0), (0, 255, 0)


class ColourEngine:
    """Calls bright eyes open, dark ones closed and green ones hidden; remembers what it was shown."""

    name = "colours"
    backend = "test"

    def __init__(self):
        self.batches = []

    def run(self, inputs):
        eyes = inputs["eyes"]
        assert eyes.dtype == np.uint8
        assert eyes.shape[1:] == (EYE_SIZE, EYE_SIZE, 3)
        self.batches.append(eyes.copy())
        middle = eyes[:, 12:20, 12:20].mean(axis=(1, 2), dtype=np.float32) / 255
        hidden = np.clip(middle[:, 1] - middle[:, 0], 0, 1)
        light = middle[:, 0] * (1 - hidden)
        return {"probabilities": np.stack([light, 1 - light - hidden, hidden], axis=1)}


class FixedEngine:
    name = "fixed"
    backend = "test"

    def __init__(self, answer):
        self.answer = answer

    def run(self, inputs):
        return self.answer


def points_of(width=20.0, apart=60.0, x=100.0, y=100.0, opening=0.3):
    """68 points of a frontal face whose eyes are `width` wide and begin `apart` from each other."""
    points = np.tile(np.float32([x, y]), (68, 1))
    half = opening * width / 2
    for first, left in ((36, x), (42, x + apart)):
        points[first : first + 6] = [
            (left, y), (left + 0.3 * width, y - half), (left + 0.7 * width, y - half),
            (left + width, y), (left + 0.7 * width, y + half), (left + 0.3 * width, y + half),
        ]  # fmt: skip
    return points


def face(deviation=0.5, **shape):
    return Landmarks(points_of(**shape), np.full(68, deviation, np.float32))


def picture(left=BRIGHT, right=BRIGHT):
    """300 x 200: the image-left eye of `points_of()` lies in the left half, the other in the right."""
    image = np.empty((200, 300, 3), np.uint8)
    image[:, :140], image[:, 140:] = left, right
    return image


def read(image, *faces, pose=FRONTAL, engine=None):
    return EyeClassifier(engine or ColourEngine()).read(image, faces, [pose] * len(faces))


def turned(yaw=0.0, pitch=0.0):
    return replace(FRONTAL, facing_yaw=yaw, facing_pitch=pitch)


def mirrored(landmarks, width):
    """The same face in the mirrored picture."""
    swap = np.arange(68)
    swap[36:48] = [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    points = landmarks.points[swap].copy()
    points[:, 0] = width - 1 - points[:, 0]
    return Landmarks(points, landmarks.deviations[swap])


def test_open_eyes_are_open_and_shut_eyes_are_not():
    assert read(picture(BRIGHT, BRIGHT), face()) == [EyeReading(1.0, pytest.approx(0.3))]
    assert read(picture(DARK, DARK), face(opening=0.05)) == [EyeReading(0.0, pytest.approx(0.05))]


def test_answers_come_in_the_order_of_the_faces_also_when_some_cannot_be_read():
    small, left, right = face(width=4), face(x=20, apart=60), face(x=180, apart=60)
    looks = read(picture(DARK, BRIGHT), left, small, right)
    assert [look.unavailable for look in looks] == [None, "small", None]
    assert [looks[0].open_probability, looks[2].open_probability] == [0.0, 1.0]


def test_no_readable_face_needs_no_run():
    engine = ColourEngine()
    assert read(picture(), engine=engine) == []
    assert read(picture(), face(width=4), engine=engine)[0].unavailable == "small"
    assert engine.batches == []


def test_a_crowd_is_read_in_bounded_batches():
    engine = ColourEngine()
    looks = read(picture(), *[face()] * (MAX_BATCH + 3), engine=engine)
    assert [len(batch) for batch in engine.batches] == [MAX_BATCH, MAX_BATCH, 6]
    assert {look.open_probability for look in looks} == {1.0}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"probabilities": np.zeros((2, 2), np.float32)},
        {"probabilities": np.full((2, 3), np.nan, np.float32)},
        {"probabilities": np.array([[1, -1, 0]] * 2, np.float32)},
        {"probabilities": np.full((2, 3), 50, np.float32)},
    ],
)
def test_an_answer_that_is_none_of_ours_is_refused(answer):
    with pytest.raises(ModelError, match="not an eye classifier"):
        read(picture(), face(), engine=FixedEngine(answer))


def test_eyes_just_under_the_limit_are_small_and_at_it_are_not():
    assert read(picture(), face(width=SMALLEST_EYE - 0.1)) == [EyeReading(None, None, "small")]
    assert read(picture(), face(width=SMALLEST_EYE))[0].unavailable is None


@pytest.mark.parametrize("pose", [turned(LARGEST_YAW + 1), turned(-LARGEST_YAW - 1), turned(0, -LARGEST_PITCH - 1)])
def test_a_face_turned_far_is_turned_away(pose):
    assert read(picture(), face(), pose=pose) == [EyeReading(None, None, "turned away")]


def test_eyes_of_what_is_hardly_a_head_are_hidden():
    assert read(picture(DARK), face(), pose=replace(FRONTAL, deviation=59.0))[0].unavailable is None
    assert read(picture(DARK), face(), pose=replace(FRONTAL, deviation=90.0)) == [EyeReading(None, None, "hidden")]


def test_of_a_turned_face_the_nearer_eye_counts_alone():
    # Yaw above 0: the nose points to the image's left, so the image-right eye is nearer.
    image = picture(DARK, BRIGHT)
    assert read(image, face(), pose=turned(NEARER_YAW + 1))[0].open_probability == 1.0
    assert read(image, face(), pose=turned(-NEARER_YAW - 1))[0].open_probability == 0.0


def test_between_the_farther_eye_fades_without_a_jump():
    image = picture(DARK, BRIGHT)
    steps = [read(image, face(), pose=turned(yaw))[0].open_probability for yaw in range(-25, 26)]
    assert steps == sorted(steps)
    assert max(np.diff(steps)) < 0.1


def test_the_wider_eye_counts_more():
    landmarks = face()
    landmarks.points[42:48] = points_of(width=40)[42:48]
    assert read(picture(DARK, BRIGHT), landmarks)[0].open_probability == pytest.approx(2 / 3, abs=0.01)


def test_a_hidden_eye_leaves_the_word_to_the_other():
    look = read(picture(GREEN, DARK), face())[0]
    assert look.open_probability == 0.0
    assert look.aspect_ratio == pytest.approx(0.3)
    assert read(picture(GREEN, GREEN), face()) == [EyeReading(None, None, "hidden")]


def test_unsure_lids_give_no_ratio_and_lost_corners_no_eye():
    unsure = face(deviation=4)
    look = read(picture(), unsure)[0]
    assert (look.open_probability, look.aspect_ratio) == (1.0, None)
    assert read(picture(), face(deviation=15)) == [EyeReading(None, None, "hidden")]
    assert read(picture(), face(deviation=math.nan)) == [EyeReading(None, None, "hidden")]


def test_an_eye_outside_the_picture_is_hidden():
    assert read(picture(), face(x=-300))[0].unavailable == "hidden"
    assert read(np.zeros((0, 0, 3), np.uint8), face())[0].unavailable == "hidden"


def test_without_a_pose_both_eyes_count():
    assert read(picture(DARK, BRIGHT), face(), pose=None)[0].open_probability == pytest.approx(0.5)


@pytest.mark.parametrize("roll", [0, 25, -70, 180])
@pytest.mark.parametrize("width", [14, 30, 150])
def test_crops_are_levelled_and_both_eyes_look_alike(roll, width):
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    image = cv2.resize(noise, (800, 600), interpolation=cv2.INTER_CUBIC)
    angle = math.radians(roll)
    across = np.array([math.cos(angle), math.sin(angle)]) * width
    points = np.zeros((68, 2), np.float32)
    points[36], points[39] = (400, 300) - across / 2, (400, 300) + across / 2
    crop = eye_crops(image, [EyeFrame.of(points, mirrored=False)])[0]
    level = cv2.warpAffine(image, cv2.getRotationMatrix2D((400, 300), roll, 1), (800, 600))
    half = EYE_MARGIN * width / 2
    upright = level[round(300 - half) : round(300 + half), round(400 - half) : round(400 + half)]
    expected = cv2.resize(upright, (EYE_SIZE, EYE_SIZE), interpolation=cv2.INTER_AREA)
    assert np.abs(crop[4:-4, 4:-4].astype(int) - expected[4:-4, 4:-4]).mean() < 6

    flipped = np.ascontiguousarray(image[:, ::-1])
    points[45], points[42] = points[36], points[39]
    points[:, 0] = 799 - points[:, 0]
    other = eye_crops(flipped, [EyeFrame.of(points, mirrored=True)])[0]
    assert np.abs(crop.astype(int) - other).max() <= 3


def test_a_mirrored_picture_gives_the_same_answer():
    rng = np.random.default_rng(1)
    image = cv2.resize(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8), (300, 200), interpolation=cv2.INTER_CUBIC)
    landmarks = face(x=90, apart=70, width=25)
    pose = turned(14)
    look = read(image, landmarks, pose=pose)[0]
    other = read(np.ascontiguousarray(image[:, ::-1]), mirrored(landmarks, 300), pose=turned(-14))[0]
    assert other.open_probability == pytest.approx(look.open_probability, abs=0.02)
    assert other.aspect_ratio == pytest.approx(look.aspect_ratio, abs=1e-4)


ANY_FLOAT = st.floats(width=32, allow_nan=True, allow_infinity=True)


@settings(max_examples=500)
@given(
    hnp.arrays(np.float32, (68, 2), elements=ANY_FLOAT | st.floats(-50, 350, width=32)),
    hnp.arrays(np.float32, 68, elements=ANY_FLOAT | st.floats(0, 5, width=32)),
    st.none() | st.builds(turned, st.floats(-90, 90), st.floats(-90, 90)),
)
def test_whatever_the_landmarks_the_answer_is_finite_or_says_why_not(points, deviations, pose):
    look = EyeClassifier(ColourEngine()).read(picture(), [Landmarks(points, deviations)], [pose])[0]
    if look.unavailable is None:
        assert 0 <= look.open_probability <= 1
        assert look.aspect_ratio is None or math.isfinite(look.aspect_ratio)
    else:
        assert look.unavailable in ("small", "turned away", "hidden")
        assert look.open_probability is None
        assert look.aspect_ratio is None
