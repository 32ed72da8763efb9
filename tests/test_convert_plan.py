"""`python -m convert plan`: a plan from any model of the manifest, whole or not at all, and one line without TensorRT."""

import errno
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from convert import plan
from convert.__main__ import main
from convert.model_file import find_model
from convert.whole_file import write_whole
from edged.errors import Failed, ModelError, UsageError
from edged.inference.half import to_half
from edged.inference.tensorrt import Gpu, Toolkit
from tests.support.cuda_double import Machine, cuda_double
from tests.support.small_models import small_model, write_models
from tests.support.tensorrt_double import VERSIONS, plan_header, tensorrt_double

ROOT = Path(__file__).parents[1]


@pytest.fixture
def engines(tmp_path, monkeypatch):
    manifest = write_models(tmp_path / "engines", small=small_model())
    monkeypatch.setenv("EDGED_ENGINES", str(manifest.directory))
    monkeypatch.chdir(tmp_path)
    return manifest


@pytest.fixture(params=VERSIONS)
def machine(request, engines, monkeypatch):
    """A machine with TensorRT of this version."""
    return equip(monkeypatch, request.param)


def equip(monkeypatch, version="10.3.0") -> Machine:
    made = Machine()
    toolkit = Toolkit(tensorrt_double(made, version), cuda_double(made), Gpu("Orin", "8.7", "36.4.0"))
    monkeypatch.setattr(plan, "tensorrt_available", lambda: None)
    monkeypatch.setattr(plan, "find_toolkit", lambda: toolkit)
    return made


def run(*arguments):
    return CliRunner().invoke(main, ["plan", *map(str, arguments)])


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="TensorRT is installed here")
def test_without_tensorrt_it_says_what_is_missing_and_exits_69():
    done = subprocess.run(
        [sys.executable, "-m", "convert", "plan", "mask"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 69
    assert done.stderr.startswith("convert: tensorrt: not installed; ")
    assert "python3-libnvinfer" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_model_of_the_manifest_becomes_a_plan_for_this_machine(machine, tmp_path):
    result = run("small")
    assert result.exception is None, result.output
    header = plan_header((tmp_path / "small.plan").read_bytes())
    assert header["profiles"]["faces"] == [[1, 4, 4, 3], [2, 8, 8, 3], [4, 16, 16, 3]]
    assert header["workspace"] == {"0": 256 << 20}
    assert "Orin" in result.output
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["small.plan"]


def test_options_reach_the_builder(engines, monkeypatch, tmp_path):
    equip(monkeypatch).accelerators = 1
    out = tmp_path / "other.plan"
    run("small", "--out", out, "--workspace", 64, "--dla-core", 0)
    assert plan_header(out.read_bytes())["dla"] == 0
    assert plan_header(out.read_bytes())["workspace"] == {"0": 64 << 20}
    assert isinstance(run("small", "--dla-core", 0, "--precision", "fp32").exception, ModelError)


def test_the_manifest_says_the_precision_unless_the_user_does(engines, monkeypatch, tmp_path):
    equip(monkeypatch, "8.6.1")

    def flags(*arguments):
        run("small", *arguments)
        return plan_header((tmp_path / "small.plan").read_bytes())["flags"]

    halved = flags()
    assert flags("--precision", "fp32") == [] != halved
    path = engines.directory / "manifest.toml"
    path.write_text(path.read_text().replace('task = "mask-state"', 'task = "mask-state"\nprecision = "fp32"'))
    assert flags() == []
    assert flags("--precision", "fp16") == halved


def test_a_failed_build_leaves_what_was_there(engines, monkeypatch, tmp_path):
    equip(monkeypatch).refuse = {"build": "Error Code 10: no implementation for node Conv"}
    (tmp_path / "small.plan").write_bytes(b"old")
    result = run("small")
    assert isinstance(result.exception, ModelError)
    assert "\n" not in str(result.exception)
    assert (tmp_path / "small.plan").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["small.plan"]


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    target = tmp_path / "a.plan"
    write_whole(target, b"old")

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Failed, match=r"a\.plan: cannot be written \(No space left on device\)"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(Failed, match="No such file"):
        write_whole(tmp_path / "nowhere" / "a.plan", b"new")


# Which model is meant


def test_a_file_of_the_manifest_is_known_by_its_hash(engines, tmp_path):
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(small_model())
    assert find_model(str(copy), engines).name == "small"
    assert find_model("small", engines).data == copy.read_bytes()


def test_another_file_needs_a_word_on_what_it_stands_for(engines, tmp_path):
    half = tmp_path / "half.onnx"
    half.write_bytes(to_half(small_model(), "small"))
    with pytest.raises(UsageError, match=r"half\.onnx: not a file that .* say with --as .*: small"):
        find_model(str(half), engines)
    assert find_model(str(half), engines, "small").data == half.read_bytes()
    with pytest.raises(ModelError, match="no model 'nobody'"):
        find_model(str(half), engines, "nobody")


def test_what_is_not_there_is_one_line(engines, tmp_path):
    with pytest.raises(UsageError, match=r"none\.onnx: cannot be read"):
        find_model(str(tmp_path / "none.onnx"), engines)
    with pytest.raises(ModelError, match="no model 'none'; it lists: small"):
        find_model("none", engines)
    path = engines.directory / "small.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match="sha256"):
        find_model("small", engines)
