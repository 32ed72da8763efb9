"""Runs models: finds them through the manifest, checks them, and hides the runtime behind `Engine`."""

from edged.inference.manifest import Manifest, ModelEntry, NotBuiltError, default_engines_dir, load_manifest
from edged.inference.onnx_runtime import OnnxEngine, open_engine

__all__ = [
    "Manifest",
    "ModelEntry",
    "NotBuiltError",
    "OnnxEngine",
    "default_engines_dir",
    "load_manifest",
    "open_engine",
]
