"""The baseline classifiers are built as described, trained repeatably, written as ONNX and measured beside ours."""

# ruff: noqa: E402  Without PyTorch and Keras there is nothing to import.

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from convert.classifiers import compare, export, train
from convert.classifiers.architectures import ARCHITECTURES, build
from convert.classifiers.backend import building, load_keras
from convert.classifiers.network import Calibrated, FaceNetwork, Pixels
from convert.classifiers.simplify import simplify
from convert.mask.evaluate import Examples
from convert.mask.store import CropStore
from edged.analyse.mask import CROP_SIZE, MaskClassifier
from edged.errors import Failed, ModelError, UsageError
from edged.inference import OnnxEngine, default_engines_dir, load_manifest, open_engine
from edged.readers import make_mask_judge
from edged.types import Box

EVEN = Pixels(32, 32, True, (127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
# Keras gives PyTorch's tensors to NumPy in a way that both will give up.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def some_faces(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)


def small(policy="float32"):
    """A network with what makes the baselines hard to export: strides, normalisation, padded pooling, separable layers."""
    layers = keras.layers
    with building(load_keras(), policy):
        image = keras.Input((3, EVEN.height, EVEN.width))
        x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D(3, strides=2, padding="same")(layers.SeparableConv2D(8, 3, padding="same")(x))
        x = layers.GlobalAveragePooling2D()(x)
        return FaceNetwork(keras.Model(image, layers.Dense(3, dtype="float32", name="logits")(x)), EVEN)


@pytest.fixture
def small_training(monkeypatch, tmp_path):
    """Trains the small network on noise in place of a baseline's on faces; gives a function that starts it."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (9, 168, 168, 3), dtype=np.uint8)
    store = CropStore(images, np.arange(9) % 3, np.array(["real"] * 9), np.full(9, 50, np.float32))
    examples = Examples(some_faces(6), np.arange(6) % 3, np.full(6, 30, np.float32))
    monkeypatch.setattr(train, "crop_store", lambda *_: store)
    monkeypatch.setattr(train, "held_out_examples", lambda _: examples)
    monkeypatch.setattr(train, "web_examples", lambda _: examples)
    monkeypatch.setattr(export, "held_out_examples", lambda _: examples)
    monkeypatch.setattr(export, "web_examples", lambda _: examples)
    monkeypatch.setattr(train, "build", lambda name, size, weights, policy: small(policy))
    monkeypatch.setattr(export, "build", lambda name, size: small())
    monkeypatch.setattr(train, "RECIPE", dataclasses.replace(train.RECIPE, save_every=2, score_every=2))

    def start(name, resume=False, seed=1):
        asked = {"architecture": "mobilenet", "size": 96, "weights": None, "data": tmp_path, "crops": tmp_path}
        train.train(train.SeedTraining(out=tmp_path / name, steps=4, seed=seed, resume=resume, threads=1, **asked))
        return tmp_path / name

    start.examples, start.store = examples, store
    return start


def test_the_seed_decides_the_random_start():
    networks = []
    for seed in (1, 1, 2):
        load_keras().utils.set_random_seed(seed)
        networks.append(build("mobilenet", 32).state_dict())
    first, again, other = networks
    assert list(first) == list(again)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["model._torch_params.conv1/kernel"], other["model._torch_params.conv1/kernel"])


def test_resnets_head_is_the_one_that_the_seed_counts():
    head = {
        name: value.numel()
        for name, value in build("resnet50", 32).state_dict().items()
        if "hidden" in name or "logits" in name
    }
    # The baseline counts 1,050,114 parameters with two classes; a third costs 513.
    assert sum(head.values()) == 1_050_114 + 513


def test_a_picture_that_is_too_small_for_the_architecture_is_refused():
    with pytest.raises(UsageError, match="Xception needs at least 71"):
        build("xception", 64)


def test_given_weights_are_kept_and_all_but_the_last_stage_stays_as_it_is(monkeypatch, tmp_path):
    monkeypatch.setitem(
        ARCHITECTURES, "mobilenet", dataclasses.replace(ARCHITECTURES["mobilenet"], trained="conv_pw_13")
    )
    with building(load_keras(), "float32"):
        base = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(3, 32, 32), pooling="avg")
    base.save_weights(tmp_path / "given.weights.h5")
    network = build("mobilenet", 64, tmp_path / "given.weights.h5")
    given = dict(base.named_parameters())
    for name, value in network.model.named_parameters():
        if name in given:
            assert torch.equal(value, given[name])
        learned = "conv_pw_13" in name or "logits" in name
        assert value.requires_grad == (learned and "moving" not in name)


def test_weights_of_something_else_are_refused(tmp_path):
    (tmp_path / "notes.h5").write_text("no weights")
    with pytest.raises(UsageError, match="not weights of"):
        build("mobilenet", 32, tmp_path / "notes.h5")
    with pytest.raises(UsageError, match="not found"):
        build("mobilenet", 32, tmp_path / "missing.h5")


@pytest.mark.parametrize("channels_first", [True, False])
@pytest.mark.parametrize(("rgb", "expected"), [(True, [3, 2, 1]), (False, [1, 2, 3])])
def test_the_network_sees_the_colours_and_the_range_it_was_taught(channels_first, rgb, expected):
    shape = (3, 40, 50) if channels_first else (40, 50, 3)
    image = keras.Input(shape)
    layout = "channels_first" if channels_first else "channels_last"
    middle = keras.layers.GlobalAveragePooling2D(data_format=layout)(image)
    network = FaceNetwork(keras.Model(image, middle), Pixels(40, 50, rgb, (5, 5, 5), (10, 10, 10)), channels_first)
    face = np.broadcast_to(np.array([15, 25, 35], np.uint8), (2, CROP_SIZE, CROP_SIZE, 3)).copy()
    assert network.eval()(torch.from_numpy(face)).tolist() == pytest.approx(np.array([expected, expected]))


def trained(run):
    """The averaged weights, and after how many steps."""
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    return state["average"]["weights"], state["step"]


def test_a_resumed_training_ends_as_one_that_never_stopped(small_training, monkeypatch):
    straight, steps = trained(small_training("straight"))
    with monkeypatch.context() as broken:
        broken.setattr(train.StateTask, "figures", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            small_training("resumed")
    resumed, steps_in_all = trained(small_training("resumed", resume=True))
    assert steps == steps_in_all == 4
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())


def test_a_training_is_not_resumed_as_another(small_training):
    folder = small_training("one")
    with pytest.raises(UsageError, match="holds another training"):
        small_training("one", resume=True, seed=2)
    assert json.loads((folder / "run.json").read_text())["seed"] == 1
    assert [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()] == [2, 4]


def test_a_trained_run_becomes_a_file_that_the_product_runs(small_training):
    run = small_training("run")
    exported = export.export_run(run, small_training.examples)
    assert (exported.steps, exported.pretrained) == (4, False)
    judge = MaskClassifier(OnnxEngine("mask", exported.path.read_bytes(), 1))
    scores = judge.judge(some_faces(1)[0], [Box(10, 10, 60, 60)] * 3)
    assert len(scores) == 3
    assert sum(scores[0]) == pytest.approx(1, abs=1e-5)


def test_a_trained_run_becomes_the_model_that_the_config_chooses(small_training, tmp_path):
    engines = tmp_path / "engines"
    engines.mkdir()
    shutil.copy(default_engines_dir() / "manifest.toml", engines)
    exported, target = export.deliver_run(small_training("run"), tmp_path, engines)
    assert (exported.name, target) == ("mobilenet", engines / "mask-mobilenet.onnx")
    manifest = load_manifest(engines)
    judge = make_mask_judge("mobilenet", lambda name: open_engine(manifest, name, 1))
    assert len(judge.judge(some_faces(1)[0], [Box(10, 10, 60, 60)])) == 1
    target.write_bytes(b"another")
    with pytest.raises(ModelError, match="not the one that was checked"):
        manifest.verified_bytes("mask-mobilenet")


def test_the_log_tells_of_both_kinds_of_pictures_kept_back(small_training):
    lines = [json.loads(line) for line in (small_training("one") / "log.jsonl").read_text().splitlines()]
    assert all({"macro_f1", "web_macro_f1"} <= line.keys() for line in lines)


def test_a_teachers_opinions_are_learned_too(small_training, monkeypatch):
    plain, _ = trained(small_training("plain"))
    taught = dataclasses.replace(small_training.store, opinions=np.full((9, 3), 1 / 3, np.float32))
    monkeypatch.setattr(train, "crop_store", lambda *_: taught)
    other, _ = trained(small_training("taught"))
    assert any(not torch.equal(value, other[name]) for name, value in plain.items())


def test_the_file_answers_as_keras_does_for_any_number_of_faces(tmp_path):
    network = Calibrated(small(), (0.1, 0.2, 0.3), 0.5).eval()
    written = export.write_classifier(network, some_faces(5), tmp_path / "small.onnx")
    assert written.parity <= 1e-4
    graph = onnx.load(tmp_path / "small.onnx").graph
    assert "Sub" not in {node.op_type for node in graph.node}
    session = ort.InferenceSession(str(tmp_path / "small.onnx"), providers=["CPUExecutionProvider"])
    faces = some_faces(11, seed=3)
    with torch.inference_mode():
        expected = network(torch.from_numpy(faces)).numpy()
    np.testing.assert_allclose(session.run(None, {"faces": faces})[0], expected, atol=1e-5)
    again = export.write_classifier(network, some_faces(5), tmp_path / "again.onnx")
    assert again.sha256 == written.sha256


def test_what_gives_no_probabilities_is_not_written(tmp_path):
    (tmp_path / "mask.onnx").write_text("the old one")
    with pytest.raises(Failed, match="not three probabilities"):
        export.write_classifier(small(), some_faces(2), tmp_path / "mask.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["mask.onnx"]
    assert (tmp_path / "mask.onnx").read_text() == "the old one"


def test_subtractions_become_additions_with_the_same_answers(tmp_path):
    constants = {"a": np.float32([1, 2]), "b": np.int64([3, 4])}
    nodes = [
        helper.make_node("Sub", ["x", "a"], ["y"]),
        helper.make_node("Cast", ["y"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Sub", ["whole", "b"], ["z"]),
        helper.make_node("Sub", ["a", "x"], ["turned"]),
    ]
    outputs = [
        helper.make_tensor_value_info("z", TensorProto.INT64, ["n", 2]),
        helper.make_tensor_value_info("turned", TensorProto.FLOAT, ["n", 2]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])], outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    path = tmp_path / "g.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    x = np.float32([[5, 9], [7, 1]])
    before = ort.InferenceSession(str(path)).run(None, {"x": x})
    simplify(path)
    after = ort.InferenceSession(str(path)).run(None, {"x": x})
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one, other)
    assert [node.op_type for node in onnx.load(path).graph.node] == ["Add", "Cast", "Sub", "Sub"]


class Sees:
    """Calls the faces in turn what it was told to; counts the sizes of the batches."""

    name = backend = "fake"

    def __init__(self, states):
        self.states, self.batches = states, []

    def run(self, inputs):
        faces = inputs["faces"]
        self.batches.append(len(faces))
        # The first pixel says which face it is.
        return {"probabilities": np.eye(3, dtype=np.float32)[[self.states[face[0, 0, 0]] for face in faces]]}


def test_the_comparison_counts_each_classifier_on_the_same_faces(monkeypatch):
    images = some_faces(6)
    images[:, 0, 0, 0] = range(6)
    truth = np.array([0, 0, 0, 1, 2, 2])
    examples = Examples(images, truth, np.array([30, 30, 30, 30, 30, 8], np.float32))
    monkeypatch.setattr(
        compare, "drawn_examples", lambda data, seed: Examples(images[:2], truth[:2], examples.sides[:2])
    )
    monkeypatch.setattr(compare, "web_examples", lambda data: examples)
    right, wrong = Sees([0, 0, 0, 1, 2, 2]), Sees([0, 0, 1, 0, 2, 2])
    rivals = [
        compare.Rival("right", "96 px", 10, right, 2_000_000),
        compare.Rival("wrong", "96 px", 1000, wrong, 100_000),
    ]
    table = compare.table(compare.compare(rivals, None, examples)).splitlines()
    assert "(3 correct, 1 incorrect, 1 none)" in table[0]
    assert table[-2].startswith("| right | 96 px | 10 | 2.0 | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 | ")
    # Of three correct ones two are found, and one is claimed that is not: F1 = 4 / 6.
    assert table[-1].startswith("| wrong | 96 px | 1,000 | 0.1 | 0.600 | 0.556 | 0.667 | 0.000 | 1.000 | ")
    assert right.batches == wrong.batches
    assert right.batches == [1, 8] * (compare.ROUNDS + 1) + [5, 2, 5]
