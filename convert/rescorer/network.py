"""The network that says whether a detection is a face, and how its answer changes the detector's score."""

import torch
from torch import Tensor, nn

from convert.layers import Residual, convolution, normalise

LIMIT = 6.0
"""Logits beyond this say no more: one crop shall not outweigh the detector."""


class RescorerNetwork(nn.Module):
    """80 x 80 crops to one logit each, face against no face; input float, N x 3 x 80 x 80, already normalised.

    A patch convolution goes to stride 4 at once, whole 3 x 3 filters follow: on small maps they cost little.
    """

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, 32, 6, 4, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(inplace=True))
        self.features = nn.Sequential(
            stem,
            Residual(32),
            convolution(32, 64, 3, 2),
            Residual(64),
            Residual(64),
            convolution(64, 128, 3, 2),
            Residual(128),
            convolution(128, 192),
        )
        weigh = nn.Conv2d(192, 192, 5, groups=192, bias=False)
        self.head = nn.Sequential(weigh, nn.BatchNorm2d(192), nn.Flatten(), nn.Dropout(0.2), nn.Linear(192, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.features(x))[:, 0]
        return y


class RescorerModel(nn.Module):
    """What is exported: input `faces` uint8 [batch, 80, 80, 3], BGR; output `evidence` float32 [batch], in logits."""

    def __init__(self, network: RescorerNetwork, weight: float, offset: float) -> None:
        super().__init__()
        self.network = network
        self.weight, self.offset = weight, offset

    def forward(self, faces: Tensor) -> Tensor:
        logits: Tensor = self.network(normalise(faces))
        return self.weight * torch.clamp(logits, -LIMIT, LIMIT) + self.offset
