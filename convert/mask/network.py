"""The mask classifier's network: separable layers, inverted residuals and a depthwise head."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from convert.layers import InvertedResidual, PlacewiseClassifier, convolution, normalise, separable


class MaskNetwork(PlacewiseClassifier):
    """96 x 96 faces to three logits in the order of JUDGED_STATES; input float, N x 3 x 96 x 96, already normalised.

    Where the mask's edge lies is the question.
    """

    def __init__(self) -> None:
        features = nn.Sequential(
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
        super().__init__(features, channels=192, side=6)


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
