"""Labelling photographs with two teachers: what is a face, what is ignored, and that a training can read it."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from convert.data.coco import pictures_in, read_coco
from convert.data.held_out import scored_below, training_part
from convert.data.pseudo_labels import BOXES, LONGEST, Label, Teachers, label_pictures
from convert.data.split import NEAR_DUPLICATE_BITS, difference_hash
from convert.detector.pictures import More
from convert.mask.sources import added_people
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
    trained = list(More.read([tmp_path / "out"], []).pictures(Told(), np.random.default_rng(0)))
    assert 0 < len(trained) == len(training_part(read)) < 20
    assert {picture.group for picture in trained} == {"people"}


def test_boxes_end_where_the_picture_does():
    (label,) = labels(
        [((-20.0, 60.0, 30.0, 130.0), 0.9), ((-30.0, -30.0, -5.0, 10.0), 0.9)], [((0.0, 60.0, 30.0, 100.0), 0.9)]
    )
    assert label == Label((0.0, 60.0, 30.0, 100.0), 0.9, 0.9, False)


SURE = Teachers([Told((LARGE, 0.9))], [Told((LARGE, 0.9))])


def photograph(path, height=100, width=200):
    cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))
    return path


def test_a_picture_that_cannot_be_read_is_told_of_and_left_out(tmp_path, capsys):
    pictures = [photograph(tmp_path / "a.jpg"), tmp_path / "b.jpg", tmp_path / "c.jpg", photograph(tmp_path / "d.PNG")]
    pictures[1].write_bytes(b"")
    pictures[2].write_bytes(pictures[0].read_bytes()[:-200])
    assert pictures_in(tmp_path) == pictures
    assert label_pictures(pictures, SURE, tmp_path / "out") == 2
    assert [picture.path.name for picture in read_coco(tmp_path / "out", BOXES, ".")] == ["00001.jpg", "00004.jpg"]
    told = capsys.readouterr().err
    assert "b.jpg: is empty" in told
    assert "c.jpg: cut off" in told


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 1), (1, 1), (512, 513)])
def test_pictures_of_any_shape_are_labelled(tmp_path, shape):
    label_pictures([photograph(tmp_path / "a.png", *shape)], Teachers([Told()], [Told()]), tmp_path / "out")
    written = cv2.imread(str(tmp_path / "out" / "00001.jpg"))
    assert max(written.shape[:2]) == min(max(shape), LONGEST)


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_pictures_are_labelled(tmp_path, channels):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((100, 200, channels), 90, np.uint8))
    assert label_pictures([tmp_path / "a.png"], SURE, tmp_path / "out") == 1


def test_the_pictures_own_folder_is_not_written_into(tmp_path):
    pictures = [photograph(tmp_path / "00002.jpg"), photograph(tmp_path / "00003.jpg")]
    (tmp_path / "link").symlink_to(tmp_path)
    before = pictures[0].read_bytes()
    for out in (tmp_path, tmp_path / "link"):
        with pytest.raises(UsageError, match="name another --out"):
            label_pictures(pictures, SURE, out)
    assert pictures[0].read_bytes() == before
    assert label_pictures(pictures, SURE, tmp_path / "out") == 2


def test_an_interrupted_run_leaves_no_labels_of_an_earlier_one(tmp_path):
    class Interrupted(Told):
        def detect(self, image):
            raise KeyboardInterrupt

    label_pictures([photograph(tmp_path / "a.jpg")], SURE, tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        label_pictures([photograph(tmp_path / "b.jpg")], Teachers([Interrupted()], [Told()]), tmp_path / "out")
    with pytest.raises(UsageError, match=r"boxes\.json: not found; --people names"):
        More.read([tmp_path / "out"], [])


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(UsageError, match="holds no pictures"):
        pictures_in(tmp_path)
    with pytest.raises(UsageError, match="holds no pictures"):
        More.read([], [tmp_path])


def test_which_pictures_are_held_out_does_not_depend_on_how_their_folder_was_written(tmp_path, monkeypatch):
    for number in range(20):
        photograph(tmp_path / f"{number}.jpg", 8, 8)
    monkeypatch.chdir(tmp_path)
    whole, here = (More.read([], [folder]).nobody for folder in (tmp_path, Path()))
    assert [picture.path.name for picture in here] == [picture.path.name for picture in whole]


def test_pictures_of_nobody_have_no_face_and_some_are_held_out(tmp_path):
    for number in range(20):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), np.zeros((8, 8, 3), np.uint8))
    trained = list(More.read([], [tmp_path]).pictures(Told(), np.random.default_rng(0)))
    assert 10 < len(trained) < 20
    assert all(picture.group == "empty" and len(picture.faces) == 0 for picture in trained)


def test_what_looks_like_a_picture_that_scores_us_is_not_learned_from(tmp_path):
    """Neither a person, nor a picture of nobody, wherever it came from and whatever it is called there."""
    rng = np.random.default_rng(0)
    scored, people, nobody = tmp_path / "data/people/negatives", tmp_path / "people", tmp_path / "nobody"
    for folder in (scored, people, nobody):
        folder.mkdir(parents=True)
    shades = {number: cv2.resize(rng.integers(0, 255, (6, 6, 3)).astype(np.uint8), (64, 48)) for number in range(60)}
    (scored / "boxes.json").write_text("{}")
    for number in range(20):
        cv2.imwrite(str(scored / f"{number}.png"), shades[number])
    back = [path for path in scored_below(tmp_path / "data") if path.parent == scored]
    assert 0 < len(back) < 20
    copied, other = shades[int(back[0].stem)], shades[30]
    for folder in (people, nobody):
        for number in range(10):
            cv2.imwrite(str(folder / f"copy-{number}.jpg"), copied)
            cv2.imwrite(str(folder / f"other-{number}.jpg"), other)
    label_pictures(sorted(people.glob("*.jpg")), SURE, tmp_path / "labelled")
    more = More.read([tmp_path / "labelled"], [nobody])
    new = more.unlike(scored_below(tmp_path / "data"))
    for before, after in ((more.people, new.people), (more.nobody, new.nobody)):
        assert 0 < len(after) < len(before)
        hashes = {difference_hash(picture.path) for picture in after}
        assert min((difference_hash(back[0]) ^ one).bit_count() for one in hashes) > NEAR_DUPLICATE_BITS
    judged = added_people(tmp_path / "data", [tmp_path / "labelled"])
    assert [picture.path for picture in judged] == [picture.path for picture in new.people]


def test_scored_pictures_are_those_of_every_labelled_folder_and_the_test_portraits(tmp_path):
    """But for folders that trainings see whole."""
    labelled = {
        "masks853/images": "../annotations.json",
        "people/someone": "boxes.json",
        "people/mtfl80": "boxes.json",
        "mask_scenes3/ilc/images": "../annotations.json",
        "empty/scenes/images": "../annotations.json",
        "empty/crops/images": "../annotations.json",
        "landmarks68/helen_test/images": "../points.csv",
    }
    for name, labels in labelled.items():
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / labels).write_text("")
        for number in range(20):
            (folder / f"{number}.jpg").write_bytes(b"")
    found = Counter(str(path.parent.relative_to(tmp_path)) for path in scored_below(tmp_path))
    assert found.keys() == labelled.keys() - {"people/mtfl80", "empty/crops/images"}
    assert found.pop("landmarks68/helen_test/images") == 20
    assert all(0 < count < 10 for count in found.values())


def test_a_missing_teacher_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"yunet_n_dynamic\.onnx: not found"):
        Teachers.open(tmp_path, tmp_path)
