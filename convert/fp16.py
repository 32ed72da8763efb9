"""Runs FP16 models on a CPU as a GPU would: every weight and every activation is a number that FP16 knows.

ONNX Runtime's CPU computes FP16 graphs in FP32 and rounds next to nothing in between, which flatters them. So the graph
is run in FP32 with every activation rounded to FP16 where the FP16 graph has one: weights and activations are those of
FP16, sums are those of a GPU that accumulates in FP32.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper


def rounded(half: bytes) -> bytes:
    """An FP16 model as an FP32 one that rounds every activation to FP16: what a GPU computes, but for its sums."""
    model = onnx.ModelProto.FromString(half)
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    types |= {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    types |= {v.name: v.type.tensor_type.elem_type for v in [*inferred.value_info, *inferred.output]}
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    nodes = [part for node in model.graph.node for part in _rounding(node, types)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _rounding(node: onnx.NodeProto, types: Mapping[str, int]) -> Iterator[onnx.NodeProto]:
    """The node in FP32, and after it, for each output that was FP16, there and back."""
    own = onnx.NodeProto.FromString(node.SerializeToString())
    if own.op_type == "Cast" and types[own.output[0]] == TensorProto.FLOAT16:
        del own.attribute[:]
        own.attribute.append(onnx.helper.make_attribute("to", TensorProto.FLOAT))
    late = []
    for place, name in enumerate(node.output):
        if types[name] == TensorProto.FLOAT16:
            exact, narrow = f"{name}__exact", f"{name}__narrow"
            own.output[place] = exact
            late.append(onnx.helper.make_node("Cast", [exact], [narrow], to=TensorProto.FLOAT16))
            late.append(onnx.helper.make_node("Cast", [narrow], [name], to=TensorProto.FLOAT))
    yield own
    yield from late
