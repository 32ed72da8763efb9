"""Proves on the device that every model answers as it should: golden pictures, expected answers, every backend present."""

from edged.selftest.backends import AbsentError, Backend, OnnxBackend, ProviderBackend, TensorrtBackend, open_tensorrt
from edged.selftest.machine import describe_gpu, describe_machine
from edged.selftest.run import Result, self_test

__all__ = [
    "AbsentError",
    "Backend",
    "OnnxBackend",
    "ProviderBackend",
    "Result",
    "TensorrtBackend",
    "describe_gpu",
    "describe_machine",
    "open_tensorrt",
    "self_test",
]
