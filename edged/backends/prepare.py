"""Builds one engine, holds it against the CPU and measures both: the work of the child process, where it may crash."""

import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from edged.backends.measure import run_times
from edged.backends.verdict import Verdict, build_options, failed, plan_key, store_verdict, stored_verdict
from edged.backends.wire import Message, Order, Progress
from edged.errors import ModelError
from edged.golden import golden_inputs
from edged.inference import default_engines_dir, load_manifest, open_engine
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
from edged.inference.tensorrt.parity import require_agreement
from edged.ports import Arrays, Engine

log = logging.getLogger(__name__)

Tell = Callable[[Message], None]

BUSY_WAIT_S = 0.5

READY, BUILT, COMPARED = 0.05, 0.9, 0.95
"""Parts of the whole that are done by then."""
LEAST_STEP = 0.01
"""Progress is told in steps of at least this part."""


def prepare(order: Order, tell: Tell) -> Verdict:
    """The verdict on the engine of `order.model`: what is known, or else found out now, and then kept.

    Kept is what speaks against the engine itself; not that the disk or the GPU is full, or that something is missing.
    """
    try:
        cache = EngineCache(order.folder)
        with contextlib.ExitStack() as held:
            _wait_for_others(cache, held, tell)
            return _Work(order, cache, tell).verdict()
    except ModelError as error:
        return failed(order.model, str(error))


def _wait_for_others(cache: EngineCache, held: contextlib.ExitStack, tell: Tell) -> None:
    """Hold the cache as soon as no other process builds; the parent's patience is the bound."""
    told = False
    while True:
        try:
            held.enter_context(cache.building())
        except CacheBusyError:
            if not told:
                tell(Message(progress=Progress("waiting for another build", 0.0)))
            told = True
            time.sleep(BUSY_WAIT_S)
        else:
            return


class _Work:
    """One order, and all it takes to carry it out."""

    def __init__(self, order: Order, cache: EngineCache, tell: Tell) -> None:
        """Raise ModelError when TensorRT, the GPU or the model's entry is missing."""
        self._order, self._cache, self._tell = order, cache, tell
        self._told = Progress("", 0.0)
        self._say("looking for TensorRT", 0.0)
        self._manifest = load_manifest(default_engines_dir())
        self._entry = self._manifest.entry(order.model)
        self._options = build_options(self._entry, order.models)
        if missing := tensorrt_available():
            raise ModelError(missing)
        self._toolkit = find_toolkit()
        self._key = plan_key(self._toolkit, self._entry, order.models)
        tell(Message(key=self._key))

    def verdict(self) -> Verdict:
        """Raise ModelError for what does not speak against the engine."""
        if self._order.force:
            self._cache.forget(self._key)
        known = stored_verdict(self._cache, self._key)
        if known is not None:
            return known
        self._say("running the golden pictures on the CPU", 0.0)
        inputs = golden_inputs([self._order.model], self._order.models)[self._order.model]
        cpu = open_engine(self._manifest, self._order.model, self._order.models.threads)
        thread = self._toolkit.open_thread()
        try:
            verdict = self._judged(cpu, thread, inputs)
        except (CacheFullError, GpuMemoryError):
            raise
        except ModelError as error:
            verdict = failed(self._order.model, str(error))
        finally:
            thread.close()
        self._keep(verdict)
        return verdict

    def _judged(self, cpu: Engine, thread: GpuThread, inputs: Sequence[Arrays]) -> Verdict:
        """Raise ModelError when the engine cannot be had, or is not to be used."""
        gpu = self._engine(thread)
        self._say("comparing the engine with the CPU", BUILT)
        require_agreement(self._entry, cpu, gpu, inputs)
        self._say("measuring", COMPARED)
        on_gpu, on_cpu = run_times([gpu, cpu], inputs)
        self._say("done", 1.0)
        return Verdict(self._order.model, agrees=True, problem=None, gpu_ms=on_gpu.fastest_ms, cpu_ms=on_cpu.fastest_ms)

    def _engine(self, thread: GpuThread) -> TensorrtEngine:
        """From the plan that is there, if it is whole and TensorRT takes it; else from a new one."""
        if self._cache.has(self._key):
            try:
                return open_tensorrt_engine(thread, self._cache, self._key)
            except GpuMemoryError:
                raise
            except ModelError as error:
                log.warning("%s: it is built anew", error)
                self._cache.discard(self._key)
        self._say("building the engine", READY)
        build_engine(
            self._toolkit, self._manifest, self._order.model, self._cache, self._options, progress=self._building
        )
        self._say("loading the engine", BUILT)
        return open_tensorrt_engine(thread, self._cache, self._key)

    def _building(self, phase: str, part: float) -> None:
        """What TensorRT tells of each of its phases; called from a thread of its own."""
        self._say(f"building the engine: {phase}", READY + part * (BUILT - READY))

    def _say(self, what: str, part: float) -> None:
        """Never backwards, and not more often than anybody wants to know."""
        if what != self._told.what or part >= self._told.part + LEAST_STEP:
            self._told = Progress(what, max(part, self._told.part))
            self._tell(Message(progress=self._told))

    def _keep(self, verdict: Verdict) -> None:
        """One that cannot be written holds for this time."""
        try:
            store_verdict(self._cache, self._key, verdict)
        except ModelError as error:
            log.warning("%s", error)
