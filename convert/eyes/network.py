"""The eye classifier's network: four plain convolutions and a depthwise head."""

import torch
from torch import Tensor, nn

from convert.layers import PlacewiseClassifier, convolution, normalise


class EyeNetwork(PlacewiseClassifier):
    """32 x 32 eyes to three logits in the order of EYE_STATES; input float, N x 3 x 32 x 32, already normalised.

    Where the lid's edge lies is the question.
    """

    def __init__(self) -> None:
        features = nn.Sequential(
            # Maps this small do not pay for separable layers: whole ones run faster, here and in training.
            convolution(3, 16, 3, 2),
            convolution(16, 32, 3, 2),
            convolution(32, 32, 3, 1),
            convolution(32, 64, 3, 2),
        )
        super().__init__(features, channels=64, side=4)


class EyeModel(nn.Module):
    """What is exported: uint8 pixels in, calibrated probabilities out.

    Input `eyes` uint8 [batch, 32, 32, 3], BGR; output float32 [batch, 3]: softmax of logits / temperature.
    """

    def __init__(self, network: EyeNetwork, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, eyes: Tensor) -> Tensor:
        return torch.softmax(self.network(normalise(eyes)) / self.temperature, dim=1)
