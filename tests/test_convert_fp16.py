"""Half precision from the command line, and measured honestly on a CPU; every card tells what it costs its model."""

import functools

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from convert import fp16_figures
from convert.__main__ import main
from convert.fp16 import rounded
from convert.fp16_figures import MOST_LOST, Row, table
from convert.record import HALF_PRECISION
from edged.errors import Failed, ModelError, UsageError
from edged.inference import OnnxEngine, default_engines_dir, load_manifest
from edged.inference.half import to_half
from tests.support.small_models import faces, small_model, write_models

SHIPPED = load_manifest(default_engines_dir())


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
    row = Row("macro-F1", full, half, errors)
    assert row.lost == pytest.approx(lost)
    assert f"| {lost:+.2%} |" in table([row])


# The figures


@pytest.fixture
def engines(tmp_path, monkeypatch):
    """A folder of two models, of which one has a card and its file is there."""
    manifest = write_models(tmp_path, small=small_model(), absent=small_model(1))
    (tmp_path / "absent.onnx").unlink()
    (tmp_path / "small.md").write_text(f"before\n{HALF_PRECISION[0]}\nold\n{HALF_PRECISION[1]}\nafter\n")
    monkeypatch.setenv("EDGED_ENGINES", str(tmp_path))
    return manifest


def measured(monkeypatch, *arguments, loses=0.0):
    """Run the command with a figure made of the models' own answers, less `loses` of it in FP16."""
    opened = []

    def take(name, open_model):
        opened.append(10 + float(open_model(name).run(faces(1))["probabilities"][0, 0]))
        return {"its answer": opened[-1] * (1 - loses * (len(opened) > 1))}

    subjects = {
        name: fp16_figures._Subject((name,), (), False, functools.partial(take, name)) for name in ("small", "absent")
    }
    monkeypatch.setattr(fp16_figures, "_subjects", lambda data, full: subjects)
    result = CliRunner().invoke(main, ["fp16-figures", "--data", ".", *arguments])
    return result, opened


def test_both_precisions_are_measured_and_written_into_the_card(engines, monkeypatch):
    result, (full, half) = measured(monkeypatch)
    assert result.exception is None
    assert full != half
    card = (engines.directory / "small.md").read_text()
    assert f"| its answer | {full:.4f} | {half:.4f} |" in card
    assert engines.entry("small").sha256[:12] in card
    assert card.startswith("before\n")
    assert card.endswith("after\n")
    assert "old" not in card


def test_a_model_that_loses_too_much_fails_the_command_and_stands_in_its_card_all_the_same(engines, monkeypatch):
    result, (_, half) = measured(monkeypatch, loses=0.02)
    assert isinstance(result.exception, Failed)
    assert "small, its answer" in str(result.exception)
    assert f"| {half * 0.98:.4f} |" in (engines.directory / "small.md").read_text()


def test_a_trial_without_full_precision_records_nothing(engines, monkeypatch):
    before = (engines.directory / "small.md").read_text()
    result, _ = measured(monkeypatch, "--halve-all")
    assert "its answer" in result.output
    assert (engines.directory / "small.md").read_text() == before


def test_a_model_that_is_named_must_be_known_and_there(engines, monkeypatch):
    unknown, _ = measured(monkeypatch, "--model", "nobody")
    assert isinstance(unknown.exception, UsageError)
    assert "known are small, absent" in str(unknown.exception)
    absent, _ = measured(monkeypatch, "--model", "absent")
    assert isinstance(absent.exception, ModelError)
    assert "absent.onnx" in str(absent.exception)


@pytest.mark.parametrize("name", sorted(SHIPPED.entries))
def test_every_card_has_the_figures_of_the_model_that_is_shipped(name):
    """After a training: `python -m convert fp16-figures --data DATA`."""
    entry = SHIPPED.entry(name)
    _, _, rest = (SHIPPED.directory / entry.card).read_text().partition(HALF_PRECISION[0])
    section, mark, _ = rest.partition(HALF_PRECISION[1])
    assert mark
    assert entry.sha256[:12] in section
    lost = [float(line.split("|")[-2].strip(" %")) for line in section.splitlines() if line.endswith("% |")]
    assert lost
    assert max(lost) <= MOST_LOST * 100
