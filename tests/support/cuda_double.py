"""Stands in for `pycuda.driver`: memory, streams and contexts that refuse what the real ones refuse.

Surface and signatures are held against PyCUDA's sources by tests/test_tensorrt_contract.py. Copies happen when the stream
is synchronised, not before; memory is bound to the thread and context that it was allocated in.
"""

import threading
import types
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Machine:
    """The GPU behind the doubles, what it refuses, and what was done wrong without anybody noticing."""

    name: str = "Orin"
    capability: tuple[int, int] = (8, 7)
    memory: int = 1 << 30
    accelerators: int = 0
    refuse: dict[str, str] = field(default_factory=dict)
    """What fails, and what TensorRT logs or CUDA says then: build, deserialize, context, shape, enqueue, launch, parse."""
    used: int = 0
    violations: list[str] = field(default_factory=list)
    """What the real libraries would answer with a crash, a leak or wrong numbers."""
    alive: dict[str, int] = field(default_factory=dict)
    """Objects of TensorRT by kind."""
    allocations: dict[int, np.ndarray] = field(default_factory=dict)
    pinned: dict[int, int] = field(default_factory=dict)
    streams: dict[int, "Stream"] = field(default_factory=dict)
    retained: int = 0
    allocated_count: int = 0
    stacks: dict[int, list["Context"]] = field(default_factory=dict)

    def current(self) -> "Context | None":
        stack = self.stacks.get(threading.get_ident(), [])
        return stack[-1] if stack else None

    def born(self, kind: str) -> None:
        self.alive[kind] = self.alive.get(kind, 0) + 1

    def died(self, kind: str) -> None:
        self.alive[kind] -= 1
        if self.current() is None:
            self.violations.append(f"{kind} was destroyed where no context is current")

    def memory_at(self, address: int, size: int) -> np.ndarray | None:
        found = self.allocations.get(address)
        return found if found is not None and found.nbytes >= size else None

    def next_address(self) -> int:
        """An address that was never given before."""
        self.allocated_count += 1
        return self.allocated_count << 32

    @property
    def clean(self) -> bool:
        """Whether everything was given back, in order."""
        return not (
            any(self.stacks.values())
            or self.violations
            or self.used
            or self.retained
            or self.allocations
            or self.streams
            or any(self.alive.values())
        )


class Error(Exception):
    pass


class MemoryError(Error):  # noqa: A001  PyCUDA's name
    pass


class LogicError(Error):
    pass


class LaunchError(Error):
    pass


class RuntimeError(Error):  # noqa: A001
    pass


class Device:
    _machine: Machine

    def __init__(self, number: int) -> None:
        if number:
            raise LogicError("cuDeviceGet failed: invalid device ordinal")

    @classmethod
    def count(cls) -> int:
        return 1

    def name(self) -> str:
        return self._machine.name

    def compute_capability(self) -> tuple[int, int]:
        return self._machine.capability

    def retain_primary_context(self) -> "Context":
        if "retain" in self._machine.refuse:
            raise RuntimeError(self._machine.refuse["retain"])
        self._machine.retained += 1
        return Context(self._machine)


class Context:
    _machine: Machine

    def __init__(self, machine: Machine) -> None:
        self._machine, self._valid = machine, True
        self._thread = threading.get_ident()

    def push(self) -> None:
        self._machine.stacks.setdefault(threading.get_ident(), []).append(self)

    @classmethod
    def pop(cls) -> None:
        stack = cls._machine.stacks.get(threading.get_ident())
        if not stack:
            raise LogicError("context::pop failed: invalid device context - cannot pop non-current context")
        stack.pop()

    def detach(self) -> None:
        if not self._valid:
            raise LogicError("context::detach failed: invalid device context - cannot detach from invalid context")
        self._valid = False
        if threading.get_ident() != self._thread:
            self._machine.violations.append("a context was detached in another thread: it leaks")
            return
        left = {kind: count for kind, count in self._machine.alive.items() if count}
        if left or self._machine.streams or self._machine.allocations or self._machine.pinned:
            self._machine.violations.append(f"the context went while these lived: {left}, streams, memory")
        self._machine.retained -= 1


class Stream:
    _machine: Machine

    def __init__(self, flags: int = 0) -> None:
        if self._machine.current() is None:
            raise LogicError("explicit_context_dependent failed: invalid device context - no currently active context?")
        self._handle = self._machine.next_address()
        self._pending: list[Callable[[], None]] = []
        self._machine.streams[self._handle] = Pending(self._pending)
        self._thread = threading.get_ident()

    @property
    def handle(self) -> int:
        return self._handle

    def synchronize(self) -> None:
        if self._machine.current() is None:
            raise LogicError("cuStreamSynchronize failed: invalid device context")
        if "launch" in self._machine.refuse:
            self._pending.clear()
            raise LaunchError(self._machine.refuse["launch"])
        while self._pending:
            self._pending.pop(0)()

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            if threading.get_ident() != self._thread:
                self._machine.violations.append("a stream was destroyed in another thread: it leaks")
            self._machine.streams.pop(self._handle, None)


@dataclass
class Pending:
    """What a stream has still to do; does not keep the stream alive."""

    work: list[Callable[[], None]]


class DeviceAllocation:
    _machine: Machine

    def __init__(self, size: int) -> None:
        if self._machine.used + size > self._machine.memory:
            raise MemoryError("cuMemAlloc failed: out of memory")
        self._size, self._address, self._valid = size, self._machine.next_address(), True
        self._thread = threading.get_ident()
        self._machine.used += size
        self._machine.allocations[self._address] = np.zeros(size, np.uint8)

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        if not self._valid:
            raise LogicError("device_allocation::free failed: invalid resource handle")
        if threading.get_ident() != self._thread:
            self._machine.violations.append("memory was freed in another thread: it leaks")
        self._valid = False
        self._machine.used -= self._size
        del self._machine.allocations[self._address]

    def __del__(self) -> None:
        if getattr(self, "_valid", False):
            self.free()


class _Pinned(np.ndarray):
    """Page-locked memory; views of it are page-locked too."""

    _machine: Machine | None = None
    _key: int | None = None

    def __del__(self) -> None:
        if self._key is not None and self._machine is not None:
            self._machine.pinned.pop(self._key, None)


class _Functions:
    """The functions of the module, for one machine."""

    def __init__(self, machine: Machine, allocation: type[DeviceAllocation]) -> None:
        self._machine, self._allocation = machine, allocation

    def init(self, flags: int = 0) -> None:
        if "init" in self._machine.refuse:
            raise RuntimeError(self._machine.refuse["init"])

    def mem_alloc(self, bytes: int) -> DeviceAllocation:  # noqa: A002  PyCUDA's name
        self._need_context()
        return self._allocation(bytes)

    def pagelocked_empty(self, shape, dtype, order: str = "C", mem_flags: int = 0) -> np.ndarray:
        self._need_context()
        if "pin" in self._machine.refuse:
            raise MemoryError(self._machine.refuse["pin"])
        array = np.empty(shape, dtype, order).view(_Pinned)
        array._machine, array._key = self._machine, array.ctypes.data
        self._machine.pinned[array._key] = array.nbytes
        self._machine.allocated_count += 1
        return array

    def memcpy_htod_async(self, dest, src, stream=None) -> None:
        self._need_context()
        _require_pinned(self._machine, src)
        self._later(stream, lambda: _copy(_device(self._machine, dest, src.nbytes), _bytes(src)))

    def memcpy_dtoh_async(self, dest, src, stream=None) -> None:
        self._need_context()
        _require_pinned(self._machine, dest)
        self._later(stream, lambda: _copy(_bytes(dest), _device(self._machine, src, dest.nbytes)))

    def _need_context(self) -> None:
        if self._machine.current() is None:
            raise LogicError("explicit_context_dependent failed: invalid device context - no currently active context?")

    def _later(self, stream, work: Callable[[], None]) -> None:
        self._machine.streams[stream.handle].work.append(work)


FUNCTIONS = ("init", "mem_alloc", "pagelocked_empty", "memcpy_htod_async", "memcpy_dtoh_async")


def cuda_double(machine: Machine) -> types.ModuleType:
    """A module like `pycuda.driver`, for this machine."""
    module = types.ModuleType("pycuda.driver")
    for kind in (Device, Context, Stream, DeviceAllocation):
        setattr(module, kind.__name__, type(kind.__name__, (kind,), {"_machine": machine}))
    for kind in (Error, MemoryError, LogicError, LaunchError, RuntimeError):
        setattr(module, kind.__name__, kind)
    functions = _Functions(machine, module.DeviceAllocation)
    for name in FUNCTIONS:
        setattr(module, name, getattr(functions, name))
    return module


def _require_pinned(machine: Machine, array: np.ndarray) -> None:
    start = array.ctypes.data
    if not array.flags.c_contiguous:
        raise LogicError("the buffer is not contiguous")
    if not any(first <= start and start + array.nbytes <= first + size for first, size in machine.pinned.items()):
        machine.violations.append("an asynchronous copy of memory that is not page-locked")


def _device(machine: Machine, allocation: DeviceAllocation, size: int) -> np.ndarray:
    found = machine.memory_at(int(allocation), size)
    if found is None:
        raise LaunchError("cuStreamSynchronize failed: an illegal memory access was encountered")
    return found


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.asarray(array).reshape(-1).view(np.uint8)


def _copy(to: np.ndarray, source: np.ndarray) -> None:
    count = min(to.nbytes, source.nbytes)
    to[:count] = source[:count]
