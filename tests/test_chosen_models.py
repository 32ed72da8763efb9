"""Models that the config chooses beside ours: taken where they were trained, told with their remedy where they were not."""

import hashlib
import json
import os
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest

from edged.assembly import EVERYTHING, load_models, model_names
from edged.backends.present import OnnxBackend
from edged.config import ModelsConfig
from edged.config.model import LandmarksName, MaskName
from edged.errors import ConfigError, ModelError, UsageError
from edged.inference import load_manifest
from edged.readers import LANDMARK_READERS, MASK_CLASSIFIERS, make_landmark_reader, make_mask_judge
from edged.selftest.golden import golden_inputs, golden_pictures
from edged.selftest.run import self_test
from tests.support.gpu_engines import copy_of_engines, trained_here, untrained

CHOICES = [("mask", "resnet50", "mask-resnet50"), ("mask", "xception", "mask-xception")]
CHOICES += [("mask", "mobilenet", "mask-mobilenet"), ("landmarks", "efficientnet", "landmarks-efficientnet")]
choices = pytest.mark.parametrize(("key", "value", "model"), CHOICES)


@pytest.fixture
def engines(tmp_path, monkeypatch):
    """The models of a fresh checkout, in a folder that may be spoilt."""
    folder = untrained(copy_of_engines(tmp_path))
    monkeypatch.setenv("EDGED_ENGINES", str(folder))
    return folder


@pytest.fixture
def config(tmp_path):
    """Writes a config of one driver's camera, who is asked everything, and gives the file."""

    def write(key, value):
        file = tmp_path / "edged.toml"
        lines = ['[camera.cab]\nsource = "v4l2:///dev/video99"\nprofile = "driver"\nmask = { enabled = true }']
        lines += [f'[models]\n{key} = "{value}"', f"[store]\npath = {json.dumps(str(tmp_path / 'edged.db'))}\n"]
        file.write_text("\n".join(lines))
        return file

    return write


def edged(*words):
    return subprocess.run(
        [sys.executable, "-m", "edged", *map(str, words)],
        env=dict(os.environ), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_config_knows_the_models_that_there_are():
    assert get_args(MaskName) == tuple(MASK_CLASSIFIERS)
    assert get_args(LandmarksName) == tuple(LANDMARK_READERS)


@choices
def test_what_is_chosen_takes_the_place_of_ours(key, value, model):
    ours, names = model_names(ModelsConfig(), EVERYTHING), model_names(ModelsConfig(**{key: value}), EVERYTHING)
    assert set(names) - set(ours) == {model}
    assert set(ours) - set(names) == {key}


@choices
def test_what_was_trained_here_runs_and_is_named_with_its_hash(key, value, model, engines):
    file = trained_here(engines, model, key)
    models = load_models(ModelsConfig(**{key: value}, threads=1), EVERYTHING)
    assert models.hashes[model] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert key not in models.engines
    picture = golden_pictures()[0]
    (face,) = picture.detections
    assert models.judge.judge(picture.image, [face.box])[0].state is picture.faces[0].state
    assert models.landmarks.read(picture.image, [face])[0].points.shape == (68, 2)


def test_efficientnet_looks_once_and_ours_twice(engines):
    trained_here(engines, "landmarks-efficientnet", "landmarks")
    runs = {
        name: len(golden_inputs([name], ModelsConfig())[name])
        for one in LANDMARK_READERS.values()
        for name in one.models
    }
    assert runs["landmarks"] == 2 * runs["landmarks-efficientnet"] > 0


@pytest.mark.parametrize(
    ("key", "value", "model"),
    [CHOICES[0], *(pytest.param(*choice, marks=pytest.mark.long) for choice in CHOICES[1:3]), CHOICES[3]],
)
def test_a_missing_file_is_one_line_with_the_command_that_makes_it(key, value, model, engines, config):
    file = config(key, value)
    (engines.parent / "Makefile").touch()  # as in a checkout
    command = "make train-baseline-classifiers ONLY=" + value if key == "mask" else "make train-baseline-landmarks"
    checked = edged("config", "check", "--config", file)
    examined = edged("doctor", "--json", "--config", file)
    started = edged("run", "--config", file)
    assert checked.returncode == 0, checked.stderr
    assert started.returncode not in (0, 78), "systemd may start it anew once the file is there"
    findings = {finding["what"]: finding for finding in map(json.loads, examined.stdout.splitlines())}
    assert findings[f"model {model}"]["verdict"] == "problem"
    for told in (checked.stderr, findings[f"model {model}"]["line"], started.stderr):
        (line,) = [line for line in told.splitlines() if f"{model}.onnx" in line]
        assert command in line
    assert "Traceback" not in checked.stderr + examined.stderr + started.stderr


def test_an_installation_is_told_that_a_checkout_makes_it(engines, config):
    checked = edged("config", "check", "--config", config("mask", "xception"))
    (line,) = checked.stderr.splitlines()
    assert "in a checkout of edged, train it with `make train-baseline-classifiers ONLY=xception`" in line
    assert f"then copy the file and mask-xception.onnx.sha256 into {engines}" in line


def test_a_file_without_its_hash_or_with_another_is_refused_before_it_is_parsed(engines):
    file = trained_here(engines, "mask-xception", "mask")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"mask-xception\.onnx: .*not the one that was checked"):
        load_manifest(engines).verified_bytes("mask-xception")
    for spoilt in (b"", b"\xff" * 5000, b"0" * 64, None):
        record = engines / "mask-xception.onnx.sha256"
        record.unlink() if spoilt is None else record.write_bytes(spoilt)
        with pytest.raises(ModelError, match=r"no mask-xception\.onnx\.sha256 says") as caught:
            load_manifest(engines).verified_bytes("mask-xception")
        assert "\n" not in str(caught.value)


def test_only_models_that_are_built_locally_may_be_without_a_hash(engines):
    path = engines / "manifest.toml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("sha256")))
    with pytest.raises(ModelError, match="not a valid manifest"):
        load_manifest(engines)


def test_what_ships_cannot_be_replaced_as_if_it_were_trained_here(engines):
    with pytest.raises(UsageError, match="model mask has a sha256"):
        trained_here(engines, "mask", "mask")


def test_a_name_that_is_not_known_is_told():
    for make in (make_mask_judge, make_landmark_reader):
        with pytest.raises(ConfigError, match="'vgg' is not known; known are: edged, "):
            make("vgg", lambda name: None)


def test_the_self_test_holds_others_to_the_bare_faces(engines):
    trained_here(engines, "mask-resnet50", "mask")
    trained_here(engines, "landmarks-efficientnet", "landmarks")
    manifest = load_manifest(engines)
    results = {result.model: result for result in self_test(manifest, OnnxBackend(manifest, 1, ()), [])}
    assert {results[name].status for name in ("mask", "mask-resnet50", "landmarks-efficientnet")} == {"ok"}
    assert results["mask-xception"].status == "absent"
    assert "make train-baseline-classifiers ONLY=xception" in results["mask-xception"].line


def test_a_classifier_that_takes_everything_for_a_mask_fails_the_self_test(engines):
    class Blind:
        name, backend = "mask-resnet50", "onnxruntime"

        def run(self, inputs):
            return {"probabilities": np.tile(np.float32([1, 0, 0]), (len(inputs["faces"]), 1))}

    from edged.selftest.checks import all_stages

    (stage,) = [stage for stage in all_stages() if stage.models == ("mask-resnet50",)]
    problems = stage.check(lambda name: Blind(), golden_pictures())
    bare = sum(face.state == "none" for picture in golden_pictures() for face in picture.faces)
    assert len(problems) == bare
