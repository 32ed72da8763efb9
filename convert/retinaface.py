"""Rebuilds RetinaFace with MobileNet-0.25 as an ONNX graph from a PyTorch state dict that the user names.

The network is that of Deng et al. 2019 (arXiv 1905.00641) in the form that
github.com/biubug6/Face-Detector-1MB-with-landmark gave it: MobileNetV1 at a quarter of its width, a feature pyramid of 64
channels, a context module and three heads for each stride. Names and shapes are checked one by one, so that another
network's file is refused. The same author's Pytorch_Retinaface differs in nothing that a state dict shows (leaky ReLU,
anchors twice as large): its weights give nonsense here, and are told apart by the hash in the manifest.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.onnx_graph import Graph, write_model
from convert.torch_file import read_state_dict
from edged.baselines.retinaface import ANCHORS, CHANNELS, MEAN_BGR, VALUES
from edged.errors import UsageError
from edged.inference import Manifest

MODEL = "retinaface"
MAX_WEIGHTS_BYTES = 64 * 1024 * 1024

BACKBONE = (
    ("body.stage1", ((8, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1))),
    ("body.stage2", ((128, 2), (128, 1), (128, 1), (128, 1), (128, 1), (128, 1))),
    ("body.stage3", ((256, 2), (256, 1))),
)
"""Channels and stride of each layer; the first one is a plain convolution of stride 2, all others are separable."""
PYRAMID = 64
NORM_EPSILON = 1e-5
PER_ANCHOR = (("ClassHead", 2), ("BboxHead", 4), ("LandmarkHead", 10))

Array = NDArray[np.float32]
Weights = Mapping[str, NDArray[Any]]


def write_network(weights: Path, out: Path, manifest: Manifest) -> Path:
    """Write the graph into `out`; return the file written.

    Raise UsageError when `weights` is not this network's state dict, and Failed, writing nothing, when the graph is not
    the one that `manifest` names.
    """
    entry = manifest.entry(MODEL)
    model = build(read_weights(weights), str(weights))
    remedy = (
        f"{weights} holds other weights than the known file: name that one, "
        f"or put this sha256 into {manifest.directory / 'manifest.toml'} if you mean it"
    )
    write_model(out / entry.file, model, entry.sha256, remedy)
    return out / entry.file


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a state dict, by name; see `convert.torch_file`."""
    return {name: value.numpy() for name, value in read_state_dict(path, MAX_WEIGHTS_BYTES).items()}


def build(weights: Weights, source: str = "weights") -> bytes:
    """The graph's bytes. Raise UsageError, naming `source`, when an array is missing, of another shape, or too many.

    Input `image` uint8 [batch, H, W, 3], BGR, H and W multiples of 32. For each stride an output of raw values,
    float32 [batch, 30, H/s, W/s]: see `edged.baselines.retinaface`, which decodes them.
    """
    network = _Network(_Arrays(weights, source))
    levels = network.pyramid(network.backbone(network.normalised("image")))
    for level, stride in enumerate(ANCHORS):
        context = network.context(f"ssh{level + 1}", levels[level])
        network.heads(level, f"stride{stride}", context)
    network.arrays.require_all_taken()
    outputs = {f"stride{s}": ("batch", CHANNELS, f"height/{s}", f"width/{s}") for s in ANCHORS}
    return network.graph.model({"image": ("batch", "height", "width", 3)}, outputs)


class _Arrays:
    """Hands out each array once, and only in the shape asked for."""

    def __init__(self, weights: Weights, source: str) -> None:
        # How many batches a normalisation has seen matters to training alone.
        self._left = {name: value for name, value in weights.items() if not name.endswith(".num_batches_tracked")}
        self._source = source

    def take(self, name: str, *shape: int) -> NDArray[np.float64]:
        array = self._left.pop(name, None)
        if array is None:
            raise self._wrong(f"has no {name!r}")
        if array.shape != shape or array.dtype != np.float32:
            raise self._wrong(f"{name!r} is {array.dtype} {array.shape}, not float32 {shape}")
        return array.astype(np.float64)

    def require_all_taken(self) -> None:
        if self._left:
            raise self._wrong(f"has {len(self._left)} arrays too many, as {next(iter(self._left))!r}")

    def _wrong(self, what: str) -> UsageError:
        return UsageError(f"{self._source}: {what}; name weights of RetinaFace with MobileNet-0.25")


class _Network:
    """The layers. Batch normalisation becomes part of the convolution before it, computed in double precision."""

    def __init__(self, arrays: _Arrays) -> None:
        self.arrays = arrays
        self.graph = Graph(MODEL)

    def normalised(self, image: str) -> str:
        """From pixels as pictures lie in memory to planes around 0."""
        planes = self.graph.node("Transpose", "planes", image, perm=[0, 3, 1, 2])
        numbers = self.graph.node("Cast", "numbers", planes, to=1)
        mean = np.array(MEAN_BGR, np.float32).reshape(1, 3, 1, 1)
        return self.graph.node("Sub", "normalised", numbers, self.graph.constant("mean", mean))

    def backbone(self, value: str) -> list[str]:
        """The maps at strides 8, 16 and 32, of 64, 128 and 256 channels."""
        maps, inside = [], 3
        for stage, layers in BACKBONE:
            for number, (outside, stride) in enumerate(layers):
                name = f"{stage}.{number}"
                if inside == 3:
                    value = self.conv((f"{name}.0", f"{name}.1"), value, (outside, 3, 3), stride=2)
                else:
                    lone = (inside, 1, 3)
                    value = self.conv((f"{name}.0", f"{name}.1"), value, lone, stride=stride, groups=inside)
                    value = self.conv((f"{name}.3", f"{name}.4"), value, (outside, inside, 1))
                inside = outside
            maps.append(value)
        return maps

    def pyramid(self, maps: list[str]) -> list[str]:
        """The maps brought to one width, each finer one with the coarser ones added."""
        widths = [layers[-1][0] for _, layers in BACKBONE]
        levels = [
            self._pair(f"fpn.output{k}", value, (PYRAMID, width, 1))
            for k, (value, width) in enumerate(zip(maps, widths, strict=True), 1)
        ]
        doubled = self.graph.constant("doubled", np.array([1, 1, 2, 2], np.float32))
        for k in (1, 0):
            way = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            coarse = self.graph.node("Resize", f"fpn.up{k + 2}", levels[k + 1], "", doubled, **way)
            both = self.graph.node("Add", f"fpn.sum{k + 1}", levels[k], coarse)
            levels[k] = self._pair(f"fpn.merge{k + 1}", both, (PYRAMID, PYRAMID, 3))
        return levels

    def context(self, name: str, value: str) -> str:
        """SSH (arXiv 1708.03979): windows of 3, 5 and 7 cells, each from filters of 3."""
        half, quarter = PYRAMID // 2, PYRAMID // 4
        three = self._pair(f"{name}.conv3X3", value, (half, PYRAMID, 3), active=False)
        start = self._pair(f"{name}.conv5X5_1", value, (quarter, PYRAMID, 3))
        five = self._pair(f"{name}.conv5X5_2", start, (quarter, quarter, 3), active=False)
        longer = self._pair(f"{name}.conv7X7_2", start, (quarter, quarter, 3))
        seven = self._pair(f"{name}.conv7x7_3", longer, (quarter, quarter, 3), active=False)
        joined = self.graph.node("Concat", f"{name}.joined", three, five, seven, axis=1)
        return self.graph.node("Relu", f"{name}.relu", joined)

    def heads(self, level: int, output: str, value: str) -> None:
        """One convolution for all of a level's values, anchor by anchor.

        Of the two classes only the face's lead is kept: its sigmoid is the softmax of both.
        """
        anchors = len(next(iter(ANCHORS.values())))
        kernels, biases = [], []
        for head, count in PER_ANCHOR:
            name, rows = f"{head}.{level}.conv1x1", anchors * count
            kernels.append(self.arrays.take(f"{name}.weight", rows, PYRAMID, 1, 1).reshape(anchors, count, PYRAMID))
            biases.append(self.arrays.take(f"{name}.bias", rows).reshape(anchors, count, 1))
        for values in (kernels, biases):
            values[0] = values[0][:, 1:] - values[0][:, :1]
        kernel = np.concatenate(kernels, axis=1).reshape(anchors * VALUES, PYRAMID, 1, 1)
        self._add_conv(output, value, kernel, np.concatenate(biases, axis=1).ravel())

    def _pair(self, name: str, value: str, shape: tuple[int, int, int], active: bool = True) -> str:
        return self.conv((f"{name}.0", f"{name}.1"), value, shape, active=active)

    def conv(
        self,
        names: tuple[str, str],
        value: str,
        shape: tuple[int, int, int],
        *,
        stride: int = 1,
        groups: int = 1,
        active: bool = True,
    ) -> str:
        """A convolution of `shape` (out, in, size) and its normalisation, called `names`; `active`: a ReLU after them."""
        conv, norm = names
        outside, inside, size = shape
        kernel = self.arrays.take(f"{conv}.weight", outside, inside, size, size)
        gamma, beta, mean, variance = (
            self.arrays.take(f"{norm}.{part}", outside) for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = gamma / np.sqrt(variance + NORM_EPSILON)
        kernel = kernel * factor[:, None, None, None]
        value = self._add_conv(conv, value, kernel, beta - mean * factor, stride, groups)
        return self.graph.node("Relu", f"{conv}.relu", value) if active else value

    def _add_conv(
        self,
        name: str,
        value: str,
        kernel: NDArray[np.float64],
        bias: NDArray[np.float64],
        stride: int = 1,
        groups: int = 1,
    ) -> str:
        weight = self.graph.constant(f"{name}.weight", kernel.astype(np.float32))
        offset = self.graph.constant(f"{name}.bias", bias.astype(np.float32))
        pads = [kernel.shape[2] // 2] * 4
        return self.graph.node("Conv", name, value, weight, offset, strides=[stride, stride], pads=pads, group=groups)
