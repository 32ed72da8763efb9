"""Models that move to a faster engine and back: taken up between frames, given up for good, and nothing where there is none."""

import subprocess
import sys
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from edged.backends import BuildProgress, search
from edged.backends import worker as backends_worker
from edged.backends.status import BuildResult, engine_status, engines_folder, failed, plan_key, store_result
from edged.backends.switch import SwitchingEngine
from edged.backends.worker import BackendWorker
from edged.config import Config
from edged.errors import ModelError
from edged.inference import default_engines_dir, load_manifest, open_engine
from edged.inference.tensorrt import EngineCache, build_engine, find_toolkit
from edged.inference.tensorrt import engine as gpu_engine
from tests.support.cuda_double import Machine, cuda_double
from tests.support.mosquitto import until
from tests.support.small_models import faces, small_model, write_models
from tests.support.tensorrt_double import tensorrt_double

ONE = {"faces": np.zeros((1, 4, 4, 3), np.uint8)}


class Scripted:
    """Implements `edged.ports.Engine`: gives the same number until told to do something else."""

    name = "small"

    def __init__(self, backend: str, number: float) -> None:
        self.backend, self.number, self.error, self.runs = backend, number, "", 0

    def run(self, inputs):
        self.runs += 1
        if self.error:
            raise ModelError(self.error)
        return {"probabilities": np.full((1, 3), self.number, np.float32)}


def pair() -> tuple[SwitchingEngine, Scripted, Scripted]:
    cpu, gpu = Scripted("onnxruntime", 1.0), Scripted("tensorrt", 2.0)
    return SwitchingEngine(cpu), cpu, gpu


def taken_up() -> tuple[SwitchingEngine, Scripted, Scripted]:
    engine, cpu, gpu = pair()
    engine.offer(gpu)
    engine.switch()
    return engine, cpu, gpu


def number(engine: SwitchingEngine) -> float:
    return float(engine.run(ONE)["probabilities"][0, 0])


# --- one engine


def test_an_offer_is_taken_up_between_frames_and_not_within_one():
    engine, _, gpu = pair()
    assert (number(engine), engine.backend, engine.has_run) == (1.0, "onnxruntime", True)
    engine.offer(gpu)
    assert (number(engine), engine.backend) == (1.0, "onnxruntime")
    engine.switch()
    assert (number(engine), engine.backend, engine.name) == (2.0, "tensorrt", "small")
    assert engine.problem is None


def test_an_engine_that_fails_costs_no_answer_and_is_not_asked_again(caplog):
    engine, _, gpu = taken_up()
    gpu.error = "the GPU failed"
    assert number(engine) == 1.0
    assert engine.problem == "model small is back on onnxruntime: the GPU failed"
    assert caplog.messages == [engine.problem]
    gpu.error = ""
    engine.offer(gpu)
    engine.switch()
    assert (number(engine), engine.backend, gpu.runs) == (1.0, "onnxruntime", 1)


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_an_answer_that_is_no_number_is_a_failure(strange):
    engine, _, gpu = taken_up()
    gpu.number = strange
    assert number(engine) == 1.0
    assert "probabilities is not a number" in engine.problem


def test_inputs_that_neither_can_run_are_no_reason_to_give_up():
    engine, cpu, gpu = taken_up()
    gpu.error, cpu.error = "faces is float64", "Unexpected input data type"
    with pytest.raises(ModelError, match="Unexpected input"):
        engine.run(ONE)
    gpu.error = cpu.error = ""
    assert (number(engine), engine.problem) == (2.0, None)


def test_what_is_no_number_on_the_cpu_either_stays_what_it_is():
    engine, cpu, gpu = taken_up()
    cpu.number = gpu.number = np.nan
    assert np.isnan(number(engine))
    assert (engine.backend, engine.problem) == ("tensorrt", None)


def test_offers_of_another_thread_are_never_lost():
    for _ in range(300):
        engine, _, gpu = pair()
        offering = threading.Thread(target=engine.offer, args=(gpu,))
        offering.start()
        while offering.is_alive():
            engine.switch()
        engine.switch()
        assert engine.backend == "tensorrt"


# --- all engines, on doubles of TensorRT and PyCUDA


class Site(SimpleNamespace):
    """Two small models on the CPU, a GPU, what is known of their engines, and the worker that moves them."""

    def worker(self, backend: str = "auto") -> BackendWorker:
        self.engines = [SwitchingEngine(open_engine(self.manifest, name, 1)) for name in ("small", "other")]
        for engine in self.engines:
            engine.run(faces(1))
        config = Config.model_validate({"models": {"backend": backend}, "store": {"path": self.folder / "edged.db"}})
        self.workers.append(BackendWorker(config, self.engines))
        return self.workers[-1]

    def becomes(self, worker: BackendWorker, *backends: str) -> bool:
        """Start it; whether these run the models in the end, on the CPU alone without a thread that is left."""
        worker.start()
        idle = set(backends) == {"onnxruntime"}
        return until(lambda: self.backends(worker) == list(backends) and not (idle and worker.is_alive()))

    def backends(self, worker: BackendWorker) -> list[str]:
        worker.switch()
        return [engine.backend for engine in self.engines]

    def judge(self, name: str, gpu_ms: float = 1.0, cpu_ms: float = 2.0, problem: str | None = None) -> None:
        """Have the engine built, and write down what is found of it."""
        toolkit, entry = find_toolkit(), self.manifest.entry(name)
        if problem is None:
            build_engine(toolkit, self.manifest, name, self.cache)
        verdict = BuildResult(name, problem is None, problem, gpu_ms, cpu_ms)
        store_result(self.cache, plan_key(toolkit, entry, Config().models), verdict)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Ends with everything given back to the GPU, in order."""
    machine = Machine()
    trt, cuda = tensorrt_double(machine), cuda_double(machine)
    for name, module in (("tensorrt", trt), ("pycuda", cuda), ("pycuda.driver", cuda)):
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    folder = tmp_path / "engines-in"
    monkeypatch.setenv("EDGED_ENGINES", str(folder))
    manifest = write_models(folder, small=small_model(0), other=small_model(1))
    monkeypatch.setattr(backends_worker, "POLL_S", 0.01)
    monkeypatch.setattr(backends_worker, "WATCH_S", 0.02)
    monkeypatch.setattr(search, "EngineBuild", ScriptedBuild)
    monkeypatch.setattr(ScriptedBuild, "started", [])
    monkeypatch.setattr(ScriptedBuild, "stopped", [])
    made = Site(machine=machine, manifest=manifest, folder=tmp_path, workers=[])
    made.cache = EngineCache(engines_folder(Config.model_validate({"store": {"path": tmp_path / "edged.db"}})))
    yield made
    for worker in made.workers:
        assert worker.stop(60)
        assert worker.failure is None
    assert machine.clean, machine


class ScriptedBuild:
    """A child that only tells what is known; tests/test_backends_builder.py has the real one."""

    started: ClassVar[list[str]] = []
    stopped: ClassVar[list[str]] = []

    def __init__(self, model, models, folder) -> None:
        self.started.append(model)
        self._model, self._models, self._cache, self._told = model, models, EngineCache(folder), False

    def poll(self):
        if not self._told:
            self._told = True
            return BuildProgress("small", "building the engine", 0.5)
        key = plan_key(find_toolkit(), load_manifest(default_engines_dir()).entry(self._model), self._models)
        return engine_status(self._cache, key, self._models).result or failed(
            self._model, f"model {self._model}: no engine"
        )

    def stop(self) -> None:
        self.stopped.append(self._model)


def test_engines_that_agree_and_are_faster_take_over_all_answers(site):
    site.judge("small")
    site.judge("other")
    worker = site.worker()
    expected = [engine.run(faces(3))["probabilities"] for engine in site.engines]
    assert site.becomes(worker, "tensorrt", "tensorrt")
    for engine, wanted in zip(site.engines, expected, strict=True):
        np.testing.assert_allclose(engine.run(faces(3))["probabilities"], wanted, atol=0.005)
    assert (worker.problems(), worker.building) == ([], None)
    assert ScriptedBuild.started == ["small"], "once a child has used TensorRT and lived, what is known is read here"


@pytest.mark.parametrize(("backend", "runs"), [("auto", "onnxruntime"), ("tensorrt", "tensorrt")])
def test_a_slower_engine_is_left_alone_unless_it_is_asked_for(site, backend, runs):
    site.judge("small", gpu_ms=3.0)
    site.judge("other")
    worker = site.worker(backend)
    assert site.becomes(worker, runs, "tensorrt")
    assert worker.problems() == []


def test_where_no_engine_is_worth_it_the_gpu_is_not_opened_and_the_thread_ends(site):
    for name in ("small", "other"):
        site.judge(name, gpu_ms=3.0)
    worker = site.worker()
    assert site.becomes(worker, "onnxruntime", "onnxruntime")
    assert (site.machine.stacks, worker.problems()) == ({}, [])


def test_an_engine_that_was_refused_is_told_and_the_others_serve(site):
    site.judge("small", problem="model small: tensorrt differs from onnxruntime; it is not used")
    site.judge("other")
    worker = site.worker()
    assert site.becomes(worker, "onnxruntime", "tensorrt")
    assert worker.problems() == ["model small: tensorrt differs from onnxruntime; it is not used"]


@pytest.mark.parametrize("refuse", ["deserialize", "enqueue", "pin"])
def test_a_plan_that_fails_here_although_it_passed_is_told_and_not_offered(site, refuse):
    site.judge("small")
    site.machine.refuse = {refuse: "out of memory"}
    worker = site.worker()
    assert site.becomes(worker, "onnxruntime", "onnxruntime")
    assert "out of memory" in worker.problems()[0]


@pytest.mark.parametrize(("said", "kept"), [("out of memory", True), ("made by another version", False)])
def test_only_a_plan_that_is_to_blame_is_built_anew_at_the_next_start(site, said, kept):
    site.judge("small")
    site.machine.refuse = {"deserialize": said}
    assert site.becomes(site.worker(), "onnxruntime", "onnxruntime")
    key = plan_key(find_toolkit(), site.manifest.entry("small"), Config().models)
    assert site.cache.has(key) is kept
    assert (engine_status(site.cache, key, Config().models).result is not None) is kept


def test_a_plan_that_fails_and_cannot_be_deleted_leaves_the_other_models_theirs(site, monkeypatch):
    site.judge("small")
    site.judge("other")
    load = search.open_tensorrt_engine

    def fail(gpu, cache, key):
        if key.model == "small":
            raise ModelError("its plan cannot be loaded")
        return load(gpu, cache, key)

    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(search, "open_tensorrt_engine", fail)
    worker = site.worker()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        assert site.becomes(worker, "onnxruntime", "tensorrt")
    assert [line for line in worker.problems() if "Read-only file system" in line]
    assert not [line for line in worker.problems() if "unexpected" in line]


def test_a_gpu_that_cannot_be_opened_is_told_once(site):
    site.judge("small")
    site.judge("other")
    site.machine.refuse = {"retain": "CUDA_ERROR_DEVICE_UNAVAILABLE"}
    worker = site.worker()
    assert site.becomes(worker, "onnxruntime", "onnxruntime")
    (problem,) = worker.problems()
    assert "the GPU cannot be opened" in problem
    assert "\n" not in problem


def test_an_unexpected_error_ends_the_search_and_not_the_daemon(site, monkeypatch, caplog):
    site.judge("small")
    site.judge("other")

    def known(cache, key, models):
        if key.model == "other":
            raise AttributeError("module 'numpy' has no attribute 'bool'")
        return engine_status(cache, key, models)

    monkeypatch.setattr(search, "engine_status", known)
    worker = site.worker()
    worker.start()
    assert until(worker.problems)
    assert "unexpected AttributeError" in worker.problems()[0]
    assert "has no attribute 'bool'" in caplog.text
    assert site.backends(worker) == ["tensorrt", "onnxruntime"]
    assert worker.is_alive(), "what was found before serves on"
    assert worker.failure is None


def test_the_memory_of_an_engine_that_was_given_up_is_given_back(site):
    site.judge("small")
    site.judge("other")
    worker = site.worker()
    assert site.becomes(worker, "tensorrt", "tensorrt")
    held = site.machine.used
    site.machine.refuse = {"enqueue": "something is wrong"}
    assert site.engines[0].run(faces(1))["probabilities"].shape == (1, 3)
    assert until(lambda: site.machine.used < held)
    assert site.backends(worker) == ["onnxruntime", "tensorrt"]
    assert worker.is_alive()
    site.engines[1].run(faces(1))
    assert until(lambda: not worker.is_alive()), "with the last one the GPU is given back"
    assert len(worker.problems()) == 2


def test_a_gpu_that_breaks_while_it_runs_leaves_every_model_on_the_cpu(site, caplog):
    site.judge("small")
    site.judge("other")
    worker = site.worker()
    assert site.becomes(worker, "tensorrt", "tensorrt")
    site.machine.refuse = {"launch": "cuStreamSynchronize failed: an illegal memory access was encountered"}
    assert site.engines[0].run(faces(1))["probabilities"].shape == (1, 3)
    assert until(lambda: site.backends(worker) == ["onnxruntime", "onnxruntime"]), "also the one that has not run since"
    (problem,) = worker.problems()
    assert "illegal memory access" in problem
    assert "restart the daemon" in problem
    site.machine.refuse = {}
    assert until(lambda: not worker.is_alive())


def test_a_gpu_that_hangs_costs_one_wait(site, monkeypatch):
    site.judge("small")
    worker = site.worker()
    assert site.becomes(worker, "tensorrt", "onnxruntime")
    monkeypatch.setattr(gpu_engine, "RUN_PATIENCE_S", 0.2)
    awake = threading.Event()
    stream = type(next(iter(site.engines))._accelerated._loaded._session.stream)
    synchronize = stream.synchronize
    monkeypatch.setattr(stream, "synchronize", lambda self: (awake.wait(60), synchronize(self)))
    assert site.engines[0].run(faces(1))["probabilities"].shape == (1, 3)
    assert ["has not responded for 0.2 s" in problem for problem in worker.problems()] == [False, True]
    awake.set()
    assert until(lambda: not worker.is_alive())


def test_what_is_out_of_date_is_deleted_and_what_other_models_need_is_kept(site):
    site.judge("small")
    site.judge("other")
    old = site.cache.directory / "small-0123456789abcdef0123.result"
    old.write_bytes(b"of another TensorRT")
    kept = sorted(path.name for path in site.cache.directory.iterdir() if path != old)
    worker = site.worker()
    worker._engines = worker._engines[:1]
    worker.start()
    assert until(lambda: not old.exists())
    assert sorted(path.name for path in site.cache.directory.iterdir()) == kept


def test_nothing_is_deleted_while_somebody_builds(site):
    site.judge("small")
    old = site.cache.directory / "small-0123456789abcdef0123.result"
    old.write_bytes(b"of another TensorRT")
    with site.cache.building():
        worker = site.worker()
        worker._engines = worker._engines[:1]
        worker.start()
        assert until(lambda: site.engines[0]._offered)
        assert not until(lambda: not old.exists(), 0.3)


def test_a_folder_that_others_can_enter_is_refused_in_one_line(site):
    site.cache.directory.chmod(0o755)
    worker = site.worker()
    assert site.becomes(worker, "onnxruntime", "onnxruntime")
    (problem,) = worker.problems()
    assert "nobody else can enter" in problem
    assert "\n" not in problem


def test_the_progress_of_a_build_is_reported(site, monkeypatch):
    monkeypatch.setattr(ScriptedBuild, "poll", lambda self: BuildProgress("small", "building the engine", 0.5))
    worker = site.worker()
    worker.start()
    assert until(lambda: worker.building == BuildProgress("small", "building the engine", 0.5))
    assert worker.stop(60)
    assert (worker.building, ScriptedBuild.stopped) == (None, ["small"])


def test_a_search_that_makes_no_progress_is_told(site, monkeypatch):
    awake = threading.Event()
    monkeypatch.setattr(BackendWorker, "stuck_after_s", 0.1)
    monkeypatch.setattr(ScriptedBuild, "poll", lambda self: (awake.wait(60), failed("small", "nothing"))[1])
    worker = site.worker()
    worker.start()
    assert until(lambda: any("has not responded for minutes" in problem for problem in worker.problems()))
    awake.set()
    assert until(lambda: worker.problems() == ["nothing"])


def test_nothing_begins_before_the_first_picture(site, monkeypatch):
    worker = site.worker()
    for engine in site.engines:
        engine.has_run = False
    worker.start()
    assert not until(lambda: ScriptedBuild.started, 0.2)
    site.engines[0].run(faces(1))
    assert until(lambda: ScriptedBuild.started)


# --- where there is nothing

ABSENT = """
import sys
from types import SimpleNamespace
from edged.daemon.app import App
from edged.backends.switch import SwitchingEngine
from edged.backends.worker import BackendWorker
from edged.config import Config
ran = SwitchingEngine(SimpleNamespace(name="mask"))
ran.has_run = True
worker = BackendWorker(Config.model_validate({"models": {"backend": sys.argv[1]}}), [ran])
worker.start()
worker._thread.join(60)
assert not worker.is_alive()
print("\\n".join(worker.problems()))
heavy = {"jinja2", "tensorrt", "pycuda", "onnx", "edged.backends.search", "edged.inference.tensorrt", "edged.selftest.golden"}
print(sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""


def without_tensorrt(backend: str) -> tuple[str, str]:
    """The problems, and what was imported that costs time or memory."""
    if subprocess.run([sys.executable, "-c", "import tensorrt"], capture_output=True).returncode == 0:
        pytest.skip("TensorRT is installed")
    done = subprocess.run(
        [sys.executable, "-c", ABSENT, backend],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[1],
        check=True,
    )
    return done.stdout.strip(), done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_a_machine_without_tensorrt_pays_nothing(backend):
    assert without_tensorrt(backend) == ("", "[]")


def test_tensorrt_that_was_asked_for_and_is_missing_is_told_with_the_package_that_brings_it():
    problems, _ = without_tensorrt("tensorrt")
    assert problems.startswith("tensorrt: not installed; on a Jetson: `sudo apt install python3-libnvinfer`")
    assert "\n" not in problems
