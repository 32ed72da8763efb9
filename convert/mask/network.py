"""The mask classifier's network: inverted residuals (MobileNetV2, arXiv 1801.04381) and a depthwise head."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MEAN, SCALE = 127.5, 64.0
"""Pixels enter the first convolution as (value - MEAN) / SCALE."""


def convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def separable(inputs: int, outputs: int, stride: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Each channel filtered alone, then mixed (MobileNet, arXiv 1704.04861)."""
    return convolution(inputs, inputs, 3, stride, inputs), convolution(inputs, outputs)


class InvertedResidual(nn.Module):
    """Widen, filter each channel alone, narrow; added to the input where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, widening: int) -> None:
        super().__init__()
        inner = inputs * widening
        self.body = nn.Sequential(
            convolution(inputs, inner),
            convolution(inner, inner, 3, stride, inner),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.adds else y


class MaskNetwork(nn.Module):
    """96 x 96 faces to three logits in the order of JUDGED_STATES; input float, N x 3 x 96 x 96, already normalised.

    The head weighs every place of the 6 x 6 map by itself (MobileFaceNet, arXiv 1804.07573): where the mask's edge
    lies is the question, and averaging would lose it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            # Plain separable layers first: widening pays only where the map is small.
            convolution(3, 16, 3, 2),
            *separable(16, 32, 2),
            *separable(32, 32, 1),
            *separable(32, 64, 2),
            InvertedResidual(64, 64, 1, 2),
            InvertedResidual(64, 64, 1, 2),
            InvertedResidual(64, 96, 2, 3),
            InvertedResidual(96, 96, 1, 3),
            convolution(96, 192),
        )
        self.head = nn.Sequential(nn.Conv2d(192, 192, 6, groups=192, bias=False), nn.BatchNorm2d(192), nn.Flatten())
        self.logits = nn.Sequential(nn.Dropout(0.2), nn.Linear(192, 3))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.logits(self.head(self.features(x)))
        return y


class MaskModel(nn.Module):
    """What is exported: uint8 pixels in, calibrated probabilities out.

    Input `faces` uint8 [batch, 96, 96, 3], BGR; output float32 [batch, 3]: softmax of (logits + offset) / temperature.
    """

    offset: Tensor

    def __init__(self, network: MaskNetwork, offset: Sequence[float], temperature: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float32))
        self.temperature = temperature

    def forward(self, faces: Tensor) -> Tensor:
        return torch.softmax((self.network(normalise(faces)) + self.offset) / self.temperature, dim=1)


def normalise(faces: Tensor) -> Tensor:
    """uint8 [batch, H, W, 3] to float [batch, 3, H, W] as the network wants it."""
    return (faces.permute(0, 3, 1, 2).to(torch.float32) - MEAN) / SCALE
