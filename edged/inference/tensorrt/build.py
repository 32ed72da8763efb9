"""From a model of the manifest to a plan in the cache, built with TensorRT 8.5 … 11, and from there to a running engine.

Builds take minutes and memory: they run in a child process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edged.errors import ModelError
from edged.inference.manifest import Manifest, ModelEntry, ProfileEntry
from edged.inference.tensorrt.binding import (
    USE_CPU,
    BuildWay,
    Gpu,
    Precision,
    build_way,
    failure,
    identify_gpu,
    import_cuda,
    import_tensorrt,
    one_line,
    parse_version,
    the_log,
)
from edged.inference.tensorrt.cache import EngineCache, EngineKey, profiles_text
from edged.inference.tensorrt.engine import TensorrtEngine
from edged.inference.tensorrt.thread import GpuThread

ReportProgress = Callable[[str, float], None]
"""Called with what is being done, and which part of it (0 … 1) is."""

WORKSPACE_BYTES = 256 << 20

_REMEDY = USE_CPU.removeprefix("or ")


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What a plan is built with, besides the model and its profiles."""

    precision: Precision = "fp16"
    workspace_bytes: int = WORKSPACE_BYTES
    """Scratch memory that the fastest kernels may use."""
    accelerator: int | None = None
    """A DLA core; what it cannot do runs on the GPU."""

    def flags(self, way: BuildWay) -> tuple[str, ...]:
        """What distinguishes the plan from others, as text for the key."""
        typed = "strongly-typed" if way.strongly_typed else "half-flag" if way.half_flag else "weakly-typed"
        core = () if self.accelerator is None else (f"dla={self.accelerator}",)
        return (typed, "no-tf32", f"workspace={self.workspace_bytes}", *core)


@dataclass(frozen=True, slots=True)
class Toolkit:
    """TensorRT and CUDA of this machine, and the GPU; `find_toolkit` gives it."""

    trt: Any
    cuda: Any
    gpu: Gpu

    def open_thread(self) -> GpuThread:
        """The one thread that owns the GPU in this process. Raise ModelError when the GPU cannot be opened."""
        return GpuThread(self.trt, self.cuda)


def find_toolkit() -> Toolkit:
    """Raise ModelError, with what `tensorrt_available` says, where engines cannot be built or run."""
    trt, cuda = import_tensorrt(), import_cuda()
    return Toolkit(trt, cuda, identify_gpu(cuda))


def engine_key(toolkit: Toolkit, entry: ModelEntry, options: BuildOptions | None = None) -> EngineKey:
    """The key of the plan that `build_engine` makes now."""
    options = options or BuildOptions()
    version = parse_version(toolkit.trt.__version__)
    way = build_way(version, options.precision, accelerator=options.accelerator is not None)
    return EngineKey(
        model=entry.name,
        model_sha256=entry.sha256,
        precision=options.precision,
        profiles=profiles_text(entry.profiles),
        flags=options.flags(way),
        tensorrt=version.text,
        gpu=toolkit.gpu,
    )


def build_engine(
    toolkit: Toolkit,
    manifest: Manifest,
    name: str,
    cache: EngineCache,
    options: BuildOptions | None = None,
    progress: ReportProgress | None = None,
) -> EngineKey:
    """Build the model called `name` and keep its plan; for a child process. Raise ModelError, leaving no trace, if it fails."""
    options = options or BuildOptions()
    entry = manifest.entry(name)
    _require_profiles(entry)
    key = engine_key(toolkit, entry, options)
    model = manifest.verified_bytes(name)
    built = build_plan(toolkit.trt, name, model, entry.profiles, options, cache.timing_cache(key), progress)
    cache.store(key, built.plan)
    cache.store_timing_cache(key, built.timing_cache)
    return key


def open_tensorrt_engine(thread: GpuThread, cache: EngineCache, key: EngineKey) -> TensorrtEngine:
    """Load the plan for `key`. Raise ModelError when it is not there, altered, or refused by TensorRT."""
    return TensorrtEngine(key.model, cache.load(key), thread)


def _require_profiles(entry: ModelEntry) -> None:
    """Sizes known only at run time need a profile."""
    free = [key for key, tensor in entry.inputs.items() if any(isinstance(size, str) for size in tensor.shape)]
    missing = sorted(set(free) - entry.profiles.keys())
    if missing:
        raise ModelError(
            f"model {entry.name}: engines/manifest.toml has no [model.{entry.name}.profiles] for {missing}"
        )


@dataclass(frozen=True, slots=True)
class BuiltPlan:
    """The engine's bytes, and what the builder learnt about this GPU: it makes the next build faster."""

    plan: bytes
    timing_cache: bytes


def build_plan(
    trt: Any,
    name: str,
    model: bytes,
    profiles: Mapping[str, ProfileEntry],
    options: BuildOptions,
    timing_cache: bytes = b"",
    progress: ReportProgress | None = None,
) -> BuiltPlan:
    """Build model `name` (verified bytes) for this machine. Raise ModelError in one line when that fails."""
    from edged.inference.half import to_float, to_half  # needs onnx, which only builds need

    way = build_way(parse_version(trt.__version__), options.precision, accelerator=options.accelerator is not None)
    graph = to_half(model, name) if way.strongly_typed and options.precision == "fp16" else to_float(model, name)
    trt_log = the_log(trt)
    trt_log.take_errors()
    try:
        builder = trt.Builder(trt_log)
        network = builder.create_network(_network_flags(trt, way))
        parser = trt.OnnxParser(network, trt_log)
        if not parser.parse(graph):
            said = " ".join("; ".join(str(parser.get_error(at).desc()) for at in range(parser.num_errors)).split())
            raise failure(f"model {name}: TensorRT {trt.__version__} does not understand it", said, _REMEDY)
        config = builder.create_builder_config()
        _configure(trt, builder, config, options, way)
        _add_profile(builder, config, name, profiles)
        _give_timing_cache(config, timing_cache)
        monitor = _monitor(trt, progress)
        if monitor is not None:
            config.progress_monitor = monitor
        serialized = builder.build_serialized_network(network, config)
        if serialized is None:
            raise failure(f"model {name}: its engine cannot be built", trt_log.take_errors(), _REMEDY)
        return BuiltPlan(bytes(serialized), bytes(config.get_timing_cache().serialize()))
    except ModelError:
        raise
    except Exception as error:  # noqa: BLE001  pybind11 raises TypeError, ValueError and RuntimeError
        said = trt_log.take_errors() or one_line(error)
        raise failure(f"model {name}: its engine cannot be built", said, _REMEDY) from None


def _network_flags(trt: Any, way: BuildWay) -> int:
    flags = 0
    if way.explicit_batch:
        flags |= 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    if way.strongly_typed:
        flags |= 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    return flags


def _configure(trt: Any, builder: Any, config: Any, options: BuildOptions, way: BuildWay) -> None:
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    config.clear_flag(trt.BuilderFlag.TF32)  # what is kept in FP32 is kept for its precision
    if way.half_flag:
        config.set_flag(trt.BuilderFlag.FP16)
    core = options.accelerator
    if core is None:
        return
    if not 0 <= core < builder.num_DLA_cores:
        raise ModelError(f"DLA core {core} is not there, this machine has {builder.num_DLA_cores}; leave it out")
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _add_profile(builder: Any, config: Any, name: str, profiles: Mapping[str, ProfileEntry]) -> None:
    profile = builder.create_optimization_profile()
    for tensor, shapes in profiles.items():
        profile.set_shape(tensor, shapes.min, shapes.opt, shapes.max)
    if profiles and config.add_optimization_profile(profile) < 0:
        raise ModelError(f"model {name}: TensorRT refuses its profiles; correct them in engines/manifest.toml")


def _give_timing_cache(config: Any, known: bytes) -> None:
    """What earlier builds learnt, unless it is of another GPU or damaged; then, and at first, nothing."""
    for content in (known, b""):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, False):
            return


def _monitor(trt: Any, progress: ReportProgress | None) -> Any:
    """Passes on the progress of the outermost phase; before TensorRT 10 there is none to be had."""
    if progress is None or not hasattr(trt, "IProgressMonitor"):
        return None
    report = progress

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """TensorRT calls it from threads of its own; only the outermost phase is reported, so one at a time."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if not parent_phase:
                self._steps[phase_name] = max(1, num_steps)
                report(phase_name, 0.0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._steps:
                report(phase_name, min(1.0, (step + 1) / self._steps[phase_name]))
            return True

        def phase_finish(self, phase_name: str) -> None:
            if self._steps.pop(phase_name, None):
                report(phase_name, 1.0)

    return Monitor()
