"""ONNX models in half precision, and models that are refused before anything parses or follows them."""

import hashlib

import numpy as np
import onnx
import pytest
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper

from convert.onnx_graph import Graph
from edged.errors import ModelError
from edged.inference import OnnxEngine, default_engines_dir, load_manifest, open_engine
from edged.inference.half import FULL_PRECISION, to_float, to_half
from tests.support.small_models import faces, small_model, write_models

MANIFEST = load_manifest(default_engines_dir())
THERE = sorted(name for name, entry in MANIFEST.entries.items() if (MANIFEST.directory / entry.file).exists())
SIZES = {"batch": 2, "height": 64, "width": 96}


def pictures(entry):
    rng = np.random.default_rng(0)
    shapes = {k: [SIZES[s] if isinstance(s, str) else s for s in tensor.shape] for k, tensor in entry.inputs.items()}
    return {k: rng.integers(0, 256, shape).astype(entry.inputs[k].dtype) for k, shape in shapes.items()}


def graph_of(model: bytes) -> onnx.GraphProto:
    return onnx.ModelProto.FromString(model).graph


def types_of(graph: onnx.GraphProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))
    values = [*inferred.graph.input, *inferred.graph.output, *inferred.graph.value_info]
    return {v.name: v.type.tensor_type.elem_type for v in values} | {t.name: t.data_type for t in graph.initializer}


@pytest.mark.parametrize("name", THERE)
def test_every_model_runs_in_half_precision_and_answers_alike(name):
    entry, model = MANIFEST.entry(name), MANIFEST.verified_bytes(name)
    half = to_half(model, name)
    assert len(half) < 0.62 * len(model)
    given = pictures(entry)
    expected, answer = OnnxEngine(name, model, 1).run(given), OnnxEngine(name, half, 1).run(given)
    for key, tensor in entry.outputs.items():
        assert answer[key].dtype == tensor.dtype
        assert answer[key].shape == expected[key].shape
        np.testing.assert_allclose(answer[key], expected[key], atol=0.01 * max(1.0, np.abs(expected[key]).max()))


@pytest.mark.parametrize("name", THERE)
def test_weights_and_activations_are_half_but_for_the_last_steps(name):
    graph = graph_of(to_half(MANIFEST.verified_bytes(name), name))
    types = types_of(graph)
    for node in graph.node:
        kinds = {types[used] for used in [*node.input, *node.output] if used and types[used] in (1, 10)}
        if node.op_type == "Cast":
            continue
        if node.op_type in FULL_PRECISION:
            assert kinds == {TensorProto.FLOAT}
        elif node.op_type in ("Conv", "Gemm", "Relu", "PRelu", "MaxPool", "Add"):
            floats = kinds if node.op_type != "Add" else kinds - {TensorProto.FLOAT}
            assert floats <= {TensorProto.FLOAT16}


def test_what_follows_the_last_exponential_is_full_up_to_the_outputs_and_what_goes_on_is_not():
    """A gate in the middle of a network is halved again by the convolution after it."""
    graph = graph_of(to_half(gated_model(), "gated"))
    types = types_of(graph)
    kinds = {node.name: types[node.output[0]] for node in graph.node if node.op_type != "Cast"}
    full = {name for name, kind in kinds.items() if kind == TensorProto.FLOAT}
    assert full == {"gate", "softmax", "weighted", "points"}
    assert {"conv", "gated", "again", "logits"} <= kinds.keys() - full


def gated_model() -> bytes:
    graph = Graph("gated")
    rng = np.random.default_rng(0)
    for name in ("first", "second"):
        graph.constant(name, rng.normal(0, 0.1, (3, 3, 1, 1)).astype(np.float32))
    graph.constant("places", np.linspace(0, 1, 3, dtype=np.float32))
    graph.constant("axis", np.array([1]))
    graph.node("Conv", "conv", "x", "first")
    graph.node("Sigmoid", "gate", "conv")
    graph.node("Mul", "gated", "gate", "conv")
    graph.node("Conv", "again", "gated", "second")
    graph.node("GlobalAveragePool", "mean", "again")
    graph.node("Flatten", "logits", "mean")
    graph.node("Softmax", "softmax", "logits")
    graph.node("Mul", "weighted", "softmax", "places")
    graph.node("ReduceSum", "points", "weighted", "axis", keepdims=0)
    return graph.model({"x": ("batch", 3, 8, 8)}, {"points": ("batch",)}, taking=TensorProto.FLOAT)


@pytest.mark.parametrize("name", THERE)
@pytest.mark.parametrize("convert", [to_half, to_float])
def test_only_a_cast_reads_bytes(name, convert):
    """TensorRT refuses anything else (NVIDIA/TensorRT issue 3985)."""
    graph = graph_of(convert(MANIFEST.verified_bytes(name), name))
    byte_inputs = {v.name for v in graph.input if v.type.tensor_type.elem_type == TensorProto.UINT8}
    assert {node.op_type for node in graph.node if byte_inputs & set(node.input)} <= {"Cast"}


@pytest.mark.parametrize("name", THERE)
def test_moving_the_casts_changes_no_answer(name):
    model = MANIFEST.verified_bytes(name)
    given = pictures(MANIFEST.entry(name))
    expected, answer = OnnxEngine(name, model, 1).run(given), OnnxEngine(name, to_float(model, name), 1).run(given)
    for key, value in expected.items():
        np.testing.assert_array_equal(answer[key], value)


def test_the_same_model_gives_the_same_bytes():
    assert to_half(small_model(), "small") == to_half(small_model(), "small")


def test_converting_twice_changes_nothing_more():
    once = to_half(small_model(), "small")
    given = faces(2)
    first, second = OnnxEngine("a", once, 1).run(given), OnnxEngine("b", to_half(once, "small"), 1).run(given)
    np.testing.assert_allclose(first["probabilities"], second["probabilities"], atol=1e-3)


def test_a_model_whose_inner_types_are_written_down_is_converted_too():
    """Optimisers do so; moving the Cast to the front makes them wrong."""
    told = onnx.shape_inference.infer_shapes(onnx.ModelProto.FromString(small_model()))
    assert {value.type.tensor_type.elem_type for value in told.graph.value_info} >= {1, TensorProto.UINT8}
    for convert in (to_half, to_float):
        assert convert(told.SerializeToString(), "small") == convert(small_model(), "small")


def test_weights_that_half_precision_cannot_hold_stay_as_they_are():
    model = onnx.ModelProto.FromString(small_model())
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(np.array([-1e5, 0, 0], np.float32), "bias"))
    half = to_half(model.SerializeToString(), "small")
    kept = {tensor.name: tensor.data_type for tensor in graph_of(half).initializer}
    assert kept["bias"] == TensorProto.FLOAT
    assert np.isfinite(OnnxEngine("small", half, 1).run(faces(1))["probabilities"]).all()


# Refusals


def altered(change) -> bytes:
    model = onnx.ModelProto.FromString(small_model())
    change(model)
    return model.SerializeToString()


def external(location: str):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", location

    return change


def external_constant(model):
    tensor = TensorProto(name="c", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/shadow"
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=tensor))


def external_among_others(model):
    """In an attribute that holds several tensors, or a sparse one."""
    tensor = TensorProto(name="c", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    model.graph.node.append(helper.make_node("Identity", ["planes"], ["c"], others=[tensor]))


def external_sparse(model):
    values = TensorProto(name="c", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    sparse = SparseTensorProto(values=values, dims=[1])
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], sparse_value=sparse))


def inner_graph(model):
    empty = helper.make_graph([], "then", [], [helper.make_tensor_value_info("t", 1, [1])])
    model.graph.node.append(helper.make_node("If", ["planes"], ["o"], then_branch=empty, else_branch=empty))


OUTSIDE = [
    "weights.bin",
    "../weights.bin",
    "../../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\secret",
    "a/../../b",
    "./../x",
    "%2e%2e/x",
    "~/x",
    "C:\\x",
    "//host/x",
    "x\0y",
    "",
    ".",
    "link/../../x",
    "/proc/self/environ",
    "....//....//x",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("location", OUTSIDE)
def test_data_outside_the_file_is_refused_not_followed(location):
    for convert in (to_half, to_float):
        with pytest.raises(ModelError, match="lies outside the file"):
            convert(altered(external(location)), "small")


@pytest.mark.parametrize("location", OUTSIDE)
def test_the_cpu_opens_no_data_outside_the_file_either(tmp_path, monkeypatch, location):
    """ONNX Runtime reads them from the working directory when it is given a model as bytes, unless told otherwise."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(bytes(1000))
    manifest = write_models(tmp_path / "engines", small=altered(external(location)))
    with pytest.raises(ModelError, match="small"):
        open_engine(manifest, "small", threads=1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (external_constant, "lies outside the file"),
        (external_among_others, "lies outside the file"),
        (external_sparse, "lies outside the file"),
        (inner_graph, "If has a graph inside"),
        (lambda m: m.graph.node.append(helper.make_node("Evil", ["planes"], ["o"], domain="com.x")), "com.x.Evil"),
        (lambda m: m.functions.add(), "functions of its own"),
        (lambda m: m.graph.sparse_initializer.add(), "sparse weights"),
        (
            lambda m: m.graph.node.append(helper.make_node("Relu", ["nowhere"], ["o"])),
            "cannot be inferred|cannot be converted",
        ),
        (
            lambda m: m.graph.node.append(helper.make_node("MaxPool", ["faces"], ["o"], kernel_shape=[1])),
            "cast them first",
        ),
    ],
)
def test_what_our_models_never_have_is_refused_in_one_line(change, expected):
    with pytest.raises(ModelError, match=expected) as caught:
        to_half(altered(change), "small")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\x00", b"not a model", small_model()[:100]])
def test_what_is_no_model_is_refused(data):
    with pytest.raises(ModelError, match="small"):
        to_half(data, "small")


def test_a_thousand_flipped_bits_of_a_model_are_refused_before_they_are_parsed(tmp_path, monkeypatch):
    model = small_model()
    manifest = write_models(tmp_path, small=model)
    path = tmp_path / "small.onnx"
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *_, **__: pytest.fail("was parsed"))
    for bit in np.random.default_rng(0).choice(len(model) * 8, 1000, replace=False).tolist():
        flipped = bytearray(model)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(ModelError, match="is not the one that was checked"):
            open_engine(manifest, "small")
    for size in range(0, len(model), 50):
        path.write_bytes(model[:size])
        with pytest.raises(ModelError, match="is not the one that was checked"):
            open_engine(manifest, "small")


@pytest.mark.parametrize(
    "file", ["../small.onnx", "/etc/small.onnx", "a/../../small.onnx", ".hidden.onnx", "small.plan", "a\\b.onnx"]
)
def test_a_manifest_that_names_files_elsewhere_is_refused(tmp_path, file):
    write_models(tmp_path, small=small_model())
    path = tmp_path / "manifest.toml"
    path.write_text(path.read_text().replace('file = "small.onnx"', f"file = '{file}'"))
    with pytest.raises(ModelError, match="not a valid manifest"):
        load_manifest(tmp_path)


def test_a_model_behind_a_link_is_what_it_says_or_refused(tmp_path):
    outside = tmp_path / "outside.onnx"
    outside.write_bytes(b"secret")
    manifest = write_models(tmp_path / "engines", small=small_model())
    (tmp_path / "engines" / "small.onnx").unlink()
    (tmp_path / "engines" / "small.onnx").symlink_to(outside)
    with pytest.raises(ModelError, match=hashlib.sha256(b"secret").hexdigest()[:12]):
        open_engine(manifest, "small")


@pytest.mark.parametrize(
    "profile",
    [
        "faces = { min = [1, 8, 8, 3], opt = [2, 4, 4, 3], max = [4, 16, 16, 3] }",
        "faces = { min = [1, 4, 4], opt = [2, 8, 8], max = [4, 16, 16] }",
        "faces = { min = [1, 4, 4, 1], opt = [2, 8, 8, 1], max = [4, 16, 16, 1] }",
        "faces = { min = [0, 4, 4, 3], opt = [2, 8, 8, 3], max = [4, 16, 16, 3] }",
        "face = { min = [1, 4, 4, 3], opt = [2, 8, 8, 3], max = [4, 16, 16, 3] }",
    ],
)
def test_profiles_that_fit_no_input_are_refused(tmp_path, profile):
    write_models(tmp_path, small=small_model())
    path = tmp_path / "manifest.toml"
    lines = [profile if line.startswith("faces = { min") else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines))
    with pytest.raises(ModelError, match="not a valid manifest"):
        load_manifest(tmp_path)
