"""Draws five points of heads that never were: our head shape, varied as people vary, turned and projected."""

import numpy as np
import torch
from numpy.typing import NDArray

from convert.training.batches import Batches
from edged.analyse.pose.rotation import matrix_of, ray_rotation
from edged.analyse.pose.shape import HEAD_SHAPE
from edged.baselines.heatmap_pose import five_of, to_square
from edged.types import Lens

Array = NDArray[np.float64]
Batch = tuple[torch.Tensor, torch.Tensor]
"""float32 points [B, 5, 3] as the product hands them over, and angles [B, 3] in degrees."""

_FIVE = five_of(HEAD_SHAPE)
_LENS = Lens(1.0, 0.0, 0.0)

# People differ along each axis, at each point, and in the nose's length; all in shares or in eye distances.
AXIS_DEVIATION = 0.06
POINT_DEVIATION = 0.02
NOSE_DEVIATION = 0.08
NEAREST, FURTHEST = 4.0, 30.0
"""The head's distance from the camera, in units of its outer-eye distance (9 cm)."""


class HeatmapSamples(Batches[Batch]):
    """Batches of drawn heads."""

    def drawn(self, count: int, rng: np.random.Generator) -> Batch:
        """See `Batches`."""
        points, angles = draw(count, rng)
        return torch.from_numpy(points), torch.from_numpy(angles)


def draw(count: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`count` heads: their points (count x 5 x 3) and their angles relative to the line of sight (count x 3)."""
    angles = _angles(count, rng)
    heads = _FIVE * np.exp(rng.normal(0, AXIS_DEVIATION, (count, 1, 3))) + rng.normal(0, POINT_DEVIATION, (count, 5, 3))
    heads[:, 2, 2] *= 1 + rng.normal(0, NOSE_DEVIATION, count)
    distance = np.exp(rng.uniform(np.log(NEAREST), np.log(FURTHEST), count))
    # Off the axis too: perspective looks different there, though the angles are told from the line of sight.
    rays = ray_rotation(rng.uniform(-0.5, 0.5, (count, 2)), _LENS)
    placed = heads @ (rays @ matrix_of(angles)).transpose(0, 2, 1) + (rays[:, :, 2] * distance[:, None])[:, None]
    flat = placed[:, :, :2] / placed[:, :, 2:]
    deviations = _deviations(angles, count, rng) / distance[:, None]
    together = rng.normal(0, 0.01, (count, 1, 2)) / distance[:, None, None]
    noisy = flat + rng.normal(0, 1, (count, 5, 2)) * deviations[:, :, None] + together
    told = deviations * np.exp(rng.normal(0, 0.3, (count, 5)))
    points = np.stack([to_square(*face) for face in zip(noisy, told, strict=True)])
    return points, angles.astype(np.float32)


def _angles(count: int, rng: np.random.Generator) -> Array:
    """Seven in ten as people mostly look, the others anywhere within reach."""
    usual = rng.normal((0, 0, 0), (25, 15, 10), (count, 3))
    any_way = rng.uniform((-75, -50, -40), (75, 50, 40), (count, 3))
    return np.clip(np.where(rng.random((count, 1)) < 0.7, usual, any_way), -80, 80)


def _deviations(angles: Array, count: int, rng: np.random.Generator) -> Array:
    """The points' errors in eye distances: more on the side that is turned away, and on noses and jaws under a mask."""
    base = np.exp(rng.uniform(np.log(0.005), np.log(0.06), (count, 1))) * np.ones((1, 5))
    turned = np.sin(np.radians(angles[:, 0]))
    base[:, [1, 4]] *= 1 + 2 * np.maximum(-turned, 0)[:, None]
    base[:, [0, 3]] *= 1 + 2 * np.maximum(turned, 0)[:, None]
    masked = rng.random(count) < 0.4
    base[masked, 2:] += rng.uniform(0.02, 0.1, (int(masked.sum()), 1))
    return base
