"""`python -m convert check`: every form of a model answers as the FP32 one does, or the command fails and says where."""

import dataclasses
import json

import cv2
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

from convert import check
from convert.__main__ import main
from convert.model_file import find_model
from edged.config import ModelsConfig
from edged.errors import Failed, ModelError, UsageError
from edged.inference import default_engines_dir, load_manifest
from edged.inference.half import to_half
from edged.inference.manifest import AgreementEntry
from edged.inference.tensorrt import Gpu, Toolkit
from edged.selftest.golden import FOLDER, golden_inputs
from tests.support.cuda_double import Machine, cuda_double
from tests.support.tensorrt_double import tensorrt_double

ENGINES = default_engines_dir()
MANIFEST = load_manifest(ENGINES)


def run(*arguments):
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


def altered(name: str, factor: float) -> bytes:
    """The shipped model with one of its largest weights made larger."""
    model = onnx.ModelProto.FromString(MANIFEST.verified_bytes(name))
    weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(factor), weight.name))
    return model.SerializeToString()


@pytest.fixture
def gpu(monkeypatch):
    """A machine with TensorRT."""
    machine = Machine()
    toolkit = Toolkit(tensorrt_double(machine), cuda_double(machine), Gpu("Orin", "8.7", "36.4.0"))
    monkeypatch.setattr(check, "tensorrt_available", lambda: None)
    monkeypatch.setattr(check, "find_toolkit", lambda: toolkit)
    return machine


@pytest.mark.parametrize("name", ["mask", "eyes", "landmarks", "pose", "pose-heatmap"])
def test_the_shipped_models_agree_with_themselves_in_half_precision(name):
    result = run(name)
    assert result.exception is None, result.output
    rows = [line.split() for line in result.output.splitlines() if line.startswith("FP16")]
    assert {row[1] for row in rows} == set(MANIFEST.entry(name).outputs)
    assert {row[-1] for row in rows} == {"yes"}
    assert "the golden pictures" in result.output
    assert MANIFEST.entry(name).sha256[:12] in result.output


def test_a_machine_reads_the_same_as_a_person():
    report = json.loads(run("pose", "--json").output)
    assert report["agrees"] is True
    (form,) = (form for form in report["forms"] if form["form"] == "FP16")
    assert [part["output"] for part in form["parts"]] == ["columns", "deviations"]
    assert all(part["unit"] == "degrees" and 0 < part["difference_of_allowed"] < 1 for part in form["parts"])
    assert all(part["compared"] > 0 for part in form["parts"])


def test_another_file_is_held_against_the_manifests(tmp_path):
    path = tmp_path / "mine.onnx"
    path.write_bytes(to_half(MANIFEST.verified_bytes("mask"), "mask"))
    good = run(path, "--as", "mask")
    assert good.exception is None, good.output
    assert sum(line.startswith("the file") for line in good.output.splitlines()) == 1
    path.write_bytes(altered("mask", 1.2))
    bad = run(path, "--as", "mask")
    assert isinstance(bad.exception, Failed)
    assert {line.split()[-1] for line in bad.output.splitlines() if line.startswith(("the file", "FP16"))} == {"NO"}


def test_a_file_agrees_with_itself_as_reference(tmp_path):
    path = tmp_path / "mine.onnx"
    path.write_bytes(altered("mask", 1.2))
    result = run(path, "--as", "mask", "--reference", path)
    assert result.exception is None, result.output
    assert "the file" not in result.output


@pytest.mark.parametrize(
    "data", [b"", b"no model", MANIFEST.verified_bytes("mask")[:5000]], ids=["empty", "text", "cut"]
)
def test_a_file_that_is_no_model_is_a_line_in_the_report(tmp_path, data):
    path = tmp_path / "mine.onnx"
    path.write_bytes(data)
    result = run(path, "--as", "mask")
    assert isinstance(result.exception, Failed)
    problems = [line for line in result.output.splitlines() if line.startswith(("the file", "FP16"))]
    assert len(problems) == 2
    assert all("model mask: " in line for line in problems)


@pytest.mark.parametrize(("precision", "agrees"), [("fp16", False), ("fp32", True)])
def test_a_form_that_edged_would_not_use_does_not_fail_the_check(precision, agrees):
    shipped = find_model("mask", MANIFEST)
    narrow = {"probabilities": (AgreementEntry(unit="degrees", scale=1e9),)}  # what FP16 cannot keep
    entry = shipped.entry.model_copy(update={"precision": precision, "agreement": narrow})
    model = dataclasses.replace(shipped, entry=entry)
    report = check.check_model(model, model)
    (half,) = (form for form in report.comparisons if form.form == "FP16")
    assert (half.agrees, half.used) == (False, not agrees)
    assert report.agrees is agrees
    assert any("fp32" in note for note in report.notes) is agrees
    assert ("not used" in report.text()) is agrees


# Pictures of the user's


def test_the_users_pictures_reach_the_model_through_the_stages():
    own = check.picture_inputs("mask", [ENGINES / FOLDER / "correct.jpg"])
    (golden,) = [
        given["faces"]
        for given in golden_inputs(["mask"], ModelsConfig())["mask"]
        if given["faces"].shape == own[0]["faces"].shape and np.array_equal(given["faces"], own[0]["faces"])
    ]
    assert golden.shape == (1, 112, 112, 3)
    result = run("eyes", "--picture", ENGINES / FOLDER / "correct.jpg", "--picture", ENGINES / FOLDER / "crowd.jpg")
    assert result.exception is None, result.output
    assert "2 pictures" in result.output


@pytest.mark.parametrize("name", ["mask", "pose-heatmap"])
def test_pictures_without_a_face_are_refused(tmp_path, name):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 90, np.uint8))
    result = run(name, "--picture", tmp_path / "grey.png")
    assert isinstance(result.exception, UsageError)
    assert "no face" in str(result.exception)


# TensorRT


def test_where_tensorrt_is_its_plan_is_compared_too(gpu):
    result = run("pose")
    assert result.exception is None, result.output
    rows = [line.split() for line in result.output.splitlines() if line.startswith("TensorRT")]
    assert [(row[1], row[-1]) for row in rows] == [("columns", "yes"), ("deviations", "yes")]
    assert gpu.clean


def test_a_plan_that_cannot_be_built_fails_the_check_in_one_line(gpu):
    gpu.refuse = {"build": "Error Code 10: no implementation for node Conv"}
    result = run("pose")
    assert isinstance(result.exception, Failed)
    (line,) = (line for line in result.output.splitlines() if line.startswith("TensorRT"))
    assert "no implementation for node" in line
    assert gpu.clean


def test_without_tensorrt_the_report_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(check, "tensorrt_available", lambda: "tensorrt: not installed; `sudo apt install it`")
    assert "TensorRT was not compared: tensorrt: not installed; `sudo apt install it`" in run("pose").output


def test_a_model_that_is_not_known_is_one_line():
    assert isinstance(run("nobody").exception, ModelError)
