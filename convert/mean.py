"""The mean of two models' weights: of a network, and of what a further training made of it ("model soups", arXiv 2203.05482)."""

import numpy as np
import onnx
from onnx import numpy_helper

from edged.errors import Failed


def mean(first: bytes, second: bytes, share: float) -> bytes:
    """The ONNX model whose every weight is that of `first` and `second`, the latter's counting `share` (0 to 1).

    Raise Failed when the two are not the same network.
    """
    model, other = (onnx.load_from_string(data) for data in (first, second))
    if _layout(model) != _layout(other):
        raise Failed("the two models are not the same network, so their weights have no mean; name two exports of one")
    for mine, its in zip(model.graph.initializer, other.graph.initializer, strict=True):
        values = numpy_helper.to_array(mine)
        if values.dtype == np.float32:
            between = (1 - share) * values + share * numpy_helper.to_array(its)
            mine.CopyFrom(numpy_helper.from_array(between.astype(np.float32), mine.name))
    return bytes(model.SerializeToString())


def _layout(model: onnx.ModelProto) -> tuple[object, ...]:
    """What two exports of one network have in common: operations and the shapes of weights."""
    operations = tuple((node.op_type, tuple(node.input), tuple(node.output)) for node in model.graph.node)
    return operations, tuple((one.name, tuple(one.dims), one.data_type) for one in model.graph.initializer)
