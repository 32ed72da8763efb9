"""EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946) with 136 outputs: the regressor to compare ours with."""

import torch
from torch import Tensor, nn

from convert.layers import Depthwise

STAGES = (
    # widening, outputs, blocks, first stride, kernel: table 1 of the paper.
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)  # fmt: skip
STEM, TOP = 32, 1280
DROPOUT = 0.2
CROP = 112


class SqueezeExcitation(nn.Module):
    """Scales each channel by what the whole map says (arXiv 1709.01507); the inner width follows the block's input."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, inner, 1),
            nn.SiLU(inplace=True),
            nn.Conv2d(inner, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.weigh(x)
        return y


class Block(nn.Module):
    """MBConv: widen, filter, weigh, narrow; added to the input where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, widening: int, stride: int, kernel: int) -> None:
        super().__init__()
        inner = inputs * widening
        layers: list[nn.Module] = []
        if widening > 1:
            layers += [nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.SiLU(inplace=True)]
        layers += [Depthwise(inner, kernel, stride), nn.BatchNorm2d(inner), nn.SiLU(inplace=True)]
        layers += [SqueezeExcitation(inner, max(1, inputs // 4)), nn.Conv2d(inner, outputs, 1, bias=False)]
        self.body = nn.Sequential(*layers, nn.BatchNorm2d(outputs))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.adds else y


class EfficientNetB0(nn.Module):
    """112 x 112 faces, normalised float N x 3 x 112 x 112, to N x 68 x 3: x and y in pixels of the crop from its centre.

    The third value, where our own network has its log-deviation, is 0: this one does not know how sure it is.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, STEM, 3, 2, 1, bias=False),
            nn.BatchNorm2d(STEM),
            nn.SiLU(inplace=True),
        ]
        inputs = STEM
        for widening, outputs, blocks, stride, kernel in STAGES:
            for number in range(blocks):
                layers.append(Block(inputs, outputs, widening, 1 if number else stride, kernel))
                inputs = outputs
        layers += [nn.Conv2d(inputs, TOP, 1, bias=False), nn.BatchNorm2d(TOP), nn.SiLU(inplace=True)]
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(DROPOUT)]
        self.features = nn.Sequential(*layers)
        self.points = nn.Linear(TOP, 136)

    def forward(self, x: Tensor) -> Tensor:
        offsets = self.points(self.features(x)).float().reshape(-1, 68, 2) * (CROP / 4)
        return torch.cat([offsets, torch.zeros_like(offsets[:, :, :1])], dim=2)
