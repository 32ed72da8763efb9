"""The two landmark regressors that can be trained, and how: ours, and EfficientNet-B0 to compare with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from convert.landmarks.efficientnet import EfficientNetB0
from convert.landmarks.losses import landmark_loss, smooth_l1
from convert.landmarks.network import LandmarkNetwork
from convert.landmarks.store import BARE, CHANGED, HELEN, MASKED, YOUTUBE

Loss = Callable[[Tensor, Tensor, float], dict[str, Tensor]]
"""(answer N x 68 x 3, true points N x 68 x 2, share of the likelihood) to the parts of the loss."""

OURS, EFFICIENTNET = "edged", "efficientnet-b0"


@dataclass(frozen=True)
class Architecture:
    """A network, what it learns from, and how."""

    build: Callable[[], nn.Module]
    loss: Loss
    shares: Mapping[tuple[str, str], float]
    """How often each set is drawn, by what was done to its faces."""
    peak_rate: float
    passes: int
    """How many passes over each face it is made for."""


ARCHITECTURES = {
    # HELEN's points are the better ones.
    OURS: Architecture(
        LandmarkNetwork,
        landmark_loss,
        {
            (HELEN, BARE): 0.22,
            (HELEN, CHANGED): 0.14,
            (HELEN, MASKED): 0.22,
            (YOUTUBE, BARE): 0.17,
            (YOUTUBE, CHANGED): 0.10,
            (YOUTUBE, MASKED): 0.15,
        },
        2e-3,
        2,
    ),
    # As its authors would: bare faces of the videos alone, smooth L1.
    EFFICIENTNET: Architecture(EfficientNetB0, smooth_l1, {(YOUTUBE, BARE): 1.0}, 1e-3, 1),
}
