"""The comparison scores and times what it is given, and others' detectors are read as their authors wrote them."""

import json
import math

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.peers import ULTRA_LIGHT_SIZE, YUNET_STRIDES, UltraLight, YuNet, decode_yunet
from edged.errors import UsageError
from edged.types import Box, Detection


def slow_yunet(answers, stride, columns, threshold):
    rows = []
    for i in range(answers[f"cls_{stride}"].shape[1]):
        score = math.sqrt(answers[f"cls_{stride}"][0, i, 0] * answers[f"obj_{stride}"][0, i, 0])
        if score < threshold:
            continue
        dx, dy, dw, dh = answers[f"bbox_{stride}"][0, i].tolist()
        x, y = (i % columns + dx) * stride, (i // columns + dy) * stride
        w, h = math.exp(dw) * stride, math.exp(dh) * stride
        points = answers[f"kps_{stride}"][0, i].reshape(5, 2).tolist()
        placed = [((i % columns + px) * stride, (i // columns + py) * stride) for px, py in points]
        rows.append(
            [x - w / 2, y - h / 2, x + w / 2, y + h / 2, score, *(value for point in placed for value in point)]
        )
    return np.array(rows, np.float32)


@pytest.mark.parametrize("stride", YUNET_STRIDES)
def test_yunets_decoder_does_what_the_loops_do(stride):
    rng = np.random.default_rng(stride)
    answers = {f"{kind}_{stride}": rng.uniform(0, 1, (1, 35, 1)).astype(np.float32) for kind in ("cls", "obj")}
    for kind, size in (("bbox", 4), ("kps", 10)):
        answers[f"{kind}_{stride}"] = rng.normal(0, 1, (1, 35, size)).astype(np.float32)
    expected = slow_yunet(answers, stride, 7, 0.5)
    assert 5 < len(expected) < 35
    np.testing.assert_allclose(decode_yunet(answers, stride, 7, 0.5), expected, rtol=1e-4, atol=1e-4)


class OneFaceYuNet:
    """Sees a face of 32 x 48 px in the third cell of the second row at stride 16, whatever the picture."""

    name = backend = "fake"

    def run(self, inputs):
        _, channels, height, width = inputs["input"].shape
        assert channels == 3
        self.seen = inputs["input"]
        answers = {}
        for stride in YUNET_STRIDES:
            cells = height // stride * (width // stride)
            answers |= {f"{kind}_{stride}": np.zeros((1, cells, 1), np.float32) for kind in ("cls", "obj")}
            for kind, size in (("bbox", 4), ("kps", 10)):
                answers[f"{kind}_{stride}"] = np.zeros((1, cells, size), np.float32)
        place = width // 16 + 2
        answers["cls_16"][0, place] = answers["obj_16"][0, place] = 0.9
        answers["bbox_16"][0, place] = 0.5, 0.5, math.log(2), math.log(3)
        return answers


@pytest.mark.parametrize("enlarge", [1.0, 2.0])
def test_yunet_answers_in_the_pictures_own_pixels(enlarge):
    engine = OneFaceYuNet()
    picture = np.full((50, 70, 3), (10, 20, 30), np.uint8)
    (face,) = YuNet(engine, enlarge, 0.5).detect(picture)
    assert np.array(face.box) * enlarge == pytest.approx((40 - 16, 24 - 24, 40 + 16, 24 + 24))
    assert face.score == pytest.approx(0.9)
    assert engine.seen[0, :, 5, 5].tolist() == [10, 20, 30], "BGR as it is"
    assert [side % 32 for side in engine.seen.shape[2:]] == [0, 0]
    assert (engine.seen[0, :, :, math.ceil(70 * enlarge) :] == 0).all()


def test_ultra_light_is_shown_rgb_at_its_own_size():
    class Engine:
        name = backend = "fake"

        def run(self, inputs):
            self.seen = inputs["input"]
            scores = np.array([[[0.1, 0.9], [0.2, 0.8], [0.9, 0.1]]], np.float32)
            boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [0.12, 0.2, 0.5, 0.6], [0, 0, 1, 1]]], np.float32)
            return {"scores": scores, "boxes": boxes}

    engine = Engine()
    (face,) = UltraLight(engine, 0.5).detect(np.full((100, 200, 3), (0, 127, 255), np.uint8))
    assert face.box == pytest.approx((20, 20, 100, 60), abs=1e-3)
    assert face.score == pytest.approx(0.9)
    assert engine.seen.shape == (1, 3, *ULTRA_LIGHT_SIZE[::-1])
    assert engine.seen[0, :, 0, 0] == pytest.approx([1, 0, -127 / 128])


# --- the comparison itself scores with a module that imports PyTorch


@pytest.fixture
def comparison():
    pytest.importorskip("torch")
    pytest.importorskip("tqdm")
    from convert import compare

    return compare


class Pencil:
    """Finds dark squares, as wide as they are; `share`: only so much of each."""

    def __init__(self, share=1.0):
        self.share = share
        self.calls = 0

    def detect(self, image):
        self.calls += 1
        dark = (image.max(axis=2) < 64).astype(np.uint8)
        _, _, found, _ = cv2.connectedComponentsWithStats(dark)
        return [
            Detection(Box(x, y, x + w * self.share, y + h), 0.9 - 0.001 * x) for x, y, w, h, _ in found[1:].tolist()
        ]


@pytest.fixture
def data(tmp_path):
    """Six pictures with a large and a small face each."""
    folder = tmp_path / "masks853"
    (folder / "images").mkdir(parents=True)
    images, faces = [], []
    for i in range(6):
        picture = np.full((100, 120, 3), 255, np.uint8)
        for x, side in ((5 + i, 50), (90, 10)):
            picture[20 : 20 + side, x : x + side] = 0
            faces.append({"image_id": i, "category_id": 1 + i % 3, "bbox": [x, 20, side, side]})
        cv2.imwrite(str(folder / "images" / f"{i}.png"), picture)
        images.append({"id": i, "file_name": f"{i}.png"})
    (folder / "annotations.json").write_text(json.dumps({"images": images, "annotations": faces}))
    return tmp_path


def test_each_detector_is_scored_on_its_own_finds(comparison, data):
    pictures = comparison.pictures_of(data, True, None)
    assert len(pictures) == 6
    whole, part = Pencil(), Pencil(0.3)
    rivals = [comparison.Contestant("part", part, part, 10), comparison.Contestant("whole", whole, Pencil(), 2000)]
    results = comparison.compare(rivals, pictures)
    assert [result.figures.ap for result in results] == pytest.approx([0, 1])
    assert results[1].figures.recall == {"0-12": 1, "40-10000": 1}
    assert whole.calls == 6, "scoring does not run it anew"
    assert part.calls == 12, "once for the score, once for the clock"
    told = json.loads(comparison.report(results, pictures, as_json=True))
    assert (told["pictures"], told["faces"]) == (6, 12)
    assert [row["detector"] for row in told["detectors"]] == ["whole", "part"]
    assert told["detectors"][0]["ap"] == 1
    assert told["detectors"][0]["ms_a_picture"] >= 0
    lines = comparison.report(results, pictures, as_json=False).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["detector", "whole", "part"]
    assert len({len(line) for line in lines[2:]}) == 1, "columns stand in line"


def test_the_held_out_part_is_the_default_and_may_be_cut(comparison, data):
    from convert.data.split import is_held_out

    everything = comparison.pictures_of(data, True, None)
    held_out = comparison.pictures_of(data, False, None)
    assert [p.path for p in held_out] == [p.path for p in everything if is_held_out(p.path.name)]
    assert len(comparison.pictures_of(data, True, 2)) == 2


def test_models_that_are_not_there_do_not_take_part(comparison, data, tmp_path):
    from edged.inference import Manifest, default_engines_dir, load_manifest

    entries = load_manifest(default_engines_dir()).entries
    with pytest.raises(UsageError, match="model is not there"):
        comparison.contestants(data, comparison.Choice(), Manifest(tmp_path, entries))


def test_the_command_prints_what_the_comparison_finds(comparison, data, monkeypatch):
    chosen = []

    def rivals(_, choice):
        chosen.append(choice)
        return [comparison.Contestant("pencil", Pencil(), Pencil(), 1)]

    monkeypatch.setattr(comparison, "contestants", rivals)
    arguments = [
        "compare",
        "--data",
        str(data),
        "--all",
        "--pictures",
        "3",
        "--only",
        "pen",
        "--threads",
        "2",
        "--json",
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["pictures"] == 3
    assert chosen == [comparison.Choice(("pen",), 15.0, 2)]
    assert chosen[0].takes("Pencil")
    assert not chosen[0].takes("open")
