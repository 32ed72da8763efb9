"""One thread that owns the GPU: the primary context, one stream, and every object of TensorRT and PyCUDA live in it alone.

A context of CUDA is current in one thread; PyCUDA frees memory only in the thread that allocated it; an execution
context of TensorRT belongs to one thread at a time. So no other thread touches them: others queue a job and wait.
"""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from edged.errors import ModelError
from edged.inference.tensorrt.binding import USE_CPU, GpuMemoryError, failure, one_line, the_log

log = logging.getLogger(__name__)

T = TypeVar("T")

OPEN_PATIENCE_S = 60.0
"""The first use of CUDA on a Jetson takes seconds."""
CLOSE_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Session:
    """What jobs work with; must not leave the thread."""

    trt: Any
    cuda: Any
    log: Any
    runtime: Any
    stream: Any


class Resource(Protocol):
    """Something that lives in the thread until it is released."""

    def release(self) -> None:
        """Give up what it holds of TensorRT and CUDA; a second call does nothing."""


@dataclass(slots=True)
class _Job(Generic[T]):
    work: Callable[[Session], T]
    future: "Future[T]"


class GpuThread:
    """Runs jobs one after the other, in its own thread; shared by all engines of a process.

    Callers wait for their results, so the queue never holds more jobs than there are callers.
    """

    def __init__(self, trt: Any, cuda: Any, number: int = 0) -> None:
        """Start, and take GPU `number`'s primary context. Raise ModelError when that fails."""
        self._trt, self._cuda, self._number = trt, cuda, number
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._resources: list[Resource] = []
        self._broken: str | None = None
        self._gate = threading.Lock()
        self._closed = False
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, args=(ready,), name="gpu", daemon=True)
        self._thread.start()
        self._await(ready, OPEN_PATIENCE_S)

    @property
    def broken(self) -> str | None:
        """Why no job is taken any more, or None. CUDA recovers from such an error only in a new process."""
        return self._broken

    def call(self, work: Callable[[Session], T], patience_s: float) -> T:
        """What `work` gives. Raise ModelError when it raises anything, or has given nothing after `patience_s`."""
        future: Future[T] = Future()
        with self._gate:
            if self._closed:
                raise ModelError("the GPU has been given up; `systemctl restart edged` tries it again")
            if self._broken:
                raise ModelError(self._broken)
            self._jobs.put(_Job(work, future))
        return self._await(future, patience_s)

    def hold(self, resource: Resource) -> None:
        """Release `resource` when the thread ends; called by jobs."""
        self._resources.append(resource)

    def drop(self, resource: Resource) -> None:
        """Release `resource` now; called by jobs."""
        if resource in self._resources:
            self._resources.remove(resource)
        resource.release()

    def close(self) -> bool:
        """Release everything, last first, then the context; whether that was done in time. A second call does nothing."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join(CLOSE_PATIENCE_S)
        if self._thread.is_alive():
            log.error("the GPU does not respond: it is left as it is")
        return not self._thread.is_alive()

    def _await(self, future: "Future[T]", patience_s: float) -> T:
        try:
            return future.result(patience_s)
        except FutureTimeoutError:
            future.cancel()
            self._broken = f"the GPU has not responded for {patience_s:g} s; restart the daemon, {USE_CPU}"
            raise ModelError(self._broken) from None

    def _live(self, ready: "Future[None]") -> None:
        """The thread's life. Nothing of CUDA may still be referred to when the context goes, so every step is a function."""
        context = self._enter(ready)
        if context is None:
            return
        try:
            session = self._session(ready)
            if session is not None:
                del ready
                while self._serve(session):
                    pass
            for resource in reversed(self._resources):
                self._release(resource)
            self._resources.clear()
            del session
        finally:
            self._leave(context)

    def _enter(self, ready: "Future[None]") -> Any:
        try:
            context = self._cuda.Device(self._number).retain_primary_context()
            context.push()
        except self._cuda.Error as error:
            _notify(ready, failure("CUDA: the GPU cannot be opened", one_line(error), f"run `edged doctor`, {USE_CPU}"))
            return None
        return context

    def _session(self, ready: "Future[None]") -> Session | None:
        """TensorRT's runtime and the stream, with the context current."""
        trt, cuda = self._trt, self._cuda
        trt_log = the_log(trt)
        try:
            session = Session(trt, cuda, trt_log, trt.Runtime(trt_log), cuda.Stream())
        except Exception as error:  # noqa: BLE001  a failed constructor is a TypeError in pybind11
            said = trt_log.take_errors() or one_line(error)
            _notify(ready, failure("TensorRT: cannot be started", said, f"run `edged doctor`, {USE_CPU}"))
            return None
        return session if _notify(ready) else None

    def _serve(self, session: Session) -> bool:
        """Do the next job; whether there may be more. Locals end with it, and so do references to what it used."""
        job = self._jobs.get()
        if job is None:
            return False
        if not job.future.set_running_or_notify_cancel():
            return True
        try:
            job.future.set_result(job.work(session))
        except Exception as error:  # noqa: BLE001
            # A new error: the old one's traceback would keep its frames, and so engines and buffers, alive.
            job.future.set_exception(self._model_error(session, error))
        return True

    def _model_error(self, session: Session, error: Exception) -> ModelError:
        if isinstance(error, ModelError):
            return type(error)(str(error))
        said = one_line(error)
        if isinstance(error, session.cuda.Error) and not isinstance(error, session.cuda.MemoryError):
            # Most errors of CUDA spoil the context: every later call fails too.
            self._broken = f"the GPU failed ({said}); restart the daemon, {USE_CPU}"
            return ModelError(self._broken)
        if isinstance(error, session.cuda.MemoryError):
            return GpuMemoryError(str(failure("CUDA", "out of memory", "")))
        return failure("TensorRT: the job failed", session.log.take_errors() or said, USE_CPU.removeprefix("or "))

    def _release(self, resource: Resource) -> None:
        try:
            resource.release()
        except Exception as error:  # noqa: BLE001  the others must still be released
            log.error("the GPU: a model could not be released (%s)", one_line(error))

    def _leave(self, context: Any) -> None:
        try:
            self._cuda.Context.pop()
            context.detach()
        except self._cuda.Error as error:
            log.error("the GPU: its context could not be given back (%s)", one_line(error))


def _notify(ready: "Future[None]", error: ModelError | None = None) -> bool:
    """Say that the GPU is open, or why it is not; whether anybody still waits for that."""
    try:
        ready.set_result(None) if error is None else ready.set_exception(error)
    except InvalidStateError:
        log.warning(
            "the GPU answers only after it was given up (%s); restart the daemon to use it", error or "it opens"
        )
        return False
    return True
