"""The one-stage detector's decoder against the obvious loops, and its manners with strange pictures and engines."""

import numpy as np
import pytest

from edged.detect.anchor_free import CHANNELS, STRIDES, AnchorFreeDetector, decode
from edged.detect.canvas import WorkingSize
from edged.errors import ModelError


class PlantedEngine:
    """Answers with faces planted at (stride, row, column), and remembers what it was shown."""

    name = "planted"
    backend = "test"

    def __init__(self, *faces):
        self.faces = faces
        self.shapes = []

    def run(self, inputs):
        image = inputs["image"]
        assert image.dtype == np.uint8
        _, height, width, _ = image.shape
        small_copy = bool(self.shapes)
        self.shapes.append(image.shape)
        assert height % 32 == width % 32 == 0
        answers = {f"stride{s}": np.zeros((1, CHANNELS, height // s, width // s), np.float32) for s in STRIDES}
        for stride, row, column, cell in self.faces if not small_copy else self.near_faces:
            answers[f"stride{stride}"][0, :, row, column] = cell
        return answers

    near_faces = ()
    """What the second call finds, which is given the small copy."""


def cell(score, width=2.0, height=3.0, dx=0.25, dy=-0.5, mask=(0.7, 0.2, 0.1)):
    points = [dx - 0.5, dy - 0.5, dx + 0.5, dy - 0.5, dx, dy, dx - 0.5, dy + 0.5, dx + 0.5, dy + 0.5]
    return np.array([score, dx, dy, width, height, *points, 1, 1, 0, 0, 0, *mask], np.float32)


def slow_decode(level, stride, threshold):
    rows = []
    for y in range(level.shape[1]):
        for x in range(level.shape[2]):
            c = level[:, y, x]
            if not np.isfinite(c).all() or c[0] < threshold:
                continue
            centre_x, centre_y = (x + 0.5 + c[1]) * stride, (y + 0.5 + c[2]) * stride
            w, h = c[3] * stride, c[4] * stride
            row = [c[0], centre_x - w / 2, centre_y - h / 2, centre_x + w / 2, centre_y + h / 2]
            for k in range(5):
                row += [(x + 0.5 + c[5 + 2 * k]) * stride, (y + 0.5 + c[6 + 2 * k]) * stride]
            rows.append([*row, *c[15:]])
    return np.array(rows, np.float32).reshape(-1, CHANNELS)


@pytest.mark.parametrize("stride", STRIDES)
def test_the_decoder_does_what_the_loops_do(stride):
    rng = np.random.default_rng(stride)
    level = rng.uniform(0, 4, (CHANNELS, 7, 11)).astype(np.float32)
    level[0] = rng.uniform(0, 1, (7, 11))
    level[9, 3, 4] = np.nan
    level[3, 2, 2] = np.inf
    level[0, 2:4, :] = 0.9
    np.testing.assert_allclose(decode(level, stride, 0.5), slow_decode(level, stride, 0.5), rtol=1e-5)


def test_half_precision_answers_lose_nothing_that_matters():
    level = np.zeros((CHANNELS, 20, 200), np.float32)
    level[:, 3, 199] = cell(0.9, dx=0.123, dy=0.377, width=5.43, height=6.1)
    exact, half = decode(level, 32, 0.5), decode(level.astype(np.float16), 32, 0.5)
    assert np.abs(exact - half)[:, 1:15].max() < 0.1


def test_a_face_comes_back_in_pixels_of_the_picture():
    # 200 x 100 is looked at 1.6 times as large; 320 x 160 needs no padding.
    engine = PlantedEngine((16, 4, 8, cell(0.9)))
    (face,) = AnchorFreeDetector(engine, WorkingSize(640, 1.6)).detect(np.zeros((100, 200, 3), np.uint8))
    assert engine.shapes == [(1, 160, 320, 3)]
    centre = np.array([8.75, 4.0]) * 16 / 1.6
    assert face.box == pytest.approx((centre[0] - 10, centre[1] - 15, centre[0] + 10, centre[1] + 15))
    assert face.points[2] == pytest.approx(centre)
    assert face.points.dtype == np.float32
    assert tuple(face.mask) == pytest.approx((0.7, 0.2, 0.1))
    assert face.score == pytest.approx(0.9)


def test_large_pictures_are_looked_at_smaller():
    engine = PlantedEngine((8, 5, 5, cell(0.9)))
    (face,) = AnchorFreeDetector(engine, WorkingSize(640, 1.6)).detect(np.zeros((1080, 1920, 3), np.uint8))
    assert engine.shapes == [(1, 384, 640, 3), (1, 192, 320, 3)]
    assert face.box.width == pytest.approx(2 * 8 * 3, rel=0.01)


def test_a_face_that_fills_the_picture_comes_from_the_small_copy_without_its_parts():
    # On 640 x 480 an eye and a wall beside the face are taken for faces; on 320 x 240 the face is seen as a whole.
    engine = PlantedEngine((16, 14, 18, cell(0.7, width=4, height=4)), (32, 7, 3, cell(0.9, width=7, height=7)))
    engine.near_faces = ((32, 3, 4, cell(0.95, width=4.5, height=5)),)
    (face,) = AnchorFreeDetector(engine, WorkingSize(640, 1.0)).detect(np.zeros((480, 640, 3), np.uint8))
    assert face.score == pytest.approx(0.95)
    assert face.box.height == 2 * 5 * 32
    assert face.points[2] == pytest.approx((2 * 32 * 4.75, 2 * 32 * 3))


def test_a_small_face_before_a_large_doubtful_one_stays():
    engine = PlantedEngine((8, 30, 38, cell(0.7, width=4, height=4)))
    engine.near_faces = ((32, 3, 4, cell(0.4, width=4.5, height=5)),)
    found = AnchorFreeDetector(engine, WorkingSize(640, 1.0)).detect(np.zeros((480, 640, 3), np.uint8))
    assert [face.score for face in found] == pytest.approx([0.7, 0.4])


def test_what_the_copy_shows_small_is_left_to_the_picture():
    engine = PlantedEngine((8, 10, 10, cell(0.6, width=4, height=4)))
    engine.near_faces = ((8, 5, 5, cell(0.9, width=2, height=2)),)
    (face,) = AnchorFreeDetector(engine, WorkingSize(640, 1.0)).detect(np.zeros((480, 640, 3), np.uint8))
    assert face.score == pytest.approx(0.6)


def test_the_best_of_overlapping_faces_is_kept_and_the_best_come_first():
    engine = PlantedEngine(
        (8, 5, 5, cell(0.6, 6.0)), (8, 5, 6, cell(0.8, 6.0)), (8, 15, 30, cell(0.7)), (32, 1, 9, cell(0.29))
    )
    found = AnchorFreeDetector(engine, WorkingSize(320, 1.0)).detect(np.zeros((160, 320, 3), np.uint8))
    assert [face.score for face in found] == pytest.approx([0.8, 0.7])


def test_boxes_are_cut_to_the_picture():
    engine = PlantedEngine((32, 0, 0, cell(0.9, width=4, height=4)))
    (face,) = AnchorFreeDetector(engine, WorkingSize(96, 1.0)).detect(np.zeros((50, 90, 3), np.uint8))
    assert face.box.x1 == face.box.y1 == 0
    assert face.box.y2 == 50


def test_a_wall_of_faces_is_bounded():
    level = [(8, row, column, cell(0.9, width=0.5, height=0.5)) for row in range(40) for column in range(40)]
    found = AnchorFreeDetector(PlantedEngine(*level), WorkingSize(320, 1.0), most=25).detect(
        np.zeros((320, 320, 3), np.uint8)
    )
    assert len(found) == 25


@pytest.mark.parametrize("shape", [(0, 10, 3), (10, 0, 3)])
def test_an_empty_picture_has_no_faces(shape):
    assert AnchorFreeDetector(PlantedEngine()).detect(np.zeros(shape, np.uint8)) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 3), (7, 5, 3)])
def test_odd_pictures_are_no_obstacle(shape):
    assert AnchorFreeDetector(PlantedEngine()).detect(np.zeros(shape, np.uint8)) == []


def test_an_answer_that_is_none_of_ours_is_refused():
    class OtherEngine(PlantedEngine):
        def run(self, inputs):
            return {"boxes": np.zeros((1, 4), np.float32)}

    with pytest.raises(ModelError, match="no such detector as edged"):
        AnchorFreeDetector(OtherEngine()).detect(np.zeros((64, 64, 3), np.uint8))
