"""Labelling photographs with two teachers: what is a face, what is ignored, and that a training can read it."""

import cv2
import numpy as np
import pytest

from convert.data.coco import read_coco
from convert.data.held_out import training_part
from convert.data.pseudo_labels import BOXES, LONGEST, Label, Teachers, label_pictures
from convert.detector.pictures import More
from edged.errors import UsageError
from edged.types import Box, Detection

LARGE, SMALL = (20.0, 20.0, 60.0, 70.0), (100.0, 20.0, 114.0, 36.0)


class Told:
    """A teacher that sees the same in every picture: boxes with scores."""

    def __init__(self, *finds):
        self.finds = finds

    def detect(self, image):
        return [Detection(Box(*box), score) for box, score in self.finds]

    def find(self, image, scale, threshold):
        rows = [(*box, score, *range(10)) for box, score in self.finds]
        return np.array(rows, np.float32).reshape(-1, 15)


def labels(yunet, retinaface):
    teachers = Teachers([Told(*yunet)], [Told(*retinaface)])
    return teachers.label(np.zeros((100, 200, 3), np.uint8))


@pytest.mark.parametrize(
    ("box", "yunet", "retinaface", "ignored"),
    [
        (LARGE, 0.75, 0.70, False),
        (LARGE, 0.74, 0.70, True),
        (LARGE, 0.86, 0.35, False),
        (LARGE, 0.0, 0.99, True),
        (SMALL, 0.62, 0.5, False),
        (SMALL, 0.80, 0.35, False),
        (SMALL, 0.61, 0.5, True),
        (LARGE, 0.3, 0.3, True),
        (LARGE, 0.5, 0.0, True),
    ],
)
def test_a_face_is_what_both_teachers_are_sure_of_and_a_doubtful_one_is_ignored(box, yunet, retinaface, ignored):
    (label,) = labels([(box, yunet)] if yunet else [], [(box, retinaface)] if retinaface else [])
    assert label.ignored is ignored
    assert label.box == pytest.approx(box)


def test_what_one_teacher_hardly_sees_is_forgotten():
    assert labels([(LARGE, 0.45)], []) == []
    assert labels([], [(LARGE, 0.49)]) == []


def test_a_face_of_a_few_pixels_is_ignored_however_sure_they_are():
    (label,) = labels([((5.0, 5.0, 12.0, 12.9), 0.99)], [((5.0, 5.0, 12.0, 12.9), 0.99)])
    assert label.ignored


def test_looks_of_one_face_are_one_label_with_the_box_that_yunet_gives():
    moved = tuple(value + 4 for value in LARGE)
    teachers = Teachers([Told((LARGE, 0.9)), Told((moved, 0.3))], [Told((tuple(v + 8 for v in LARGE), 0.8))])
    (label,) = teachers.label(np.zeros((100, 200, 3), np.uint8))
    assert label == Label(pytest.approx(tuple(value + 1 for value in LARGE)), 0.9, 0.8, False)


def test_labelled_pictures_are_shrunk_and_a_training_reads_them(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(20):
        grey = np.full((512, 1024, 3), number, np.uint8)
        cv2.imwrite(str(pictures / f"somebody-{number:02}.jpg"), grey)
    teachers = Teachers([Told((LARGE, 0.9), (SMALL, 0.4))], [Told((LARGE, 0.9), (SMALL, 0.4))])
    assert label_pictures(sorted(pictures.glob("*.jpg")), teachers, tmp_path / "out") == 20
    read = read_coco(tmp_path / "out", BOXES, ".")
    assert cv2.imread(str(read[0].path)).shape == (LONGEST // 2, LONGEST, 3)
    assert read[0].ignored.tolist() == [False, True]
    trained = list(More(people=[tmp_path / "out"]).pictures(Told(), np.random.default_rng(0)))
    assert 0 < len(trained) == len(training_part(read)) < 20
    assert {picture.group for picture in trained} == {"people"}


def test_pictures_of_nobody_have_no_face_and_some_are_held_out(tmp_path):
    for number in range(20):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), np.zeros((8, 8, 3), np.uint8))
    trained = list(More(nobody=[tmp_path]).pictures(Told(), np.random.default_rng(0)))
    assert 10 < len(trained) < 20
    assert all(picture.group == "empty" and len(picture.faces) == 0 for picture in trained)


def test_a_missing_teacher_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"yunet_n_dynamic\.onnx: not found"):
        Teachers.open(tmp_path, tmp_path)
