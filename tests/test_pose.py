"""Head pose: angles and their signs, lines of sight, the landmark solver, the readers, and what nonsense gets."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from convert.pose.evaluate import mean_errors, open_service, read_all, score
from convert.pose.heads import read_heads, split
from edged.analyse.pose.fused import (
    CROP_SIZE,
    LEARNED_SHARES,
    MAX_BATCH,
    SOLVED_SHARES,
    FusedPose,
    LearnedPose,
    LearnedPoses,
    fuse,
)
from edged.analyse.pose.landmark_pose import UNMASKED_POINTS, LandmarkPoses, solve
from edged.analyse.pose.rotation import (
    about_z,
    angles_of,
    from_six,
    head_poses,
    matrix_of,
    ray_rotation,
    turn_of,
    vector_of,
)
from edged.analyse.pose.shape import HEAD_SHAPE, SHAPE_DEVIATIONS
from edged.baselines.heatmap_pose import HeatmapPose, five_of, to_square
from edged.baselines.six_point_pose import SIX_POINT_HEAD, SIX_POINTS, SixPointPose
from edged.errors import ConfigError, ModelError
from edged.readers import POSE_READERS, make_pose_reader
from edged.render.mean_face import MIRROR_68
from edged.types import Box, Detection, Landmarks, Lens

LENS = Lens(600.0, 320.0, 240.0)
PICTURE = np.zeros((480, 640, 3), np.uint8)


def projected(angles, place=(0.0, 0.0, 10.0), deviation=1.0, lens=LENS):
    """The landmarks of our head shape, turned by `angles`, at `place` in eye distances from the camera."""
    placed = HEAD_SHAPE @ matrix_of(np.array(angles)).T + place
    points = placed[:, :2] / placed[:, 2:] * lens.focal + (lens.centre_x, lens.centre_y)
    return Landmarks(points.astype(np.float32), np.full(68, deviation, np.float32))


def found_at(landmarks):
    (left, top), (right, bottom) = landmarks.points.min(axis=0), landmarks.points.max(axis=0)
    return Detection(Box(float(left), float(top), float(right), float(bottom)), 0.9)


def solved_angles(landmarks, masked=False):
    poses = solve([landmarks], [masked], LENS)
    assert poses.found.all()
    return angles_of(poses.rotations)[0]


class FixedEngine:
    """Answers every face with the same arrays, and remembers what it was given."""

    name = "fixed"
    backend = "test"

    def __init__(self, **answer):
        self.answer, self.batches = answer, []

    def run(self, inputs):
        (given_array,) = inputs.values()
        self.batches.append(given_array.copy())
        return {name: np.repeat(row[None], len(given_array), axis=0) for name, row in self.answer.items()}


def network_that_says(angles, deviation=4.0):
    columns = matrix_of(np.array(angles))[:, :2].T.reshape(-1).astype(np.float32)
    return FixedEngine(columns=columns, deviations=np.array(deviation, np.float32))


# Angles


@given(st.tuples(st.floats(-89, 89), st.floats(-89, 89), st.floats(-179, 179)))
def test_angles_survive_the_way_to_a_matrix_and_back(angles):
    assert angles_of(matrix_of(np.array(angles))) == pytest.approx(np.array(angles), abs=1e-6)


def test_signs_are_those_told_to_people():
    nose = np.array([0.0, 0.0, -1.0])
    crown = np.array([0.0, -1.0, 0.0])
    assert (matrix_of(np.array([30.0, 0, 0])) @ nose)[0] < 0, "yaw > 0: the nose moves to the image's left"
    assert (matrix_of(np.array([0, 30.0, 0])) @ nose)[1] < 0, "pitch > 0: the nose moves up"
    assert (matrix_of(np.array([0, 0, 30.0])) @ crown)[0] > 0, "roll > 0: the crown moves to the image's right"


def test_six_numbers_make_a_rotation_whatever_they_are():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=(50, 6)), np.zeros((1, 6)), np.ones((1, 6)), [[1, 0, 0, 2, 0, 0.0]]])
    turns = from_six(values)
    assert turns @ turns.transpose(0, 2, 1) == pytest.approx(np.tile(np.eye(3), (len(values), 1, 1)), abs=1e-9)
    assert np.linalg.det(turns) == pytest.approx(np.ones(len(values)))
    truth = matrix_of(np.array([20.0, -10, 5]))
    assert from_six(truth[:, :2].T.reshape(-1)) == pytest.approx(truth)


def test_a_turn_in_the_picture_is_a_roll():
    assert about_z(np.array(30.0)) == pytest.approx(matrix_of(np.array([0, 0, 30.0])))


@given(st.tuples(st.floats(-1.8, 1.8), st.floats(-1.8, 1.8), st.floats(-1.8, 1.8)))
def test_turn_vectors_survive_the_way_to_a_matrix_and_back(vector):
    if np.linalg.norm(vector) < math.pi - 0.01:
        assert vector_of(turn_of(np.array(vector))) == pytest.approx(np.array(vector), abs=1e-5)


def test_a_turn_vector_is_an_axis_times_an_angle():
    assert turn_of(np.radians([0, 30.0, 0])) == pytest.approx(matrix_of(np.array([30.0, 0, 0])))
    assert np.linalg.norm(vector_of(np.diag([-1.0, 1, -1]))) == pytest.approx(math.pi)
    assert vector_of(np.eye(3)) == pytest.approx(np.zeros(3))


# Lines of sight


def test_who_looks_into_the_lens_faces_the_camera_wherever_they_stand():
    for place in ((0, 0, 10.0), (5, 0, 10.0), (-4, 3, 10.0)):
        point = np.array([[place[0] / place[2], place[1] / place[2]]]) * LENS.focal + (LENS.centre_x, LENS.centre_y)
        ray = ray_rotation(point, LENS)
        assert ray[0] @ [0, 0, 1] == pytest.approx(np.array(place) / np.linalg.norm(place))
        (pose,) = head_poses(np.eye(3)[None], ray, np.array([1.0]))
        assert (pose.facing_yaw, pose.facing_pitch) == pytest.approx((0, 0), abs=1e-9)
        assert pose.yaw == pytest.approx(math.degrees(math.atan2(place[0], place[2])), abs=1.5)


def test_at_the_right_border_a_head_parallel_to_the_axis_faces_past_the_camera():
    ray = ray_rotation(np.array([[LENS.centre_x + LENS.focal * math.tan(math.radians(25)), LENS.centre_y]]), LENS)
    (pose,) = head_poses(ray.transpose(0, 2, 1), ray, np.array([1.0]))
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((0, 0, 0), abs=1e-9)
    assert pose.facing_yaw == pytest.approx(-25)


# The shape


def test_the_head_shape_is_a_face_seen_from_the_front():
    assert HEAD_SHAPE.shape == (68, 3)
    assert HEAD_SHAPE[45, 0] - HEAD_SHAPE[36, 0] == pytest.approx(1, abs=2e-3)
    assert pytest.approx(HEAD_SHAPE * (-1, 1, 1), abs=2e-3) == HEAD_SHAPE[list(MIRROR_68)]
    assert HEAD_SHAPE[30, 2] == HEAD_SHAPE[:, 2].min(), "the nose tip is nearest to the camera"
    assert HEAD_SHAPE[8, 1] == HEAD_SHAPE[:, 1].max(), "the chin is lowest"
    assert (SHAPE_DEVIATIONS > 0).all()
    assert SHAPE_DEVIATIONS.max() < 0.2


# The landmark solver


@pytest.mark.parametrize("angles", [(0, 0, 0), (20, -10, 5), (-45, 25, -30), (5, -35, 60), (60, 10, 0)])
@pytest.mark.parametrize("masked", [False, True])
def test_exact_projections_give_their_angles(angles, masked):
    landmarks = projected(angles, place=(1.5, -0.8, 9.0))
    assert solved_angles(landmarks, masked) == pytest.approx(np.array(angles, float), abs=0.05)


def test_a_masked_face_is_solved_from_brows_bridge_and_eyes_alone():
    landmarks = projected((15, 5, -5))
    hidden = np.setdiff1d(np.arange(68), UNMASKED_POINTS)
    landmarks.points[hidden] = np.nan
    assert solved_angles(landmarks, masked=True) == pytest.approx([15, 5, -5], abs=0.05)
    landmarks.points[hidden] = 7.0
    assert solved_angles(landmarks, masked=True) == pytest.approx([15, 5, -5], abs=0.05)


def test_unsure_landmarks_hardly_count():
    landmarks = projected((10, 0, 0))
    landmarks.points[:17] += 12
    wrong = solved_angles(landmarks)
    landmarks.deviations[:17] = 100
    assert solved_angles(landmarks) == pytest.approx([10, 0, 0], abs=0.05)
    assert np.abs(wrong - [10, 0, 0]).max() > 0.5


def test_fewer_and_vaguer_landmarks_are_expected_to_err_more():
    sharp, vague = projected((10, 0, 0)), projected((10, 0, 0), deviation=6)
    expected = solve([sharp, vague, sharp], [False, False, True], LENS).deviations
    assert expected[0] < expected[1]
    assert expected[0] < expected[2]


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((68, 2)),
        np.full((68, 2), np.nan),
        np.full((68, 2), np.inf),
        np.linspace((0, 0), (100, 0), 68),
        np.random.default_rng(0).uniform(0, 400, (68, 2)),
        np.full((68, 2), 1e30),
    ],
    ids=["one spot", "NaN", "infinite", "a line", "noise", "out of all pictures"],
)
def test_what_is_no_head_has_no_pose(points):
    with np.errstate(over="ignore"):
        landmarks = Landmarks(points.astype(np.float32), np.ones(68, np.float32))
    assert not solve([landmarks], [False], LENS).found.any()
    assert not solve([landmarks], [True], LENS).found.any()


def test_a_head_behind_the_camera_has_no_pose():
    behind = projected((0, 0, 0), place=(0, 0, -10.0))
    poses = solve([behind], [False], LENS)
    assert not poses.found[0] or abs(angles_of(poses.rotations)[0, 2]) > 150, "such points are a head upside down"


wild = st.one_of(st.floats(-1e3, 1e3, width=32), st.floats(width=32), st.just(float("nan")), st.just(float("inf")))


@pytest.mark.parametrize("twenties", [100, pytest.param(500, marks=pytest.mark.long)])
def test_any_landmarks_of_thousands_of_faces_give_a_finite_pose_or_none(twenties):
    any_faces = given(
        arrays(np.float32, (20, 68, 2), elements=wild),
        arrays(np.float32, (20, 68), elements=wild),
        st.booleans(),
        st.sampled_from([LENS, Lens(4000.0, 0.0, 0.0), Lens(20.0, 10.0, 10.0)]),
    )
    settings(max_examples=twenties, deadline=None, suppress_health_check=list(HealthCheck))(any_faces(pose_is_sane))()


def pose_is_sane(points, deviations, masked, lens):
    # Half of them lie near a head's, so that the refinement has something to do.
    points[::2] = projected((10, 5, 0)).points + points[::2] / 20
    landmarks = [Landmarks(*face) for face in zip(points, deviations, strict=True)]
    poses = solve(landmarks, [masked] * 20, lens)
    assert np.isfinite(poses.rotations).all()
    assert np.isfinite(poses.deviations).all()
    for pose in SixPointPose().read(PICTURE, [], landmarks, [masked] * 20, lens):
        assert pose is None or all(math.isfinite(value) for value in vars_of(pose))


def vars_of(pose):
    return [getattr(pose, name) for name in pose.__slots__]


# The readers


def test_six_points_of_their_own_head_give_its_angles():
    placed = SIX_POINT_HEAD @ matrix_of(np.array([20.0, -10, 5])).T + (200, 100, 4000)
    face = projected((0, 0, 0))
    face.points[list(SIX_POINTS)] = placed[:, :2] / placed[:, 2:] * LENS.focal + (LENS.centre_x, LENS.centre_y)
    (pose,) = SixPointPose().read(PICTURE, [], [face], [False], LENS)
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((20, -10, 5), abs=0.05)
    face.points[30] = np.nan
    assert SixPointPose().read(PICTURE, [], [face], [False], LENS) == [None]


def turned(yaw):
    return matrix_of(np.array([[yaw, 0.0, 0.0]]))


def fused_yaw(learned_deviation, solved_deviation, found=True, apart=10.0):
    """Yaw and expected error when the pixels say 0 and the landmarks say `apart`."""
    learned = LearnedPoses(turned(0), np.array([learned_deviation]))
    solved = LandmarkPoses(turned(apart), np.array([solved_deviation]), np.array([found]))
    facing, deviations = fuse(learned, solved, np.eye(3)[None])
    return angles_of(facing)[0, 0], deviations[0]


def test_fusion_leans_to_the_surer_reading_and_is_surer_than_either():
    middle, expected = fused_yaw(5 / LEARNED_SHARES[1], 5 / SOLVED_SHARES[1])
    assert middle == pytest.approx(5)
    assert expected < 5 / LEARNED_SHARES[1]
    assert fused_yaw(10, 2)[0] > 8
    assert fused_yaw(2, 10)[0] < 2
    assert fused_yaw(2, 2, found=False)[0] == pytest.approx(0)


def test_landmarks_of_a_head_turned_far_hardly_count():
    learned = LearnedPoses(turned(70), np.array([4.0]))
    solved = LandmarkPoses(turned(60), np.array([3.0]), np.array([True]))
    facing, _ = fuse(learned, solved, np.eye(3)[None])
    assert angles_of(facing)[0, 0] == pytest.approx(70, abs=1)


def test_readings_at_odds_are_not_averaged_and_not_trusted():
    yaw, expected = fused_yaw(4, 3, apart=80)
    assert yaw == pytest.approx(0, abs=1e-6), "the surer of the two"
    assert expected == pytest.approx(40)


def test_the_fused_reader_answers_in_order_and_in_bounded_batches():
    engine = network_that_says((0, 0, 0), deviation=60)
    yaws = np.linspace(-30, 30, MAX_BATCH + 5)
    landmarks = [projected((yaw, 0, 0)) for yaw in yaws]
    poses = FusedPose(engine).read(
        PICTURE, [found_at(face) for face in landmarks], landmarks, [False] * len(yaws), LENS
    )
    assert [pose.yaw for pose in poses] == pytest.approx(yaws, abs=1)
    assert [len(batch) for batch in engine.batches] == [MAX_BATCH, 5]
    assert engine.batches[0].shape[1:] == (CROP_SIZE, CROP_SIZE, 3)


def test_without_usable_landmarks_the_pixels_decide():
    nothing = Landmarks(np.full((68, 2), np.nan, np.float32), np.ones(68, np.float32))
    middle = Detection(Box(300, 220, 340, 260), 0.9)
    (pose,) = FusedPose(network_that_says((12, -7, 3), 5)).read(PICTURE, [middle], [nothing], [False], LENS)
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((12, -7, 3), abs=1e-3)
    assert pose.deviation == pytest.approx(5, abs=0.05)


@pytest.mark.parametrize(
    ("yaw", "error", "deviation", "sure"),
    [
        (0, 1.0, 4, True), (0, 2.0, 4, True), (0, 2.0, 10, False), (0, 1.0, 10, True), (0, 6.0, 4, False),
        (0, np.nan, 4, False), (50, 6.0, 10, True),
    ],
)  # fmt: skip
def test_a_face_whose_landmarks_are_lost_although_it_looks_here_is_not_trusted(yaw, error, deviation, sure):
    """The box is 97 pixels wide."""
    face = projected((0, 0, 0), deviation=error)
    (pose,) = FusedPose(network_that_says((yaw, 0, 0), deviation)).read(
        PICTURE, [found_at(face)], [face], [False], LENS
    )
    assert (pose.deviation < 12) is sure


def test_a_turned_crop_is_turned_back():
    tilted = Detection(
        Box(300, 220, 340, 260), 0.9, np.array([(310, 230), (330, 250), (320, 240), (310, 250), (330, 250)], np.float32)
    )
    learned = LearnedPose(network_that_says((0, 0, 0))).read(PICTURE, [tilted])
    assert angles_of(learned.rotations)[0] == pytest.approx([0, 0, 45], abs=1e-3)


def test_a_box_that_is_none_gets_none_and_does_not_spoil_its_neighbours():
    landmarks = projected((10, 0, 0))
    boxes = [Box(np.nan, 0, 1, 1), Box(0, 0, np.inf, 1), Box(5, 5, 5, 5), found_at(landmarks).box]
    faces = [Detection(box, 0.9) for box in boxes]
    poses = FusedPose(network_that_says((10, 0, 0))).read(PICTURE, faces, [landmarks] * 4, [False] * 4, LENS)
    assert poses[:3] == [None, None, None]
    assert poses[3].yaw == pytest.approx(10, abs=0.5)


def test_no_face_needs_no_run():
    engine = network_that_says((0, 0, 0))
    assert FusedPose(engine).read(PICTURE, [], [], [], LENS) == []
    assert engine.batches == []


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"columns": np.zeros(5, np.float32), "deviations": np.array(1, np.float32)},
        {"columns": np.full(6, np.nan, np.float32), "deviations": np.array(1, np.float32)},
        {"columns": np.zeros(6, np.float32)},
    ],
)
def test_an_answer_that_is_none_of_ours_is_refused(answer):
    face = projected((0, 0, 0))
    with pytest.raises(ModelError, match="not a head pose"):
        FusedPose(FixedEngine(**answer)).read(PICTURE, [found_at(face)], [face], [False], LENS)
    with pytest.raises(ModelError, match="not a heatmap pose"):
        HeatmapPose(FixedEngine(**answer)).read(PICTURE, [found_at(face)], [face], [False], LENS)


def test_the_heatmap_reader_hands_over_five_points_and_their_confidence():
    engine = FixedEngine(angles=np.array([10, 5, -5], np.float32))
    face = projected((0, 0, 0), place=(3, 0, 10), deviation=0)
    nothing = Landmarks(np.zeros((68, 2), np.float32), face.deviations)
    first, second = HeatmapPose(engine).read(PICTURE, [found_at(face)] * 2, [nothing, face], [False] * 2, LENS)
    assert first is None
    assert (second.facing_yaw, second.facing_pitch) == pytest.approx((10, 5), abs=1e-3)
    assert second.yaw > 20, "the face stands to the right of the axis"
    (points,) = engine.batches[0]
    assert points[:, 2] == pytest.approx(np.ones(5))
    assert points[:, :2].min() >= 0
    assert points[:, :2].max() <= 1
    assert points[0, 0] < points[1, 0], "image-left eye first"


def test_unsure_points_are_drawn_fainter():
    five = five_of(projected((0, 0, 0)).points)
    told = to_square(five, np.array([0, 0, 0, 5.0, 50.0]))
    assert told[0, 2] == 1
    assert told[0, 2] > told[3, 2] > told[4, 2]


def test_readers_are_made_by_name():
    opened = []

    def open_model(name):
        opened.append(name)
        return network_that_says((0, 0, 0))

    assert [type(make_pose_reader(name, open_model)) for name in POSE_READERS] == [FusedPose, HeatmapPose, SixPointPose]
    assert opened == ["pose", "pose-heatmap"]
    with pytest.raises(ConfigError, match="edged, heatmap, pnp6"):
        make_pose_reader("deepgaze", open_model)


# On people


def test_heads_of_known_pose_are_read_as_they_are(shared):
    service = open_service(Path(__file__).parents[1] / "engines")
    _, kept = split(read_heads(shared / "data" / "headpose_biwi"))
    heads = [
        read
        for hidden in (False, True)
        for read in read_all(kept[::25], service.detector, service.landmarks, 0, hidden=hidden)
    ]
    reader = make_pose_reader("edged", service.open_model)
    measured = score(reader, heads)
    assert measured.answered == 1
    assert mean_errors(measured.errors).mean() < 7
    assert (np.abs(measured.errors).max(axis=1) < 25).mean() > 0.9
