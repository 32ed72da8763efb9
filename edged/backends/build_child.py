"""Builds one engine, compares it with the CPU and measures both: the work of the child process, where it may crash."""

import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from edged.backends import BuildProgress
from edged.backends.build_parent import BuildMessage, BuildRequest
from edged.backends.status import BuildResult, build_options, engine_status, failed, plan_key, store_result
from edged.errors import ModelError
from edged.inference import default_engines_dir, load_manifest, open_engine
from edged.inference.compare import require_agreement, run_times
from edged.inference.tensorrt import (
    CacheBusyError,
    CacheFullError,
    EngineCache,
    GpuMemoryError,
    GpuThread,
    TensorrtEngine,
    build_engine,
    find_toolkit,
    open_tensorrt_engine,
    tensorrt_available,
)
from edged.ports import Arrays, Engine
from edged.selftest.golden import golden_inputs

log = logging.getLogger(__name__)

Report = Callable[[BuildMessage], None]

BUSY_WAIT_S = 0.5

READY, BUILT, COMPARED = 0.05, 0.9, 0.95
"""Parts of the whole that are done by then."""
LEAST_STEP = 0.01
"""Progress is reported in steps of at least this part."""


def run_build(request: BuildRequest, report: Report) -> BuildResult:
    """The result for the engine of `request.model`: what is known, or else found out now, and then kept.

    Kept is what speaks against the engine itself; not that the disk or the GPU is full, or that something is missing.
    """
    try:
        cache = EngineCache(request.folder)
        with contextlib.ExitStack() as held:
            _wait_for_others(request.model, cache, held, report)
            return _Builder(request, cache, report).result()
    except ModelError as error:
        return failed(request.model, str(error))


def _wait_for_others(model: str, cache: EngineCache, held: contextlib.ExitStack, report: Report) -> None:
    """Hold the cache as soon as no other process builds; the parent's time limit is the bound."""
    reported = False
    while True:
        try:
            held.enter_context(cache.building())
        except CacheBusyError:
            if not reported:
                report(BuildMessage(progress=BuildProgress(model, "waiting for another build", 0.0)))
            reported = True
            time.sleep(BUSY_WAIT_S)
        else:
            return


class _Builder:
    """One request, and all it takes to fulfil it."""

    def __init__(self, request: BuildRequest, cache: EngineCache, report: Report) -> None:
        """Raise ModelError when TensorRT, the GPU or the model's entry is missing."""
        self._request, self._cache, self._report = request, cache, report
        self._progress = BuildProgress(request.model, "", 0.0)
        self._at("looking for TensorRT", 0.0)
        self._manifest = load_manifest(default_engines_dir())
        self._entry = self._manifest.entry(request.model)
        self._options = build_options(self._entry, request.models)
        if missing := tensorrt_available():
            raise ModelError(missing)
        self._toolkit = find_toolkit()
        self._key = plan_key(self._toolkit, self._entry, request.models)
        report(BuildMessage(key=self._key))

    def result(self) -> BuildResult:
        """Raise ModelError for what does not speak against the engine."""
        if self._request.force:
            self._cache.forget(self._key)
        known = engine_status(self._cache, self._key, self._request.models).result
        if known is not None:
            return known
        self._at("running the golden pictures on the CPU", 0.0)
        inputs = golden_inputs([self._request.model], self._request.models)[self._request.model]
        cpu = open_engine(self._manifest, self._request.model, self._request.models.threads)
        thread = self._toolkit.open_thread()
        try:
            result = self._compared(cpu, thread, inputs)
        except (CacheFullError, GpuMemoryError):
            raise
        except ModelError as error:
            result = failed(self._request.model, str(error))
        finally:
            thread.close()
        self._keep(result)
        return result

    def _compared(self, cpu: Engine, thread: GpuThread, inputs: Sequence[Arrays]) -> BuildResult:
        """Raise ModelError when the engine cannot be had, or is not to be used."""
        gpu = self._engine(thread)
        self._at("comparing the engine with the CPU", BUILT)
        require_agreement(self._entry, cpu, gpu, inputs)
        self._at("measuring", COMPARED)
        on_gpu, on_cpu = run_times([gpu, cpu], inputs)
        self._at("done", 1.0)
        return BuildResult(
            self._request.model, agrees=True, problem=None, gpu_ms=on_gpu.fastest_ms, cpu_ms=on_cpu.fastest_ms
        )

    def _engine(self, thread: GpuThread) -> TensorrtEngine:
        """From the plan that is there, if it is whole and TensorRT takes it; else from a new one."""
        if self._cache.has(self._key):
            try:
                return open_tensorrt_engine(thread, self._cache, self._key)
            except GpuMemoryError:
                raise
            except ModelError as error:
                log.warning("%s: it is built again", error)
                self._cache.discard(self._key)
        self._at("building the engine", READY)
        build_engine(
            self._toolkit, self._manifest, self._request.model, self._cache, self._options, progress=self._building
        )
        self._at("loading the engine", BUILT)
        return open_tensorrt_engine(thread, self._cache, self._key)

    def _building(self, phase: str, part: float) -> None:
        """What TensorRT reports of each of its phases; called from a thread of its own."""
        self._at(f"building the engine: {phase}", READY + part * (BUILT - READY))

    def _at(self, step: str, part: float) -> None:
        """Never backwards, and in steps of at least LEAST_STEP."""
        if step != self._progress.step or part >= self._progress.part + LEAST_STEP:
            self._progress = BuildProgress(self._request.model, step, max(part, self._progress.part))
            self._report(BuildMessage(progress=self._progress))

    def _keep(self, result: BuildResult) -> None:
        """One that cannot be written holds for this time."""
        try:
            store_result(self._cache, self._key, result)
        except ModelError as error:
            log.warning("%s", error)
