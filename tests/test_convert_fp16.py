"""Half precision from the command line, and measured honestly on a CPU."""

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from convert.__main__ import main
from convert.fp16_figures import Row, rounded, table
from edged.inference import OnnxEngine
from edged.inference.half import to_half
from tests.support.small_models import faces, small_model


def test_the_command_writes_a_model_that_runs(tmp_path):
    source, out = tmp_path / "small.onnx", tmp_path / "half.onnx"
    source.write_bytes(small_model())
    result = CliRunner().invoke(main, ["fp16", str(source), "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    assert out.read_bytes() == to_half(small_model(), "small")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half.onnx", "small.onnx"]
    assert OnnxEngine("half", out.read_bytes(), 1).run(faces(1))["probabilities"].dtype == np.float32


def narrow_model() -> bytes:
    """x times 1.001, minus 2050, in FP16."""
    numbers = {"factor": 1.001, "offset": -2050.0}
    constants = [numpy_helper.from_array(np.array([value], np.float16), name) for name, value in numbers.items()]
    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=TensorProto.FLOAT16),
        helper.make_node("Mul", ["narrow", "factor"], ["product"]),
        helper.make_node("Add", ["product", "offset"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["y"], to=TensorProto.FLOAT),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "narrow", values[:1], values[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_every_activation_is_rounded_to_half_precision():
    """ONNX Runtime's CPU would compute these in FP32, and find 1.001 in place of 0."""
    given = np.array([1.0, 2049.0, 1000.5], np.float32)
    expected = (given.astype(np.float16) * np.float16(1.001) + np.float16(-2050)).astype(np.float32)
    answer = OnnxEngine("narrow", rounded(narrow_model()), 1).run({"x": given})["y"]
    np.testing.assert_array_equal(answer, expected)


def test_a_rounded_model_has_no_half_left_but_between_two_casts():
    graph = onnx.ModelProto.FromString(rounded(to_half(small_model(), "small"))).graph
    assert {tensor.data_type for tensor in graph.initializer} <= {TensorProto.FLOAT, TensorProto.INT64}
    casts = [node for node in graph.node if node.op_type == "Cast"]
    halves = {node.output[0] for node in casts if helper.get_attribute_value(node.attribute[0]) == TensorProto.FLOAT16}
    assert len(halves) >= 4
    assert {node.op_type for node in graph.node if halves & set(node.input)} == {"Cast"}


@pytest.mark.parametrize(
    ("full", "half", "errors", "lost"), [(0.9, 0.891, False, 0.01), (0.9, 0.909, False, -0.01), (4.0, 4.04, True, 0.01)]
)
def test_what_is_lost_knows_errors_from_scores(full, half, errors, lost):
    row = Row("mask", "macro-F1", full, half, errors)
    assert row.lost == pytest.approx(lost)
    assert f"| {lost:+.2%} |" in table([row])
