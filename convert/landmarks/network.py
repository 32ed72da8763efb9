"""The landmark network: inverted residuals, and a head in which every place of the map votes for every point."""

import torch
from torch import Tensor, nn

from convert.layers import InvertedResidual, Residual, convolution, normalise, separable

CROP = 112
MAP = 14
"""Side of the map whose places vote."""

LEAST, MOST = -3.0, 2.0
"""Bounds of the log-deviation, in natural logarithms of pixels of the crop: 0.05 to 7.4 px."""


class Votes(nn.Module):
    """Features to points: each place of the map votes with an offset of its own, and a softmax weighs the votes.

    After A2J (arXiv 1908.09999), where anchors vote for joints. Input N x C x 14 x 14; output N x 68 x 3: x and y in
    pixels of the crop from its centre, and the log-deviation, bounded.
    """

    places: Tensor

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.votes = nn.Conv2d(inputs, 68 * 4, 1)
        steps = (torch.arange(MAP) + 0.5) * (CROP / MAP) - CROP / 2
        grid_y, grid_x = torch.meshgrid(steps, steps, indexing="ij")
        places = torch.stack([grid_x.flatten(), grid_y.flatten(), torch.zeros(MAP * MAP)])
        self.register_buffer("places", places[None, None], persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        votes = self.votes(features).float().reshape(-1, 68, 4, MAP * MAP)
        weights = torch.softmax(votes[:, :, :1], dim=3)
        # Offsets leave the network in strides of 8 px, where half precision is fine enough.
        values = votes[:, :, 1:] * self.unit + self.places
        x_y_deviation = (values * weights).sum(dim=3)
        return torch.cat([x_y_deviation[:, :, :2], x_y_deviation[:, :, 2:].clamp(LEAST, MOST)], dim=2)

    @property
    def unit(self) -> Tensor:
        """Pixels of one unit of each value: strides for the offsets, one for the log-deviation."""
        stride = CROP / MAP
        return torch.tensor([stride, stride, 1.0], device=self.places.device)[None, None, :, None]


class LandmarkNetwork(nn.Module):
    """112 x 112 faces, normalised float N x 3 x 112 x 112, to N x 68 x 3 as `Votes` gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            # Whole 3 x 3 convolutions where channels are few: depthwise ones pay only further down.
            convolution(3, 16, 3, 2),
            *separable(16, 16, 1),
            convolution(16, 32, 3, 2),
            Residual(32),
            Residual(32),
            convolution(32, 64, 3, 2),
            *(InvertedResidual(64, 64, 1, 3) for _ in range(4)),
        )
        self.coarse = nn.Sequential(
            convolution(64, 96, 3, 2), InvertedResidual(96, 96, 1, 2), InvertedResidual(96, 96, 1, 2)
        )
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(96, 96, 1))
        self.context = nn.Sequential(nn.Conv2d(96, 64, 1, bias=False), nn.BatchNorm2d(64))
        self.fused = nn.Sequential(nn.ReLU(inplace=True), *separable(64, 128, 1))
        self.head = Votes(128)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        coarse = self.coarse(fine)
        context = self.context(coarse + self.whole(coarse))
        fused = self.fused(fine + nn.functional.interpolate(context, scale_factor=2.0, mode="nearest"))
        answer: Tensor = self.head(fused)
        return answer


class LandmarkModel(nn.Module):
    """What is exported: uint8 faces in, points and log-deviations out.

    Input `faces` uint8 [batch, 112, 112, 3], BGR. Outputs `points` float32 [batch, 68, 2], from the crop's centre in
    units of its side, and `log_deviations` float32 [batch, 68], natural logarithms of pixels of the crop.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        answer = self.network(normalise(faces))
        return answer[:, :, :2] / CROP, answer[:, :, 2]
