"""Two looks at a still picture: faces lie where both put them, and what one alone shows counts half."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.detect.anchor_free import CHANNELS, AnchorFreeDetector
from edged.detect.canvas import WorkingSize
from edged.detect.mirrored import MIRRORED_POINTS, MirroringDetector, mirrored
from edged.inference import load_manifest, open_engine

ENGINES = Path(__file__).parents[1] / "engines"
WIDTH = 200


class Looks(AnchorFreeDetector):
    """Shows these rows of the picture as it is, and those of the mirrored one, in turn."""

    def __init__(self, straight, turned):
        super().__init__(engine=None)
        self._looks = [straight, turned]

    def candidates(self, image):
        return self._looks.pop(0)


def rows(*faces):
    """A row for each (score, x1, y1, x2, y2), its five points in the box."""
    found = np.zeros((len(faces), CHANNELS), np.float32)
    for row, (score, x1, y1, x2, y2) in zip(found, faces, strict=True):
        row[:5] = score, x1, y1, x2, y2
        across, down = np.array([0.3, 0.7, 0.5, 0.35, 0.65]), np.array([0.4, 0.4, 0.6, 0.8, 0.8])
        row[5:15] = np.stack([x1 + across * (x2 - x1), y1 + down * (y2 - y1)], axis=1).ravel()
        row[20:23] = 0.7, 0.2, 0.1
    return found


def looked(straight, turned):
    return MirroringDetector(Looks(straight, turned)).detect(np.zeros((100, WIDTH, 3), np.uint8))


def test_rows_mirrored_twice_are_the_same_and_left_stays_left():
    found = rows((0.9, 20, 10, 60, 50), (0.5, 100, 20, 120, 44))
    once = mirrored(found, WIDTH)
    np.testing.assert_allclose(mirrored(once, WIDTH), found, atol=1e-4)
    assert once[0, 1:5].tolist() == [140, 10, 180, 50]
    points = once[0, 5:15].reshape(5, 2)
    assert points[0, 0] < points[1, 0]
    assert points[3, 0] < points[4, 0]
    assert sorted(MIRRORED_POINTS) == [0, 1, 2, 3, 4]


def test_a_face_that_both_show_lies_between_them_with_the_mean_of_their_scores():
    (face,) = looked(rows((0.9, 20, 10, 60, 50)), mirrored(rows((0.7, 24, 10, 64, 50)), WIDTH))
    assert face.score == pytest.approx(0.8)
    assert 20 < face.box.x1 < 22, "the surer look has more to say"
    assert face.box.x2 == pytest.approx(face.box.x1 + 40)
    assert face.points[0] == pytest.approx((face.box.x1 + 12, 26), abs=1e-3)


def test_what_one_look_alone_shows_keeps_half_of_its_score():
    found = looked(rows((0.8, 20, 10, 60, 50)), mirrored(rows((0.9, 120, 10, 160, 50)), WIDTH))
    assert [(round(face.score, 3), round(face.box.x1)) for face in found] == [(0.45, 120), (0.4, 20)]


def test_two_faces_side_by_side_stay_two():
    pair = rows((0.9, 20, 10, 60, 50), (0.6, 40, 10, 80, 50))
    assert [round(face.score, 3) for face in looked(pair, mirrored(pair, WIDTH))] == [0.9, 0.6]


def test_nothing_is_nobody():
    assert looked(rows(), rows()) == []
    assert MirroringDetector(Looks(rows(), rows())).detect(np.zeros((0, 0, 3), np.uint8)) == []


def test_a_mirrored_picture_holds_the_same_faces_mirrored():
    # 320 x 224 needs no padding: the network sees both pictures at the very same places.
    image = cv2.resize(cv2.imread(str(ENGINES / "golden" / "crowd.jpg")), (320, 224))
    engine = open_engine(load_manifest(ENGINES), "detector", threads=1)
    detector = MirroringDetector(AnchorFreeDetector(engine, WorkingSize(640, 1.0), score=0.3))
    straight = detector.detect(image)
    turned = detector.detect(np.ascontiguousarray(image[:, ::-1]))
    assert straight
    for one, other in zip(straight, turned, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert one.box.x1 == pytest.approx(320 - other.box.x2, abs=0.05)
        np.testing.assert_allclose(one.points[0], (320 - other.points[1][0], other.points[1][1]), atol=0.05)
