"""Holds all wide eyes of a training in memory."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convert.eyes.sources import WideEye


@dataclass(frozen=True, eq=False)
class EyeStore:
    """N wide eyes (N x WIDE x WIDE x 3), their states (N), groups (N names), widths in pixels, and crops' heights (N)."""

    images: NDArray[np.uint8]
    states: NDArray[np.int64]
    groups: NDArray[np.str_]
    widths: NDArray[np.float32]
    heights: NDArray[np.float32]

    @classmethod
    def of(cls, eyes: Iterable[WideEye]) -> "EyeStore":
        """Collect."""
        found = list(tqdm(eyes, desc="cutting eyes", unit="eye", mininterval=5))
        return cls(
            np.stack([eye.image for eye in found]),
            np.array([eye.state for eye in found], np.int64),
            np.array([eye.group for eye in found], np.str_),
            np.array([eye.width for eye in found], np.float32),
            np.array([eye.height for eye in found], np.float32),
        )
