"""The backends present on this machine: each opens models by name, and says what is not there to be opened."""

from collections.abc import Collection

from edged.backends.status import engine_status, engines_folder, existing_cache, plan_key
from edged.config import Config, ModelsConfig
from edged.errors import ModelError
from edged.inference import Manifest, NotBuiltError, open_engine
from edged.inference.tensorrt import EngineCache, EngineKey, GpuThread, find_toolkit, open_tensorrt_engine
from edged.ports import Engine
from edged.shared_remedies import BUILD


class OnnxBackend:
    """ONNX Runtime, on the CPU; `needed` are models that the config uses, whose files must be there."""

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
            raise NotBuiltError(f"not built here, and not needed; {self._manifest.remedy(model)}")
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
        if not self._manifest.is_there(model):
            raise NotBuiltError("not built here")
        engine = open_engine(self._manifest, model, self._models.threads, self._models.providers)
        if not set(self._models.providers) & set(engine.providers):
            raise ModelError(f"{', '.join(self._models.providers)} cannot be used here, the CPU runs it; {self.remedy}")
        return engine

    def close(self) -> None:
        """See `OnnxBackend`."""


class TensorrtBackend:
    """The plans in the state directory that may be used."""

    name = "tensorrt"
    remedy = 'run `edged engines build --force`, or set models.backend = "onnxruntime"'

    def __init__(self, manifest: Manifest, config: Config) -> None:
        """Raise ModelError, in one line, where TensorRT or a GPU is missing, NotBuiltError where no engine was ever built."""
        self._toolkit = find_toolkit()
        cache = existing_cache(config)
        if cache is None:
            raise NotBuiltError(f"{engines_folder(config)}: no engine was built yet; {BUILD}")
        self._manifest = manifest
        self._models = config.models
        self.cache: EngineCache = cache
        self._thread: GpuThread = self._toolkit.open_thread()

    def key(self, model: str) -> EngineKey:
        """Of the plan that the model has here."""
        return plan_key(self._toolkit, self._manifest.entry(model), self._models)

    def open(self, model: str) -> Engine:
        """See `Backend`. Only plans that a process of its own has run before: one that crashes would end this process."""
        key = self.key(model)
        status = engine_status(self.cache, key, self._models)
        if status.state == "built":
            return open_tensorrt_engine(self._thread, self.cache, key)
        if status.result is not None:
            raise ModelError(f"refused when it was built: {status.why}; the CPU runs it")
        if self.cache.has(key):
            raise ModelError(status.why)
        raise NotBuiltError(f"no engine was built for this TensorRT, GPU and model; {BUILD}")

    def close(self) -> None:
        """See `Backend`."""
        self._thread.close()
