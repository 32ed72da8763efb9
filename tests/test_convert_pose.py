"""Head pose: the fitted shape, the heads of known pose, the samples, the trainings and how the product meets its models."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from convert.data.landmarks import PointedFace
from convert.pose import head_shape
from convert.pose.head_shape import HeadShape, Sighting
from convert.pose.heads import HELD_OUT, FoundHead, PosedHead, masked, projected_points, read_heads, split
from edged.analyse.pose.rotation import about_z, angles_of, matrix_of
from edged.analyse.pose.shape import HEAD_SHAPE, SHAPE_DEVIATIONS
from edged.render import Wear, random_style
from edged.render.mean_face import five_points
from edged.types import Box, Detection, Lens

ENGINES = Path(__file__).parents[1] / "engines"


def shape_unlike_ours():
    """Our head shape made deeper, and looking up."""
    points = (HEAD_SHAPE * (1, 1, 1.15)) @ matrix_of(np.array([0.0, 4, 0])).T
    return points - (points[36] + points[45]) / 2


def test_a_shape_is_found_again_from_flat_views_of_it():
    rng = np.random.default_rng(0)
    turns = matrix_of(rng.normal((0, 0, 0), (25, 15, 8), (400, 3)))
    views = (HEAD_SHAPE @ turns.transpose(0, 2, 1))[:, :, :2] * rng.uniform(50, 100, (400, 1, 1)) + 200
    found = head_shape.factorise(views + rng.normal(0, 0.2, views.shape))
    ours = HEAD_SHAPE - HEAD_SHAPE[27]
    theirs = found.points - found.points[27]
    # The direction straight ahead is a matter of convention: compare distances.
    for a, b in ((30, 8), (0, 16), (36, 54), (30, 4), (8, 24)):
        assert np.linalg.norm(theirs[a] - theirs[b]) == pytest.approx(np.linalg.norm(ours[a] - ours[b]), rel=0.03)
    assert found.points[30, 2] < found.points[36, 2], "noses stick out towards the camera"
    assert found.deviations.max() < 0.02


def test_heads_of_known_pose_correct_depth_and_direction():
    rng = np.random.default_rng(0)
    truth = shape_unlike_ours()
    sightings = []
    for _ in range(150):
        rotation = matrix_of(rng.uniform((-40, -30, -20), (40, 30, 20)))
        placed = truth @ rotation.T + (rng.uniform(-1, 1), 0, rng.uniform(8, 14))
        flat = placed[:, :2] / placed[:, 2:] + rng.normal(0, 0.001, (68, 2))
        sightings.append(Sighting(rotation, flat, np.ones(68)))
    refined = head_shape.refine(HeadShape(HEAD_SHAPE, SHAPE_DEVIATIONS), sightings)
    assert np.abs(refined.points - truth).max() < 0.02


def test_the_written_shape_is_the_shape(tmp_path):
    head_shape.write(HeadShape(HEAD_SHAPE, SHAPE_DEVIATIONS), tmp_path / "shape.py")
    names = runpy.run_path(str(tmp_path / "shape.py"))
    assert names["HEAD_SHAPE"] == pytest.approx(HEAD_SHAPE)
    assert names["SHAPE_DEVIATIONS"] == pytest.approx(SHAPE_DEVIATIONS)


def test_sequences_kept_back_are_not_trained_on(shared):
    heads = read_heads(shared / "data" / "headpose_biwi")
    trained, kept = split(heads)
    assert len(trained) + len(kept) == len(heads) == 1918
    assert {head.sequence for head in kept} == set(HELD_OUT)
    assert not {head.sequence for head in trained} & set(HELD_OUT)
    first = heads[0]
    assert first.path.name == "01_00006.jpg"
    assert angles_of(first.rotation) == pytest.approx([4.01, 8.48, -2.69])
    assert first.centre == (340, 275)


def found_head(angles=(20.0, 0, 10)):
    rng = np.random.default_rng(0)
    image = rng.integers(60, 200, (240, 240, 3), dtype=np.uint8)
    points = np.array([(95, 105), (140, 105), (115, 130), (100, 155), (135, 155)], np.float32)
    detection = Detection(Box(75, 70, 160, 180), 0.9, points)
    head = PosedHead(Path("none.jpg"), "01", matrix_of(np.array(angles)), (320, 240))
    return FoundHead(head, image, np.full((240, 240), 255, np.uint8), Lens(517, 120, 120), detection)


def test_points_for_a_mask_follow_the_true_pose_and_the_place_found():
    found = found_head()
    points = projected_points(found)
    five = five_points(points)
    assert five.mean(axis=0) == pytest.approx(found.detection.points.mean(axis=0), abs=0.5)
    slope = np.degrees(np.arctan2(*(points[45] - points[36])[::-1]))
    assert slope == pytest.approx(10, abs=1.5), "rolled as the head is, though the detector's eyes were level"


class OneFace:
    """Finds the same face in every picture."""

    def __init__(self, detection):
        self.detection = detection

    def detect(self, image):
        return [self.detection]


def test_a_drawn_mask_changes_the_picture_and_not_the_truth():
    found = found_head()
    rng = np.random.default_rng(0)
    dressed = masked(found, projected_points(found), random_style(rng), Wear.CORRECT, OneFace(found.detection), rng)
    assert (dressed.image != found.image).any()
    assert dressed.facing == pytest.approx(found.facing)


torch = pytest.importorskip("torch")

from convert.pose.heatmap_network import HEATMAP_SIZE, HeatmapModel, HeatmapNetwork, draw_heatmaps  # noqa: E402
from convert.pose.heatmap_samples import draw  # noqa: E402
from convert.pose.network import PoseModel, PoseNetwork, geodesic, pose_loss, rotations  # noqa: E402
from convert.pose.samples import Samples, jitter  # noqa: E402
from convert.pose.sources import WIDE, from_points, wide_crop  # noqa: E402
from convert.pose.store import open_store, write_store  # noqa: E402
from convert.training.batches import Course  # noqa: E402
from convert.training.loop import TrainingChoice  # noqa: E402


def test_the_networks_fit_their_budgets():
    assert sum(p.numel() for p in PoseNetwork().parameters()) * 4 < 1.5e6
    assert sum(p.numel() for p in HeatmapNetwork().parameters()) * 4 < 2.5e6


def test_geodesic_distance_is_the_angle_of_the_turn():
    turns = torch.from_numpy(matrix_of(np.array([[0.0, 0, 0], [30, 0, 0], [0, 0, 170]])))
    told = torch.rad2deg(geodesic(turns, turns[:1].expand(3, 3, 3)))
    assert told.tolist() == pytest.approx([0, 30, 170], abs=0.1)


def test_a_network_that_is_right_and_sure_loses_least():
    truth = torch.eye(3)[None]
    right = torch.tensor([[1.0, 0, 0, 0, 1, 0, -4]])
    vague, wrong = right.clone(), right.clone()
    vague[0, 6] = 0
    wrong[0, 2] = 0.5
    losses = [float(pose_loss(answer, truth, torch.ones(1))) for answer in (right, vague, wrong)]
    assert losses == sorted(losses)


def test_exported_columns_are_a_rotation_and_errors_are_degrees():
    model = PoseModel(PoseNetwork().eval(), 20.0).eval()
    with torch.inference_mode():
        columns, deviations = model(torch.randint(0, 256, (5, 64, 64, 3), dtype=torch.uint8))
    turns = rotations(columns)
    assert torch.allclose(turns @ turns.transpose(1, 2), torch.eye(3).expand(5, 3, 3), atol=1e-5)
    assert (deviations > 0).all()


def striped_crops(count=8):
    rng = np.random.default_rng(0)
    found = found_head()
    for number in range(count):
        facing = matrix_of(rng.normal(0, 20, 3))
        yield wide_crop(found.image, found.seen, found.detection, facing, "bare" if number % 2 else "masked")


def test_crops_are_kept_as_they_were_cut(tmp_path):
    crops = list(striped_crops())
    assert open_store(tmp_path) is None
    write_store(tmp_path, crops)
    store = open_store(tmp_path)
    assert store.images.shape == (8, WIDE, WIDE, 4)
    assert store.rotations == pytest.approx(np.stack([crop.rotation for crop in crops]), abs=1e-6)
    assert store.groups.tolist() == [crop.group for crop in crops]


def test_samples_depend_on_seed_and_step_alone(tmp_path):
    write_store(tmp_path, striped_crops())
    store = open_store(tmp_path)
    straight = list(Samples(store, Course(4, seed=1, start=0, stop=3)))
    (resumed,) = Samples(store, Course(4, seed=1, start=2, stop=3))
    for one, other in zip(straight[2], resumed, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
    assert not np.array_equal(straight[1][0].numpy(), straight[2][0].numpy())
    turns = straight[0][1].numpy()
    assert turns @ turns.transpose(0, 2, 1) == pytest.approx(np.tile(np.eye(3), (4, 1, 1)), abs=1e-5)


def test_a_turned_or_mirrored_view_has_the_turned_or_mirrored_pose():
    crop = next(striped_crops())
    truth = angles_of(crop.rotation)
    seen_mirrored = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        turn = np.random.default_rng(seed).normal(0, 12)
        pixels, rotation = jitter(crop.image, crop.rotation, crop.image, rng)
        assert pixels.shape == (64, 64, 3)
        yaw, _, _ = angles_of(about_z(np.array(-turn)) @ rotation)
        assert abs(yaw) == pytest.approx(abs(truth[0]))
        seen_mirrored.add(bool(np.sign(yaw) != np.sign(truth[0])))
    assert seen_mirrored == {True, False}


def test_annotated_faces_get_the_pose_of_our_shape_on_their_points(tmp_path):
    import cv2

    placed = HEAD_SHAPE @ matrix_of(np.array([15.0, 5, -8])).T + (0, 0, 10)
    points = (placed[:, :2] / placed[:, 2:] * 700 + 120).astype(np.float32)
    cv2.imwrite(str(tmp_path / "face.png"), np.full((240, 240, 3), 120, np.uint8))
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    detection = Detection(Box(left, top, right, bottom), 0.9, None)
    crops = list(
        from_points([PointedFace(tmp_path / "face.png", points)], OneFace(detection), np.random.default_rng(0))
    )
    told = {crop.group: angles_of(crop.rotation) for crop in crops}
    assert set(told) == {"pointed turned", "pointed", "pointed masked"}
    assert told["pointed"] == pytest.approx([15, 5, -8], abs=3)
    assert told["pointed turned"] != pytest.approx(told["pointed"], abs=1)


def test_heatmaps_are_bumps_at_the_points_as_high_as_their_confidence():
    points = torch.tensor([[[0.25, 0.75, 1.0], [0.5, 0.5, 0.4], [0.5, 0.5, 0.0], [0.9, 0.1, 1], [0.1, 0.1, 1]]])
    maps = draw_heatmaps(points)
    assert maps.shape == (1, 5, HEATMAP_SIZE, HEATMAP_SIZE)
    row, column = np.unravel_index(int(maps[0, 0].argmax()), (HEATMAP_SIZE, HEATMAP_SIZE))
    assert ((column + 0.5) / HEATMAP_SIZE, (row + 0.5) / HEATMAP_SIZE) == pytest.approx((0.25, 0.75), abs=0.02)
    assert maps[0, :3].amax(dim=(1, 2)).tolist() == pytest.approx([1, 0.4, 0], abs=0.12)


def test_drawn_heads_are_the_same_for_the_same_seed_and_lie_in_their_square():
    points, angles = draw(64, np.random.default_rng(3))
    again, _ = draw(64, np.random.default_rng(3))
    assert np.array_equal(points, again)
    assert points.shape == (64, 5, 3)
    assert points[:, :, :2].min() >= 0
    assert points[:, :, :2].max() <= 1
    assert np.abs(angles).max() <= 80
    turned = angles[:, 0] > 25
    nose = points[turned, 2, 0] - points[turned, :2, 0].mean(axis=1)
    assert (nose < 0).mean() > 0.8, "yaw > 0: the nose is left of the eyes"


def test_the_heatmap_training_resumes_and_exports(tmp_path):
    from convert.pose.heatmap_train import export_heatmap, train

    for steps in (2, 3):
        train(TrainingChoice(out=tmp_path, steps=steps, seed=0, resume=True, threads=1))
    written = export_heatmap(tmp_path, tmp_path / "pose-heatmap.onnx")
    assert written.step == 3
    assert written.parity < 1e-3
    assert isinstance(HeatmapModel(HeatmapNetwork()), torch.nn.Module)
