"""What `edged doctor` says of the models, of TensorRT, and of engines that are there, missing, stale or refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edged import doctor
from edged.config import Config, ModelsConfig
from tests.support.gpu_engines import build, copy_of_engines
from tests.support.gpu_environment import gpu_environment


def findings(**models: object) -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in doctor._models(Config(models=ModelsConfig(**models)))}


@pytest.fixture
def few(tmp_path):
    return {"EDGED_ENGINES": str(copy_of_engines(tmp_path, "detector", "rescorer", "mask"))}


def examined(folder: Path, environment: dict[str, str], config: str = "") -> dict[str, dict[str, str]]:
    """By what was looked at, on a machine with a doubled GPU."""
    file = folder / "edged.toml"
    file.write_text(f"{config}\n[store]\npath = {json.dumps(str(folder / 'edged.db'))}\n")
    done = subprocess.run(
        [sys.executable, "-m", "edged", "doctor", "--json", "--config", str(file)],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return {finding["what"]: finding for finding in map(json.loads, done.stdout.splitlines())}


def test_a_machine_without_tensorrt_needs_none():
    found = findings()
    assert found["tensorrt"].verdict == "ok"
    assert "not here and not needed" in found["tensorrt"].line
    assert found["model mask"].line.endswith("bytes, as checked")


@pytest.mark.parametrize(
    ("models", "says"),
    [({"backend": "onnxruntime"}, "backend"), ({"providers": ["CUDAExecutionProvider"]}, "providers")],
)
def test_a_config_that_leaves_tensorrt_out_is_quoted(models, says):
    finding = findings(**models)["tensorrt"]
    assert finding.verdict == "ok"
    assert f"not needed, as models.{says} = " in finding.line


def test_a_config_that_asks_for_tensorrt_makes_its_absence_a_problem():
    finding = findings(backend="tensorrt")["tensorrt"]
    assert finding.verdict == "problem"
    assert "sudo apt install python3-libnvinfer" in finding.line
    assert 'models.backend = "auto"' in finding.line


def test_a_jetson_without_tensorrt_is_told_the_package(monkeypatch):
    # The file that says so exists on a Jetson only.
    monkeypatch.setattr(doctor, "jetson_release", lambda: "36.4.0")
    finding = findings()["tensorrt"]
    assert finding.verdict == "warning"
    assert "sudo apt install python3-libnvinfer" in finding.line


def test_an_altered_or_missing_model_is_a_problem(tmp_path, monkeypatch):
    engines = copy_of_engines(tmp_path, "detector", "rescorer", "mask")
    (engines / "mask.onnx").write_bytes(b"altered")
    (engines / "detector.onnx").unlink()
    monkeypatch.setenv("EDGED_ENGINES", str(engines))
    found = findings()
    assert {name: finding.verdict for name, finding in found.items()} == {
        "tensorrt": "ok", "model detector": "problem", "model rescorer": "ok", "model mask": "problem",
    }  # fmt: skip
    assert "reinstall edged" in found["model detector"].line
    assert "not the one that was checked" in found["model mask"].line


def test_engines_are_none_built_stale_or_refused(tmp_path, few):
    gpu = gpu_environment() | few
    found = examined(tmp_path, gpu)
    assert found["tensorrt"]["line"] == "10.3.0, Orin, compute capability 8.7"
    assert found["model mask"]["verdict"] == "ok"
    assert "no engine yet: the daemon makes one" in found["model mask"]["line"]
    asked = examined(tmp_path, gpu, '[models]\nbackend = "tensorrt"')
    assert asked["model mask"]["verdict"] == "warning"

    build(tmp_path, gpu, "mask")
    build(tmp_path, gpu_environment(answers="wrong") | few, "detector", agrees=False)
    found = examined(tmp_path, gpu)
    assert found["model mask"]["verdict"] == "ok"
    assert found["model mask"]["line"].endswith("TensorRT runs it")
    assert found["model detector"]["verdict"] == "warning"
    assert "its engine is refused: model detector: tensorrt differs" in found["model detector"]["line"]

    found = examined(tmp_path, gpu_environment("10.13.3.9") | few)
    assert found["model mask"]["verdict"] == "warning"
    assert "its engine is stale" in found["model mask"]["line"]
    assert "edged engines build" in found["model mask"]["line"]
