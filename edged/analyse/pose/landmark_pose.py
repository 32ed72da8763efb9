"""Head pose from 68 landmarks: the rigid head whose projection lies nearest to them.

Each face is started by SQPnP (Terzakis and Lourakis, ECCV 2020), which needs no guess and never puts a head behind the
camera, and refined by weighted Levenberg-Marquardt steps, all faces at once. A landmark counts by its own expected error
and by how much that point varies from person to person.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.analyse.pose.rotation import turn_of
from edged.analyse.pose.shape import HEAD_SHAPE, SHAPE_DEVIATIONS
from edged.types import MOST_DEVIATION, Landmarks, Lens

Array = NDArray[np.float64]

UNMASKED_POINTS = np.r_[17:30, 36:48]
"""Brows, bridge and eyes: what a mask leaves bare (indices in iBUG order)."""

FEWEST_POINTS = 8
FURTHEST = 1e5
"""Pixels: landmarks beyond belong to no picture."""
SMALLEST_SPREAD = 2.0
"""Pixels, the landmarks' root mean square distance from their centre: less shows no head."""

UNSURE = 0.25
"""A landmark whose expected error is larger, in units of the outer eyes' distance, is left out."""
WORST_MISFIT = 0.12
"""A head whose landmarks lie further off in the root mean square, in the same unit, is none."""

_STEPS = 2
_DAMPING = 1e-4
_SMALL = 1e-9
_OUTLIER = 2.5
"""Residuals beyond so many standard deviations pull with constant force (Huber 1964)."""

LEAST_DEVIATION = 3.0
"""Degrees: people's heads differ in shape by this much at least."""


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkPoses:
    """N heads: rotations relative to the camera (N x 3 x 3), expected errors of one angle in degrees (N), and which were found.

    Rows of heads not found are the identity.
    """

    rotations: Array
    deviations: Array
    found: NDArray[np.bool_]


def solve(landmarks: Sequence[Landmarks], masked: Sequence[bool], lens: Lens) -> LandmarkPoses:
    """The poses of all faces; any landmarks, NaN and infinity among them, give a finite pose or none."""
    count = len(landmarks)
    poses = LandmarkPoses(np.tile(np.eye(3), (count, 1, 1)), np.full(count, MOST_DEVIATION), np.zeros(count, np.bool_))
    starts = [_start(face, hidden, lens) for face, hidden in zip(landmarks, masked, strict=True)]
    rows = [row for row, start in enumerate(starts) if start is not None]
    if not rows:
        return poses
    heads = _refine(_Heads.stack([start for start in starts if start is not None]))
    poses.found[rows] = good = heads.plausible()
    poses.rotations[rows] = np.where(good[:, None, None], heads.rotations, np.eye(3))
    poses.deviations[rows] = np.where(good, heads.deviations(), MOST_DEVIATION)
    return poses


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    """One face before refinement: points on the plane at distance 1 (68 x 2), their weights (68), and SQPnP's answer."""

    points: Array
    weights: Array
    rotation: Array
    translation: Array


def _start(face: Landmarks, masked: bool, lens: Lens) -> _Start | None:
    """None when too few landmarks are sure, they lie in one spot, or no head projects to them."""
    points = face.points.astype(np.float64)
    variances = face.deviations.astype(np.float64) ** 2
    usable = (np.abs(points) < FURTHEST).all(axis=1) & np.isfinite(variances)
    if masked:
        usable &= _BARE
    if np.count_nonzero(usable) < FEWEST_POINTS:
        return None
    centred = points[usable] - points[usable].mean(axis=0)
    spread = float(np.sqrt((centred**2).sum(axis=1).mean()))
    if spread < SMALLEST_SPREAD:
        return None
    unit = spread / (_SPREAD_BARE if masked else _SPREAD)
    usable &= variances < (UNSURE * unit) ** 2
    if np.count_nonzero(usable) < FEWEST_POINTS:
        return None
    flat = (points - (lens.centre_x, lens.centre_y)) / lens.focal
    answer = solve_pnp(HEAD_SHAPE[usable], flat[usable], np.eye(3), cv2.SOLVEPNP_SQPNP)
    if answer is None:
        return None
    variances = (variances + (SHAPE_DEVIATIONS * unit) ** 2) / lens.focal**2
    flat[~usable] = 0.0
    return _Start(flat, np.where(usable, 1 / np.where(usable, variances, 1.0), 0.0), *answer)


def solve_pnp(model: Array, points: Array, camera: Array, method: int) -> tuple[Array, Array] | None:
    """Rotation and translation, the head in front of the camera of that matrix; None when there is no such answer."""
    try:
        done, turn, shift = cv2.solvePnP(model, points, camera, None, flags=method)
    except cv2.error:  # what OpenCV says of points in one line or one spot
        return None
    if not done or not np.isfinite(turn).all() or not np.isfinite(shift).all() or shift[2, 0] <= 0:
        return None
    return np.asarray(cv2.Rodrigues(turn)[0], np.float64), np.asarray(shift[:, 0], np.float64)


@dataclass(slots=True, eq=False)
class _Heads:
    """N faces under refinement: points N x 68 x 2, weights N x 68, rotations, translations, and the last normal equations."""

    points: Array
    weights: Array
    rotations: Array
    translations: Array
    information: Array
    placed: Array
    errors: Array

    @classmethod
    def stack(cls, starts: Sequence[_Start]) -> "_Heads":
        heads = cls(
            np.stack([start.points for start in starts]),
            np.stack([start.weights for start in starts]),
            np.stack([start.rotation for start in starts]),
            np.stack([start.translation for start in starts]),
            np.zeros((len(starts), 6, 6)),
            np.zeros((len(starts), 68, 3)),
            np.zeros((len(starts), 68, 2)),
        )
        heads.project()
        return heads

    def project(self) -> None:
        """Place the heads before the camera and measure how far their points are from the landmarks."""
        self.placed = HEAD_SHAPE @ self.rotations.transpose(0, 2, 1) + self.translations[:, None]
        depth = np.maximum(self.placed[:, :, 2:], 1e-3)
        self.errors = self.placed[:, :, :2] / depth - self.points

    def cost(self) -> Array:
        """Huber's sum of squares, N."""
        squares = self.weights * (self.errors**2).sum(axis=2)
        linear = 2 * _OUTLIER * np.sqrt(squares) - _OUTLIER**2
        return np.asarray(np.where(squares < _OUTLIER**2, squares, linear).sum(axis=1), np.float64)

    def plausible(self) -> NDArray[np.bool_]:
        """In front of the camera, and not too far from the landmarks."""
        squares = (self.errors**2).sum(axis=2) * (self.weights > 0)
        misfit = np.sqrt(squares.sum(axis=1) / (self.weights > 0).sum(axis=1)) * self.translations[:, 2]
        ahead = (self.placed[:, :, 2] > 0).all(axis=1)
        return np.asarray(ahead & np.isfinite(self.rotations).all(axis=(1, 2)) & (misfit < WORST_MISFIT), np.bool_)

    def deviations(self) -> Array:
        """The expected error of one angle in degrees, N, from the curvature at the answer."""
        covariance = np.linalg.inv(self.information + _SMALL * np.eye(6))
        variance = np.trace(covariance[:, :3, :3], axis1=1, axis2=2) / 3
        computed = np.degrees(np.sqrt(np.maximum(variance, 0)))
        return np.asarray(np.minimum(np.hypot(computed, LEAST_DEVIATION), MOST_DEVIATION), np.float64)


def _refine(heads: _Heads) -> _Heads:
    """A few damped Gauss-Newton steps; a step that makes a head worse is undone."""
    before = heads.cost()
    for _ in range(_STEPS):
        rotations, translations = heads.rotations, heads.translations
        step = _step(heads)
        heads.rotations = turn_of(step[:, :3]) @ rotations
        heads.translations = translations + step[:, 3:]
        heads.project()
        after = heads.cost()
        worse = ~(after <= before)
        if worse.any():
            heads.rotations = np.where(worse[:, None, None], rotations, heads.rotations)
            heads.translations = np.where(worse[:, None], translations, heads.translations)
            heads.project()
        before = np.where(worse, before, after)
    return heads


def _step(heads: _Heads) -> Array:
    """N x 6: a turn (as a vector, about the head's origin, camera axes) and a shift."""
    squares = heads.weights * (heads.errors**2).sum(axis=2)
    pull = heads.weights * np.minimum(1.0, _OUTLIER / np.sqrt(np.maximum(squares, 1e-12)))
    slope = _slope(heads)
    weighted = slope * np.concatenate([pull, pull], axis=1)[:, :, None]
    transposed = weighted.transpose(0, 2, 1)
    heads.information = transposed @ slope
    gradient = transposed @ heads.errors.transpose(0, 2, 1).reshape(len(slope), -1, 1)
    damping = np.eye(6) * (np.einsum("nii->ni", heads.information)[:, None] * _DAMPING + _SMALL)
    return -np.linalg.solve(heads.information + damping, gradient)[:, :, 0]


def _slope(heads: _Heads) -> Array:
    """How the 68 x and then the 68 y of every head change with its turn and shift: N x 136 x 6."""
    inverse = 1 / np.maximum(heads.placed[:, :, 2], 1e-3)
    u, v = heads.placed[:, :, 0] * inverse, heads.placed[:, :, 1] * inverse
    arms = (heads.placed - heads.translations[:, None]) * inverse[:, :, None]
    x, y, z = arms[:, :, 0], arms[:, :, 1], arms[:, :, 2]
    slope = np.zeros((len(u), 2, 68, 6))
    across, down = slope[:, 0], slope[:, 1]
    across[:, :, 0], across[:, :, 1], across[:, :, 2] = -u * y, z + u * x, -y
    down[:, :, 0], down[:, :, 1], down[:, :, 2] = -z - v * y, v * x, x
    across[:, :, 3], across[:, :, 5] = inverse, -u * inverse
    down[:, :, 4], down[:, :, 5] = inverse, -v * inverse
    return slope.reshape(len(u), 136, 6)


def _spread(points: Array) -> float:
    centred = points - points.mean(axis=0)
    return float(np.sqrt((centred**2).sum(axis=1).mean()))


_BARE = np.isin(np.arange(68), UNMASKED_POINTS)
_SPREAD = _spread(HEAD_SHAPE[:, :2])
_SPREAD_BARE = _spread(HEAD_SHAPE[UNMASKED_POINTS, :2])
