"""MTCNN finds what the package `mtcnn` 1.0.0 finds, whatever the picture's size, and within its bounds."""

import hashlib
import json
import math

import cv2
import numpy as np
import pytest
from fixtures.record_mtcnn_reference import RECORD, portraits, shared_data
from hypothesis import given
from hypothesis import strategies as st

from edged.baselines import mtcnn
from edged.baselines.mtcnn import Mtcnn, MtcnnSettings
from edged.errors import ConfigError, UsageError
from edged.inference import default_engines_dir, load_manifest, open_engine
from edged.readers import DetectionLimits, make_detector

REFERENCE = json.loads(RECORD.read_text())
PHOTOGRAPH_PX = 1.0
PORTRAIT_PX = 0.3  # no decoder between us and the record, so nothing but arithmetic may differ


@pytest.fixture(scope="module")
def manifest():
    found = load_manifest(default_engines_dir())
    if not all((found.directory / found.entry(f"mtcnn-{net}").file).exists() for net in ("pnet", "rnet", "onet")):
        pytest.skip("MTCNN's networks are not built: run `make setup` or `python -m convert mtcnn`")
    return found


@pytest.fixture(scope="module")
def detector(manifest):
    return parity_detector(manifest, 20)


def parity_detector(manifest, smallest_face):
    """With the package's own thresholds, at which the reference was recorded."""
    networks = (open_engine(manifest, f"mtcnn-{net}", threads=1) for net in ("pnet", "rnet", "onet"))
    return Mtcnn(*networks, MtcnnSettings(smallest_face=smallest_face))


@pytest.fixture(scope="module")
def pictures():
    return portraits()


def assert_same_faces(found, expected, tolerance_px):
    assert len(found) == len(expected)
    for face in expected:
        near = min(found, key=lambda other: np.abs(np.subtract(other.box, face["box"])).max())
        np.testing.assert_allclose(near.box, face["box"], atol=tolerance_px)
        np.testing.assert_allclose(near.points, face["points"], atol=tolerance_px)
        assert near.score == pytest.approx(face["score"], abs=0.01)


@pytest.mark.parametrize("name", REFERENCE["portraits"])
def test_portraits_give_the_packages_faces(detector, pictures, name):
    assert REFERENCE["portraits"][name], "the reference finds a face in every portrait"
    assert_same_faces(detector.detect(pictures[name]), REFERENCE["portraits"][name], PORTRAIT_PX)


@pytest.mark.parametrize("photograph", REFERENCE["photographs"], ids=lambda photograph: photograph["file"])
def test_photographs_give_the_packages_faces(detector, photograph):
    path = shared_data() / photograph["file"]
    if not path.exists():
        pytest.skip(f"no {path}: set EDGED_SHARED to the folder that holds data/")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == photograph["sha256"], "another picture than was recorded"
    assert_same_faces(detector.detect(cv2.imread(str(path))), photograph["faces"], PHOTOGRAPH_PX)


def test_faces_come_best_first_with_points_in_order(detector, pictures):
    found = detector.detect(pictures["two faces"])
    assert [face.score for face in found] == sorted((face.score for face in found), reverse=True)
    for face in found:
        left_eye, right_eye, nose, left_mouth, right_mouth = face.points
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
        assert face.points.dtype == np.float32
        assert all(isinstance(value, float) for value in (*face.box, face.score))


def test_smaller_faces_are_left_out_and_larger_ones_are_not(manifest, pictures):
    def found(smallest_face):
        detector = parity_detector(manifest, smallest_face)
        return len(detector.detect(pictures["two faces"]))  # about 55 and 110 px high

    assert {size: found(size) for size in (12, 40, 100, 300)} == {12: 2, 40: 2, 100: 1, 300: 0}


@pytest.mark.parametrize(
    "shape",
    [(0, 0), (0, 50), (50, 0), (1, 1), (2, 900), (11, 300), (20, 20), (21, 21), (34, 35), (20, 10_000), (10_000, 21)],
)
def test_odd_sizes_are_no_trouble(detector, shape):
    noise = np.random.default_rng(5).integers(0, 256, (*shape, 3), np.uint8)
    for face in detector.detect(noise):
        assert 0 <= face.box.x1 <= face.box.x2 <= shape[1] - 1
        assert 0 <= face.box.y1 <= face.box.y2 <= shape[0] - 1


def test_a_picture_too_long_to_resample_is_refused(detector):
    with pytest.raises(UsageError, match="at most 32766 px"):
        detector.detect(np.zeros((1, mtcnn.MAX_SIDE + 1, 3), np.uint8))


def test_views_and_read_only_pictures_are_fine_and_left_alone(detector, pictures):
    picture = pictures["halved"]
    expected = [face.box for face in detector.detect(picture)]
    wide = np.zeros((256, 512, 3), np.uint8)
    wide[:, ::2] = picture
    view = wide[:, ::2]
    view.flags.writeable = False
    assert [face.box for face in detector.detect(view)] == expected
    assert np.array_equal(view, picture)


def test_strips_and_the_precise_copy_change_cost_not_faces(detector, pictures, monkeypatch):
    picture = np.concatenate([pictures["two faces"]] * 3)
    expected = detector.detect(picture)
    monkeypatch.setattr(mtcnn, "STRIP_PIXELS", 1 << 12)
    striped = detector.detect(picture)
    assert len(striped) == len(expected) == 6
    np.testing.assert_allclose(sorted(face.box for face in striped), sorted(face.box for face in expected), atol=0.01)
    monkeypatch.setattr(mtcnn, "PRECISE_VALUES", 0)
    rounded = detector.detect(picture)
    assert len(rounded) == len(expected)
    np.testing.assert_allclose(sorted(face.box for face in rounded), sorted(face.box for face in expected), atol=5)


@given(st.integers(12, 400), st.integers(12, 400), st.integers(1, 20_000))
def test_strips_cover_every_row_of_windows_once(height, width, limit):
    def rows(length):
        return math.ceil((length - 2) / 2) - 4  # valid 3 x 3, pooling rounded up, two valid 3 x 3

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mtcnn, "STRIP_PIXELS", limit)
        strips = list(mtcnn.strips(height, width))
    windows = [first // 2 + row for first, last in strips for row in range(rows(last - first))]
    assert windows == list(range(rows(height)))
    assert max(last - first for first, last in strips) * width <= max(limit, 24 * width) + 10 * width


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_the_pyramid_is_the_packages(height, width):
    count = round(-((math.log(min(height, width) / 12) / math.log(0.709)) + 1))
    expected = [0.6 * 0.709**k for k in range(count)]
    assert mtcnn.scales(height, width, MtcnnSettings()) == pytest.approx(expected)


@given(st.integers(1, 3000), st.integers(1, 3000), st.floats(4, 500), st.floats(0.1, 0.95))
def test_no_scale_is_too_small_for_a_window(height, width, smallest_face, factor):
    for scale in mtcnn.scales(height, width, MtcnnSettings(smallest_face, factor)):
        assert min(int(height * scale), int(width * scale)) >= 12


def slow_patch(image, box, size):
    """TensorFlow's crop_and_resize, one sample at a time."""
    height, width = image.shape[:2]
    found = np.full((size, size, 3), 127.5)
    for row in range(size):
        for column in range(size):
            y = (box[1] / height + row * (box[3] - box[1]) / height / (size - 1)) * (height - 1)
            x = (box[0] / width + column * (box[2] - box[0]) / width / (size - 1)) * (width - 1)
            if 0 <= y <= height - 1 and 0 <= x <= width - 1:
                top, left = int(y), int(x)
                bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
                upper = image[top, left] * (1 - (x - left)) + image[top, right] * (x - left)
                lower = image[bottom, left] * (1 - (x - left)) + image[bottom, right] * (x - left)
                found[row, column] = upper * (1 - (y - top)) + lower * (y - top)
    return found


def test_patches_are_sampled_like_crop_and_resize():
    smooth = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8), (0, 0), 2)
    image = smooth.astype(np.float32)
    boxes = np.array([(3.3, 4.4, 33.3, 34.4), (-9, -5, 21, 25), (45, 20, 80, 55), (0, 0, 60, 60), (90, 90, 99, 99)])
    found = mtcnn.patches(image, boxes.astype(np.float32), 24)
    assert found.shape == (5, 24, 24, 3)
    assert found.dtype == np.float32
    for patch, box in zip(found, boxes, strict=True):
        # OpenCV 4 places samples on a grid of 1/32 px.
        np.testing.assert_allclose(patch, slow_patch(smooth, box, 24), atol=1.0)
    assert (found[4] == 127.5).all()


class EverythingIsAFace:
    """A network that is sure of everything, and remembers how much it was given."""

    backend = "fake"

    def __init__(self, name, points=False):
        self.name = name
        self.points = points
        self.batches = []
        self._rng = np.random.default_rng(8)

    def run(self, inputs):
        picture = inputs["picture"]
        assert picture.dtype == np.float32
        self.batches.append(picture.shape)
        if self.name == "pnet":
            rows, columns = (math.ceil((side - 2) / 2) - 4 for side in picture.shape[1:3])
            shape = (1, rows, columns)
            return {"probabilities": self._sure(shape), "offsets": self._offsets((1, 4, rows, columns))}
        count = len(picture)
        found = {"probabilities": self._sure((count,)), "offsets": self._offsets((count, 4))}
        return {**found, "points": np.full((count, 5, 2), 0.5, np.float32)} if self.points else found

    def _sure(self, shape):
        return self._rng.uniform(0.9, 1, shape).astype(np.float32)

    def _offsets(self, shape):
        return self._rng.uniform(-3, 3, shape).astype(np.float32)


def test_the_worst_picture_stays_within_bounds():
    pnet, rnet, onet = EverythingIsAFace("pnet"), EverythingIsAFace("rnet"), EverythingIsAFace("onet", points=True)
    found = Mtcnn(pnet, rnet, onet).detect(np.zeros((1080, 1920, 3), np.uint8))
    assert 0 < len(found) <= mtcnn.MAX_CANDIDATES
    assert [shape[0] for shape in rnet.batches] == [mtcnn.MAX_PROPOSALS], "one full batch"
    assert len(onet.batches) == 1
    assert onet.batches[0][0] <= mtcnn.MAX_CANDIDATES
    assert max(shape[1] * shape[2] for shape in pnet.batches) <= mtcnn.STRIP_PIXELS + 10 * 1920
    assert max(mtcnn.MAX_PROPOSALS * 24, mtcnn.MAX_CANDIDATES * 48) < mtcnn.MAX_SIDE, "patches are resampled as one"


@pytest.mark.parametrize(
    "wrong",
    [
        {"smallest_face": 0},
        {"smallest_face": math.nan},
        {"scale_factor": 1.0},
        {"thresholds": (0.6, 0.7, 1.0)},
        {"thresholds": (-0.1, 0.7, 0.8)},
    ],
)
def test_senseless_settings_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MtcnnSettings(**wrong)


def test_the_detector_by_name_also_finds_weak_faces(manifest, detector, pictures):
    by_name = make_detector("mtcnn", lambda name: open_engine(manifest, name, threads=1), DetectionLimits(20, 0.35))
    for picture in pictures.values():
        assert len(by_name.detect(picture)) >= len(detector.detect(picture)) > 0


def test_an_unknown_detector_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'haar' is not known; known are: .*mtcnn"):
        make_detector("haar", lambda name: pytest.fail(name), DetectionLimits(20, 0.35))
