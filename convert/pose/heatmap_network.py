"""The heatmap pose's network: five points, drawn as five heatmaps, to yaw, pitch and roll."""

import torch
from torch import Tensor, nn

HEATMAP_SIZE = 48
"""The paper's maps are 96 x 96, which makes the first dense layer sixteen times as large and the first two convolutions
four times as slow; half the side answered as well on projections of a head."""

SPREAD = 0.03
"""Standard deviation of a drawn point, in units of the square's side."""

FULL_SCALE = 100.0
"""Degrees that the last layer's tanh can reach."""


def draw_heatmaps(points: Tensor) -> Tensor:
    """N x 5 x 3 (x and y in units of the square's side, confidence) to N x 5 x 48 x 48: a bump as high as the confidence."""
    places = (torch.arange(HEATMAP_SIZE, dtype=torch.float32, device=points.device) + 0.5) / HEATMAP_SIZE
    across = torch.exp(-(((points[:, :, 0:1] - places) / SPREAD) ** 2) / 2)
    down = torch.exp(-(((points[:, :, 1:2] - places) / SPREAD) ** 2) / 2)
    return points[:, :, 2:3, None] * down[:, :, :, None] * across[:, :, None, :]


class HeatmapNetwork(nn.Module):
    """Five heatmaps to yaw, pitch, roll in degrees (arXiv 1812.00739; layers as in the re-implementation that it was taken from).

    Input N x 5 x 48 x 48; output N x 3, relative to the line of sight, signs as in `edged.analyse.pose.rotation`.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, dropout in ((5, 50, 0.2), (50, 50, 0.2), (50, 150, 0.3)):
            layers += [nn.Conv2d(inputs, outputs, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(dropout)]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.answer = nn.Sequential(
            nn.Linear(600, 300), nn.Tanh(), nn.Dropout(0.3), nn.Linear(300, 300), nn.Tanh(), nn.Dropout(0.3),
            nn.Linear(300, 3), nn.Tanh(),
        )  # fmt: skip

    def forward(self, heatmaps: Tensor) -> Tensor:
        y: Tensor = self.answer(self.features(heatmaps)) * FULL_SCALE
        return y


class HeatmapModel(nn.Module):
    """What is exported: `points` float32 [batch, 5, 3] in, `angles` float32 [batch, 3] (yaw, pitch, roll, degrees) out."""

    def __init__(self, network: HeatmapNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, points: Tensor) -> Tensor:
        y: Tensor = self.network(draw_heatmaps(points))
        return y
