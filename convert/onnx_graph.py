"""Writes ONNX graphs node by node, for networks whose weights are others': no exporter has a say in the bytes."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edged.errors import Failed

# Fixed, so that the bytes do not depend on the version of `onnx` that wrote them.
OPSET = 17
IR_VERSION = 8

Shapes = Mapping[str, tuple[int | str, ...]]
"""Shapes by name; a string is a size known only at run time."""


class Graph:
    """Collects nodes and constants in a fixed order: the same calls give the same bytes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Add an array; give its name."""
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        raw = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        self._constants.append(helper.make_tensor(name, kind, array.shape, raw, raw=True))
        return name

    def node(self, op: str, output: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; give the output's name."""
        self._nodes.append(helper.make_node(op, list(inputs), [output], name=output, **attributes))
        return output

    def model(self, inputs: Shapes, outputs: Shapes, *, taking: int = TensorProto.UINT8) -> bytes:
        """The finished model's bytes; inputs are uint8 unless `taking` says otherwise, outputs float32."""
        taken = [helper.make_tensor_value_info(name, taking, shape) for name, shape in inputs.items()]
        given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
        model = helper.make_model(
            helper.make_graph(self._nodes, self._name, taken, given, self._constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="edged",
            producer_version="1",
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def write_model(path: Path, model: bytes, sha256: str, remedy: str) -> None:
    """Write `model`, whole or not at all. Raise Failed, and write nothing, when its sha256 is another."""
    found = hashlib.sha256(model).hexdigest()
    if found != sha256:
        raise Failed(f"{path}: the graph has sha256 {found}, not {sha256}; {remedy}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(model)
    part.replace(path)
