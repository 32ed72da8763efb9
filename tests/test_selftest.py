"""`edged selftest`: what is right passes, and every way to be wrong is told, on the CPU and on a doubled GPU."""

import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from edged.backends.present import OnnxBackend, ProviderBackend
from edged.cli import main
from edged.config import ModelsConfig
from edged.errors import ModelError
from edged.inference import Manifest, default_engines_dir, load_manifest
from edged.selftest.run import self_test
from tests.support.gpu_engines import build, copy_of_engines
from tests.support.gpu_environment import gpu_environment

ENGINES = default_engines_dir()
MANIFEST = load_manifest(ENGINES)
BUILT = [name for name, entry in MANIFEST.entries.items() if (ENGINES / entry.file).exists()]


class Twisted:
    """A backend whose answers for one model are not what the model says."""

    name, remedy = "twisted", "straighten it"

    def __init__(self, model, output, twist):
        self._cpu = OnnxBackend(MANIFEST, 1, BUILT)
        self._model, self._output, self._twist = model, output, twist

    def open(self, model):
        engine = self._cpu.open(model)
        return TwistedEngine(engine, self._output, self._twist) if model == self._model else engine

    def close(self):
        """Nothing to give up."""


class TwistedEngine:
    backend = "twisted"

    def __init__(self, engine, output, twist):
        self.name, self._engine, self._output, self._twist = engine.name, engine, output, twist

    def run(self, inputs):
        answers = self._engine.run(inputs)
        return {**answers, self._output: self._twist(answers[self._output])}


def by_model(results, backend):
    return {result.model: result for result in results if result.backend == backend}


def roll(values):
    return np.roll(values, 1, axis=1)


def nothing(values):
    return np.zeros_like(values)


def its_stage(model):
    """The manifest of that model's stage only: the others would take their time."""
    stages = [["mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet"], ["detector", "rescorer"]]
    names = next((stage for stage in stages if model in stage), [model])
    return Manifest(ENGINES, {name: MANIFEST.entry(name) for name in names})


TWISTS = [
    ("detector", "stride16", nothing, "is not found"),
    ("mtcnn-onet", "probabilities", nothing, "is not found"),
    ("mask", "probabilities", roll, "the mask is judged"),
    ("landmarks", "points", lambda values: values + np.float32(0.05), "a landmark lies"),
    ("pose", "columns", lambda values: values[:, ::-1].copy(), "the head's pose is"),
    ("pose-heatmap", "angles", lambda values: values + np.float32(3), "the head's pose is"),
    ("eyes", "probabilities", roll, "the eyes are read as"),
]


@pytest.mark.parametrize(("model", "output", "twist", "says"), TWISTS, ids=[row[0] for row in TWISTS])
def test_a_model_that_answers_wrongly_is_told_whichever_backend_runs_it(model, output, twist, says):
    twisted, manifest = Twisted(model, output, twist), its_stage(model)
    alone = by_model(self_test(manifest, twisted, []), "twisted")
    assert says in alone[model].line
    assert alone[model].line.endswith("straighten it")
    beside = list(self_test(manifest, OnnxBackend(MANIFEST, 1, ()), [twisted]))
    assert all(result.status == "ok" for result in by_model(beside, "onnxruntime").values())
    result = by_model(beside, "twisted")[model]
    assert result.status == "failed"
    assert says in result.line
    assert "differs from onnxruntime" in result.line


def test_the_other_models_are_not_blamed():
    found = by_model(self_test(MANIFEST, Twisted("landmarks", "points", nothing), []), "twisted")
    assert {name for name, result in found.items() if result.status == "failed"} == {"landmarks"}


def test_a_difference_too_small_for_the_pictures_is_told_against_the_cpu():
    twisted = Twisted("mask", "probabilities", lambda values: values * np.float32(0.97) + np.float32(0.01))
    assert by_model(self_test(its_stage("mask"), twisted, []), "twisted")["mask"].status == "ok"
    beside = by_model(self_test(its_stage("mask"), OnnxBackend(MANIFEST, 1, ()), [twisted]), "twisted")["mask"]
    assert beside.status == "failed"
    assert "times what is allowed" in beside.line


def test_answers_that_are_no_numbers_fail():
    twisted = Twisted("pose-heatmap", "angles", lambda values: values * np.nan)
    assert by_model(self_test(its_stage("pose-heatmap"), twisted, []), "twisted")["pose-heatmap"].status == "failed"


def test_a_provider_that_leaves_everything_to_the_cpu_is_no_backend(monkeypatch):
    # Stands for a board whose driver is missing: this ONNX Runtime was built with the CPU's provider only.
    monkeypatch.setattr("edged.inference.onnx_runtime._require_known", lambda providers: None)
    models = ModelsConfig(providers=["CUDAExecutionProvider"])
    backend = ProviderBackend(MANIFEST, models)
    assert backend.name == "onnxruntime/cuda"
    with pytest.raises(ModelError, match=r"CUDAExecutionProvider cannot be used here.*models\.providers"):
        backend.open("mask")


# The command, as people and the daemon run it.


def run_selftest(folder: Path, *arguments: str, environment: dict[str, str] | None = None, config: str = ""):
    """Exit code, machine, rows and the complaint of `edged selftest --json`; with a doubled GPU in a process of its own."""
    file = folder / "edged.toml"
    file.write_text(f"{config}\n[store]\npath = {json.dumps(str(folder / 'edged.db'))}\n")
    command = ["selftest", "--json", "--config", str(file), *arguments]
    if environment and "GPU_DOUBLE" in environment:
        done = subprocess.run(
            [sys.executable, "-m", "edged", *command],
            env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        code, said, complaint = done.returncode, done.stdout, done.stderr
    else:
        code, said, complaint = run_here(command, environment or {})
    assert "Traceback" not in complaint, complaint
    machine, *rows = [json.loads(line) for line in said.splitlines()] or [None]
    return code, machine, rows, complaint


def run_here(command: list[str], environment: dict[str, str]) -> tuple[int, str, str]:
    said, complaint = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complaint):
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(command)
    return int(ended.value.code or 0), said.getvalue(), complaint.getvalue()


def rows_of(rows, backend):
    return {row["model"]: row for row in rows if row["backend"] == backend}


def test_what_ships_passes_and_says_what_ran_it(tmp_path):
    code, machine, rows, complaint = run_selftest(tmp_path)
    assert (code, complaint) == (0, "")
    assert machine["machine"]["onnxruntime"] != "unknown"
    assert machine["machine"]["tensorrt"].startswith("none (not installed")
    on_cpu = rows_of(rows, "onnxruntime")
    assert {name for name, row in on_cpu.items() if row["status"] == "ok"} == set(BUILT)
    assert all(row["status"] == "absent" for name, row in on_cpu.items() if name not in BUILT)
    assert on_cpu.keys() == MANIFEST.entries.keys()


def test_people_get_a_line_for_each_model(tmp_path):
    (tmp_path / "edged.toml").write_text("")
    code, said, _ = run_here(["selftest", "--config", str(tmp_path / "edged.toml")], {})
    assert code == 0
    assert said.startswith("edged         ")
    for name in BUILT:
        assert f"✓ {name:<15} onnxruntime as expected" in said


@pytest.mark.parametrize("spoil", ["flip", "remove", "picture"])
def test_files_that_are_not_the_ones_that_shipped_fail_with_a_remedy(tmp_path, spoil):
    engines = copy_of_engines(tmp_path, "mask", "pose")
    file = engines / ("golden/bare.jpg" if spoil == "picture" else "mask.onnx")
    data = bytearray(file.read_bytes())
    data[1000] ^= 1
    file.write_bytes(data)
    if spoil == "remove":
        file.unlink()
    code, _, rows, complaint = run_selftest(tmp_path, environment={"EDGED_ENGINES": str(engines)})
    assert code == 1
    assert complaint.strip() == "edged: 1 of these are not as they should be"
    (row,) = [row for row in rows if row["status"] == "failed"]
    assert row["model"] == ("golden pictures" if spoil == "picture" else "mask")
    assert "reinstall edged" in row["line"] or "restore it" in row["line"]


def test_a_model_that_each_machine_builds_is_missed_only_where_it_is_wanted(tmp_path):
    engines = copy_of_engines(tmp_path, "mask", "mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet")
    for file in engines.glob("mtcnn-*.onnx"):
        file.unlink()
    there = {"EDGED_ENGINES": str(engines)}
    code, _, rows, _ = run_selftest(tmp_path, environment=there)
    assert code == 0
    assert rows_of(rows, "onnxruntime")["mtcnn-rnet"]["status"] == "absent"
    code, _, rows, _ = run_selftest(tmp_path, environment=there, config='[models]\ndetector = "mtcnn"')
    assert code == 1
    assert "make setup" in rows_of(rows, "onnxruntime")["mtcnn-rnet"]["line"]


@pytest.fixture
def few(tmp_path):
    """The environment in which there are only the models of an entrance."""
    return {"EDGED_ENGINES": str(copy_of_engines(tmp_path, "detector", "rescorer", "mask"))}


def test_a_backend_that_is_asked_for_and_not_there_exits_69(tmp_path, few):
    code, _, rows, complaint = run_selftest(tmp_path, "--backend", "tensorrt", environment=few)
    assert (code, rows) == (69, [])
    assert "python3-libnvinfer" in complaint
    gpu = gpu_environment() | few
    code, _, rows, complaint = run_selftest(tmp_path, "--backend", "tensorrt", environment=gpu)
    assert (code, rows) == (69, [])
    assert "edged engines build" in complaint
    assert not (tmp_path / "engines").exists(), "a look leaves nothing behind"
    code, _, rows, _ = run_selftest(tmp_path, environment=gpu)
    assert code == 0, "who does not ask for it is told only"
    (row,) = rows_of(rows, "tensorrt").values()
    assert (row["model"], row["status"]) == ("every model", "absent")
    assert row["line"] == f"{tmp_path}/engines: no engine was built yet; run `edged engines build`"


def test_engines_on_a_gpu_pass_and_are_missed(tmp_path, few):
    gpu = gpu_environment() | few
    build(tmp_path, gpu, "detector", "rescorer")
    code, machine, rows, complaint = run_selftest(tmp_path, "--backend", "tensorrt", environment=gpu)
    assert code == 69, "not everything that the config needs is there"
    assert complaint.strip() == "edged: tensorrt has no mask"
    assert machine["machine"]["tensorrt"] == "10.3.0"
    on_gpu = rows_of(rows, "tensorrt")
    assert not rows_of(rows, "onnxruntime"), "only what was asked for"
    assert on_gpu["detector"]["status"] == "ok"
    assert "differs from the CPU by" in on_gpu["detector"]["line"]
    assert "no engine was built" in on_gpu["mask"]["line"]

    build(tmp_path, gpu, "mask")
    code, _, rows, _ = run_selftest(tmp_path, "--backend", "tensorrt", environment=gpu)
    assert code == 0
    assert {row["status"] for row in rows_of(rows, "tensorrt").values()} == {"ok"}

    code, _, rows, _ = run_selftest(tmp_path, environment=gpu_environment("10.13.3.9") | few)
    assert code == 0
    assert rows_of(rows, "tensorrt")["mask"]["status"] == "absent", "another TensorRT has other engines"


def test_engines_that_were_altered_refused_or_answer_wrongly_are_told(tmp_path, few):
    gpu = gpu_environment() | few
    build(tmp_path, gpu, "mask", "rescorer")
    build(tmp_path, gpu_environment(answers="wrong") | few, "detector", agrees=False)
    code, _, rows, _ = run_selftest(tmp_path, environment=gpu_environment(answers="wrong") | few)
    assert code == 1
    assert all(row["status"] == "ok" for row in rows_of(rows, "onnxruntime").values())
    failed = rows_of(rows, "tensorrt")
    assert {row["status"] for row in failed.values()} == {"failed"}
    assert "refused when it was built: model detector: tensorrt differs" in failed["detector"]["line"]
    assert "model mask: tensorrt differs from onnxruntime in probabilities" in failed["mask"]["line"]

    (plan,) = (tmp_path / "engines").glob("mask-*.plan")
    data = bytearray(plan.read_bytes())
    data[-1] ^= 1
    plan.write_bytes(data)
    code, _, rows, _ = run_selftest(tmp_path, environment=gpu)
    assert code == 1
    assert "altered" in rows_of(rows, "tensorrt")["mask"]["line"]
    assert "edged engines build" in rows_of(rows, "tensorrt")["mask"]["line"]


def test_backend_onnxruntime_loads_no_engine(tmp_path, few):
    gpu = gpu_environment(diary=tmp_path / "diary") | few
    build(tmp_path, gpu, "mask")
    loads = (tmp_path / "diary").read_text().count("load")
    assert loads > 0
    code, _, rows, _ = run_selftest(tmp_path, environment=gpu, config='[models]\nbackend = "onnxruntime"')
    assert code == 0
    assert not rows_of(rows, "tensorrt")
    assert (tmp_path / "diary").read_text().count("load") == loads
