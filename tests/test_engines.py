"""Holds model files, their hashes, cards and manifest together, for every model that is committed."""

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest

from edged.analyse.mask import CROP_MARGIN, CROP_SIZE, MaskClassifier
from edged.errors import ModelError
from edged.inference import load_manifest, open_engine
from edged.inference.manifest import Manifest
from edged.types import JUDGED_STATES, Box

ENGINES = Path(__file__).parents[1] / "engines"
MANIFEST = load_manifest(ENGINES)
COMMITTED = sorted(name for name, entry in MANIFEST.entries.items() if not entry.built_locally)
SIZES = {"batch": 2, "height": 64, "width": 96}
DTYPES = {"float32": np.float32, "uint8": np.uint8}


def size_of(axis: int | str) -> int:
    """A size for an axis; fractions of others are written like "height/8"."""
    if isinstance(axis, int):
        return axis
    name, _, divisor = axis.partition("/")
    return SIZES[name] // int(divisor or 1)


@pytest.mark.parametrize("name", COMMITTED)
def test_the_file_is_the_one_that_was_checked(name):
    entry = MANIFEST.entry(name)
    assert hashlib.sha256((ENGINES / entry.file).read_bytes()).hexdigest() == entry.sha256


@pytest.mark.parametrize("flips", [100, pytest.param(1_000, marks=pytest.mark.long)])
def test_one_flipped_bit_anywhere_is_refused(tmp_path, flips):
    entry = MANIFEST.entry("eyes")
    data, chance = bytearray((ENGINES / entry.file).read_bytes()), random.Random(flips)
    copy = Manifest(tmp_path, {"eyes": entry})
    for _ in range(flips):
        at, bit = chance.randrange(len(data)), 1 << chance.randrange(8)
        data[at] ^= bit
        (tmp_path / entry.file).write_bytes(data)
        with pytest.raises(ModelError, match="is not the one that was checked"):
            open_engine(copy, "eyes")
        data[at] ^= bit
    (tmp_path / entry.file).write_bytes(data)
    assert open_engine(copy, "eyes").name == "eyes"


@pytest.mark.parametrize("name", COMMITTED)
def test_every_model_has_a_card(name):
    entry = MANIFEST.entry(name)
    assert entry.file.removesuffix(".onnx").split("-")[0] in (ENGINES / entry.card).read_text().lower()


def test_every_file_is_listed():
    listed = {entry.file for entry in MANIFEST.entries.values()}
    assert {path.name for path in ENGINES.glob("*.onnx")} <= listed


@pytest.mark.parametrize("name", COMMITTED)
def test_inputs_and_outputs_are_as_the_manifest_says(name):
    entry = MANIFEST.entry(name)
    inputs = {
        key: np.zeros([size_of(axis) for axis in tensor.shape], DTYPES[tensor.dtype])
        for key, tensor in entry.inputs.items()
    }
    outputs = open_engine(MANIFEST, name, threads=1).run(inputs)
    assert set(outputs) == set(entry.outputs)
    for key, tensor in entry.outputs.items():
        assert outputs[key].dtype == DTYPES[tensor.dtype]
        assert outputs[key].shape == tuple(size_of(axis) for axis in tensor.shape)
        assert np.isfinite(outputs[key]).all()


@pytest.mark.parametrize("name", COMMITTED)
def test_a_batch_answers_as_its_members_do(name):
    entry = MANIFEST.entry(name)
    rng = np.random.default_rng(0)
    batch = {
        key: rng.integers(0, 256, [size_of(axis) for axis in tensor.shape]).astype(DTYPES[tensor.dtype])
        for key, tensor in entry.inputs.items()
    }
    engine = open_engine(MANIFEST, name, threads=1)
    together = engine.run(batch)
    alone = engine.run({key: value[1:] for key, value in batch.items()})
    for key, value in together.items():
        np.testing.assert_allclose(value[1:], alone[key], atol=1e-3, rtol=1e-3)


def test_the_mask_classifier_is_what_the_code_expects():
    entry = MANIFEST.entry("mask")
    assert entry.classes == tuple(str(state) for state in JUDGED_STATES)
    assert f"{CROP_MARGIN}" in entry.preprocessing
    assert entry.inputs["faces"].shape == ("batch", CROP_SIZE, CROP_SIZE, 3)
    scores = MaskClassifier(open_engine(MANIFEST, "mask")).judge(np.zeros((50, 50, 3), np.uint8), [Box(5, 5, 30, 30)])
    assert sum(scores[0]) == pytest.approx(1, abs=1e-5)


def test_a_mirrored_face_wears_its_mask_the_same_way():
    faces = np.random.default_rng(0).integers(0, 256, (4, CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
    engine = open_engine(MANIFEST, "mask", threads=1)
    told = [engine.run({"faces": view})["probabilities"] for view in (faces, np.ascontiguousarray(faces[:, :, ::-1]))]
    np.testing.assert_allclose(*told, atol=1e-5)
