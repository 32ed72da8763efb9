"""Runs one plan behind the `Engine` contract: page-locked buffers made once, and nothing allocated from then on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edged.errors import ModelError
from edged.inference.tensorrt.binding import USE_CPU, failure
from edged.inference.tensorrt.thread import GpuThread, Session
from edged.ports import Arrays
from edged.shared_remedies import BUILD

LOAD_PATIENCE_S = 60.0
RUN_PATIENCE_S = 10.0


Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """What the plan takes: shapes from `least` to `most`; `batched` where the first axis may vary."""

    name: str
    dtype: np.dtype[Any]
    least: Shape
    most: Shape
    batched: bool

    def check(self, model: str, array: NDArray[Any]) -> None:
        """Raise ModelError unless `array` fits, but for a batch that is too large."""
        if array.dtype != self.dtype:
            raise ModelError(f"model {model}: {self.name} is {array.dtype}, it must be {self.dtype}")
        longest = (max(self.most[0], array.shape[0]), *self.most[1:]) if self.batched and array.ndim else self.most
        if array.ndim != len(self.most) or not all(
            low <= size <= high for low, size, high in zip(self.least, array.shape, longest, strict=True)
        ):
            raise ModelError(
                f"model {model}: {self.name} of shape {array.shape} is outside what the engine was built for, "
                f"{self.least} to {self.most}; change its profile in engines/manifest.toml and {BUILD}"
            )


@dataclass(slots=True)
class _Buffer:
    """One tensor: page-locked host memory and device memory, both as large as it can become."""

    name: str
    host: NDArray[Any] | None
    device: Any


class _Loaded:
    """The plan in the GPU's thread; made, used and released there only."""

    def __init__(self, name: str, plan: bytes, session: Session) -> None:
        self._name = name
        self._open: Session | None = session
        self._inputs: list[_Buffer] = []
        self._outputs: list[_Buffer] = []
        self._shapes: dict[str, Shape] = {}
        self._given: dict[str, Shape] = {}
        self._engine: Any = None
        self._context: Any = None
        session.log.take_errors()
        try:
            self._load(plan)
        except BaseException:
            self.release()
            raise

    @property
    def _session(self) -> Session:
        """Until release: who holds this object, in whatever thread, must not hold the runtime and the stream with it."""
        if self._open is None:
            raise ModelError(f"model {self._name}: has been closed")
        return self._open

    def _load(self, plan: bytes) -> None:
        what = f"model {self._name}: its plan cannot be loaded"
        self._engine = self._session.runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise self._failure(what, BUILD)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise self._failure(what, BUILD)
        self.inputs, outputs = self._signature()
        for tensor in self.inputs:
            self._inputs.append(self._buffer(tensor.name, tensor.dtype, tensor.most))
            self._shape_input(tensor.name, tensor.most)
        for name in outputs:
            dtype = np.dtype(self._session.trt.nptype(self._engine.get_tensor_dtype(name)))
            self._outputs.append(self._buffer(name, dtype, self._output_shape(name)))

    def _signature(self) -> tuple[tuple[Input, ...], list[str]]:
        trt, engine = self._session.trt, self._engine
        inputs, outputs = [], []
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            if engine.get_tensor_mode(name) != trt.TensorIOMode.INPUT:
                outputs.append(name)
                continue
            least = most = shape = tuple(engine.get_tensor_shape(name))
            if -1 in shape:
                least, _, most = (tuple(bound) for bound in engine.get_tensor_profile_shape(name, 0))
            dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
            inputs.append(Input(name, dtype, least, most, shape[:1] == (-1,)))
        return tuple(inputs), outputs

    def _buffer(self, name: str, dtype: np.dtype[Any], shape: Shape) -> _Buffer:
        """Memory for `shape`, known to the execution context by its address from now on."""
        count = int(np.prod(shape))
        cuda = self._session.cuda
        buffer = _Buffer(name, cuda.pagelocked_empty(count, dtype), cuda.mem_alloc(max(1, count * dtype.itemsize)))
        if not self._context.set_tensor_address(name, int(buffer.device)):
            buffer.device.free()
            raise self._failure(f"model {self._name}: tensor {name} takes no address", BUILD)
        return buffer

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Copy in, compute, copy out; the outputs are new arrays, the caller's own."""
        cuda, stream = self._session.cuda, self._session.stream
        for buffer in self._inputs:
            array = inputs[buffer.name]
            self._shape_input(buffer.name, array.shape)
            host = _part(buffer, array.shape)
            np.copyto(host, array)
            cuda.memcpy_htod_async(buffer.device, host, stream)
        if not self._context.execute_async_v3(stream.handle):
            raise self._failure(f"model {self._name}: the run failed", USE_CPU.removeprefix("or "))
        outputs = {buffer.name: _part(buffer, self._output_shape(buffer.name)) for buffer in self._outputs}
        for buffer in self._outputs:
            cuda.memcpy_dtoh_async(outputs[buffer.name], buffer.device, stream)
        stream.synchronize()
        return {name: output.copy() for name, output in outputs.items()}

    def _shape_input(self, name: str, shape: Shape) -> None:
        if self._given.get(name) == shape:
            return
        self._shapes.clear()
        self._given.pop(name, None)
        if not self._context.set_input_shape(name, shape):
            raise self._failure(f"model {self._name}: {name} of shape {shape} is refused", BUILD)
        self._given[name] = shape

    def _output_shape(self, name: str) -> Shape:
        if name not in self._shapes:
            shape = tuple(self._context.get_tensor_shape(name))
            if any(size < 0 for size in shape):
                raise ModelError(
                    f"model {self._name}: the size of {name} depends on its values, which is not supported"
                )
            self._shapes[name] = shape
        return self._shapes[name]

    def _failure(self, what: str, remedy: str) -> ModelError:
        return failure(what, self._session.log.take_errors(), remedy)

    def release(self) -> None:
        """The execution context before the engine, then the memory; the runtime and the CUDA context outlive both."""
        self._context = None
        self._engine = None
        for buffer in [*self._inputs, *self._outputs]:
            buffer.host = None
            buffer.device.free()
        self._inputs, self._outputs = [], []
        self._open = None


def _part(buffer: _Buffer, shape: Shape) -> NDArray[Any]:
    """The beginning of a buffer, as an array of `shape`: a view."""
    if buffer.host is None:
        raise ModelError(f"tensor {buffer.name}: its memory is gone")
    return buffer.host[: int(np.prod(shape))].reshape(shape)


class TensorrtEngine:
    """A plan on the GPU; implements `edged.ports.Engine`. May be called from any thread, also from several."""

    backend = "tensorrt"

    def __init__(self, name: str, plan: bytes, thread: GpuThread) -> None:
        """Load `plan`, whose hash has been checked: it is code. Raise ModelError when it cannot be run here."""
        self.name = name
        self._thread = thread
        self._loaded, self._inputs = thread.call(lambda session: self._load(plan, session), LOAD_PATIENCE_S)

    def _load(self, plan: bytes, session: Session) -> tuple[_Loaded, tuple[Input, ...]]:
        loaded = _Loaded(self.name, plan, session)
        self._thread.hold(loaded)
        return loaded, loaded.inputs

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run once; see `Engine`. A batch larger than the engine was built for is run in parts."""
        parts = self._parts(inputs)
        outputs = self._thread.call(lambda _: [self._loaded.run(part) for part in parts], RUN_PATIENCE_S)
        if len(outputs) == 1:
            return outputs[0]
        return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}

    def close(self) -> None:
        """Give its memory back; the engine must not be used afterwards."""
        self._thread.call(lambda _: self._thread.drop(self._loaded), LOAD_PATIENCE_S)

    def _parts(self, inputs: Arrays) -> Sequence[Arrays]:
        """The inputs, checked, in parts that fit."""
        names = {tensor.name for tensor in self._inputs}
        if set(inputs) != names:
            raise ModelError(f"model {self.name}: takes {sorted(names)}, not {sorted(inputs)}")
        for tensor in self._inputs:
            tensor.check(self.name, inputs[tensor.name])
        batched = [tensor for tensor in self._inputs if tensor.batched]
        sizes = {len(inputs[tensor.name]) for tensor in batched}
        most = min((tensor.most[0] for tensor in batched), default=0)
        if len(sizes) != 1 or max(sizes) <= most:
            return [inputs]
        return [
            {
                name: array[start : start + most] if name in {t.name for t in batched} else array
                for name, array in inputs.items()
            }
            for start in range(0, max(sizes), most)
        ]
