"""Reads a `.keras` file as data: known layers, arrays inside the file, nothing that could run code or reach other files."""

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convert.classifiers.backend import load_keras
from convert.classifiers.network import UserModel
from convert.whole_file import read_whole, whole_archive
from edged.errors import UsageError
from edged.inference.manifest import MAX_MODEL_BYTES

MEMBERS = frozenset({"metadata.json", "config.json", "model.weights.h5"})
MAX_CONFIG_BYTES = 16 * 1024 * 1024
MODULES = frozenset({
    "keras", "keras.layers", "keras.models", "keras.initializers", "keras.regularizers", "keras.constraints",
    "keras.activations", "keras.src.models.functional", "keras.src.models.sequential", "builtins",
})  # fmt: skip
CLASSES = frozenset({
    # How Keras writes models, values and functions.
    "Functional", "Sequential", "Model", "__keras_tensor__", "__tuple__", "DTypePolicy", "function", "slice",
    "InputLayer",
    # Layers of convolutional classifiers.
    "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "BatchNormalization", "LayerNormalization",
    "GroupNormalization", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Dropout", "SpatialDropout2D",
    "GaussianNoise", "GaussianDropout", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D",
    "GlobalMaxPooling2D", "ZeroPadding2D", "Cropping2D", "UpSampling2D", "Flatten", "Reshape", "Permute", "Add",
    "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Rescaling", "Normalization", "Identity",
    "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness",
    # What layers are given.
    "GlorotUniform", "GlorotNormal", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Zeros", "Ones", "Constant",
    "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "L1", "L2", "L1L2", "MaxNorm", "NonNeg",
    "UnitNorm",
})  # fmt: skip
FUNCTIONS = frozenset({
    "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "swish", "hard_swish", "hard_silu", "hard_sigmoid",
    "sigmoid", "softmax", "softplus", "tanh", "linear",
})  # fmt: skip


@contextmanager
def keras_classifier(path: Path) -> Iterator[UserModel]:
    """The model in `path`, to be run on the CPU. Raise UsageError when it is no model, or its shapes are not a classifier's."""
    with load_keras().device("cpu"):
        yield described(path, read_keras_model(path))


def described(path: Path, model: Any) -> UserModel:
    """What `model` takes and gives. Raise UsageError when that is not a picture and a row of numbers."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UsageError(f"{path}: takes {len(model.inputs)} and gives {len(model.outputs)} arrays, not one each")
    shape, answer = tuple(model.inputs[0].shape), tuple(model.outputs[0].shape)
    first = len(shape) == 4 and shape[1] == 3
    size = shape[2:] if first else shape[1:3]
    if len(shape) != 4 or 3 not in (shape[1], shape[3]) or not all(size):
        raise UsageError(f"{path}: takes {shape}, not colour pictures of one fixed size")
    if len(answer) != 2 or answer[0] is not None or not answer[1]:
        raise UsageError(f"{path}: gives {answer}, not one row of numbers for each picture")
    return UserModel(model, "Keras model", int(size[0]), int(size[1]), first, int(answer[1]))


def read_keras_model(path: Path) -> Any:
    """The model in `path`, on PyTorch, not compiled.

    Raise UsageError for anything else than a whole `.keras` file of the layers named above in single precision: pickled
    models, Keras's older formats, Lambda and custom layers, arrays that lie in other files, and archives that grow huge.
    """
    data = read_whole(path, MAX_MODEL_BYTES, "name a .keras file")
    members = _members(path, data)
    _require_known_layers(path, members["config.json"])
    _require_plain_arrays(path, members["model.weights.h5"])
    with tempfile.TemporaryDirectory() as folder:
        # What was looked at is what is loaded, whatever happens to `path` meanwhile.
        copy = Path(folder, "model.keras")
        copy.write_bytes(data)
        model = _load(path, copy)
    policies = {layer.dtype_policy.name for layer in model.layers} - {"float32"}
    if policies:
        raise UsageError(f"{path}: computes in {', '.join(sorted(policies))}; build it in float32, and save that")
    return model


def _members(path: Path, data: bytes) -> dict[str, bytes]:
    """The three files inside, whole and of a bounded size."""
    if data.startswith(b"\x89HDF"):
        raise UsageError(
            f"{path}: Keras's older format, which can hide code; load it where it was made, save it as .keras"
        )
    with whole_archive(path, data, ".keras file", "save it again with model.save(…)") as archive:
        members = archive.infolist()
        _require_names_and_sizes(path, members)
        return {member.filename: archive.read(member) for member in members}


def _require_names_and_sizes(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if any(name.endswith(".pkl") for name in names):
        raise UsageError(f"{path}: a pickled PyTorch model is a program, not data; save it with Keras as .keras")
    if sorted(names) != sorted(MEMBERS):
        raise UsageError(f"{path}: a .keras file holds {', '.join(sorted(MEMBERS))}, this one {', '.join(names[:5])}")
    if sum(member.file_size for member in members) > MAX_MODEL_BYTES:
        raise UsageError(f"{path}: unpacks to more than {MAX_MODEL_BYTES >> 20} MiB, the most a model may have")


def _require_known_layers(path: Path, text: bytes) -> None:
    """Look at every object that Keras would make; what only training needs is never made."""
    try:
        config = json.loads(text) if len(text) <= MAX_CONFIG_BYTES else None
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise UsageError(f"{path}: its config.json is not a model's; save it again with model.save(…)")
    config.pop("compile_config", None)
    for thing in _objects(config):
        name, module, registered = (thing.get(key) for key in ("class_name", "module", "registered_name"))
        function = thing.get("config") if name == "function" else None
        known = name in CLASSES and (module is None or module in MODULES) and ">" not in str(registered)
        if not known or (name == "function" and function not in FUNCTIONS):
            raise UsageError(
                f"{path}: holds {function or name!r} of {module or 'an unknown place'}, which is not on the list of plain "
                "layers; a model with Lambda or custom layers cannot be taken"
            )


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _objects(part)


def _require_plain_arrays(path: Path, data: bytes) -> None:
    """Arrays lie in the file itself, and together are no larger than a model may be."""
    import h5py

    def look(group: Any) -> int:
        total = 0
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise UsageError(f"{path}: its array {name!r} lies elsewhere; save the model again with model.save(…)")
            value = group[name]
            if isinstance(value, h5py.Group):
                total += look(value)
            elif value.external or value.is_virtual:
                raise UsageError(f"{path}: its array {name!r} lies in another file; save it again with model.save(…)")
            else:
                total += int(value.nbytes)
        return total

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            total = look(file)
    except (OSError, RuntimeError, KeyError) as error:
        raise UsageError(f"{path}: its weights cannot be read ({error}); save it again with model.save(…)") from None
    if total > MAX_MODEL_BYTES:
        raise UsageError(f"{path}: its arrays take {total} bytes, more than a model may have")


def _load(path: Path, copy: Path) -> Any:
    keras = load_keras()
    try:
        return keras.saving.load_model(str(copy), compile=False, safe_mode=True)
    except Exception as error:  # noqa: BLE001  Keras raises a dozen unrelated classes
        problem = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{path}: Keras {keras.__version__} cannot load it ({problem}); save it with that one"
        ) from None
