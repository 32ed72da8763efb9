"""The backends that a self-test runs models on: each opens models by name, and says what is not there to be opened."""

from collections.abc import Collection
from typing import Protocol

from edged.backends.inventory import BUILD
from edged.backends.verdict import engines_folder, existing_cache, plan_key, stored_verdict
from edged.config import Config, ModelsConfig
from edged.errors import ModelError
from edged.inference import Manifest, open_engine
from edged.inference.tensorrt import (
    EngineCache,
    GpuThread,
    Toolkit,
    find_toolkit,
    open_tensorrt_engine,
)
from edged.ports import Engine


class AbsentError(ModelError):
    """The model, or all of them, was never built here; no mistake where nobody asked for it."""


class Backend(Protocol):
    """Something that runs models."""

    @property
    def name(self) -> str:
        """As `Engine.backend` has it."""

    @property
    def remedy(self) -> str:
        """What to do when a model answers otherwise than it should."""

    def open(self, model: str) -> Engine:
        """Load the model. Raise AbsentError when it was never built here, ModelError when it cannot be used."""

    def close(self) -> None:
        """Give everything up; the engines must not be used afterwards."""


class OnnxBackend:
    """ONNX Runtime, on the CPU; `needed` are models that the config wants, whose files must be there."""

    name = "onnxruntime"
    remedy = "the file is the one that was checked, so what runs it differs: reinstall edged"

    def __init__(self, manifest: Manifest, threads: int, needed: Collection[str]) -> None:
        self._manifest = manifest
        self._threads = threads
        self._needed = needed

    def open(self, model: str) -> Engine:
        """See `Backend`."""
        entry = self._manifest.entry(model)
        if entry.built_locally and model not in self._needed and not self._manifest.is_there(model):
            raise AbsentError(f"not built here, and not needed; {self._manifest.remedy(model)}")
        return open_engine(self._manifest, model, self._threads)

    def close(self) -> None:
        """Engines of ONNX Runtime go with their last user."""


class ProviderBackend:
    """ONNX Runtime with the execution providers that the config names."""

    remedy = "take it out of models.providers, or install the onnxruntime that its maker builds for this board"

    def __init__(self, manifest: Manifest, models: ModelsConfig) -> None:
        self.name = f"{OnnxBackend.name}/{models.providers[0].removesuffix('ExecutionProvider').lower()}"
        self._manifest = manifest
        self._models = models

    def open(self, model: str) -> Engine:
        """See `Backend`. Raise ConfigError for a provider that this ONNX Runtime does not know."""
        if not (self._manifest.directory / self._manifest.entry(model).file).exists():
            raise AbsentError("not built here")
        engine = open_engine(self._manifest, model, self._models.threads, self._models.providers)
        if not set(self._models.providers) & set(engine.providers):
            raise ModelError(f"{', '.join(self._models.providers)} cannot be used here, the CPU runs it; {self.remedy}")
        return engine

    def close(self) -> None:
        """See `OnnxBackend`."""


class TensorrtBackend:
    """The plans that stand in the state directory with a verdict; `open_tensorrt` gives one."""

    name = "tensorrt"
    remedy = 'run `edged engines build --force`, or set models.backend = "onnxruntime"'

    def __init__(self, manifest: Manifest, models: ModelsConfig, cache: EngineCache, toolkit: Toolkit) -> None:
        """Raise ModelError when the GPU cannot be opened."""
        self._manifest = manifest
        self._models = models
        self._cache = cache
        self._toolkit = toolkit
        self._thread: GpuThread = toolkit.open_thread()

    def open(self, model: str) -> Engine:
        """See `Backend`. Only plans that were run before, in a process of their own, are: one that crashes would end this one."""
        key = plan_key(self._toolkit, self._manifest.entry(model), self._models)
        verdict = stored_verdict(self._cache, key)
        if verdict is None and self._cache.has(key):
            raise ModelError(f"its engine was altered, or never checked; {BUILD}")
        if verdict is None:
            raise AbsentError(f"no engine was built for this TensorRT, GPU and model; {BUILD}")
        if not verdict.agrees:
            raise ModelError(f"refused when it was built: {verdict.problem}; the CPU runs it")
        return open_tensorrt_engine(self._thread, self._cache, key)

    def close(self) -> None:
        """See `Backend`."""
        self._thread.close()


def open_tensorrt(manifest: Manifest, config: Config) -> TensorrtBackend:
    """Raise ModelError, in one line, where TensorRT or a GPU is missing, or no engine was ever built."""
    toolkit = find_toolkit()
    cache = existing_cache(config)
    if cache is None:
        raise AbsentError(f"{engines_folder(config)}: no engine was built yet; {BUILD}")
    return TensorrtBackend(manifest, config.models, cache, toolkit)
