"""Where Keras or PyTorch is not installed, or Keras is set to another backend, their commands say so in one line."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.classifiers.backend import load_keras
from edged.errors import Unavailable, UsageError


def test_a_command_that_needs_keras_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    result = CliRunner().invoke(main, ["compare-classifiers", "--data", str(tmp_path)])
    assert isinstance(result.exception, Unavailable)
    assert "pip install" in str(result.exception)


def test_a_command_that_needs_pytorch_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "face.png").touch()
    options = {
        "architecture": "resnet50", "size": 224, "classes": "correct,none", "pixels": "torch", "colours": "rgb",
        "golden": tmp_path / "face.png", "golden-state": "none", "licence": "mine", "training-data": "mine",
        "engines": tmp_path,
    }  # fmt: skip
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    result = CliRunner().invoke(main, ["torch", "weights.pt", *words])
    assert isinstance(result.exception, Unavailable)
    assert "make setup-train" in str(result.exception)


def test_a_training_without_pytorch_ends_in_one_line(tmp_path):
    start = "import sys; sys.modules['torch'] = None; from convert.__main__ import run; run()"
    words = ["train-mask", "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    ended = subprocess.run([sys.executable, "-c", start, *words], capture_output=True, text=True, timeout=120)
    assert ended.returncode == Unavailable.exit_code
    assert ended.stderr.splitlines() == ["convert: torch is not installed; use what `make setup-train` installs"]


def test_another_backend_is_refused(monkeypatch):
    fake = SimpleNamespace(backend=SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setitem(sys.modules, "keras", fake)
    with pytest.raises(UsageError, match="KERAS_BACKEND=torch"):
        load_keras()
