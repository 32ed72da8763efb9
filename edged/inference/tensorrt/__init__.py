"""TensorRT on the GPU: builds plans from ONNX models, keeps them, and runs them behind the `Engine` contract."""

from edged.inference.tensorrt.binding import Gpu, GpuMemoryError, not_installed, tensorrt_available
from edged.inference.tensorrt.build import (
    BuildOptions,
    ReportProgress,
    Toolkit,
    build_engine,
    engine_key,
    find_toolkit,
    open_tensorrt_engine,
)
from edged.inference.tensorrt.cache import CacheBusyError, CacheFullError, EngineCache, EngineKey
from edged.inference.tensorrt.engine import TensorrtEngine
from edged.inference.tensorrt.thread import GpuThread

__all__ = [
    "BuildOptions",
    "CacheBusyError",
    "CacheFullError",
    "EngineCache",
    "EngineKey",
    "Gpu",
    "GpuMemoryError",
    "GpuThread",
    "ReportProgress",
    "TensorrtEngine",
    "Toolkit",
    "build_engine",
    "engine_key",
    "find_toolkit",
    "not_installed",
    "open_tensorrt_engine",
    "tensorrt_available",
]
