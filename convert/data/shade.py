"""Darkens faces: skin that reflects little, heads against a bright door, faces in the shade of a brim or a roof.

The pictures at hand show few dark faces, and a network learns what it is shown.
"""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

REFLECTS = np.array([[0.25, 0.75], [0.32, 0.8], [0.42, 0.85]])
"""What is left of blue, green and red, lowest and highest: dark skin swallows blue first."""
GLOSS = 0.92
"""The brightest 8 % of a face keep their light: skin of every colour shines."""


def darken(image: Pixels, box: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Darken the head whose face box (corners, pixels) is given, in place, by an amount drawn by `rng`, softly bounded."""
    height, width = image.shape[:2]
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    low = np.maximum(np.floor(centre - 1.6 * half), 0).astype(int)
    high = np.minimum(np.ceil(centre + 1.6 * half), [width, height]).astype(int)
    if (high - low).min() < 2:
        return
    patch = image[low[1] : high[1], low[0] : high[0]]
    x = (np.arange(low[0], high[0], dtype=np.float32) + np.float32(0.5) - centre[0]) / max(half[0], 1e-3)
    y = (np.arange(low[1], high[1], dtype=np.float32) + np.float32(0.5) - centre[1]) / max(half[1], 1e-3)
    share = np.clip((1.5 - np.sqrt(x[None] ** 2 + y[:, None] ** 2)) / 0.4, 0, 1)
    depth = rng.uniform(0, 1)
    left = (REFLECTS[:, 0] + (REFLECTS[:, 1] - REFLECTS[:, 0]) * depth).astype(np.float32)
    grey = patch.mean(axis=2)
    shine = np.clip((grey - np.quantile(grey, GLOSS)) / 24, 0, 1)[..., None] * np.float32(rng.uniform(0.3, 1.0))
    kept = left + (1 - left) * shine
    factor = 1 - share[..., None] * (1 - kept)
    patch[:] = np.clip(patch * factor, 0, 255).astype(np.uint8)
