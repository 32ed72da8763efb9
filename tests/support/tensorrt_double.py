"""Stands in for the `tensorrt` module in the versions we support; ONNX Runtime does the arithmetic.

Surface and signatures are held against the real bindings by tests/test_tensorrt_contract.py. Like the real one it answers
False or None, and logs why, rather than raise.
"""

import enum
import json
import threading
import types
from typing import Any, ClassVar

import numpy as np
import onnx
import onnxruntime as ort

from tests.support.cuda_double import Machine

VERSIONS = ("8.6.1", "10.3.0", "10.13.3.9", "11.4.0.106")

MAGIC = b"ftrt"
UNSUPPORTED = {"Det", "Multinomial"}
CONTEXT_BYTES = 1 << 16


def tensorrt_double(machine: Machine, version: str = "10.3.0") -> types.ModuleType:
    """A module like `tensorrt` of `version`, for this machine."""
    major = int(version.split(".")[0])
    module = types.ModuleType("tensorrt")
    module.__version__ = version
    for name, members in _enums(major).items():
        setattr(module, name, enum.IntEnum(name, members, start=0))
    config = IBuilderConfigWithProgress if major >= 10 else IBuilderConfig
    kinds = {kind.__name__: kind for kind in SURFACE} | {"IBuilderConfig": config}
    if major >= 10:
        kinds["IProgressMonitor"] = IProgressMonitor
    for name, kind in kinds.items():
        setattr(module, name, type(name, (kind,), {"_trt": module, "_machine": machine}))

    def nptype(trt_type):
        return {"UINT8": np.uint8, "FLOAT": np.float32, "HALF": np.float16, "INT32": np.int32}[trt_type.name]

    module.nptype = nptype
    return module


def _enums(major: int) -> dict[str, list[str]]:
    """Enumerations with the members that this version has, among those that matter to us."""
    creation = {8: ["EXPLICIT_BATCH"], 10: ["EXPLICIT_BATCH", "STRONGLY_TYPED"], 11: ["STRONGLY_TYPED"]}
    return {
        "NetworkDefinitionCreationFlag": creation[major],
        "BuilderFlag": ["GPU_FALLBACK", "TF32", *(["FP16"] if major < 11 else [])],
        "MemoryPoolType": ["WORKSPACE"],
        "DeviceType": ["GPU", "DLA"],
        "TensorIOMode": ["NONE", "INPUT", "OUTPUT"],
        "DataType": ["FLOAT", "HALF", "INT8", "INT32", "BOOL", "UINT8"],
    }


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class _Object:
    """Counted while it lives, so that shutdown in the wrong order, or thread, is noticed."""

    _trt: ClassVar[Any]
    _machine: ClassVar[Machine]
    _counted = False

    def _count(self) -> None:
        self._counted = True
        self._machine.born(type(self).__name__)

    def __del__(self) -> None:
        if self._counted:
            self._machine.died(type(self).__name__)

    def _say(self, text: str, logger: "ILogger | None" = None) -> None:
        self._first_logger(logger or self._logger).log(self._trt.ILogger.ERROR, text)

    def _first_logger(self, logger: "ILogger") -> "ILogger":
        return self._trt.__dict__.setdefault("_logger", logger)

    def _fails(self, what: str, logger: "ILogger") -> bool:
        """Whether `what` is to fail; says so in the log, as the real one does."""
        if what not in self._machine.refuse:
            return False
        self._say(self._machine.refuse[what], logger)
        return True


class ILogger(_Object):
    """Only the first that the module is given is ever told anything, as with the real one."""

    Severity = Severity
    INTERNAL_ERROR = Severity.INTERNAL_ERROR
    ERROR = Severity.ERROR
    WARNING = Severity.WARNING
    INFO = Severity.INFO
    VERBOSE = Severity.VERBOSE

    def __init__(self) -> None:
        self._ready = True

    def log(self, severity, msg) -> None:
        raise NotImplementedError("pure virtual function called: ILogger::log")


class IHostMemory(_Object):
    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def nbytes(self) -> int:
        return len(self._content)

    def __bytes__(self) -> bytes:
        """Stands for the buffer protocol that the real one has."""
        return self._content


class INetworkDefinition(_Object):
    def __init__(self, flags: int) -> None:
        self._flags, self._graph = flags, b""


class ParserError(_Object):
    def __init__(self, text: str) -> None:
        self._text = text

    def desc(self) -> str:
        return self._text


class OnnxParser(_Object):
    def __init__(self, network, logger) -> None:
        if not getattr(logger, "_ready", False):
            raise TypeError("ILogger.__init__() must be called when overriding __init__")
        self._network, self._logger, self._errors = network, logger, []

    def parse(self, model, path=None) -> bool:
        flags = self._trt.NetworkDefinitionCreationFlag
        explicit = 1 << flags.EXPLICIT_BATCH if hasattr(flags, "EXPLICIT_BATCH") else 0
        if self._trt.__version__.startswith("8.") and not self._network._flags & explicit:
            self._errors.append("In node -1 (importModel): the network was not created with EXPLICIT_BATCH")
            return False
        graph = onnx.ModelProto.FromString(bytes(model)).graph
        if "parse" in self._machine.refuse:
            self._errors.append(self._machine.refuse["parse"])
        self._errors += [f"No importer registered for op: {n.op_type}" for n in graph.node if n.op_type in UNSUPPORTED]
        # NVIDIA/TensorRT issue 3985: "All UINT8 inputs must directly feed into a cast layer".
        bytes_in = {i.name for i in graph.input if i.type.tensor_type.elem_type == onnx.TensorProto.UINT8}
        wrong = [node.op_type for node in graph.node if bytes_in & set(node.input) and node.op_type != "Cast"]
        self._errors += [f"{op}: UINT8 input is not supported, only Cast may read it" for op in wrong]
        self._network._graph = bytes(model)
        return not self._errors

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index):
        return self._trt.ParserError(self._errors[index])


class IOptimizationProfile(_Object):
    def __init__(self) -> None:
        self._shapes: dict[str, list[tuple[int, ...]]] = {}

    def set_shape(self, input, min, opt, max) -> None:  # noqa: A002  TensorRT's names
        if not len(min) == len(opt) == len(max) or not all(a <= b <= c for a, b, c in zip(min, opt, max, strict=True)):
            raise ValueError("Shape provided for min, opt, max is inconsistent")
        self._shapes[input] = [tuple(min), tuple(opt), tuple(max)]


class ITimingCache(_Object):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def serialize(self):
        return self._trt.IHostMemory(self._content)


class IBuilderConfig(_Object):
    def __init__(self) -> None:
        self._flags = {int(self._trt.BuilderFlag.TF32)}
        self._profiles: list[IOptimizationProfile] = []
        self._pools: dict[int, int] = {}
        self._cache: ITimingCache | None = None
        self._monitor: Any = None
        self.DLA_core = -1
        self.default_device_type = self._trt.DeviceType.GPU

    @property
    def DLA_core(self) -> int:  # noqa: N802
        return self._core

    @DLA_core.setter
    def DLA_core(self, value: int) -> None:  # noqa: N802
        self._core = value

    @property
    def default_device_type(self):
        return self._device_type

    @default_device_type.setter
    def default_device_type(self, value) -> None:
        self._device_type = value

    def set_memory_pool_limit(self, pool, pool_size) -> None:
        self._pools[pool] = pool_size

    def set_flag(self, flag) -> None:
        self._flags.add(int(flag))

    def clear_flag(self, flag) -> None:
        self._flags.discard(int(flag))

    def add_optimization_profile(self, profile) -> int:
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def create_timing_cache(self, serialized_timing_cache):
        content = bytes(serialized_timing_cache)
        return self._trt.ITimingCache(content or self._stamp())

    def set_timing_cache(self, cache, ignore_mismatch) -> bool:
        if not cache._content.startswith(self._stamp()) and not ignore_mismatch:
            return False
        self._cache = cache
        return True

    def get_timing_cache(self):
        return self._cache

    def _stamp(self) -> bytes:
        return f"timings {self._machine.name} {self._trt.__version__};".encode()


class IBuilderConfigWithProgress(IBuilderConfig):
    @property
    def progress_monitor(self):
        return self._monitor

    @progress_monitor.setter
    def progress_monitor(self, value) -> None:
        if not getattr(value, "_ready", False):
            raise TypeError("IProgressMonitor.__init__() must be called when overriding __init__")
        self._monitor = value


class IProgressMonitor(_Object):
    def __init__(self) -> None:
        self._ready = True

    def phase_start(self, phase_name, parent_phase, num_steps) -> None:
        raise NotImplementedError

    def step_complete(self, phase_name, step) -> bool:
        raise NotImplementedError

    def phase_finish(self, phase_name) -> None:
        raise NotImplementedError


class Builder(_Object):
    def __init__(self, logger) -> None:
        if not getattr(logger, "_ready", False):
            raise TypeError("ILogger.__init__() must be called when overriding __init__")
        self._first_logger(logger)
        if self._fails("builder", logger):
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._logger = logger

    @property
    def num_DLA_cores(self) -> int:  # noqa: N802
        return self._machine.accelerators

    def create_network(self, flags=0):
        return self._trt.INetworkDefinition(flags)

    def create_builder_config(self):
        return self._trt.IBuilderConfig()

    def create_optimization_profile(self):
        return self._trt.IOptimizationProfile()

    def build_serialized_network(self, network, config):
        if self._fails("build", self._logger):
            return None
        graph = onnx.ModelProto.FromString(network._graph).graph
        shapes = config._profiles[0]._shapes if config._profiles else {}
        for given in graph.input:
            sizes = [dimension.dim_value or -1 for dimension in given.type.tensor_type.shape.dim]
            profile = shapes.setdefault(given.name, [tuple(sizes)] * 3) if -1 not in sizes else shapes.get(given.name)
            if profile is None or any(s not in (-1, p) for shape in profile for s, p in zip(sizes, shape, strict=True)):
                self._say(f"{given.name}: optimization profile is missing or inconsistent")
                return None
        if config._monitor is not None:
            # The real builder calls from threads of its own.
            teller = threading.Thread(target=_tell_progress, args=(config._monitor,))
            teller.start()
            teller.join()
        if config._cache is not None:
            config._cache._content += b"kernel;"
        header = {
            "version": self._trt.__version__,
            "gpu": self._machine.name,
            "profiles": shapes,
            "strong": bool(network._flags),
            "flags": sorted(config._flags),
            "dla": config.DLA_core,
            "workspace": config._pools,
        }
        text = json.dumps(header).encode()
        return self._trt.IHostMemory(MAGIC + len(text).to_bytes(4, "little") + text + network._graph)


def _tell_progress(monitor) -> None:
    monitor.phase_start("Building engine", None, 2)
    monitor.phase_start("Timing", "Building engine", 1)
    monitor.step_complete("Timing", 0)
    monitor.phase_finish("Timing")
    for step in range(2):
        monitor.step_complete("Building engine", step)
    monitor.phase_finish("Building engine")


def plan_header(plan: bytes) -> dict[str, Any]:
    """What a plan of the double says about how it was built."""
    return json.loads(plan[8 : 8 + int.from_bytes(plan[4:8], "little")])


class Runtime(_Object):
    def __init__(self, logger) -> None:
        self._first_logger(logger)
        if self._fails("runtime", logger):
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._logger = logger
        self._count()

    def deserialize_cuda_engine(self, serialized_engine):
        plan = bytes(serialized_engine)
        if self._fails("deserialize", self._logger):
            return None
        if plan[:4] != MAGIC:
            self._logger.log(
                self._trt.ILogger.ERROR, "[runtime.cpp] Serialization assertion plan->header.magicTag failed"
            )
            return None
        header = plan_header(plan)
        if header["version"] != self._trt.__version__:
            self._say(
                f"The engine plan file is not compatible with this version of TensorRT, expecting library version "
                f"{self._trt.__version__} got {header['version']}, please rebuild."
            )
            return None
        start = 8 + int.from_bytes(plan[4:8], "little")
        return self._trt.ICudaEngine(self._logger, header, plan[start:])


class ICudaEngine(_Object):
    def __init__(self, logger, header: dict[str, Any], graph: bytes) -> None:
        self._logger, self._header = logger, header
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._tensors = {t.name: t for t in [*self._session.get_inputs(), *self._session.get_outputs()]}
        self._count()

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def get_tensor_name(self, index) -> str:
        return list(self._tensors)[index]

    def get_tensor_mode(self, name):
        inputs = {tensor.name for tensor in self._session.get_inputs()}
        return self._trt.TensorIOMode.INPUT if name in inputs else self._trt.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        kinds = {"tensor(uint8)": "UINT8", "tensor(float)": "FLOAT", "tensor(float16)": "HALF"}
        return self._trt.DataType[kinds[self._tensors[name].type]]

    def get_tensor_shape(self, name):
        return [size if isinstance(size, int) else -1 for size in self._tensors[name].shape]

    def get_tensor_profile_shape(self, name, profile_index):
        return [list(shape) for shape in self._header["profiles"][name]]

    def create_execution_context(self):
        if self._fails("context", self._logger):
            return None
        if self._machine.used + CONTEXT_BYTES > self._machine.memory:
            self._say("[executionContext.cpp] Error Code 2: OutOfMemory")
            return None
        return self._trt.IExecutionContext(self)


class IExecutionContext(_Object):
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine, self._logger, self._thread = engine, engine._logger, threading.get_ident()
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._known: dict[Any, dict[str, tuple[int, ...]]] = {}
        self._machine.used += CONTEXT_BYTES
        self._count()

    def __del__(self) -> None:
        if self._counted:
            self._machine.used -= CONTEXT_BYTES
        super().__del__()

    def set_input_shape(self, name, shape) -> bool:
        least, _, most = self._engine._header["profiles"][name]
        inside = len(shape) == len(least) and all(a <= s <= b for a, s, b in zip(least, shape, most, strict=True))
        if not inside or self._engine._fails("shape", self._engine._logger):
            self._say(f"IExecutionContext::setInputShape: {name} {tuple(shape)} is not in {least} … {most}")
            return False
        self._shapes[name] = tuple(shape)
        return True

    def get_tensor_shape(self, name):
        if name in self._shapes:
            return list(self._shapes[name])
        if len(self._shapes) < len(self._engine._session.get_inputs()):
            return [-1 for _ in self._engine._tensors[name].shape]
        key = tuple(sorted(self._shapes.items()))
        if key not in self._known:
            kinds = {t.name: self._dtype(t.name) for t in self._engine._session.get_inputs()}
            answers = self._compute({given: np.zeros(shape, kinds[given]) for given, shape in self._shapes.items()})
            self._known[key] = {output: answer.shape for output, answer in answers.items()}
        return list(self._known[key][name])

    def set_tensor_address(self, name, memory) -> bool:
        if name not in self._engine._tensors or not memory:
            self._say(f"setTensorAddress: {name} {memory}")
            return False
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle) -> bool:
        machine = self._machine
        if threading.get_ident() != self._thread or machine.current() is None:
            machine.violations.append("an execution context was used in another thread")
        if self._engine._fails("enqueue", self._engine._logger):
            return False
        if stream_handle not in machine.streams:
            self._say("enqueueV3: invalid resource handle")
            return False
        for name in self._engine._tensors:
            if name not in self._addresses or -1 in self.get_tensor_shape(name):
                self._say(f"enqueueV3: neither address nor output allocator, or no shape, is set for {name}")
                return False
        shapes = {name: tuple(self.get_tensor_shape(name)) for name in self._engine._tensors}
        machine.streams[stream_handle].work.append(lambda: self._work(shapes))
        return True

    def _work(self, shapes: dict[str, tuple[int, ...]]) -> None:
        inputs = {t.name: self._memory(t.name, shapes[t.name]).copy() for t in self._engine._session.get_inputs()}
        for name, answer in self._compute(inputs).items():
            self._memory(name, shapes[name])[...] = answer

    def _memory(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        dtype = self._dtype(name)
        size = int(np.prod(shape)) * dtype.itemsize
        found = self._machine.memory_at(self._addresses[name], size)
        if found is None:
            self._machine.violations.append(f"an illegal memory access at {name}: freed, or too small")
            return np.zeros(shape, dtype)
        return found[:size].view(dtype).reshape(shape)

    def _compute(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [tensor.name for tensor in self._engine._session.get_outputs()]
        return dict(zip(names, self._engine._session.run(names, inputs), strict=True))

    def _dtype(self, name: str) -> np.dtype:
        return np.dtype(self._trt.nptype(self._engine.get_tensor_dtype(name)))


SURFACE = (
    ILogger,
    IHostMemory,
    INetworkDefinition,
    ParserError,
    OnnxParser,
    IOptimizationProfile,
    ITimingCache,
    IBuilderConfig,
    Builder,
    Runtime,
    ICudaEngine,
    IExecutionContext,
)
"""Classes of every version."""
