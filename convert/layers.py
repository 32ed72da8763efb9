"""Building blocks that our small networks share."""

import torch
from torch import Tensor, nn

MEAN, SCALE = 127.5, 64.0
"""Pixels enter the first convolution as (value - MEAN) / SCALE."""


def normalise(images: Tensor) -> Tensor:
    """uint8 [batch, H, W, 3] to float [batch, 3, H, W] as all our networks want it."""
    return (images.permute(0, 3, 1, 2).to(torch.float32) - MEAN) / SCALE


class Depthwise(nn.Conv2d):
    """One filter a channel, computed in float32: PyTorch's strided one in bfloat16 is many times slower on CPUs."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == (1, 1) or not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


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
    """Widen, filter each channel alone, narrow; added to the input where the shapes allow (MobileNetV2, arXiv 1801.04381)."""

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


class Residual(nn.Module):
    """Two whole 3 x 3 convolutions, added to their input (ResNet, arXiv 1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(channels, channels, 3),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class PlacewiseClassifier(nn.Module):
    """Normalised float images to three logits: `features`, whose last map has `channels` x `side` x `side`, and a head.

    The head weighs every place of that map by itself (MobileFaceNet, arXiv 1804.07573): where an edge lies is the
    question, and averaging would lose it.
    """

    def __init__(self, features: nn.Sequential, channels: int, side: int) -> None:
        super().__init__()
        self.features = features
        weigh = nn.Conv2d(channels, channels, side, groups=channels, bias=False)
        self.head = nn.Sequential(weigh, nn.BatchNorm2d(channels), nn.Flatten())
        self.logits = nn.Sequential(nn.Dropout(0.2), nn.Linear(channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.logits(self.head(self.features(x)))
        return y


class BothViews(nn.Module):
    """The mean of a network's logits over a face as it is and mirrored: the two err on different faces.

    Both go through the network as one batch. An index mirrors, not a slice that runs backwards, which not every runtime has.
    """

    backwards: Tensor

    def __init__(self, network: nn.Module, width: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("backwards", torch.arange(width - 1, -1, -1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        straight, mirrored = self.network(torch.cat([x, x.index_select(3, self.backwards)])).chunk(2)
        mean: Tensor = (straight + mirrored) / 2
        return mean
