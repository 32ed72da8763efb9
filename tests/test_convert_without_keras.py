"""Where Keras is not installed, or set to another backend, its commands say so in one line."""

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


def test_another_backend_is_refused(monkeypatch):
    fake = SimpleNamespace(backend=SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setitem(sys.modules, "keras", fake)
    with pytest.raises(UsageError, match="KERAS_BACKEND=torch"):
        load_keras()
