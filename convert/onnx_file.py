"""Writes PyTorch models as small, reproducible ONNX files, and checks that ONNX Runtime agrees with PyTorch."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edged.errors import Failed

OPSET = 17
"""TensorRT 8.5, the oldest we build plans with, knows this one."""


@dataclass(frozen=True)
class Signature:
    """Names and free axes of a model's inputs and outputs: {"faces": {0: "batch"}, …}."""

    inputs: Mapping[str, Mapping[int, str]]
    outputs: Mapping[str, Mapping[int, str]]


@dataclass(frozen=True)
class Exported:
    """A trained network as a file: its SHA-256, the steps of its training, and how far both runtimes are apart."""

    sha256: str
    step: int
    parity: float
    temperature: float = 1.0
    """What the logits are divided by."""


def write_onnx(model: nn.Module, example: Tensor, signature: Signature, path: Path) -> str:
    """Export `model` to `path` and return the file's SHA-256.

    The same weights give the same bytes: nothing about the machine or the exporter's run stays in the file.
    """
    partial = path.with_suffix(".partial")
    with warnings.catch_warnings():
        # The scripted exporter is deprecated, but writes the plainest graphs and the oldest opset.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            (example,),
            partial,
            input_names=list(signature.inputs),
            output_names=list(signature.outputs),
            dynamic_axes={name: dict(axes) for name, axes in {**signature.inputs, **signature.outputs}.items()},
            opset_version=OPSET,
            dynamo=False,
        )
    graph = onnx.load(partial)
    _make_plain(graph)
    onnx.checker.check_model(graph, full_check=True)
    data = graph.SerializeToString(deterministic=True)
    partial.write_bytes(data)
    partial.replace(path)
    return hashlib.sha256(data).hexdigest()


def _make_plain(graph: onnx.ModelProto) -> None:
    """Drop what tells about the exporter rather than the model."""
    graph.producer_name, graph.producer_version, graph.doc_string = "edged", "", ""
    del graph.metadata_props[:]
    for node in graph.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]


def largest_difference(model: nn.Module, path: Path, inputs: Sequence[Tensor]) -> float:
    """The largest absolute difference between PyTorch's and ONNX Runtime's outputs over `inputs`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    worst = 0.0
    for value in inputs:
        with torch.inference_mode():
            expected = model.eval()(value)
        answers: list[NDArray[np.float32]] = session.run(None, {name: value.numpy()})
        for one, other in zip(expected if isinstance(expected, tuple) else (expected,), answers, strict=True):
            worst = max(worst, float(np.abs(one.numpy() - other).max()))
    return worst


def require_parity(model: nn.Module, path: Path, inputs: Sequence[Tensor], tolerance: float) -> float:
    """The difference, if it is at most `tolerance`. Raise Failed otherwise."""
    difference = largest_difference(model, path, inputs)
    if not difference <= tolerance:
        raise Failed(
            f"{path}: ONNX Runtime differs from PyTorch by {difference:.2g}, more than {tolerance:.0e}: do not ship it"
        )
    return difference
