"""The learned head pose's network: a small face crop to a rotation and its expected error."""

import torch
from torch import Tensor, nn

from convert.layers import Residual, convolution, normalise

PLAIN = 4.0
"""How much a radian of error counts beside its likelihood."""

FRONTAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""The identity's first two columns: what the network's answers are offsets from."""


class PoseNetwork(nn.Module):
    """64 x 64 faces to seven numbers: a rotation's two columns (before they are made orthonormal) and a log error.

    Input float, N x 3 x 64 x 64, already normalised. The rotation is the head's, seen along the line of sight and in the
    crop's own, turned axes. The log error is that of the geodesic angle in radians. Plain convolutions: at this size they
    cost a processor no more than separable ones, and train six times as fast.
    """

    frontal: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            convolution(3, 24, 3, 2),
            convolution(24, 32, 3, 2),
            Residual(32),
            convolution(32, 64, 3, 2),
            Residual(64),
            Residual(64),
            convolution(64, 112, 3, 2),
            nn.Flatten(),
        )
        self.answer = nn.Sequential(
            nn.Dropout(0.3),
            nn.Linear(112 * 4 * 4, 64, bias=False),
            nn.BatchNorm1d(64),
            nn.ReLU(inplace=True),
            nn.Linear(64, 7),
        )
        self.register_buffer("frontal", torch.tensor([*FRONTAL, -2.0]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.answer(self.features(x)) + self.frontal
        return y


def rotations(values: Tensor) -> Tensor:
    """N x 6 to N x 3 x 3, the two columns made orthonormal (Zhou et al. 2019, arXiv 1812.07035)."""
    first = nn.functional.normalize(values[:, :3], dim=1)
    along = (first * values[:, 3:]).sum(dim=1, keepdim=True)
    second = nn.functional.normalize(values[:, 3:] - along * first, dim=1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=2)


def geodesic(one: Tensor, other: Tensor) -> Tensor:
    """The angle of the turn from each rotation to the other, in radians: N; smooth down to 0 and up to 180 degrees."""
    # The chord's length is 2 sqrt(2) sin(angle / 2), whose arcsine has a finite slope except at 180 degrees.
    squared = (one - other).square().sum(dim=(1, 2)) / 8
    return 2 * torch.asin((squared + 1e-8).sqrt().clamp(max=0.9999))


def pose_loss(answer: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Laplace's negative log-likelihood of the geodesic errors, and the errors: N x 7 answers, N x 3 x 3 truth, N weights.

    The likelihood alone would give up on the heads that are hard to read.
    """
    error = geodesic(rotations(answer[:, :6]), truth)
    log_scale = answer[:, 6].clamp(-5.0, 1.0)
    return ((error * torch.exp(-log_scale) + log_scale + PLAIN * error) * weight).sum() / weight.sum()


class PoseModel(nn.Module):
    """What is exported: uint8 pixels in, rotation and expected error out.

    Input `faces` uint8 [batch, 64, 64, 3], BGR; outputs `columns` float32 [batch, 6], the rotation's first two columns,
    orthonormal, and `deviations` float32 [batch], the expected error of one angle in degrees.
    """

    def __init__(self, network: PoseNetwork, deviation_scale: float) -> None:
        super().__init__()
        self.network = network
        self.deviation_scale = deviation_scale

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        answer = self.network(normalise(faces))
        first = nn.functional.normalize(answer[:, :3], dim=1)
        along = (first * answer[:, 3:6]).sum(dim=1, keepdim=True)
        second = nn.functional.normalize(answer[:, 3:6] - along * first, dim=1)
        deviations = torch.exp(answer[:, 6].clamp(-5.0, 1.0)) * self.deviation_scale
        return torch.cat([first, second], dim=1), deviations
