"""Goes through the loaded models: has engines built, opens those that may be used, offers them, gives back what failed.

TensorRT is imported into this process only after a child has used it and lived: its libraries may crash, which would take
the daemon with them.
"""

import contextlib
import logging
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edged.backends import BuildProgress
from edged.backends.build_parent import EngineBuild
from edged.backends.status import BuildResult, engine_status, engines_folder, plan_key
from edged.backends.switch import SwitchingEngine
from edged.config import Config
from edged.errors import ModelError
from edged.inference import Manifest, ModelEntry, default_engines_dir, load_manifest
from edged.inference.tensorrt import (
    CacheBusyError,
    CacheFullError,
    EngineCache,
    EngineKey,
    GpuMemoryError,
    GpuThread,
    TensorrtEngine,
    Toolkit,
    find_toolkit,
    not_installed,
    open_tensorrt_engine,
)

log = logging.getLogger(__name__)

Steps = Generator[BuildProgress | None, None, None]
"""Each takes a minute at most. Closing it ends what runs."""


class Search:
    """One thread's own, but for `broken`."""

    def __init__(self, config: Config, engines: Sequence[SwitchingEngine], report: Callable[[str], None]) -> None:
        """`report` is given each problem, one line."""
        self._models, self._folder = config.models, engines_folder(config)
        self._engines = engines
        self._report = report
        self._toolkit: Toolkit | None = None
        self._gpu: GpuThread | None = None
        self._opened: dict[str, TensorrtEngine] = {}

    @property
    def broken(self) -> str | None:
        """Why the GPU takes no more work, or None."""
        return self._gpu.broken if self._gpu else None

    def steps(self) -> Steps:
        """Find each model its backend. Raise ModelError for what concerns them all."""
        if missing := not_installed():
            if self._models.backend == "tensorrt":
                self._report(missing)
            else:
                log.info("the models stay on the CPU: %s", missing)
            return
        manifest, cache = load_manifest(default_engines_dir()), EngineCache(self._folder)
        for engine in self._engines:
            entry = manifest.entry(engine.name)
            result = yield from self._built(entry, cache)
            if self._serves(result):
                yield from self._open(engine, entry, cache)
        self._prune(manifest, cache)

    def watch_over(self) -> bool:
        """Give back the memory of engines that were given up; whether any is left."""
        for engine in self._engines:
            if engine.name in self._opened:
                if self.broken:
                    engine.give_up(self.broken)  # a model that is seldom run would not notice for long
                if engine.problem:
                    self._drop(engine.name)
        return bool(self._opened)

    def close(self) -> None:
        """Give the GPU back, with all that is open; engines still in use fall back to the CPU."""
        self._opened.clear()
        if self._gpu is not None:
            self._gpu.close()

    def _built(self, entry: ModelEntry, cache: EngineCache) -> Generator[BuildProgress | None, None, BuildResult]:
        """The result for the engine of `entry`, which is built and measured if need be."""
        if self._toolkit:
            known = engine_status(cache, plan_key(self._toolkit, entry, self._models), self._models).result
            if known is not None:
                return known
        build = EngineBuild(entry.name, self._models, self._folder)
        progress = BuildProgress(entry.name, "starting", 0.0)
        try:
            while True:
                latest = build.poll()
                if isinstance(latest, BuildResult):
                    return latest
                progress = latest or progress
                yield progress
        finally:
            build.stop()

    def _serves(self, result: BuildResult) -> bool:
        """Whether the engine is to serve; if not, that is logged: as an error, where something is wrong with it."""
        if result.serves(self._models):
            return True
        if result.agrees:
            times = result.cpu_ms or 0.0, result.gpu_ms or 0.0
            log.info("model %s stays on the CPU: %.2f ms there, %.2f ms on TensorRT", result.model, *times)
        else:
            self._report(result.problem or f"model {result.model}: its engine was refused")
        return False

    def _open(self, engine: SwitchingEngine, entry: ModelEntry, cache: EngineCache) -> Steps:
        """Load the plan, run it once (the first run is slow), and offer it."""
        self._toolkit = toolkit = self._toolkit or find_toolkit()
        self._gpu = gpu = self._gpu or toolkit.open_thread()
        key = plan_key(toolkit, entry, self._models)
        yield None
        try:
            opened = open_tensorrt_engine(gpu, cache, key)
            self._opened[entry.name] = opened
            opened.run(zeros_for(entry))
        except GpuMemoryError as error:
            self._report(str(error))
            self._drop(entry.name)
        except ModelError as error:
            self._report(str(error))
            self._drop(entry.name)
            self._discard(cache, key)  # its result counts for this plan only: the next start builds it anew
        else:
            engine.offer(opened)
        yield None

    def _discard(self, cache: EngineCache, key: EngineKey) -> None:
        """A disk that takes no changes is no reason not to look after the other models."""
        try:
            cache.discard(key)
        except CacheFullError as error:
            self._report(str(error))

    def _drop(self, name: str) -> None:
        opened = self._opened.pop(name, None)
        if opened is not None:
            with contextlib.suppress(ModelError):  # a broken GPU keeps the memory until this process ends
                opened.close()

    def _prune(self, manifest: Manifest, cache: EngineCache) -> None:
        """Delete what an update of TensorRT, of a model or of the config left behind."""
        if self._toolkit is None:
            return
        current = [plan_key(self._toolkit, entry, self._models) for entry in manifest.entries.values()]
        try:
            with cache.building():
                gone = cache.prune(current)
        except CacheBusyError:
            return  # somebody runs `edged engines build`; the next start will do
        if gone:
            log.info("deleted what is out of date in %s: %s", cache.directory, ", ".join(gone))


def zeros_for(entry: ModelEntry) -> dict[str, NDArray[Any]]:
    """Inputs of the most usual size."""
    known = {name: tensor.shape for name, tensor in entry.inputs.items()}
    shapes: dict[str, Any] = known | {name: profile.opt for name, profile in entry.profiles.items()}
    return {name: np.zeros(shape, entry.inputs[name].dtype) for name, shape in shapes.items()}
