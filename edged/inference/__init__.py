"""Runs models: finds them through the manifest, checks them, and hides the runtime behind `Engine`."""

from edged.inference.manifest import Manifest, ModelEntry, default_engines_dir, load_manifest
from edged.inference.onnx_cpu import OnnxEngine, open_engine

__all__ = ["Manifest", "ModelEntry", "OnnxEngine", "default_engines_dir", "load_manifest", "open_engine"]
