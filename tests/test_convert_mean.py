"""The mean of two models' weights."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from convert.mean import mean
from edged.errors import Failed


def model(weight, operation="Mul"):
    value = numpy_helper.from_array(np.array(weight, np.float32), "weight")
    shift = numpy_helper.from_array(np.array([0], np.int64), "axes")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "y")]
    nodes = [helper.make_node(operation, ["x", "weight"], ["y"])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [value, shift])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def answer(data):
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.ones(2, np.float32)})[0]


@pytest.mark.parametrize(("share", "weights"), [(0.0, [1, 2]), (0.25, [1.5, 4]), (1.0, [3, 10])])
def test_the_second_model_counts_its_share(share, weights):
    between = mean(model([1, 2]), model([3, 10]), share)
    assert answer(between) == pytest.approx(weights)
    onnx.checker.check_model(onnx.load_from_string(between))


@pytest.mark.parametrize("other", [model([1, 2, 3]), model([1, 2], "Add")])
def test_other_networks_are_refused(other):
    with pytest.raises(Failed, match="not the same network"):
        mean(model([1, 2]), other, 0.5)
