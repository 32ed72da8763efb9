"""The mask classifier's network: separable layers, inverted residuals and a depthwise head."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from convert.layers import InvertedResidual, PlacewiseClassifier, convolution, normalise, separable


class MaskNetwork(PlacewiseClassifier):
    """112 x 112 faces to three logits in the order of JUDGED_STATES; input float, N x 3 x 112 x 112, already normalised.

    Where the mask's edge lies is the question.
    """

    def __init__(self) -> None:
        features = nn.Sequential(
            # Plain separable layers first: widening pays only where the map is small.
            convolution(3, 24, 3, 2),
            *separable(24, 40, 2),
            *separable(40, 40, 1),
            *separable(40, 80, 2),
            InvertedResidual(80, 80, 1, 2),
            InvertedResidual(80, 80, 1, 2),
            InvertedResidual(80, 80, 1, 2),
            InvertedResidual(80, 128, 2, 3),
            InvertedResidual(128, 128, 1, 3),
            InvertedResidual(128, 128, 1, 3),
            convolution(128, 256),
        )
        super().__init__(features, channels=256, side=7)


class MaskModel(nn.Module):
    """What is exported: uint8 pixels in, calibrated probabilities out.

    Input `faces` uint8 [batch, 112, 112, 3], BGR; output float32 [batch, 3]: softmax of (logits + offset) / temperature.
    """

    offset: Tensor

    def __init__(self, network: nn.Module, offset: Sequence[float], temperature: float) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float32))
        self.temperature = temperature

    def forward(self, faces: Tensor) -> Tensor:
        return torch.softmax((self.network(normalise(faces)) + self.offset) / self.temperature, dim=1)
