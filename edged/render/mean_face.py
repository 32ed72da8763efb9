"""The mean face as 68 points, and its fit to five points where only those are known."""

import numpy as np
from numpy.typing import NDArray

from edged.types import Points

# Our own mean over near-frontal faces, made symmetric. Origin: midway between the outer eye corners; unit: their distance.
# fmt: off
MEAN_FACE: NDArray[np.float32] = np.array([
    (-0.784, 0.023), (-0.769, 0.227), (-0.742, 0.428), (-0.704, 0.622),
    (-0.626, 0.806), (-0.498, 0.967), (-0.347, 1.099), (-0.183, 1.202),
    (0.000, 1.228), (0.183, 1.202), (0.347, 1.099), (0.498, 0.967),
    (0.626, 0.806), (0.704, 0.622), (0.742, 0.428), (0.769, 0.227),
    (0.784, 0.023), (-0.670, -0.129), (-0.570, -0.223), (-0.426, -0.257),
    (-0.277, -0.238), (-0.134, -0.191), (0.134, -0.191), (0.277, -0.238),
    (0.426, -0.257), (0.570, -0.223), (0.670, -0.129), (0.000, -0.020),
    (0.000, 0.117), (0.000, 0.254), (0.000, 0.397), (-0.165, 0.482),
    (-0.084, 0.505), (0.000, 0.527), (0.084, 0.505), (0.165, 0.482),
    (-0.500, -0.000), (-0.411, -0.050), (-0.304, -0.048), (-0.211, 0.021),
    (-0.311, 0.040), (-0.418, 0.039), (0.211, 0.021), (0.304, -0.048),
    (0.411, -0.050), (0.500, -0.000), (0.418, 0.039), (0.311, 0.040),
    (-0.307, 0.715), (-0.195, 0.667), (-0.078, 0.646), (0.000, 0.665),
    (0.078, 0.646), (0.195, 0.667), (0.307, 0.715), (0.199, 0.832),
    (0.084, 0.881), (0.000, 0.889), (-0.084, 0.881), (-0.199, 0.832),
    (-0.261, 0.719), (-0.080, 0.707), (0.000, 0.717), (0.080, 0.707),
    (0.261, 0.719), (0.081, 0.777), (0.000, 0.787), (-0.081, 0.777),
], np.float32)
# fmt: on

MIRROR_68 = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip
"""Which point each of the 68 becomes in a mirrored picture."""


def five_points(points68: Points) -> Points:
    """The eye centres, nose tip and mouth corners of 68 points in the iBUG order."""
    left, right = points68[36:42].mean(axis=0), points68[42:48].mean(axis=0)
    return np.stack([left, right, points68[30], points68[48], points68[54]]).astype(np.float32)


def sixty_eight_points(points5: Points) -> Points:
    """The mean face moved onto five points by the affine map of least squares: a guess, good enough to draw on."""
    source = np.column_stack([five_points(MEAN_FACE), np.ones(5, np.float32)])
    affine, *_ = np.linalg.lstsq(source, points5.astype(np.float64), rcond=None)
    moved = np.column_stack([MEAN_FACE, np.ones(68)]) @ affine
    return np.asarray(moved, np.float32)
