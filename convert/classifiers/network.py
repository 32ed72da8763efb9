"""A Keras classifier behind edged's pixels, and the same with calibrated probabilities: what is trained and exported."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edged.analyse.mask import CROP_SIZE


@dataclass(frozen=True)
class Pixels:
    """What a network was taught to see: its picture's height and width, and (value - mean) / scale of each channel.

    Means and scales stand in the order in which the network takes the colours: red first when `rgb`, else blue first.
    """

    height: int
    width: int
    rgb: bool
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]


@dataclass(frozen=True)
class UserModel:
    """Somebody's classifier, loaded but not yet believed.

    `network` takes float32 pictures of `height` x `width`, called with `training=False`, and gives `outputs` numbers each.
    """

    network: Any
    kind: str
    """What it was made with, for people: "Keras model"."""
    height: int
    width: int
    channels_first: bool
    outputs: int


class FaceNetwork(nn.Module):
    """Faces as the product cuts them, to what `model` answers.

    Input uint8 [batch, 112, 112, 3], BGR; output as the Keras model gives it, float32. The faces are resized with linear
    interpolation where the model wants another size: every classifier sees what ours sees, and no more.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, model: Any, pixels: Pixels, channels_first: bool = True) -> None:
        super().__init__()
        self.model, self.pixels, self._channels_first = model, pixels, channels_first
        self.register_buffer("mean", torch.tensor(pixels.mean).reshape(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(pixels.scale).reshape(1, 3, 1, 1))

    def forward(self, faces: Tensor) -> Tensor:
        planes = faces.permute(0, 3, 1, 2).to(torch.float32)
        size = (self.pixels.height, self.pixels.width)
        if size != (CROP_SIZE, CROP_SIZE):
            planes = nn.functional.interpolate(planes, size, mode="bilinear", align_corners=False)
        if self.pixels.rgb:
            planes = planes[:, [2, 1, 0]]
        planes = (planes - self.mean) / self.scale
        answer: Tensor = self.model(
            planes if self._channels_first else planes.permute(0, 2, 3, 1), training=self.training
        )
        return answer.float()


class Calibrated(nn.Module):
    """Probabilities from logits: softmax of (logits + offset) / temperature, as `convert.mask.network.MaskModel` has it."""

    offset: Tensor

    def __init__(self, network: FaceNetwork, offset: Sequence[float], temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float32))

    def forward(self, faces: Tensor) -> Tensor:
        return torch.softmax((self.network(faces) + self.offset) / self.temperature, dim=1)
