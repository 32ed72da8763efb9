"""The only importer of `tensorrt` and `pycuda.driver`: their versions, their logger, and what is missing when they are.

Both are imported when first asked for: a machine without a GPU never needs them. Elsewhere the modules are called `trt`
and `cuda` and passed as arguments, so that tests can pass doubles.
"""

import functools
import importlib
import importlib.util
import logging
import re
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edged.errors import ModelError

log = logging.getLogger(__name__)

OLDEST = (8, 5)
"""The first TensorRT with named tensors, `execute_async_v3` and inputs of uint8; JetPack 5.1 has it."""

USE_CPU = 'or set models.backend = "onnxruntime"'

Precision = Literal["fp16", "fp32"]

_OUT_OF_MEMORY = re.compile(
    r"out ?of ?memory|insufficient memory|MEM_ALLOC_FAILED|cudaErrorMemoryAllocation", re.IGNORECASE
)
_RELEASE = re.compile(r"# R(\d+) \(release\), REVISION: ([\d.]+)")


class GpuMemoryError(ModelError):
    """The GPU's memory does not suffice (on a Jetson it is the board's memory)."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of TensorRT; plans of another, also in `text`'s last part, must not be loaded."""

    major: int
    minor: int
    text: str


def parse_version(text: str) -> Version:
    """From `tensorrt.__version__`, such as "8.5.2.2" or "10.13.3.9.post1". Raise ModelError for anything else."""
    found = re.match(r"(\d+)\.(\d+)(?:[.+-]|$)", text)
    if not found:
        raise ModelError(f"tensorrt: version {text!r} is not understood; reinstall JetPack's python3-libnvinfer")
    return Version(int(found[1]), int(found[2]), text)


@dataclass(frozen=True, slots=True)
class BuildWay:
    """How one version of TensorRT is given the precision."""

    explicit_batch: bool
    """The network's creation flag; mandatory before 10, gone in 11."""
    strongly_typed: bool
    """The types in the ONNX graph hold, so FP16 must be written into it."""
    half_flag: bool
    """The builder chooses FP16 by itself where it is allowed to; gone in 11."""


def build_way(version: Version, precision: Precision, *, accelerator: bool = False) -> BuildWay:
    """The way `version` takes; with `accelerator`, for the DLA, which before 11 knows nothing of strong types."""
    strong = version.major >= 11 or (version.major == 10 and not accelerator)
    return BuildWay(
        explicit_batch=version.major < 10, strongly_typed=strong, half_flag=precision == "fp16" and not strong
    )


@dataclass(frozen=True, slots=True)
class Gpu:
    """What a plan is bound to, besides TensorRT's version."""

    name: str
    capability: str
    """Compute capability, such as "8.7"."""
    release: str
    """Of Jetson Linux (L4T), such as "36.4.0"; empty elsewhere."""


def import_tensorrt() -> Any:
    """The module. Raise ModelError, naming the package that brings it, when it cannot be imported."""
    try:
        return importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        raise ModelError(f"tensorrt: cannot be imported ({one_line(error)}); {_TENSORRT_REMEDY}") from None


def import_cuda() -> Any:
    """`pycuda.driver`, initialised. Raise ModelError when it cannot be imported, or finds no GPU."""
    try:
        cuda = importlib.import_module("pycuda.driver")
    except (ImportError, OSError) as error:
        raise ModelError(f"pycuda: cannot be imported ({one_line(error)}); {_PYCUDA_REMEDY}") from None
    try:
        cuda.init()
        count = cuda.Device.count()
    except cuda.Error as error:
        raise ModelError(f"CUDA: no GPU can be used ({one_line(error)}); {_DRIVER_REMEDY}") from None
    if not count:
        raise ModelError(f"CUDA: no GPU is there; {_DRIVER_REMEDY}")
    return cuda


_TENSORRT_REMEDY = (
    "on a Jetson: `sudo apt install python3-libnvinfer` (part of JetPack), "
    "and make the environment with --system-site-packages"
)
_PYCUDA_REMEDY = "`sudo apt install nvidia-cuda-dev` (part of JetPack), then `pip install 'edged[jetson]'`"
_DRIVER_REMEDY = "on a Jetson: `sudo apt install nvidia-jetpack`; the user needs the groups video and render"


def not_installed() -> str | None:
    """One line: what is not installed, and which package of JetPack brings it; None where all is. Imports nothing."""
    if importlib.util.find_spec("tensorrt") is None:
        return f"tensorrt: not installed; {_TENSORRT_REMEDY}"
    if importlib.util.find_spec("pycuda") is None:
        return f"pycuda: not installed; {_PYCUDA_REMEDY}"
    if importlib.util.find_spec("onnx") is None:
        return "onnx: not installed; `pip install 'edged[jetson]'`"
    return None


def tensorrt_available() -> str | None:
    """None where engines can be built and run; else one line: what is missing, and which package of JetPack brings it."""
    if missing := not_installed():
        return missing
    try:
        version = parse_version(import_tensorrt().__version__)
        if (version.major, version.minor) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            return (
                f"tensorrt: {version.text} is too old, {oldest} is the oldest that serves; install JetPack 5.1 or later"
            )
        import_cuda()
    except ModelError as error:
        return str(error)
    return None


def identify_gpu(cuda: Any) -> Gpu:
    """The GPU that plans are built for and run on; needs no context. Raise ModelError when it cannot be asked."""
    try:
        device = cuda.Device(0)
        major, minor = device.compute_capability()
        return Gpu(str(device.name()), f"{major}.{minor}", jetson_release())
    except cuda.Error as error:
        raise ModelError(f"CUDA: the GPU cannot be asked ({one_line(error)}); {_DRIVER_REMEDY}") from None


def jetson_release(path: Path = Path("/etc/nv_tegra_release")) -> str:
    """Jetson Linux's version; empty on other machines."""
    try:
        found = _RELEASE.match(path.read_text())
    except OSError:
        return ""
    return f"{found[1]}.{found[2]}" if found else ""


@functools.cache
def the_log(trt: Any) -> Any:
    """The process's one `trt.ILogger`: passes on to `logging` and remembers the last errors.

    TensorRT keeps to the first that it is given, also for objects made with another, until the process ends.
    """

    class Log(trt.ILogger):  # type: ignore[misc]
        """TensorRT calls it from threads of its own."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: deque[str] = deque(maxlen=8)
            self._guard = threading.Lock()

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                with self._guard:
                    self._errors.append(msg)
            log.debug("tensorrt: %s", msg)

        def take_errors(self) -> str:
            """The errors since the last call, as one line."""
            with self._guard:
                errors = " ".join(" ".join(self._errors).split())
                self._errors.clear()
            return errors

    return Log()


def failure(what: str, said: str, remedy: str) -> ModelError:
    """The error for `what` failed, after TensorRT or CUDA `said` so; out of memory is an error of its own."""
    if _OUT_OF_MEMORY.search(said):
        return GpuMemoryError(f"{what}: the GPU is out of memory; stop what else uses it, {USE_CPU}")
    return ModelError(f"{what} ({said[:300] or 'no reason given'}); {remedy}")


def one_line(error: BaseException) -> str:
    """What an error says, with its kind where that says more."""
    text = " ".join(str(error).split())[:300]
    return text or type(error).__name__
