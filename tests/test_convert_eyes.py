"""The eye classifier's training: the split, the drawing of lids and covers, the samples, and the figures of the card."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from convert.eyes.cover import draw_cover, draw_glasses, draw_sunglasses
from convert.eyes.lids import draw_lid
from convert.eyes.measure import WIDTHS, size_table
from convert.eyes.sources import CLOSED, OPEN, WIDE, WIDE_MARGIN, crop_frame, from_crop, from_points, lids_in
from convert.eyes.split import GAP, CropFile, is_held_out, read_crops, split
from edged.analyse.eyes import EYE_SIZE, EYE_STATES, EyeFrame, eye_crops
from edged.analyse.ratios import eye_aspect_ratios
from edged.inference import default_engines_dir, load_manifest, open_engine
from edged.types import Box, Detection, EyeReading, Landmarks

DATA = Path(os.environ.get("EDGED_SHARED", "../shared")) / "data"
needs_eyes = pytest.mark.skipif(not (DATA / "eyes").is_dir(), reason="needs shared/data/eyes (see EDGED_SHARED)")


def drawn_eye(size=WIDE, white=230, skin=120):
    """A light almond with a dark iris on skin, 27 px wide in the middle, and its six points."""
    image = np.full((size, size, 3), skin, np.uint8)
    half = size / WIDE_MARGIN / 2
    middle = size / 2
    cv2.ellipse(image, (size // 2, size // 2), (round(half), round(half * 0.4)), 0, 0, 360, (white,) * 3, -1)
    cv2.circle(image, (size // 2, size // 2), round(half * 0.38), (20, 20, 20), -1)
    lid = half * 0.36
    points = [(-half, 0), (-half / 3, -lid), (half / 3, -lid), (half, 0), (half / 3, lid), (-half / 3, lid)]
    return image, np.array(points) + middle


def numbered(tmp_path, count, seed=0):
    """`count` unlike crops in each of the two folders."""
    rng = np.random.default_rng(seed)
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
        for k in range(count):
            small = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
            cv2.imwrite(
                str(tmp_path / name / f"{k:04}.jpg"), cv2.resize(small, (60, 54), interpolation=cv2.INTER_CUBIC)
            )
    return tmp_path


def test_each_crop_is_held_out_in_one_fold_and_stretches_are_the_same_in_both_folders(tmp_path):
    crops = read_crops(numbered(tmp_path, 70))
    folds = [split(crops, fold)[1] for fold in range(7)]
    assert sorted(crop.path for fold in folds for crop in fold) == sorted(crop.path for crop in crops)
    for fold in folds:
        assert sorted(c.path.name for c in fold if c.closed) == sorted(c.path.name for c in fold if not c.closed)


def test_nothing_near_a_held_out_stretch_or_like_a_held_out_crop_is_trained_on(tmp_path):
    folder = numbered(tmp_path, 700)
    held = next(crop for crop in read_crops(folder) if is_held_out(crop.place))
    free = [c for c in read_crops(folder) if not any(is_held_out(c.place + g) for g in (-GAP, 0, GAP))]
    image = cv2.imread(str(held.path))
    cv2.imwrite(str(free[0].path), image[:, ::-1] // 2 + 50)
    training, held_out = split(read_crops(folder))
    assert held in held_out
    assert free[0] not in training
    assert free[1] in training
    assert not {crop.path for crop in training} & {crop.path for crop in held_out}
    assert not any(is_held_out(crop.place + GAP) or is_held_out(crop.place - GAP) for crop in training)


def test_a_lid_drawn_shut_covers_the_eye_and_one_left_open_does_not():
    image, lids = drawn_eye()
    rng = np.random.default_rng(0)
    shut = draw_lid(image, lids, 0.0, rng)
    white = (image > 200).sum()
    assert (shut > 200).sum() < 0.3 * white
    assert (draw_lid(image, lids, 1.0, rng) > 200).sum() > 0.5 * white
    # Nothing changes far from the eye.
    assert np.array_equal(shut[-8:], image[-8:])


def test_covers_hide_the_eye_and_clear_glasses_do_not():
    image, _ = drawn_eye()
    middle = slice(WIDE // 2 - 4, WIDE // 2 + 4)
    rng = np.random.default_rng(0)

    def contrast(picture):
        return float(picture[middle, WIDE // 2 - 13 : WIDE // 2 + 13].astype(float).std())

    for draw in (draw_sunglasses, draw_cover):
        assert np.median([contrast(draw(image, rng)) for _ in range(40)]) < 0.5 * contrast(image)
    assert np.median([contrast(draw_glasses(image, rng)) for _ in range(40)]) > 0.6 * contrast(image)


@pytest.mark.parametrize("mirrored", [False, True])
def test_lids_are_where_the_eye_is_in_the_wide_square(mirrored):
    points = np.zeros((68, 2), np.float32)
    outer, inner = (45, 42) if mirrored else (36, 39)
    points[outer], points[inner] = ((160, 90) if mirrored else (60, 90)), ((130, 100) if mirrored else (90, 100))
    frame = EyeFrame.of(points, mirrored)
    first = 42 if mirrored else 36
    outline = points[first : first + 6].copy()
    lids = lids_in(frame, outline)
    half = WIDE / WIDE_MARGIN / 2
    assert lids[0] == pytest.approx([WIDE / 2 - 0.5 - half, WIDE / 2 - 0.5], abs=0.01)
    assert lids[3] == pytest.approx([WIDE / 2 - 0.5 + half, WIDE / 2 - 0.5], abs=0.01)


def test_labels_come_from_the_annotated_opening(tmp_path):
    from convert.data.landmarks import PointedFace

    cv2.imwrite(str(tmp_path / "face.png"), np.full((200, 300, 3), 128, np.uint8))
    points = np.zeros((68, 2), np.float32)
    for first, x, half in ((36, 60, 4), (42, 140, 0.2)):
        outline = [
            (x, 90),
            (x + 9, 90 - half),
            (x + 21, 90 - half),
            (x + 30, 90),
            (x + 21, 90 + half),
            (x + 9, 90 + half),
        ]
        points[first : first + 6] = outline
    eyes = list(from_points([PointedFace(tmp_path / "face.png", points)], "large", 0.18, np.random.default_rng(0)))
    assert [(eye.group, eye.state) for eye in eyes] == [
        ("large", OPEN), ("drawn large", CLOSED), ("drawn large", OPEN), ("large", CLOSED),
    ]  # fmt: skip
    assert all(eye.image.shape == (WIDE, WIDE, 3) for eye in eyes)


def test_samples_depend_on_seed_and_step_alone():
    pytest.importorskip("torch")
    from convert.eyes.samples import Samples
    from convert.eyes.sources import WideEye
    from convert.eyes.store import EyeStore
    from convert.training.batches import Course

    rng = np.random.default_rng(0)
    kinds = [("crop", OPEN, 0.9), ("crop", CLOSED, 0.8), ("large", OPEN, 0.0), ("elsewhere", 2, 0.0)]
    store = EyeStore.of(
        WideEye(rng.integers(0, 256, (WIDE, WIDE, 3), dtype=np.uint8), state, group, 30.0, height)
        for group, state, height in kinds
    )
    straight = list(Samples(store, Course(16, seed=1, start=0, stop=3)))
    resumed = list(Samples(store, Course(16, seed=1, start=2, stop=3)))
    assert len(straight) == 3
    assert np.array_equal(straight[2][0].numpy(), resumed[0][0].numpy())
    assert not np.array_equal(straight[1][0].numpy(), straight[2][0].numpy())
    assert straight[0][0].shape == (16, EYE_SIZE, EYE_SIZE, 3)
    assert set(straight[0][1].tolist()) <= set(range(len(EYE_STATES)))


def test_a_training_that_has_nothing_to_resume_starts_fresh(tmp_path):
    pytest.importorskip("torch")
    from convert.eyes.network import EyeNetwork
    from convert.eyes.train import RECIPE
    from convert.training.loop import fresh_progress

    progress = fresh_progress(EyeNetwork(), RECIPE)
    progress.load(tmp_path / "checkpoint.pt")
    assert progress.step == 0
    progress.step = 7
    progress.save(tmp_path / "checkpoint.pt")
    again = fresh_progress(EyeNetwork(), RECIPE)
    again.load(tmp_path / "checkpoint.pt")
    assert again.step == 7


def test_the_network_is_small():
    pytest.importorskip("torch")
    from convert.eyes.network import EyeNetwork

    assert sum(p.numel() for p in EyeNetwork().parameters()) * 4 < 200_000


def answers_of(images):
    engine = open_engine(load_manifest(default_engines_dir()), "eyes", threads=1)
    parts = [engine.run({"eyes": images[k : k + 32]})["probabilities"] for k in range(0, len(images), 32)]
    return np.concatenate(parts)


@needs_eyes
def test_the_shipped_classifier_knows_eyes_it_was_not_trained_on():
    _, held_out = split(read_crops(DATA / "eyes"))
    images, states = [], []
    for file in held_out:
        image = cv2.imread(str(file.path))
        height, width = image.shape[:2]
        images.append(eye_crops(image, [crop_frame(width, height)])[0])
        states.append(CLOSED if file.closed else OPEN)
    right = answers_of(np.stack(images)).argmax(axis=1) == np.array(states)
    assert len(states) > 150
    assert right.mean() >= 0.98


@needs_eyes
def test_the_shipped_classifier_calls_covered_eyes_hidden():
    rng = np.random.default_rng(5)
    frame = EyeFrame(WIDE / 2 - 0.5, WIDE / 2 - 0.5, WIDE / WIDE_MARGIN, 0.0, mirrored=False)
    crops = split(read_crops(DATA / "eyes"))[1]
    wide = [from_crop(CropFile(file.path, file.closed, file.place)).image for file in crops]
    covered = [(draw_sunglasses, draw_cover)[k % 2](image, rng) for k, image in enumerate(wide)]
    images = np.stack([eye_crops(image, [frame])[0] for image in covered])
    assert (answers_of(images).argmax(axis=1) == EYE_STATES.index("hidden")).mean() > 0.9


class TrueReaders:
    """Detector, landmarks and eyes that know the answer: the points of the pictures, at whatever size they are shown."""

    def __init__(self, faces):
        self.faces = faces

    def detect(self, image):
        return [Detection(Box(0, 0, image.shape[1], image.shape[0]), 0.9)]

    def read(self, image, faces, poses=None):
        number = round(float(image.mean()) / 50)
        if poses is None:
            points = self.faces[number] * image.shape[1] / 300
            return [Landmarks(points.astype(np.float32), np.zeros(68, np.float32))]
        ratio = eye_aspect_ratios(faces[0].points).image_left
        return [EyeReading(float(ratio > 0.1), ratio)]


def test_the_size_table_shows_perfect_readers_as_perfect(tmp_path):
    folder = tmp_path / "landmarks68" / "helen_test"
    (folder / "images").mkdir(parents=True)
    rows, faces = ["name," + ",".join(map(str, range(136)))], []
    for number, half in enumerate((0.0, 3.0, 5.0)):
        points = np.zeros((68, 2), np.float32)
        for first, x in ((36, 90), (42, 180)):
            outline = [(x, 90), (x + 9, 90 - half), (x + 21, 90 - half), (x + 30, 90), (x + 21, 90 + half)]
            points[first : first + 6] = [*outline, (x + 9, 90 + half)]
        faces.append(points)
        rows.append(f"{number}.png," + ",".join(str(v) for v in points.ravel()))
        cv2.imwrite(str(folder / "images" / f"{number}.png"), np.full((200, 300, 3), 50 * number, np.uint8))
    (folder / "points.csv").write_text("\n".join(rows))
    known = TrueReaders(faces)
    lines = size_table(tmp_path, known, known, known).splitlines()[2:]
    assert len(lines) == len(WIDTHS)
    for line, width in zip(lines, WIDTHS, strict=True):
        assert line == f"| {width:g} | 3 of 3 | 1.000 | 0.000 | 1.00 |"
