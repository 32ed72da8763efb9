"""From a model of the manifest to a plan in the cache, and from there to a running engine."""

from dataclasses import dataclass
from typing import Any

from edged.errors import ModelError
from edged.inference.manifest import Manifest, ModelEntry
from edged.inference.tensorrt.binding import Gpu, build_way, identify_gpu, import_cuda, import_tensorrt, parse_version
from edged.inference.tensorrt.cache import EngineCache, EngineKey, profiles_text
from edged.inference.tensorrt.engine import TensorrtEngine
from edged.inference.tensorrt.plan import BuildOptions, Progress, build_plan
from edged.inference.tensorrt.thread import GpuThread


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
    progress: Progress | None = None,
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
