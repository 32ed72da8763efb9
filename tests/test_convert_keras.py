"""A user's Keras classifier is taken when it means what was said of it; what could be more than data is refused."""

# ruff: noqa: E402  Without PyTorch and Keras there is nothing to import.

import io
import json
import os
import zipfile

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")

from convert.__main__ import main
from convert.classifiers import keras_file
from convert.classifiers.adopt import Claim, adopt, claim_of, wrap
from convert.classifiers.backend import load_keras
from convert.classifiers.keras_file import described, keras_classifier, read_keras_model
from edged.analyse.mask import MaskClassifier
from edged.errors import Failed, UsageError
from edged.inference import load_manifest, open_engine
from edged.types import Box, MaskState

load_keras()
CORRECT, INCORRECT, NONE = MaskState.CORRECT, MaskState.INCORRECT, MaskState.NONE
GAINS = np.float32(8 * np.eye(3))
# Keras gives PyTorch's tensors to NumPy in a way that both will give up.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def colour_model(outputs=3, activation="softmax", layout="channels_last", before=()):
    """Judges by the mean colour: red is the first class, green the second, blue the third."""
    image = keras.Input((24, 24, 3) if layout == "channels_last" else (3, 24, 24))
    x = image
    for layer in before:
        x = layer(x)
    x = keras.layers.GlobalAveragePooling2D(data_format=layout)(x)
    dense = keras.layers.Dense(outputs, activation=activation)
    model = keras.Model(image, dense(x))
    dense.set_weights([GAINS[:, :outputs], np.zeros(outputs, np.float32)])
    return model


@pytest.fixture
def red_face(tmp_path):
    picture = np.zeros((120, 120, 3), np.uint8)
    picture[..., 2] = 200
    cv2.imwrite(str(tmp_path / "red.png"), picture)
    return tmp_path / "red.png"


@pytest.fixture
def claim(tmp_path, red_face):
    """Makes what the user says of `tmp_path/model.keras`, right unless told otherwise."""

    def make(**other):
        said = {
            "classes": "correct,incorrect,none", "pixels": "0..1", "colours": "rgb", "logits": False, "golden": red_face,
            "golden_state": "correct", "golden_box": None, "licence": "mine", "training_data": 'the "red" set',
        }  # fmt: skip
        return claim_of(model=tmp_path / "model.keras", **(said | other))

    return make


def scores(claim, model, bgr):
    face = np.full((1, 112, 112, 3), bgr, np.uint8)
    with torch.inference_mode():
        return wrap(claim, described(claim.model, model))(torch.from_numpy(face))[0].tolist()


def adopted(claim, folder, name="mask", replace=False):
    return adopt(claim, keras_classifier(claim.model), folder, name, replace)


def test_a_model_that_means_what_was_said_gets_an_entry_and_runs_in_the_product(tmp_path, red_face):
    model = colour_model(
        before=[keras.layers.Conv2D(3, 3, strides=2, padding="same"), keras.layers.BatchNormalization()]
    )
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[1, 1] = np.eye(3)
    model.layers[1].set_weights([kernel, np.zeros(3, np.float32)])
    model.save(tmp_path / "model.keras")
    options = [
        "--classes", "correct, incorrect, none", "--pixels", "0..1", "--colours", "rgb", "--golden", red_face,
        "--golden-state", "correct", "--licence", "mine", "--training-data", 'the "red" set', "--engines", tmp_path / "mine",
    ]  # fmt: skip
    result = CliRunner().invoke(main, ["keras", str(tmp_path / "model.keras"), *map(str, options)])
    assert result.exception is None, result.output
    manifest = load_manifest(tmp_path / "mine")
    entry = manifest.entry("mask")
    assert entry.classes == ("correct", "incorrect", "none")
    assert entry.training_data == 'the "red" set'
    assert entry.figures["golden"] == "mask-golden.png"
    assert float(entry.figures["golden_correct"]) > 0.9
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {
        "mask.onnx", "mask.md", "mask-golden.png", "manifest.toml",
    }  # fmt: skip
    judge = MaskClassifier(open_engine(manifest, "mask", 1))
    picture = np.zeros((60, 200, 3), np.uint8)
    picture[:, :100, 2] = picture[:, 100:, 0] = 220
    red, blue = judge.judge(picture, [Box(10, 10, 50, 50), Box(130, 10, 170, 50)])
    assert red.state is CORRECT
    assert blue.state is NONE


@pytest.mark.parametrize(
    "mistake",
    [{"colours": "bgr"}, {"classes": "none,incorrect,correct"}, {"pixels": "-1..1"}, {"golden_state": "incorrect"}],
    ids=str,
)
def test_a_claim_that_the_golden_picture_gives_the_lie_writes_nothing(tmp_path, claim, mistake):
    model = colour_model()
    # What is neither red nor blue enough is the second class: the range of the pixels matters too.
    model.layers[-1].set_weights([GAINS * np.float32([1, 0, 1]), np.float32([0, 5, 0])])
    model.save(tmp_path / "model.keras")
    with pytest.raises(Failed, match="Nothing was written"):
        adopted(claim(**mistake), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_classes_stand_where_the_product_wants_them(claim):
    model = colour_model()
    assert np.argmax(scores(claim(classes="none,correct,incorrect"), model, (0, 0, 250))) == 2
    assert np.argmax(scores(claim(classes="none,correct,incorrect"), model, (0, 250, 0))) == 0


def test_a_model_of_two_classes_never_says_incorrect(claim):
    red = scores(claim(classes="correct,none"), colour_model(2), (0, 0, 250))
    assert red == pytest.approx([1, 0, 0], abs=1e-2)
    assert sum(red) == pytest.approx(1)


def test_one_sigmoid_tells_two_classes_apart(claim):
    single = colour_model(1, "sigmoid")
    assert scores(claim(classes="none,correct"), single, (0, 0, 250)) == pytest.approx([1, 0, 0], abs=1e-2)
    logits = colour_model(1, None)
    assert scores(claim(classes="none,correct", logits=True), logits, (0, 0, 250)) == pytest.approx([1, 0, 0], abs=1e-2)


def test_logits_and_planes_are_understood(claim):
    expected = scores(claim(), colour_model(), (10, 20, 250))
    assert scores(claim(logits=True), colour_model(activation=None), (10, 20, 250)) == pytest.approx(expected)
    assert scores(claim(), colour_model(layout="channels_first"), (10, 20, 250)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("classes", "model", "reason"),
    [
        ("correct,none", {}, "does not fit 2 classes"),
        ("correct,incorrect", {"outputs": 2}, "name correct, none"),
        ("correct,none,none", {}, "each once"),
        ("correct,uncertain,none", {}, "name correct, none"),
    ],
)
def test_classes_that_do_not_fit_are_refused(claim, classes, model, reason):
    with pytest.raises(UsageError, match=reason):
        wrap(claim(classes=classes), described("model.keras", colour_model(**model)))
    with pytest.raises(UsageError, match="with commas between"):
        claim(classes="masked,bare")


def test_only_colour_pictures_of_one_size_are_taken():
    for shape in ((24, 24, 1), (None, None, 3), (7,)):
        image = keras.Input(shape)
        flat = keras.layers.Flatten()(image) if None not in shape else keras.layers.GlobalAveragePooling2D()(image)
        with pytest.raises(UsageError, match="not colour pictures of one fixed size"):
            described("model.keras", keras.Model(image, keras.layers.Dense(3)(flat)))


def test_only_one_row_of_numbers_for_each_picture_is_taken():
    image = keras.Input((24, 24, 3))
    with pytest.raises(UsageError, match="not one row of numbers"):
        described("model.keras", keras.Model(image, keras.layers.Conv2D(3, 1)(image)))
    with pytest.raises(UsageError, match="gives 2 arrays, not one each"):
        described("model.keras", keras.Model(image, [keras.layers.Flatten()(image), image]))


def test_an_entry_that_is_there_is_replaced_only_when_asked(tmp_path, claim):
    folder = tmp_path / "mine"
    folder.mkdir()
    other = (
        '[model.mask-two]\nfile = "two.onnx"\nsha256 = "' + "0" * 64 + '"\ntask = "mask-state"\npreprocessing = "p"\n'
        'licence = "l"\ntraining_data = "t"\ncard = "c"\n[model.mask-two.inputs]\n[model.mask-two.outputs]\n'
    )
    (folder / "manifest.toml").write_text("# mine\n" + other.replace("mask-two", "mask") + other)
    colour_model().save(tmp_path / "model.keras")
    with pytest.raises(UsageError, match="--replace"):
        adopted(claim(), folder)
    written = adopted(claim(), folder, replace=True)
    entries = load_manifest(folder).entries
    assert entries["mask"].sha256 == written.sha256
    assert entries["mask-two"].file == "two.onnx"
    assert (folder / "manifest.toml").read_text().startswith("# mine\n")
    with pytest.raises(UsageError, match="small letters"):
        adopted(claim(), folder, "../mask")


def saved(tmp_path, model):
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def changed(path, **members):
    """The archive with other members: bytes, or a function of the old bytes."""
    with zipfile.ZipFile(path) as archive:
        old = {name: archive.read(name) for name in archive.namelist()}
    for name, value in members.items():
        name = {"config": "config.json", "weights": "model.weights.h5"}.get(name, name)
        old[name] = value(old[name]) if callable(value) else value
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in old.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("name", ["ResNet50", "Xception", "MobileNet", "MobileNetV2"])
def test_the_usual_architectures_hold_nothing_that_is_refused(tmp_path, name):
    model = getattr(keras.applications, name)(weights=None, input_shape=(96, 96, 3), classes=3)
    config = json.dumps(keras.saving.serialize_keras_object(model))
    keras_file._require_known_layers(tmp_path, config.encode())


class Custom(keras.layers.Layer):
    def call(self, x):
        return x


def test_lambdas_and_custom_layers_are_refused(tmp_path):
    for layer in (keras.layers.Lambda(lambda x: x * 2), Custom()):
        with pytest.raises(UsageError, match="not on the list of plain layers"):
            read_keras_model(saved(tmp_path, colour_model(before=[layer])))


@pytest.mark.parametrize(
    ("class_name", "module"), [("TFSMLayer", "keras.layers"), ("Conv2D", "os"), ("get_file", "keras.utils")]
)
def test_configs_that_reach_beyond_layers_are_refused(tmp_path, class_name, module):
    def reach(config):
        tree = json.loads(config)
        tree["config"]["layers"][1] |= {"class_name": class_name, "module": module}
        return json.dumps(tree)

    with pytest.raises(UsageError, match=class_name):
        read_keras_model(changed(saved(tmp_path, colour_model()), config=reach))


def test_a_function_that_is_no_activation_is_refused(tmp_path):
    def reach(config):
        tree = json.loads(config)
        function = {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"}
        tree["config"]["layers"][-1]["config"]["activation"] = function
        return json.dumps(tree)

    with pytest.raises(UsageError, match="eval"):
        read_keras_model(changed(saved(tmp_path, colour_model()), config=reach))


def test_arrays_that_lie_in_other_files_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(1000))

    def outside(data):
        with io.BytesIO(data) as buffer:
            with h5py.File(buffer, "a") as file:
                file.create_dataset("more", (10,), "f4", external=[(str(tmp_path / "secret"), 0, 40)])
            return buffer.getvalue()

    def linked(data):
        with io.BytesIO(data) as buffer:
            with h5py.File(buffer, "a") as file:
                file["more"] = h5py.ExternalLink(str(tmp_path / "secret"), "/x")
            return buffer.getvalue()

    for change in (outside, linked):
        with pytest.raises(UsageError, match=r"lies (in another file|elsewhere)"):
            read_keras_model(changed(saved(tmp_path, colour_model()), weights=change))


def test_pickles_older_formats_and_other_files_are_refused(tmp_path):
    model = torch.nn.Linear(2, 2)
    torch.save(model, tmp_path / "whole.pt")
    with pytest.raises(UsageError, match="a program, not data"):
        read_keras_model(tmp_path / "whole.pt")
    (tmp_path / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(UsageError, match="older format"):
        read_keras_model(tmp_path / "old.h5")
    for name, data in (("empty", b""), ("text", b"no model"), ("pickle", b"\x80\x04}.")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError, match=r"not a whole \.keras file"):
            read_keras_model(tmp_path / name)
    with pytest.raises(UsageError, match="cannot be read"):
        read_keras_model(tmp_path / "missing.keras")
    with pytest.raises(UsageError, match="this one"):
        read_keras_model(changed(saved(tmp_path, colour_model()), **{"assets/x.bin": b""}))


def test_archives_and_arrays_that_grow_huge_are_refused(tmp_path, monkeypatch):
    path = saved(tmp_path, colour_model())
    monkeypatch.setattr(keras_file, "MAX_MODEL_BYTES", 2**20)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data + bytes(2**20) if name == "metadata.json" else data)
    with pytest.raises(UsageError, match="unpacks to more"):
        read_keras_model(path)

    def sparse(data):
        with io.BytesIO(data) as buffer:
            with h5py.File(buffer, "a") as file:
                file.create_dataset("more", (2**40,), "f4", chunks=(1024,))
            return buffer.getvalue()

    with pytest.raises(UsageError, match="more than a model may have"):
        read_keras_model(changed(saved(tmp_path, colour_model()), weights=sparse))


def test_mixed_precision_is_refused(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        path = saved(tmp_path, colour_model())
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(UsageError, match="mixed_float16"):
        read_keras_model(path)


def test_a_damaged_file_is_refused_or_was_not_damaged_where_it_matters(tmp_path):
    path = saved(tmp_path, colour_model())
    whole, expected = path.read_bytes(), read_keras_model(path).get_weights()
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(whole), 40):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            weights = read_keras_model(path).get_weights()
        except UsageError:
            refused += 1
        else:
            assert all(np.array_equal(one, other) for one, other in zip(weights, expected, strict=True))
    assert refused > 30
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="not a whole"):
        read_keras_model(path)


def test_the_claim_holds_what_the_command_line_said(claim):
    made = claim(colours="bgr", golden_box=(1.0, 2.0, 3.0, 4.0))
    assert isinstance(made, Claim)
    assert made.rgb is False
    assert made.golden_box == Box(1, 2, 3, 4)
    assert made.classes == (CORRECT, INCORRECT, NONE)
