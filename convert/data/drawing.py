"""What is drawn into training pictures has in common: skin, and how a layer is laid over a picture."""

import numpy as np
from numpy.typing import NDArray

SKIN = np.array([[150, 175, 225], [110, 140, 195], [70, 95, 145], [45, 60, 95]], np.float64)
"""BGR, from pale to dark."""


def blended(image: NDArray[np.uint8], layer: NDArray[np.floating], share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A copy of `image`, H x W x 3, with `layer` laid over it, whose `share`, H x W, goes from 0 to 1."""
    opacity = share[..., None]
    return np.asarray(np.clip(image * (1 - opacity) + layer * opacity, 0, 255), np.uint8)


def shares(alpha: NDArray[np.uint8]) -> NDArray[np.float32]:
    """0 to 255 as 0 to 1."""
    return alpha.astype(np.float32) / np.float32(255)
