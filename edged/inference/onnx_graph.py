"""Reads ONNX models without trusting them: one file, no outside data, no functions, no foreign operators."""

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from edged.errors import ModelError


def parse(data: bytes, name: str) -> onnx.ModelProto:
    """The model of `data`, which must have been checked by its hash before. Raise ModelError when it is none."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise ModelError(f"model {name}: not an ONNX file; restore it") from None
    return model


def check_plain(model: onnx.ModelProto, name: str) -> None:
    """Raise ModelError for what a model of ours never has, and what others were attacked through.

    External data names files that a parser would open, also such as climb out of the folder (CVE-2022-25882,
    CVE-2024-27318); so it is refused wherever it stands, not followed.
    """
    graph = model.graph
    tensors = [*graph.initializer, *(a.t for node in graph.node for a in node.attribute if a.HasField("t"))]
    for tensor in tensors:
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise ModelError(
                f"model {name}: tensor {tensor.name!r} lies outside the file; save the model as a single file"
            )
    if graph.sparse_initializer:
        raise ModelError(f"model {name}: has sparse weights, which are not supported")
    if model.functions:
        raise ModelError(f"model {name}: has functions of its own, which are not supported; export it without")
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise ModelError(f"model {name}: has operator {node.domain}.{node.op_type}, which is not ONNX's own")
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise ModelError(
                f"model {name}: {node.op_type} has a graph inside, which is not supported; export it without"
            )
