"""The landmark regressor's training: mirror table, samples, losses, network, split, and the table of the comparison."""

import dataclasses
import math

import cv2
import numpy as np
import pytest

from convert.data.landmarks import person_of
from convert.data.split import is_held_out
from edged.analyse.align import Square, crop_to_picture, square_around_landmarks
from edged.render.mean_face import MEAN_FACE, MIRROR_68
from edged.types import Box, Detection

torch = pytest.importorskip("torch")

from convert.landmarks.architectures import ARCHITECTURES, EFFICIENTNET, OURS  # noqa: E402
from convert.landmarks.evaluate import Faces, score  # noqa: E402
from convert.landmarks.losses import (  # noqa: E402
    EYELIDS,
    gaussian,
    landmark_loss,
    point_weights,
    smooth_l1,
    wing,
)
from convert.landmarks.network import CROP, LandmarkModel, LandmarkNetwork  # noqa: E402
from convert.landmarks.samples import Samples, mirrored, misplaced, view, wear_sunglasses  # noqa: E402
from convert.landmarks.store import BARE, FacePicture, face_pictures, open_store, split_faces, write_store  # noqa: E402
from convert.training.batches import Course  # noqa: E402
from edged.analyse.landmarks import CROP_SIZE, LandmarkRegressor  # noqa: E402


def face_points(scale=60.0, centre=(100.0, 95.0)):
    return (MEAN_FACE * scale + np.array(centre)).astype(np.float32)


def noise_picture(seed=0, size=200):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def test_the_mirror_table_is_its_own_inverse_and_swaps_what_lies_opposite():
    table = np.array(MIRROR_68)
    assert (table[table] == np.arange(68)).all()
    # The mean face is symmetric: mirrored and renamed it is itself.
    mirror = MEAN_FACE[table] * (-1, 1)
    np.testing.assert_allclose(mirror, MEAN_FACE, atol=1e-6)


def test_a_mirrored_crop_has_its_points_on_the_same_pixels():
    places = face_points(30.0, (50.3, 50.4))
    crop = np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8)
    x, y = places[36].astype(int)
    crop[y, x] = 255
    flipped, moved = mirrored(crop, places, 0.0)
    x, y = moved[45].astype(int)
    assert flipped[y, x].all()
    assert moved[36, 0] < moved[45, 0]


def test_labels_that_lie_to_the_right_still_do_in_the_mirror():
    fair = face_points(30.0, (56.0, 50.0))
    unit = float(np.linalg.norm(fair[45] - fair[36]))
    crop = np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8)
    _, moved = mirrored(crop, (fair + np.array([0.02 * unit, 0])).astype(np.float32), 0.02)
    np.testing.assert_allclose(moved, fair + np.array([0.02 * unit, 0]), atol=1e-3)


def test_a_misplaced_square_stays_near_the_face():
    rng = np.random.default_rng(0)
    ideal = Square(100, 100, 130, 0.1)
    squares = np.array([misplaced(ideal, rng) for _ in range(2000)])
    assert np.abs(squares[:, :2] - 100).max() < 40
    assert squares[:, 2].min() > 80
    assert squares[:, 2].max() < 200
    assert np.abs(np.degrees(squares[:, 3] - 0.1)).max() <= 40
    assert 5 < np.degrees(squares[:, 3]).std() < 15


def test_a_view_shows_the_face_where_its_points_say():
    """A picture with bright dots at the mouth corners, before anything is worn down, seen through the same affine."""
    points = face_points()
    crop, moved = view(FacePicture(noise_picture(), points, "helen_train", "nose"), np.random.default_rng(3))
    assert crop.shape == (CROP_SIZE, CROP_SIZE, 3)
    assert crop.dtype == np.uint8
    assert moved.shape == (68, 2)
    eyes = np.linalg.norm(moved[45] - moved[36])
    ideal = np.linalg.norm(points[45] - points[36]) * CROP_SIZE / square_around_landmarks(points, 1.3).side
    assert 0.6 * ideal < eyes < 1.6 * ideal


def test_sunglasses_cover_the_eyes_and_little_else():
    points = face_points(40.0, (56.0, 50.0))
    bright = np.full((CROP_SIZE, CROP_SIZE, 3), 200, np.uint8)
    worn = wear_sunglasses(bright, points, np.random.default_rng(0))
    for eye in (points[36:42], points[42:48]):
        x, y = eye.mean(axis=0).astype(int)
        assert worn[y, x].max() < 120
    assert (worn[90:] == 200).all()
    assert (bright == 200).all()


def slow_wing(error):
    if abs(error) < 10:
        return 10 * math.log(1 + abs(error) / 2)
    return abs(error) - (10 - 10 * math.log(6))


def test_wing_is_what_its_paper_says():
    errors = np.array([0.0, 0.3, -2.0, 9.99, -10.0, 25.0])
    found = wing(torch.tensor(errors)).numpy()
    np.testing.assert_allclose(found, [slow_wing(error) for error in errors], rtol=1e-6)


def test_the_likelihood_is_lowest_where_the_deviation_is_the_error():
    errors = torch.full((1, 68, 2), 3.0)
    candidates = torch.linspace(-1, 2, 301)
    losses = torch.stack([gaussian(errors, torch.full((1, 68), float(c))).mean() for c in candidates])
    assert float(candidates[losses.argmin()]) == pytest.approx(math.log(3), abs=0.011)
    x, y, log = 1.5, -2.0, 0.7
    expected = (x * x + y * y) / 4 / math.exp(2 * log) + log
    one = gaussian(torch.tensor([[[x, y]]]), torch.tensor([[log]]))
    assert float(one) == pytest.approx(expected, rel=1e-5)


def test_eyelids_weigh_three_times_as_much():
    weights = point_weights().numpy()
    assert weights.mean() == pytest.approx(1)
    assert weights[list(EYELIDS)] == pytest.approx(3 * weights[0])


def test_the_parts_of_the_loss_against_a_slow_reference():
    rng = np.random.default_rng(0)
    answer, points = rng.normal(0, 4, (2, 68, 3)), rng.normal(0, 4, (2, 68, 2))
    answer[:, :, 2] = rng.normal(0, 0.5, (2, 68))
    weights = point_weights().numpy()
    expected = {"wing": 0.0, "deviation": 0.0, "likelihood": 0.0}
    for face in range(2):
        for k in range(68):
            x, y = answer[face, k, :2] - points[face, k]
            log, weight = answer[face, k, 2], weights[k] / (2 * 68)
            expected["wing"] += 0.7 * weight * (slow_wing(x) + slow_wing(y)) / 2
            expected["deviation"] += weight * ((x * x + y * y) / 4 * math.exp(-2 * log) + log)
            expected["likelihood"] += 0.3 * weight * (x * x + y * y) / 4 * math.exp(-log)
    parts = landmark_loss(torch.tensor(answer), torch.tensor(points), 0.3)
    assert {name: float(value) for name, value in parts.items()} == pytest.approx(expected, rel=1e-5)
    assert set(landmark_loss(torch.tensor(answer), torch.tensor(points), 0.0)) == {"wing", "deviation"}


def test_the_deviation_does_not_pull_at_the_points():
    answer = torch.zeros(1, 68, 3, requires_grad=True)
    landmark_loss(answer, torch.full((1, 68, 2), 2.0), 0.0)["deviation"].backward()
    assert not answer.grad[:, :, :2].any()
    assert answer.grad[:, :, 2].all()


def test_smooth_l1_is_half_the_square_below_a_pixel_and_linear_above():
    answer = torch.zeros(1, 68, 3)
    answer[0, 0, 0], answer[0, 1, 1] = 0.5, 3.0
    loss = smooth_l1(answer, torch.zeros(1, 68, 2), 0.0)["smooth_l1"]
    assert float(loss) == pytest.approx((0.125 + 2.5) / 136)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_both_networks_answer_in_the_same_form(name):
    model = LandmarkModel(ARCHITECTURES[name].build().eval()).eval()
    points, logs = model(torch.randint(0, 256, (2, CROP, CROP, 3), dtype=torch.uint8))
    assert points.shape == (2, 68, 2)
    assert logs.shape == (2, 68)
    assert torch.isfinite(points).all()


def test_efficientnet_has_as_many_parameters_as_published():
    network = ARCHITECTURES[EFFICIENTNET].build()
    count = sum(p.numel() for p in network.features.parameters())
    assert count + 1280 * 1000 + 1000 == 5_288_548


def test_ours_is_small_and_bounds_its_deviations():
    network = LandmarkNetwork().eval()
    assert sum(p.numel() for p in network.parameters()) * 4 < 1_480_000
    with torch.inference_mode():
        wild = network(torch.randn(2, 3, CROP, CROP) * 50)
    assert float(wild[:, :, 2].min()) >= -3
    assert float(wild[:, :, 2].max()) <= 2


class TruthEngine:
    """Knows where the face is in the picture, and answers what is right for each crop."""

    name = "truth"
    backend = "test"

    def __init__(self, square, points):
        linear = crop_to_picture(square, CROP_SIZE)
        inside = np.linalg.solve(linear[:, :2], (points - linear[:, 2]).T).T
        self.offsets = (inside / CROP_SIZE - 0.5).astype(np.float32)

    def run(self, inputs):
        count = len(inputs["faces"])
        return {
            "points": np.repeat(self.offsets[None], count, axis=0),
            "log_deviations": np.zeros((count, 68), np.float32),
        }


def test_a_right_answer_scores_zero_and_a_shifted_one_its_shift():
    points = face_points()
    box = Box(40, 40, 160, 180)
    faces = Faces([noise_picture()], [points], [Detection(box, 0.9)], 0)
    square = Square(100, 110, 140 * 1.3, 0.0)
    right = score(LandmarkRegressor(TruthEngine(square, points), passes=1), faces)
    assert right.mean == pytest.approx(0, abs=1e-3)
    unit = float(np.linalg.norm(points[45] - points[36]))
    shifted = score(LandmarkRegressor(TruthEngine(square, points + np.array([0.2 * unit, 0])), passes=1), faces)
    assert shifted.mean == pytest.approx(20, abs=1e-3)
    assert shifted.failures == 1


def small_set(tmp_path, count=6):
    from convert.data.landmarks import PointedFace

    faces = []
    for number in range(count):
        cv2.imwrite(str(tmp_path / f"{number:04d}.jpg"), noise_picture(number))
        faces.append(PointedFace(tmp_path / f"{number:04d}.jpg", face_points()))
    return faces


def test_the_store_gives_back_what_was_written(tmp_path):
    pictures = list(face_pictures({"helen_train": small_set(tmp_path, 2)}, seed=0))
    assert open_store(tmp_path / "store") is None
    write_store(tmp_path / "store", pictures)
    store = open_store(tmp_path / "store")
    assert len(pictures) == 18
    assert [w == BARE for w in store.wears] == [True, *[False] * 8] * 2
    for number, picture in enumerate(pictures):
        assert np.array_equal(store.pictures.image(number), picture.image)
        assert np.array_equal(store.points[number], picture.points)


def test_samples_depend_on_seed_and_step_alone(tmp_path):
    write_store(tmp_path / "store", face_pictures({"helen_train": small_set(tmp_path, 2)}, seed=0))
    store = open_store(tmp_path / "store")
    shares = ARCHITECTURES[OURS].shares
    straight = list(Samples(store, shares, Course(4, 1, 0, 3)))
    resumed = list(Samples(store, shares, Course(4, 1, 2, 3)))
    for one, other in zip(straight[2], resumed[0], strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(straight[1][0], straight[2][0])
    assert straight[0][0].shape == (4, CROP_SIZE, CROP_SIZE, 3)
    assert straight[0][1].abs().max() < CROP_SIZE


def test_nobody_is_in_both_parts(shared):
    training, held_out = split_faces(shared / "data")
    people = {person_of(face.path) for face in training["youtube_train"]}
    kept_back = {person_of(face.path) for face in held_out["youtube_train"]}
    assert not people & kept_back
    assert all(is_held_out(person) for person in kept_back)
    assert not {f.path for f in training["helen_train"]} & {f.path for f in held_out["helen_train"]}
    assert all("_test" not in str(face.path.parent) for faces in training.values() for face in faces)


def test_a_short_training_resumes_and_is_exported(tmp_path, monkeypatch):
    from convert.landmarks import train as training
    from convert.landmarks.export import export_landmarks

    faces = {"helen_train": small_set(tmp_path, 2)}
    monkeypatch.setattr(training, "split_faces", lambda _: (faces, {}))
    monkeypatch.setattr(training, "held_out_faces", lambda _: {})
    monkeypatch.setattr(training, "RECIPE", dataclasses.replace(training.RECIPE, batch=4))
    out = tmp_path / "run"
    for steps in (2, 3):
        asked = training.LandmarkTraining(data=tmp_path, out=out, steps=steps, seed=0, resume=True, threads=1)
        training.train(asked)
    written = export_landmarks(out, tmp_path / "landmarks.onnx", OURS)
    assert written.step == 3
    assert written.parity < 1e-3
