"""RetinaFace's decoder against the obvious loops, its manners with strange pictures and engines, and a portrait."""

import math
import shutil
from typing import get_args

import numpy as np
import pytest

from edged.baselines.retinaface import ANCHORS, CHANNELS, MEAN_BGR, VALUES, RetinaFace, RetinaFaceSettings, decode
from edged.config.model import DetectorName
from edged.detect.canvas import WorkingSize
from edged.errors import ConfigError, ModelError
from edged.inference import default_engines_dir, load_manifest, open_engine
from edged.readers import DETECTORS, DetectionLimits, make_detector

NOTHING = -9.0


class PlantedEngine:
    """Answers with faces planted at (stride, anchor, row, column), and remembers what it was shown."""

    name = "planted"
    backend = "test"

    def __init__(self, *faces):
        self.faces = faces
        self.image = None

    def run(self, inputs):
        self.image = image = inputs["image"]
        assert image.dtype == np.uint8
        _, height, width, _ = image.shape
        assert height % 32 == width % 32 == 0
        answers = {}
        for stride in ANCHORS:
            answers[f"stride{stride}"] = np.zeros((1, CHANNELS, height // stride, width // stride), np.float32)
            answers[f"stride{stride}"][:, ::VALUES] = NOTHING
        for stride, anchor, row, column, values in self.faces:
            answers[f"stride{stride}"][0, anchor * VALUES : (anchor + 1) * VALUES, row, column] = values
        return answers


def values(score, dx=0.0, dy=0.0, dw=0.0, dh=0.0):
    points = [-2, -2, 2, -2, 0, 0, -2, 2, 2, 2]
    return np.array([math.log(score / (1 - score)), dx, dy, dw, dh, *points], np.float32)


def slow_decode(level, stride, threshold):
    rows = []
    for anchor, side in enumerate(ANCHORS[stride]):
        for y in range(level.shape[1]):
            for x in range(level.shape[2]):
                v = level[anchor * VALUES : (anchor + 1) * VALUES, y, x].astype(float)
                if not np.isfinite(v).all() or 1 / (1 + math.exp(-v[0])) < threshold:
                    continue
                middle_x, middle_y = (x + 0.5) * stride, (y + 0.5) * stride
                centre_x, centre_y = middle_x + 0.1 * v[1] * side, middle_y + 0.1 * v[2] * side
                w, h = side * math.exp(0.2 * v[3]), side * math.exp(0.2 * v[4])
                row = [1 / (1 + math.exp(-v[0]))]
                row += [centre_x - w / 2, centre_y - h / 2, centre_x + w / 2, centre_y + h / 2]
                for k in range(5):
                    row += [middle_x + 0.1 * v[5 + 2 * k] * side, middle_y + 0.1 * v[6 + 2 * k] * side]
                rows.append(row)
    return np.array(rows, np.float32).reshape(-1, VALUES)


@pytest.mark.parametrize("stride", ANCHORS)
def test_the_decoder_does_what_the_loops_do(stride):
    rng = np.random.default_rng(stride)
    level = rng.normal(0, 2, (CHANNELS, 7, 11)).astype(np.float32)
    level[9, 3, 4] = np.nan
    level[18, 2, 2] = np.inf
    level[::VALUES, 2:4] = 4
    found, expected = decode(level, stride, 0.4), slow_decode(level, stride, 0.4)
    assert 20 < len(expected) < CHANNELS * 77 / VALUES - 2
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    assert found.dtype == np.float32


def test_half_precision_answers_are_decoded_in_single_precision():
    level = np.full((CHANNELS, 20, 200), NOTHING, np.float32)
    level[VALUES:, 3, 199] = values(0.9, 1.234, -3.77, 2.2, 2.7)
    exact, half = decode(level, 32, 0.5), decode(level.astype(np.float16), 32, 0.5)
    assert half.dtype == np.float32
    assert np.abs(exact - half).max() < 0.2


def test_absurd_answers_stay_finite():
    level = np.full((CHANNELS, 1, 1), 60_000, np.float16)
    assert np.isfinite(decode(level, 32, 0.5)).all()


def test_a_face_comes_back_in_pixels_of_the_picture():
    engine = PlantedEngine((16, 1, 2, 3, values(0.9, 1.0, -1.0)))
    (face,) = RetinaFace(engine).detect(np.zeros((90, 150, 3), np.uint8))
    # The second square of stride 16 is 64 px wide; its cell's middle is (56, 40).
    assert face.box == pytest.approx((30.4, 1.6, 94.4, 65.6))
    assert face.points[0] == pytest.approx([56 - 12.8, 40 - 12.8])
    assert face.points[2] == pytest.approx([56, 40])
    assert face.points.dtype == np.float32
    assert face.score == pytest.approx(0.9)
    assert all(isinstance(value, float) for value in (*face.box, face.score))


def test_pictures_are_filled_up_with_what_is_nothing_to_the_network():
    engine = PlantedEngine()
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    RetinaFace(engine).detect(picture)
    assert engine.image.shape == (1, 64, 96, 3)
    assert np.array_equal(engine.image[0, :50, :70], picture)
    assert (engine.image[0, 50:] == MEAN_BGR).all()
    assert (engine.image[0, :, 70:] == MEAN_BGR).all()


def test_the_best_of_overlapping_faces_is_kept_and_the_best_come_first():
    faces = [(8, 1, 5, 5, values(0.6)), (8, 1, 5, 6, values(0.8)), (8, 1, 15, 30, values(0.7))]
    engine = PlantedEngine(*faces, (32, 0, 1, 9, values(0.29)))
    found = RetinaFace(engine, RetinaFaceSettings(score=0.3)).detect(np.zeros((160, 320, 3), np.uint8))
    assert [face.score for face in found] == pytest.approx([0.8, 0.7])


def test_boxes_are_cut_to_the_picture_and_those_outside_left_out():
    engine = PlantedEngine((32, 0, 0, 0, values(0.9)), (8, 0, 7, 11, values(0.8)))
    (face,) = RetinaFace(engine).detect(np.zeros((50, 80, 3), np.uint8))
    assert face.box.x1 == face.box.y1 == 0
    assert face.box.y2 == 50


def test_a_wall_of_faces_is_bounded():
    cells = np.random.default_rng(2).permutation(1600)
    wall = [(8, 0, *divmod(cell, 40), values(0.9 - 0.0003 * k, dw=-5, dh=-5)) for k, cell in enumerate(cells)]
    found = RetinaFace(PlantedEngine(*wall), RetinaFaceSettings(most=25)).detect(np.zeros((320, 320, 3), np.uint8))
    assert [face.score for face in found] == pytest.approx([0.9 - 0.0003 * k for k in range(25)], abs=1e-5)


@pytest.mark.parametrize("shape", [(0, 10), (10, 0), (1, 1), (7, 5), (20, 10_000), (10_000, 20)])
def test_odd_pictures_are_no_obstacle(shape):
    assert RetinaFace(PlantedEngine()).detect(np.zeros((*shape, 3), np.uint8)) == []


def test_a_picture_too_large_is_shrunk_and_its_faces_told_in_its_own_pixels():
    engine = PlantedEngine((8, 0, 7, 11, values(0.8)))
    (small,) = RetinaFace(engine).detect(np.zeros((100, 160, 3), np.uint8))
    (large,) = RetinaFace(engine, working_size=WorkingSize(160, 1.0)).detect(np.zeros((1000, 1600, 3), np.uint8))
    assert large.box == pytest.approx([10 * v for v in small.box])
    assert large.points == pytest.approx(10 * small.points)


@pytest.mark.parametrize("answer", [{}, {f"stride{s}": np.zeros((1, 23, 64 // s, 64 // s)) for s in ANCHORS}])
def test_an_answer_that_is_not_retinafaces_is_refused(answer):
    class OtherEngine(PlantedEngine):
        def run(self, inputs):
            return answer

    with pytest.raises(ModelError, match="stride8 is missing or not"):
        RetinaFace(OtherEngine()).detect(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize("wrong", [{"score": 0}, {"score": 1}, {"score": math.nan}, {"overlap": -0.1}, {"most": 0}])
def test_senseless_settings_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RetinaFaceSettings(**wrong)


def test_the_config_knows_the_detectors_that_there_are():
    assert set(get_args(DetectorName)) == set(DETECTORS)


def test_the_config_makes_it_by_name_with_the_least_score():
    engine = PlantedEngine((8, 0, 1, 1, values(0.5)), (8, 0, 1, 6, values(0.35)))
    opened = []
    found = make_detector(
        "retinaface", lambda name: opened.append(name) or engine, DetectionLimits(40, least_score=0.4)
    )
    assert opened == ["retinaface"]
    assert len(found.detect(np.zeros((64, 64, 3), np.uint8))) == 1


def test_a_missing_model_names_the_command_that_builds_it(tmp_path):
    shutil.copy(default_engines_dir() / "manifest.toml", tmp_path)
    manifest = load_manifest(tmp_path)
    with pytest.raises(ModelError, match=r"retinaface\.onnx: cannot be read .*python -m convert retinaface WEIGHTS"):
        manifest.verified_bytes("retinaface")
    (tmp_path / "retinaface.onnx").write_bytes(b"another")
    with pytest.raises(ModelError, match=r"sha256 .*python -m convert retinaface WEIGHTS"):
        manifest.verified_bytes("retinaface")


# --- with the weights, where somebody has built the model


@pytest.fixture(scope="module")
def detector():
    manifest = load_manifest(default_engines_dir())
    if not (manifest.directory / manifest.entry("retinaface").file).exists():
        pytest.skip("RetinaFace is not built: see engines/retinaface.md")
    return RetinaFace(open_engine(manifest, "retinaface", threads=1))


@pytest.fixture(scope="module")
def portrait():
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


def test_the_astronaut_is_found_with_points_in_order(detector, portrait):
    (face,) = detector.detect(portrait)
    assert face.score > 0.99
    assert face.box == pytest.approx((179, 55, 270, 178), abs=6)
    expected = [(202, 101), (246, 102), (223, 128), (203, 141), (245, 142)]
    np.testing.assert_allclose(face.points, expected, atol=6)


def test_where_the_astronaut_stands_does_not_matter(detector, portrait):
    (face,) = detector.detect(portrait)
    (moved,) = detector.detect(portrait[37:337, 11:401])
    assert np.abs(np.array(face.box) - moved.box - (11, 37, 11, 37)).max() < 6


@pytest.mark.parametrize("shape", [(1, 1), (33, 31), (20, 2000)])
def test_odd_sizes_run_through_the_network(detector, shape):
    for face in detector.detect(np.random.default_rng(5).integers(0, 256, (*shape, 3), np.uint8)):
        assert 0 <= face.box.x1 < face.box.x2 <= shape[1]
        assert 0 <= face.box.y1 < face.box.y2 <= shape[0]
