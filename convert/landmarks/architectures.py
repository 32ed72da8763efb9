"""The two landmark regressors that can be trained, and how: ours, and EfficientNet-B0 to compare with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from convert.landmarks.efficientnet import EfficientNetB0
from convert.landmarks.losses import landmark_loss, smooth_l1
from convert.landmarks.network import LandmarkNetwork
from convert.landmarks.store import HELEN, YOUTUBE

Loss = Callable[[Tensor, Tensor, float], dict[str, Tensor]]
"""(answer N x 68 x 3, true points N x 68 x 2, share of the likelihood) to the parts of the loss."""

OURS, EFFICIENTNET = "edged", "efficientnet-b0"


@dataclass(frozen=True)
class Architecture:
    """A network, what it learns from, and how."""

    build: Callable[[], nn.Module]
    loss: Loss
    shares: Mapping[tuple[str, bool], float]
    """How often each set is drawn, bare (False) and masked (True)."""
    peak_rate: float
    looks: int
    """How many looks at each face it is made for."""


ARCHITECTURES = {
    # HELEN's points are the better ones.
    OURS: Architecture(
        LandmarkNetwork,
        landmark_loss,
        {(HELEN, False): 0.32, (HELEN, True): 0.28, (YOUTUBE, False): 0.22, (YOUTUBE, True): 0.18},
        2e-3,
        2,
    ),
    # As its authors would: bare faces of the videos alone, smooth L1.
    EFFICIENTNET: Architecture(EfficientNetB0, smooth_l1, {(YOUTUBE, False): 1.0}, 1e-3, 1),
}
