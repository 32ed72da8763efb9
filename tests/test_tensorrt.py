"""TensorRT engines on doubles of TensorRT and PyCUDA: built, kept, run, refused and shut down, in every version."""

import gc
import importlib.util
import sys
import threading
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from edged.errors import ModelError
from edged.inference import OnnxEngine, default_engines_dir, load_manifest
from edged.inference.compare import require_agreement
from edged.inference.tensorrt import (
    BuildOptions,
    EngineCache,
    Gpu,
    GpuMemoryError,
    GpuThread,
    TensorrtEngine,
    Toolkit,
    build_engine,
    engine_key,
    find_toolkit,
    open_tensorrt_engine,
    tensorrt_available,
)
from edged.inference.tensorrt import thread as gpu_thread
from edged.inference.tensorrt.binding import BuildWay, build_way, jetson_release, parse_version
from tests.support.cuda_double import Machine, cuda_double
from tests.support.mosquitto import until
from tests.support.small_models import faces, small_model, write_models
from tests.support.tensorrt_double import VERSIONS, plan_header, tensorrt_double

SHIPPED = load_manifest(default_engines_dir())


class Bench(SimpleNamespace):
    """A machine with a GPU, two models and an empty cache."""

    def toolkit(self, version: str | None = None) -> Toolkit:
        trt = tensorrt_double(self.machine, version) if version else self.trt
        return Toolkit(trt, self.cuda, Gpu("Orin", "8.7", "36.4.0"))

    def build(self, name: str = "small", **options):
        return build_engine(self.toolkit(), self.manifest, name, self.cache, BuildOptions(**options))

    def open(self, name: str = "small", **options) -> TensorrtEngine:
        return open_tensorrt_engine(self.thread(), self.cache, self.build(name, **options))

    def thread(self) -> GpuThread:
        if not self.threads:
            self.threads.append(GpuThread(self.trt, self.cuda))
        return self.threads[0]

    def close(self) -> None:
        while self.threads:
            assert self.threads.pop().close()
        gc.collect()


@pytest.fixture(params=VERSIONS)
def bench(request, tmp_path):
    made = make_bench(tmp_path, request.param)
    yield made
    made.close()
    assert made.machine.clean, made.machine


@pytest.fixture
def one_bench(tmp_path):
    """For what does not depend on the version."""
    made = make_bench(tmp_path, "10.3.0")
    yield made
    made.close()
    assert made.machine.clean, made.machine


def make_bench(folder, version: str) -> Bench:
    machine = Machine()
    manifest = write_models(folder / "engines", small=small_model(0), other=small_model(1, "Sigmoid"))
    return Bench(
        machine=machine,
        trt=tensorrt_double(machine, version),
        cuda=cuda_double(machine),
        manifest=manifest,
        cache=EngineCache(folder / "plans"),
        threads=[],
    )


def on_cpu(bench, name: str = "small") -> OnnxEngine:
    return OnnxEngine(name, bench.manifest.verified_bytes(name), threads=1)


def header(bench, key):
    return plan_header(bench.cache.load(key))


# Building


def test_the_plan_is_built_on_the_way_that_the_version_knows(bench):
    made = header(bench, bench.build())
    major = int(bench.trt.__version__.split(".")[0])
    assert made["flags"] == ([int(bench.trt.BuilderFlag.FP16)] if major < 10 else [])
    assert made["strong"]
    assert made["profiles"]["faces"] == [[1, 4, 4, 3], [2, 8, 8, 3], [4, 16, 16, 3]]
    assert made["workspace"] == {"0": 256 << 20}


def test_full_precision_asks_for_no_half_and_no_tf32(bench):
    assert header(bench, bench.build(precision="fp32"))["flags"] == []


def test_the_accelerator_is_used_with_the_gpu_for_what_it_cannot(bench):
    bench.machine.accelerators = 2
    made = header(bench, bench.build(accelerator=1))
    assert made["dla"] == 1
    assert int(bench.trt.BuilderFlag.GPU_FALLBACK) in made["flags"]


def test_an_accelerator_that_is_not_there_is_one_line(one_bench):
    with pytest.raises(ModelError, match=r"DLA core 0 is not there, this machine has 0"):
        one_bench.build(accelerator=0)


def test_progress_is_told_where_the_version_tells_it(bench):
    told = []
    build_engine(
        bench.toolkit(), bench.manifest, "small", bench.cache, progress=lambda what, part: told.append((what, part))
    )
    has_monitor = not bench.trt.__version__.startswith("8.")
    assert told == ([("Building engine", part) for part in (0.0, 0.5, 1.0, 1.0)] if has_monitor else [])


def test_timings_are_kept_for_the_next_build_of_the_same_machine(one_bench):
    key = one_bench.build()
    learnt = one_bench.cache.timing_cache(key)
    one_bench.build("other")
    assert one_bench.cache.timing_cache(key) == learnt + b"kernel;"


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:40] + b"x" + b[41:]])
def test_damaged_timings_are_built_anew(one_bench, damage):
    key = one_bench.build()
    learnt = one_bench.cache.timing_cache(key)
    path = one_bench.cache.directory / f"timing-{key.machine}.cache"
    path.write_bytes(damage(path.read_bytes()))
    assert one_bench.cache.timing_cache(key) == b""
    one_bench.build()
    assert one_bench.cache.timing_cache(key) == learnt


def test_timings_of_another_gpu_are_not_used(one_bench):
    key = one_bench.build()
    one_bench.cache.store_timing_cache(key, b"timings Xavier 10.3.0;")
    one_bench.build()
    assert one_bench.cache.timing_cache(key) == b"timings Orin 10.3.0;kernel;"


@pytest.mark.parametrize(
    ("refuse", "expected", "kind"),
    [
        (
            {"build": "[builder.cpp] Error Code 10: no implementation for node Conv"},
            "no implementation for node",
            ModelError,
        ),
        (
            {"build": "[memory.cpp] Error Code 2: OutOfMemory (requested 268435456 bytes)"},
            "out of memory",
            GpuMemoryError,
        ),
        ({"builder": "CUDA initialization failure with error: 35"}, "CUDA initialization failure", ModelError),
        ({"parse": "In node 3 (importConv): INVALID_NODE"}, "does not understand it", ModelError),
    ],
)
def test_a_failed_build_is_one_line_and_leaves_nothing(bench, refuse, expected, kind):
    bench.machine.refuse = refuse
    with pytest.raises(kind, match=expected) as caught:
        bench.build()
    assert "\n" not in str(caught.value)
    assert list(bench.cache.directory.iterdir()) == []


def test_a_model_with_operations_that_tensorrt_lacks_is_refused(tmp_path, one_bench):
    model = onnx.ModelProto.FromString(small_model())
    model.graph.node.append(onnx.helper.make_node("Identity", ["planes"], ["unused"]))
    model.graph.node[-1].op_type = "Det"
    model.graph.node[-1].input[0] = "kept"
    manifest = write_models(tmp_path / "odd", odd=model.SerializeToString())
    with pytest.raises(ModelError, match=r"TensorRT 10.3.0 does not understand it .*Det"):
        build_engine(one_bench.toolkit(), manifest, "odd", one_bench.cache)


def test_a_model_without_a_profile_is_refused(tmp_path, one_bench):
    manifest = write_models(tmp_path / "bare", bare=small_model())
    path = tmp_path / "bare" / "manifest.toml"
    text = path.read_text()
    path.write_text(text[: text.index("[model.bare.profiles]")])
    with pytest.raises(ModelError, match=r"no \[model.bare.profiles\] for \['faces'\]"):
        build_engine(one_bench.toolkit(), load_manifest(manifest.directory), "bare", one_bench.cache)


# Running


def test_the_engine_answers_as_the_cpu_does(bench):
    engine, cpu = bench.open(), on_cpu(bench)
    assert (engine.name, engine.backend) == ("small", "tensorrt")
    for count, height, width in ((1, 4, 4), (4, 16, 16), (2, 8, 12), (2, 8, 12), (1, 16, 4)):
        given = faces(count, height, width, seed=count)
        answer = engine.run(given)
        assert list(answer) == ["probabilities"]
        np.testing.assert_allclose(answer["probabilities"], cpu.run(given)["probabilities"], atol=2e-3)


def test_answers_are_the_callers_own(one_bench):
    engine = one_bench.open()
    first = engine.run(faces(2, seed=1))["probabilities"]
    kept = first.copy()
    engine.run(faces(2, seed=2))
    np.testing.assert_array_equal(first, kept)
    first[:] = 0


def test_pictures_that_are_not_contiguous_are_taken(one_bench):
    engine, cpu = one_bench.open(), on_cpu(one_bench)
    given = {"faces": faces(2, 16, 16)["faces"][:, ::2, ::2]}
    np.testing.assert_allclose(engine.run(given)["probabilities"], cpu.run(given)["probabilities"], atol=2e-3)


def test_nothing_is_allocated_once_it_runs(bench):
    engine = bench.open()
    engine.run(faces(4, 16, 16))
    before = bench.machine.allocated_count, bench.machine.used
    for count in (1, 4, 2):
        engine.run(faces(count, 4 + 3 * count, 8))
    assert (bench.machine.allocated_count, bench.machine.used) == before


def test_a_batch_that_is_too_large_is_run_in_parts(bench):
    engine, cpu = bench.open(), on_cpu(bench)
    given = faces(11)
    np.testing.assert_allclose(engine.run(given)["probabilities"], cpu.run(given)["probabilities"], atol=2e-3)


def test_a_model_of_fixed_size_needs_no_profile(tmp_path, bench):
    model = onnx.ModelProto.FromString(small_model())
    for size, dimension in zip((2, 8, 8), model.graph.input[0].type.tensor_type.shape.dim, strict=False):
        dimension.dim_value = size
    write_models(tmp_path / "fixed", fixed=model.SerializeToString())
    path = tmp_path / "fixed" / "manifest.toml"
    text = path.read_text().replace('["batch", "height", "width", 3]', "[2, 8, 8, 3]")
    path.write_text(text[: text.index("[model.fixed.profiles]")])
    bench.manifest = load_manifest(tmp_path / "fixed")
    engine = bench.open("fixed")
    expected = on_cpu(bench, "fixed").run(faces(2))["probabilities"]
    np.testing.assert_allclose(engine.run(faces(2))["probabilities"], expected, atol=2e-3)
    with pytest.raises(ModelError, match="outside what the engine was built for"):
        engine.run(faces(1))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (faces(1, 32, 8), "outside what the engine was built for"),
        (faces(1, 2, 8), "outside what the engine was built for"),
        (faces(0), "outside what the engine was built for"),
        ({"faces": faces(1)["faces"][0]}, "outside what the engine was built for"),
        ({"faces": faces(1)["faces"].astype(np.float32)}, "is float32, it must be uint8"),
        ({"face": faces(1)["faces"]}, r"takes \['faces'\], not \['face'\]"),
        ({}, r"takes \['faces'\], not \[\]"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_and_the_engine_goes_on(one_bench, given, expected):
    engine = one_bench.open()
    with pytest.raises(ModelError, match=expected):
        engine.run(given)
    assert engine.run(faces(1))["probabilities"].shape == (1, 3)


def test_several_models_and_threads_share_one_gpu_thread(bench):
    engines = [bench.open("small"), bench.open("other")]
    cpus = [on_cpu(bench, "small"), on_cpu(bench, "other")]
    wrong = []

    def work(number: int) -> None:
        for turn in range(10):
            which = (number + turn) % 2
            given = faces(1 + turn % 4, 4 + number, 8, seed=number * 100 + turn)
            answer = engines[which].run(given)["probabilities"]
            if not np.allclose(answer, cpus[which].run(given)["probabilities"], atol=2e-3):
                wrong.append((number, turn))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_engine_gives_its_memory_back(one_bench):
    engine = one_bench.open()
    other = one_bench.open("other")
    used = one_bench.machine.used
    other.close()
    assert one_bench.machine.used < used
    with pytest.raises(ModelError, match="has been closed"):
        other.run(faces(1))
    assert engine.run(faces(1))["probabilities"].shape == (1, 3)


# Failing


@pytest.mark.parametrize(
    ("refuse", "expected", "kind"),
    [
        ({"deserialize": "Error Code 1: Serialization"}, "its plan cannot be loaded", ModelError),
        ({"deserialize": "Cuda Runtime (out of memory)"}, "out of memory", GpuMemoryError),
        ({"context": "Error Code 2: OutOfMemory"}, "out of memory", GpuMemoryError),
        ({"shape": "Error Code 3: API Usage Error"}, "is refused", ModelError),
        ({"pin": "cuMemHostAlloc failed: out of memory"}, "out of memory", GpuMemoryError),
    ],
)
def test_an_engine_that_cannot_be_loaded_leaves_nothing_on_the_gpu(one_bench, refuse, expected, kind):
    key = one_bench.build()
    thread = one_bench.thread()
    used = one_bench.machine.used
    one_bench.machine.refuse = refuse
    with pytest.raises(kind, match=expected) as caught:
        open_tensorrt_engine(thread, one_bench.cache, key)
    assert "\n" not in str(caught.value)
    assert (one_bench.machine.used, one_bench.machine.allocations) == (used, {})
    one_bench.machine.refuse = {}
    assert open_tensorrt_engine(thread, one_bench.cache, key).run(faces(1))


@pytest.mark.parametrize("room", range(0, 90_000, 15_000))
def test_a_gpu_that_is_full_is_told_apart_however_far_it_got(one_bench, room):
    key = one_bench.build()
    thread = one_bench.thread()
    one_bench.machine.memory = one_bench.machine.used + room
    try:
        open_tensorrt_engine(thread, one_bench.cache, key)
    except GpuMemoryError as error:
        assert "out of memory" in str(error)  # noqa: PT017  either is right
    assert thread.broken is None


def test_a_run_that_is_refused_is_one_line_and_the_next_one_works(one_bench):
    engine = one_bench.open()
    one_bench.machine.refuse = {"enqueue": "[executionContext.cpp] Error Code 1: Cuda Runtime"}
    with pytest.raises(ModelError, match=r"model small: the run failed .*Cuda Runtime"):
        engine.run(faces(1))
    one_bench.machine.refuse = {"enqueue": "Cuda Runtime (out of memory)"}
    with pytest.raises(GpuMemoryError):
        engine.run(faces(1))
    one_bench.machine.refuse = {}
    assert engine.run(faces(1))


def test_after_an_error_that_spoils_the_context_nothing_is_tried_any_more(one_bench):
    engine = one_bench.open()
    one_bench.machine.refuse = {"launch": "cuStreamSynchronize failed: an illegal memory access was encountered"}
    with pytest.raises(ModelError, match=r"illegal memory access.*restart the daemon"):
        engine.run(faces(1))
    one_bench.machine.refuse = {}
    assert "illegal memory access" in str(one_bench.thread().broken)
    with pytest.raises(ModelError, match="illegal memory access"):
        engine.run(faces(1))


def test_a_gpu_that_never_answers_is_given_up(one_bench, monkeypatch):
    engine = one_bench.open()
    answered = threading.Event()
    with pytest.raises(ModelError, match=r"has not responded for 0.05 s"):
        one_bench.thread().call(lambda _: answered.wait(60), patience_s=0.05)
    with pytest.raises(ModelError, match="has not responded"):
        engine.run(faces(1))
    monkeypatch.setattr(gpu_thread, "CLOSE_PATIENCE_S", 0.05)
    assert not one_bench.thread().close()
    answered.set()
    one_bench.thread()._thread.join(60)
    one_bench.threads.clear()


def test_a_plan_of_another_version_is_refused_by_tensorrt_too(one_bench):
    key = one_bench.build()
    plan = one_bench.cache.load(key)
    trt = tensorrt_double(one_bench.machine, "10.13.3.9")
    thread = GpuThread(trt, one_bench.cuda)
    with pytest.raises(ModelError, match=r"expecting library version 10.13.3.9 got 10.3.0.*edged engines build"):
        TensorrtEngine("small", plan, thread)
    thread.close()


def test_another_version_gpu_or_model_wants_another_plan(one_bench):
    entry = one_bench.manifest.entry("small")
    toolkit = one_bench.toolkit()
    keys = {
        engine_key(toolkit, entry).digest(),
        engine_key(one_bench.toolkit("10.13.3.9"), entry).digest(),
        engine_key(Toolkit(toolkit.trt, toolkit.cuda, Gpu("Orin", "8.7", "36.4.1")), entry).digest(),
        engine_key(Toolkit(toolkit.trt, toolkit.cuda, Gpu("Thor", "8.7", "36.4.0")), entry).digest(),
        engine_key(toolkit, entry, BuildOptions(precision="fp32")).digest(),
        engine_key(toolkit, entry, BuildOptions(accelerator=0)).digest(),
        engine_key(toolkit, entry, BuildOptions(workspace_bytes=1 << 20)).digest(),
        engine_key(toolkit, entry.model_copy(update={"sha256": "0" * 64})).digest(),
        engine_key(toolkit, entry.model_copy(update={"profiles": {}})).digest(),
    }
    assert len(keys) == 9
    assert engine_key(toolkit, entry).digest() in keys


# Shutting down


def test_closing_twice_and_using_afterwards_is_harmless(one_bench):
    engine = one_bench.open()
    thread = one_bench.thread()
    assert thread.close()
    assert thread.close()
    with pytest.raises(ModelError, match="given up"):
        engine.run(faces(1))
    with pytest.raises(ModelError, match="given up"):
        engine.close()


@pytest.mark.parametrize(
    ("refuse", "expected"),
    [
        ({"retain": "cuDevicePrimaryCtxRetain failed: out of memory"}, "out of memory"),
        ({"runtime": "CUDA initialization failure with error: 35"}, "CUDA initialization failure"),
    ],
)
def test_a_gpu_that_cannot_be_opened_is_one_line(one_bench, refuse, expected):
    one_bench.machine.refuse = refuse
    with pytest.raises(ModelError, match=expected) as caught:
        one_bench.thread()
    assert "\n" not in str(caught.value)


# What is there


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8.5.2.2", (8, 5)), ("8.6.1", (8, 6)), ("10.13.3.9.post1", (10, 13)), ("11.4.0.106", (11, 4)), ("10.3", (10, 3))],
)
def test_versions_are_understood(text, expected):
    version = parse_version(text)
    assert (version.major, version.minor, version.text) == (*expected, text)


@pytest.mark.parametrize("text", ["", "ten", "8", "8.x"])
def test_other_versions_are_refused(text):
    with pytest.raises(ModelError, match="is not understood"):
        parse_version(text)


@pytest.mark.parametrize(
    ("text", "explicit", "strong", "half"),
    [
        ("8.5.2.2", True, False, True),
        ("8.6.1", True, False, True),
        ("10.3.0", False, True, False),
        ("10.13.3.9", False, True, False),
        ("11.4.0.106", False, True, False),
    ],
)
def test_each_version_is_told_about_half_precision_in_its_way(text, explicit, strong, half):
    version = parse_version(text)
    assert build_way(version, "fp16") == BuildWay(explicit, strong, half)
    assert build_way(version, "fp32") == BuildWay(explicit, strong, half_flag=False)


@pytest.mark.parametrize(("text", "strong"), [("8.6.1", False), ("10.3.0", False), ("11.4.0.106", True)])
def test_the_accelerator_knows_strong_types_from_11_on(text, strong):
    way = build_way(parse_version(text), "fp16", accelerator=True)
    assert (way.strongly_typed, way.half_flag) == (strong, not strong)


def test_jetson_linux_tells_its_release(tmp_path):
    path = tmp_path / "nv_tegra_release"
    assert jetson_release(path) == ""
    path.write_text("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8\n")
    assert jetson_release(path) == "36.4.3"
    path.write_text("something else\n")
    assert jetson_release(path) == ""


@pytest.fixture
def installed(monkeypatch):
    """Lets `tensorrt` and `pycuda` be what a test says."""

    found = importlib.util.find_spec

    def install(trt=None, cuda=None) -> None:
        for name, module in (("tensorrt", trt), ("pycuda", cuda), ("pycuda.driver", cuda)):
            monkeypatch.setitem(sys.modules, name, module)
            if module is not None:
                module.__spec__ = ModuleSpec(name, None)
        missing = {name for name, module in (("tensorrt", trt), ("pycuda", cuda)) if module is None}
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else found(name))

    return install


def test_what_is_missing_is_said_with_the_package_that_brings_it(installed):
    machine = Machine()
    trt, cuda = tensorrt_double(machine), cuda_double(machine)
    installed()
    assert tensorrt_available().startswith(
        "tensorrt: not installed; on a Jetson: `sudo apt install python3-libnvinfer`"
    )
    installed(trt)
    assert tensorrt_available().startswith("pycuda: not installed; `sudo apt install nvidia-cuda-dev`")
    installed(trt, cuda)
    assert tensorrt_available() is None
    assert find_toolkit().gpu == Gpu("Orin", "8.7", jetson_release())
    machine.refuse = {"init": "cuInit failed: no CUDA-capable device is detected"}
    assert "no CUDA-capable device" in tensorrt_available()
    with pytest.raises(ModelError, match="no CUDA-capable device"):
        find_toolkit()


def test_a_tensorrt_that_is_too_old_is_said(installed):
    machine = Machine()
    trt = tensorrt_double(machine, "8.6.1")
    trt.__version__ = "8.2.1.8"
    installed(trt, cuda_double(machine))
    assert tensorrt_available() == (
        "tensorrt: 8.2.1.8 is too old, 8.5 is the oldest that serves; install JetPack 5.1 or later"
    )


# Our models


@pytest.mark.parametrize("name", sorted(name for name, entry in SHIPPED.entries.items() if not entry.built_locally))
def test_every_shipped_model_becomes_an_engine_that_agrees_with_the_cpu(name, one_bench):
    one_bench.manifest = SHIPPED
    engine, entry = one_bench.open(name), SHIPPED.entry(name)
    rng = np.random.default_rng(0)
    given = {}
    for key, tensor in entry.inputs.items():
        shape = entry.profiles[key].min if key in entry.profiles else tensor.shape
        given[key] = rng.integers(0, 256, (2, *shape[1:])).astype(tensor.dtype)
    require_agreement(entry, OnnxEngine(name, SHIPPED.verified_bytes(name), 1), engine, [given])


@pytest.mark.parametrize("way", ["opens", "fails"])
def test_a_gpu_that_answers_after_it_was_given_up_is_given_back(bench, monkeypatch, caplog, way):
    answer = threading.Event()
    retain = bench.cuda.Device.retain_primary_context

    def late(device):
        answer.wait(30)
        if way == "fails":
            raise bench.cuda.Error("it is gone")
        return retain(device)

    monkeypatch.setattr(bench.cuda.Device, "retain_primary_context", late)
    monkeypatch.setattr(gpu_thread, "OPEN_PATIENCE_S", 0.1)
    with pytest.raises(ModelError, match="has not responded"):
        GpuThread(bench.trt, bench.cuda)
    answer.set()
    assert until(lambda: "gpu" not in [thread.name for thread in threading.enumerate()])
    assert "answers only after it was given up" in caplog.text
    assert bench.machine.clean
