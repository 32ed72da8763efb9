"""One engine prepared, on the doubles of TensorRT and PyCUDA: built, compared, measured, remembered, and refused in one line."""

import gc
import hashlib
import itertools
import random
import shutil
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from edged.backends import BuildProgress, build_child
from edged.backends.build_child import run_build
from edged.backends.build_parent import BuildMessage, BuildRequest
from edged.backends.status import engine_status, plan_key
from edged.config import ModelsConfig
from edged.inference import default_engines_dir, load_manifest
from edged.inference.compare import run_times
from edged.inference.tensorrt import EngineCache, find_toolkit
from tests.support.cuda_double import Machine, cuda_double
from tests.support.tensorrt_double import VERSIONS, plan_header, tensorrt_double

MODELS = ModelsConfig(threads=1)


class Bench:
    """A machine with a GPU, and a folder for its engines."""

    def __init__(self, folder: Path, monkeypatch) -> None:
        self.machine, self.folder, self.monkeypatch = Machine(), folder / "engines", monkeypatch
        self.built = 0
        self.said: list[BuildMessage] = []
        self.install("10.3.0")

    def install(self, version: str) -> None:
        self.trt = tensorrt_double(self.machine, version)
        build = self.trt.Builder.build_serialized_network

        def counted(*arguments):
            self.built += 1
            return build(*arguments)

        self.trt.Builder.build_serialized_network = counted
        for name, module in (
            ("tensorrt", self.trt),
            ("pycuda", self.trt),
            ("pycuda.driver", cuda_double(self.machine)),
        ):
            self.monkeypatch.setitem(sys.modules, name, module)
            module.__spec__ = ModuleSpec(name, None)

    def build(self, model: str = "eyes", *, models: ModelsConfig = MODELS, force: bool = False):
        self.said.clear()
        result = run_build(BuildRequest(model=model, folder=self.folder, models=models, force=force), self.said.append)
        gc.collect()
        assert self.machine.clean, self.machine
        assert result.model == model
        assert result.agrees == (result.problem is None)
        assert "\n" not in (result.problem or "")
        return result

    @property
    def cache(self) -> EngineCache:
        return EngineCache(self.folder)

    @property
    def key(self):
        return plan_key(find_toolkit(), load_manifest(default_engines_dir()).entry("eyes"), MODELS)

    @property
    def progress(self) -> list[BuildProgress]:
        return [message.progress for message in self.said if message.progress]

    def refuse(self, **what: str) -> None:
        self.machine.refuse = what

    def names(self) -> list[str]:
        return sorted(path.suffix for path in self.folder.iterdir())


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr("edged.inference.compare.ENOUGH_S", 0.0)
    return Bench(tmp_path, monkeypatch)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_engine_is_built_compared_measured_and_remembered(bench, version):
    bench.install(version)
    result = bench.build()
    assert result.agrees
    assert result.gpu_ms > 0
    assert result.cpu_ms > 0
    assert bench.names() == [".cache", ".json", ".plan", ".result"]
    assert engine_status(bench.cache, bench.key, MODELS).result == result
    assert bench.build() == result
    assert bench.built == 1


def test_what_is_done_is_told_and_never_goes_backwards(bench):
    bench.build()
    told = bench.progress
    assert [progress.step for progress in told] == [
        "looking for TensorRT",
        "running the golden pictures on the CPU",
        "building the engine",
        *["building the engine: Building engine"] * 3,
        "loading the engine",
        "comparing the engine with the CPU",
        "measuring",
        "done",
    ]
    parts = [progress.part for progress in told]
    assert (parts, parts[0], parts[-1]) == (sorted(parts), 0.0, 1.0)
    assert [message.key for message in bench.said if message.key] == [bench.key]


def test_force_builds_anew(bench):
    bench.build()
    bench.build(force=True)
    assert bench.built == 2


def test_another_tensorrt_or_core_builds_another_engine(bench):
    bench.build()
    bench.install("10.13.3.9")
    bench.build()
    bench.machine.accelerators = 1
    result = bench.build(models=ModelsConfig(dla_core=0))
    assert result.agrees
    assert bench.built == 3
    assert len(bench.cache.stems()) == 3


def test_what_is_kept_in_full_precision_is_built_so(bench, tmp_path):
    engines(bench, tmp_path, lambda text: text.replace("[model.eyes]\n", '[model.eyes]\nprecision = "fp32"\n'))
    assert bench.build().agrees
    header = plan_header(bench.cache.load(bench.key))
    assert header["flags"] == []


# What is wrong with an engine is remembered


def test_an_engine_that_differs_is_not_used_and_not_tried_again(bench):
    compute = bench.trt.IExecutionContext._compute
    bench.trt.IExecutionContext._compute = lambda self, given: {
        name: answer + np.float32(0.01) for name, answer in compute(self, given).items()
    }
    result = bench.build()
    assert "differs from onnxruntime in probabilities (probability) by 2.0 times what is allowed" in result.problem
    assert bench.names() == [".cache", ".result"]
    assert bench.build() == result
    assert bench.built == 1
    bench.trt.IExecutionContext._compute = compute
    assert bench.build() == result
    assert bench.build(force=True).agrees


@pytest.mark.parametrize(
    ("refuse", "expected"),
    [
        ({"parse": "No importer registered for op: Det"}, "does not understand it"),
        ({"build": "no implementation for node Conv"}, "its engine cannot be built"),
        ({"deserialize": "Serialization assertion failed"}, "its plan cannot be loaded"),
        ({"enqueue": "Cuda Runtime: invalid configuration"}, "the run failed"),
        ({"launch": "an illegal memory access was encountered"}, "illegal memory access"),
    ],
)
def test_an_engine_that_cannot_be_built_or_run_is_given_up_until_something_changes(bench, refuse, expected):
    bench.refuse(**refuse)
    result = bench.build()
    assert expected in result.problem
    assert ".plan" not in bench.names()
    built = bench.built
    bench.refuse()
    assert bench.build() == result
    assert bench.built == built
    bench.install("10.13.3.9")
    assert bench.build().agrees


# What may be otherwise tomorrow is not


@pytest.mark.parametrize(
    ("refuse", "expected"),
    [
        ({"build": "Error Code 2: OutOfMemory (requested 268435456 bytes)"}, "the GPU is out of memory"),
        ({"context": "Error Code 2: OutOfMemory"}, "the GPU is out of memory"),
        ({"enqueue": "Cuda Runtime (out of memory)"}, "the GPU is out of memory"),
        ({"retain": "cuDevicePrimaryCtxRetain failed: out of memory"}, "the GPU is out of memory"),
        ({"runtime": "CUDA initialization failure with error: 35"}, "TensorRT: cannot be started"),
        ({"init": "cuInit failed: no CUDA-capable device is detected"}, "no GPU can be used"),
    ],
)
def test_a_gpu_that_is_full_or_gone_is_tried_again_the_next_time(bench, refuse, expected):
    bench.refuse(**refuse)
    assert expected in bench.build().problem
    bench.refuse()
    assert bench.build().agrees


def test_a_gpu_with_too_little_memory_is_one_line_however_far_it_gets(bench):
    for memory in range(0, 400_000, 50_000):
        bench.machine.memory = memory
        result = bench.build()
        assert result.agrees or "out of memory" in result.problem
    bench.machine.memory = 1 << 30
    assert bench.build().agrees


@pytest.mark.parametrize("writes", range(4))
def test_a_full_disk_is_one_line_and_leaves_nothing_half(bench, monkeypatch, writes):
    """It fills up before the plan, its record, the timings, or the result."""
    write, count = EngineCache._write, []

    def full(cache, path, content):
        count.append(path)
        if len(count) > writes:
            raise cache._unwritten(path, OSError(28, "No space left on device"))
        write(cache, path, content)

    with monkeypatch.context() as patch:
        patch.setattr(EngineCache, "_write", full)
        result = bench.build()
    assert result.agrees == (writes == 3)  # a result that cannot be written holds for this time
    assert result.agrees or "cannot be written (No space left on device); make room" in result.problem
    whole = [[], [], [".json", ".plan"], [".cache", ".json", ".plan"]]
    assert bench.names() == whole[writes]
    assert bench.build().agrees
    assert bench.built == (2 if writes < 2 else 1)


# Plans that are not what they were


@pytest.mark.parametrize("damage", [lambda plan: plan[:1000], lambda plan: plan[:-1] + b"x", lambda plan: b""])
def test_a_damaged_plan_is_built_anew(bench, damage):
    first = bench.build()
    path = bench.folder / f"{bench.key.stem}.plan"
    plan = path.read_bytes()
    path.write_bytes(damage(plan))
    assert first.agrees
    assert engine_status(bench.cache, bench.key, MODELS).result is None
    assert bench.build().agrees
    assert bench.built == 2
    assert path.read_bytes() == plan


def test_a_plan_that_tensorrt_refuses_is_built_anew(bench):
    """As after an update that changed no version number."""
    bench.build()
    path = bench.folder / f"{bench.key.stem}.plan"
    bench.cache.store(bench.key, path.read_bytes().replace(b'"version": "10.3.0"', b'"version": "10.2.0"'))
    assert bench.build().agrees
    assert bench.built == 2


def test_a_plan_without_a_verdict_is_compared_and_not_built_again(bench):
    bench.build()
    (bench.folder / f"{bench.key.stem}.result").unlink()
    assert bench.build().agrees
    assert bench.built == 1


# Models that are not what they should be


def engines(bench, tmp_path, change, model: bytes | None = None) -> None:
    """A folder of models with `change` made to the manifest's text, and another file for the eyes."""
    folder = tmp_path / "models"
    shutil.copytree(default_engines_dir(), folder)
    text = (folder / "manifest.toml").read_text()
    if model is not None:
        old = load_manifest(folder).entry("eyes").sha256
        (folder / "eyes.onnx").write_bytes(model)
        text = text.replace(old, hashlib.sha256(model).hexdigest())
    (folder / "manifest.toml").write_text(change(text))
    bench.monkeypatch.setenv("EDGED_ENGINES", str(folder))


def eyes() -> onnx.ModelProto:
    return onnx.ModelProto.FromString((default_engines_dir() / "eyes.onnx").read_bytes())


def outside(location: str) -> bytes:
    """The eyes' model with its first weights in another file."""
    model = eyes()
    tensor = next(tensor for tensor in model.graph.initializer if tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return model.SerializeToString()


@pytest.mark.parametrize("damage", [lambda data: data[:500], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_a_model_file_that_was_altered_is_one_line(bench, tmp_path, damage):
    engines(bench, tmp_path, str)
    path = tmp_path / "models" / "eyes.onnx"
    path.write_bytes(damage(path.read_bytes()))
    assert "is not the one that was checked" in bench.build().problem
    assert bench.built == 0


@pytest.mark.parametrize("location", ["weights.bin", "../../etc/passwd", "/etc/passwd"])
def test_a_model_with_data_outside_its_file_is_one_line(bench, tmp_path, location):
    engines(bench, tmp_path, str, outside(location))
    assert "model eyes" in bench.build().problem
    assert bench.built == 0


def test_a_model_with_operations_that_tensorrt_lacks_stays_on_the_cpu(bench, tmp_path):
    model = eyes()
    model.graph.node.append(onnx.helper.make_node("Multinomial", [model.graph.output[0].name], ["unused"]))
    engines(bench, tmp_path, str, model.SerializeToString())
    result = bench.build()
    assert "does not understand it (No importer registered for op: Multinomial)" in result.problem
    assert bench.build() == result


@pytest.mark.parametrize("name", ["nobody", "retinaface"])
def test_a_model_that_is_not_there_is_one_line(bench, name):
    if name == "retinaface" and (default_engines_dir() / "retinaface.onnx").exists():
        pytest.skip("somebody has built it")
    assert bench.build(name).problem


def test_without_tensorrt_it_is_said_what_is_missing(bench, monkeypatch):
    for name in ("tensorrt", "pycuda", "pycuda.driver"):
        monkeypatch.delitem(sys.modules, name)
    assert "tensorrt: not installed" in bench.build().problem


def test_a_tensorrt_that_is_too_old_is_said(bench):
    bench.trt.__version__ = "8.2.1.8"
    assert "8.2.1.8 is too old" in bench.build().problem


def test_a_folder_that_others_can_enter_is_refused(bench):
    bench.folder.mkdir(mode=0o755)
    assert "nobody else can enter" in bench.build().problem


def test_it_waits_for_another_build(bench, monkeypatch):
    monkeypatch.setattr(build_child, "BUSY_WAIT_S", 0.01)
    with bench.cache.building():

        def release(message: BuildMessage) -> None:
            bench.said.append(message)
            raise InterruptedError

        with pytest.raises(InterruptedError):
            run_build(BuildRequest(model="eyes", folder=bench.folder, models=MODELS), release)
    assert bench.progress == [BuildProgress("eyes", "waiting for another build", 0.0)]
    assert bench.build().agrees


# Measuring


class Ticking:
    """Engines that take their time on a clock of their own: `takes_ms`, and more while the machine is busy."""

    def __init__(self, monkeypatch) -> None:
        self.now_s = 0.0
        self.busy_ms = itertools.repeat(0.0)
        monkeypatch.setattr("time.perf_counter", lambda: self.now_s)
        monkeypatch.setattr("edged.inference.compare.ENOUGH_S", 0.0)

    def engine(self, *takes_ms: float):
        """One that takes so long in turn."""
        its = itertools.cycle(takes_ms)

        class Engine:
            def run(_, given):  # noqa: N805
                self.now_s += (next(its) + next(self.busy_ms)) / 1000

        return Engine()


def test_the_fastest_is_that_of_each_input_and_the_median_its_usual_run(monkeypatch):
    takes_ms = [9, 90, 9, 90, 4, 20, 2, 60, 3, 50, 5, 40, 6, 30]  # two inputs in turn; the first two rounds warm up
    (times,) = run_times([Ticking(monkeypatch).engine(*takes_ms)], [{}, {}])
    assert times == (pytest.approx((2 + 20) / 2), pytest.approx((4 + 40) / 2))


@pytest.mark.parametrize("seed", range(20))
def test_which_engine_is_faster_does_not_depend_on_how_busy_the_machine_is(monkeypatch, seed):
    """Somebody else takes the processor for 8 ms in two of three runs, or for the whole first half of the measurement."""
    chance = random.Random(seed)
    machine = Ticking(monkeypatch)
    fast, slow = machine.engine(2.0), machine.engine(2.5)
    machine.busy_ms = itertools.chain(
        (8.0 for _ in range(32)), (8.0 * (chance.random() < 2 / 3) for _ in itertools.count())
    )
    monkeypatch.setattr("edged.inference.compare.ENOUGH_S", 60.0)
    for engines in ([fast, slow], [slow, fast]):
        times = dict(zip(map(id, engines), run_times(engines, [{}, {}, {}]), strict=True))
        assert times[id(fast)].fastest_ms == pytest.approx(2.0)
        assert times[id(slow)].fastest_ms == pytest.approx(2.5)


def test_engines_take_turns(monkeypatch):
    """One that is measured while the machine is busy is not held against one that has it for itself."""
    machine = Ticking(monkeypatch)
    machine.busy_ms = itertools.count(0.0, 0.01)
    fast, slow = machine.engine(2.0), machine.engine(2.5)
    on_slow, on_fast = run_times([slow, fast], [{}])
    assert on_fast.fastest_ms < on_slow.fastest_ms
    assert on_fast.median_ms < on_slow.median_ms
