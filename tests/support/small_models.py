"""Tiny ONNX models in a folder with a manifest: made in milliseconds, shaped like ours."""

import hashlib
from pathlib import Path

import numpy as np
from onnx import TensorProto

from convert.onnx_graph import Graph
from edged.inference import Manifest, load_manifest

ENTRY = """
[model.{name}]
file = "{name}.onnx"
sha256 = "{sha256}"
task = "mask-state"
preprocessing = "none"
licence = "MIT"
training_data = "none"
card = "{name}.md"
[model.{name}.inputs]
faces = {{ dtype = "uint8", shape = ["batch", "height", "width", 3] }}
[model.{name}.outputs]
probabilities = {{ dtype = "float32", shape = ["batch", 3] }}
[model.{name}.profiles]
faces = {{ min = [1, 4, 4, 3], opt = [2, 8, 8, 3], max = [4, 16, 16, 3] }}
[model.{name}.agreement]
probabilities = [{{ unit = "probability" }}]
"""


def small_model(seed: int = 0, last: str = "Softmax") -> bytes:
    """Faces in, three probabilities out: a convolution, a mean over the picture, and `last`."""
    rng = np.random.default_rng(seed)
    graph = Graph("small")
    graph.constant("weight", rng.normal(0, 0.02, (3, 3, 3, 3)).astype(np.float32))
    graph.constant("bias", rng.normal(0, 0.5, 3).astype(np.float32))
    graph.node("Transpose", "planes", "faces", perm=[0, 3, 1, 2])
    graph.node("Cast", "numbers", "planes", to=TensorProto.FLOAT)
    graph.node("Conv", "seen", "numbers", "weight", "bias", pads=[1, 1, 1, 1])
    graph.node("Relu", "kept", "seen")
    graph.node("GlobalAveragePool", "mean", "kept")
    graph.node("Flatten", "scores", "mean")
    graph.node(last, "probabilities", "scores")
    return graph.model({"faces": ("batch", "height", "width", 3)}, {"probabilities": ("batch", 3)})


def write_models(directory: Path, **models: bytes) -> Manifest:
    """The models, by name, with a manifest that lists them."""
    directory.mkdir(parents=True, exist_ok=True)
    entries = []
    for name, model in models.items():
        (directory / f"{name}.onnx").write_bytes(model)
        entries.append(ENTRY.format(name=name, sha256=hashlib.sha256(model).hexdigest()))
    (directory / "manifest.toml").write_text("\n".join(entries))
    return load_manifest(directory)


def faces(count: int, height: int = 8, width: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    """Something to run a small model on."""
    return {"faces": np.random.default_rng(seed).integers(0, 256, (count, height, width, 3)).astype(np.uint8)}
