"""The mask classifier's training: the split, the samples, the scores."""

import hashlib

import cv2
import numpy as np
import pytest

from convert.data.coco import CORRECT, INCORRECT, NONE, LabelledPicture
from convert.data.landmarks import face_box, person_of
from convert.data.split import is_held_out, split
from convert.mask.sources import from_people
from edged.render.mean_face import MEAN_FACE


def test_the_split_is_the_rule_on_the_card():
    names = [f"picture{k}.jpg" for k in range(2000)]
    for name in names[:50]:
        assert is_held_out(name) == (int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 100 < 15)
    assert 0.12 < np.mean([is_held_out(name) for name in names]) < 0.18


def test_copies_of_held_out_pictures_are_not_trained_on(tmp_path):
    rng = np.random.default_rng(0)
    held = next(f"{k}.png" for k in range(100) if is_held_out(f"{k}.png"))
    trained = [f"t{k}.png" for k in range(100) if not is_held_out(f"t{k}.png")][:3]
    photo = cv2.resize(rng.integers(0, 256, (9, 8, 3), dtype=np.uint8), (90, 80), interpolation=cv2.INTER_CUBIC)
    other = cv2.resize(rng.integers(0, 256, (9, 8, 3), dtype=np.uint8), (90, 80), interpolation=cv2.INTER_CUBIC)
    for name, image in ((held, photo), (trained[0], photo[::1, ::1] // 2 + 60), (trained[1], other)):
        cv2.imwrite(str(tmp_path / name), image)
    pictures = [
        LabelledPicture(tmp_path / name, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
        for name in (held, trained[0], trained[1])
    ]
    training, held_out = split(pictures)
    assert [p.path.name for p in held_out] == [held]
    assert [p.path.name for p in training] == [trained[1]]


def test_people_are_named_by_their_files(tmp_path):
    assert person_of(tmp_path / "Jane_Doe_12.jpg") == "Jane_Doe"
    assert person_of(tmp_path / "0001.jpg") == "0001"


def test_the_box_of_a_face_holds_its_points():
    points = (MEAN_FACE * 50 + 100).astype(np.float32)
    x1, y1, x2, y2 = face_box(points)
    assert (points >= [x1, y1]).all()
    assert (points <= [x2, y2]).all()


class OneFace:
    """A teacher that sees one face, and its five points, where the labels of `people` say."""

    def find(self, image, scale, threshold):
        points = np.array([[32, 38], [48, 38], [40, 46], [34, 54], [46, 54]], np.float32)
        return np.concatenate([[20, 20, 60, 64, 0.9], points.ravel()]).astype(np.float32)[None]


def test_people_without_masks_are_learned_bare_and_with_two_masks_drawn_on(tmp_path):
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "people.png"), rng.integers(0, 256, (80, 160, 3), dtype=np.uint8))
    boxes = np.array([[20, 20, 60, 64], [100, 20, 115, 35], [130, 20, 140, 30]], np.float32)
    people = [LabelledPicture(tmp_path / "people.png", boxes, np.full(3, NONE))]
    crops = list(from_people(people, OneFace(), rng))
    assert [(crop.group, crop.state) for crop in crops[:2]] == [("people", NONE)] * 2, "the third face is too small"
    assert [crop.group for crop in crops[2:]] == ["dressed people"] * 2, "no teacher saw the second one"
    assert {crop.state for crop in crops[2:]} <= {CORRECT, INCORRECT}
    bare, *drawn = crops[0], *crops[2:]
    assert all((crop.image != bare.image).any() for crop in drawn)


def test_the_states_are_drawn_as_the_card_says():
    """They say by how much the logits are moved, so each group that has a share must be there to be drawn."""
    pytest.importorskip("torch")
    from convert.mask.samples import SHARES

    drawn = [sum(share for (_, state), share in SHARES.items() if state == k) for k in range(3)]
    assert [round(100 * share / sum(drawn)) for share in drawn] == [38, 28, 33]


def test_samples_depend_on_seed_and_step_alone():
    pytest.importorskip("torch")
    from convert.mask.samples import Samples
    from convert.mask.store import CropStore
    from convert.training.batches import Course

    rng = np.random.default_rng(0)
    store = CropStore(
        rng.integers(0, 256, (6, 168, 168, 3), dtype=np.uint8),
        np.array([0, 1, 2, 0, 1, 2]),
        np.array(["real"] * 6),
        np.full(6, 50, np.float32),
    )
    straight = list(Samples(store, Course(4, seed=1, start=0, stop=3)))
    resumed = list(Samples(store, Course(4, seed=1, start=2, stop=3)))
    assert len(straight) == 3
    assert np.array_equal(straight[2][0].numpy(), resumed[0][0].numpy())
    assert not np.array_equal(straight[1][0].numpy(), straight[2][0].numpy())
    assert straight[0][0].shape == (4, 112, 112, 3)


def test_scores_and_temperature():
    pytest.importorskip("torch")
    from convert.classification import best_temperature, calibration_error, confusion, f1_scores, macro_f1

    states = np.array([0, 0, 1, 2])
    logits = np.array([[3, 0, 0], [0, 3, 0], [0, 3, 0], [0, 0, 3]], np.float32)
    table = confusion(logits, states)
    assert table.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert f1_scores(table) == pytest.approx([2 / 3, 2 / 3, 1])
    assert macro_f1(table) == pytest.approx(7 / 9)
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 1.5, (20_000, 3)).astype(np.float32)
    weights = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    drawn = (rng.random((20_000, 1)) > weights.cumsum(axis=1)).sum(axis=1).clip(max=2)
    assert best_temperature(honest * 2, drawn) == pytest.approx(2, rel=0.05)
    assert calibration_error(weights, drawn) < 0.02
