"""Fits our own head of 68 points to annotated faces and to heads of known pose, and writes it into the product.

The mean head comes from thousands of annotated faces by rigid factorisation (Tomasi and Kanade 1992, with the metric upgrade
of Poelman and Kanade 1997): many people, but depth and the straight-ahead direction are weakly determined. Both are then
taken from heads whose true pose is known. No published shape is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.render.mean_face import MIRROR_68

Array = NDArray[np.float64]

_ROUNDS = 60
_MIRROR = list(MIRROR_68)
_LEFT_EYE, _RIGHT_EYE, _BRIDGE, _NOSE_TIP, _CHIN = 36, 45, 27, 30, 8


@dataclass(frozen=True, eq=False)
class HeadShape:
    """`points` 68 x 3 in the frame of `edged.analyse.pose.shape`, and `deviations`, 68: how much each point varies."""

    points: Array
    deviations: Array


def factorise(faces: Array) -> HeadShape:
    """The mean head of F x 68 x 2 annotated faces, with their mirror images; its pitch is that of the mean face."""
    mirrored = faces[:, _MIRROR] * (-1, 1)
    normal = _normalised(np.concatenate([faces, mirrored]))
    shape = _metric(normal)
    turns, scales, misfits = _orthographic(shape, normal)
    for _ in range(_ROUNDS):
        weights = 1 / (misfits**2 + np.median(misfits) ** 2)
        scaled = turns * scales[:, None, None]
        normals = np.einsum("f,fki,fkj->ij", weights, scaled, scaled)
        shape = np.linalg.solve(normals, np.einsum("f,fki,fpk->ip", weights, scaled, normal))
        turns, scales, misfits = _orthographic(shape, normal)
    oriented = _oriented(shape)
    unit = oriented[_RIGHT_EYE, 0] - oriented[_LEFT_EYE, 0]
    residual = normal - np.einsum("fij,jp->fpi", turns * scales[:, None, None], shape)
    usual = np.median(np.abs(residual).mean(axis=2) / (scales * unit)[:, None], axis=0)
    return HeadShape(_centred(oriented), (usual + usual[_MIRROR]) / 2 * _MEDIAN_TO_DEVIATION)


_MEDIAN_TO_DEVIATION = 1.3
"""The median of the mean of two absolute normal errors is 0.77 standard deviations."""


def _normalised(faces: Array) -> Array:
    centred = faces - faces.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True) / 68), np.float64)


def _metric(faces: Array) -> Array:
    """3 x 68: the rank-three factor, stretched so that every view is a scaled rotation."""
    stacked = faces.transpose(0, 2, 1).reshape(-1, 68)
    left, values, right = np.linalg.svd(stacked, full_matrices=False)
    views = left[:, :3] * values[:3]
    across, down = views[0::2], views[1::2]
    equal = np.concatenate([_products(across, across) - _products(down, down), _products(across, down)])
    a, b, c, d, e, f = np.linalg.svd(equal, full_matrices=False)[2][-1]
    gram = np.array([[a, b, c], [b, d, e], [c, e, f]])
    values, vectors = np.linalg.eigh(gram * np.sign(np.trace(gram)))
    stretch = vectors * np.sqrt(np.maximum(values, 1e-4 * values.max()))
    return np.asarray(np.linalg.inv(stretch) @ right[:3], np.float64)


def _products(a: Array, b: Array) -> Array:
    """Coefficients of the six entries of a symmetric matrix Q in a' Q b."""
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    return np.stack([a[:, i] * b[:, j] + (a[:, j] * b[:, i] if i != j else 0) for i, j in pairs], axis=1)


def _orthographic(shape: Array, faces: Array) -> tuple[Array, Array, Array]:
    """Each face's two rows of rotation (F x 2 x 3), scale (F) and root mean square misfit (F)."""
    centred = shape - shape.mean(axis=1, keepdims=True)
    linear = np.einsum("fpi,pj->fij", faces, np.linalg.pinv(centred))
    left, values, right = np.linalg.svd(linear, full_matrices=False)
    turns, scales = left @ right, values.mean(axis=1)
    residual = faces - np.einsum("fij,jp->fpi", turns * scales[:, None, None], centred)
    return turns, scales, np.sqrt((residual**2).sum(axis=2).mean(axis=1))


def _oriented(shape: Array) -> Array:
    """68 x 3 with X to the right, Y down, Z away from the viewer, symmetric."""
    across = np.linalg.svd(shape - shape[:, _MIRROR])[0][:, 0]
    across *= np.sign(across @ (shape[:, _RIGHT_EYE] - shape[:, _LEFT_EYE]))
    down = shape[:, _CHIN] - shape[:, _BRIDGE]
    down -= across * (across @ down)
    down /= np.linalg.norm(down)
    turn = np.stack([across, down, np.cross(across, down)])
    points = (turn @ shape).T
    if points[_NOSE_TIP, 2] > points[[_LEFT_EYE, _RIGHT_EYE], 2].mean():
        points[:, 2] *= -1  # orthographic views cannot tell a face from its mould; noses stick out
    return symmetric(points)


def symmetric(points: Array) -> Array:
    """The mean of 68 x 3 points and their mirror image."""
    return np.asarray((points + points[_MIRROR] * (-1, 1, 1)) / 2, np.float64)


def _centred(points: Array) -> Array:
    """Origin midway between the outer eye corners, unit their distance."""
    moved = points - (points[_LEFT_EYE] + points[_RIGHT_EYE]) / 2
    return np.asarray(moved / (moved[_RIGHT_EYE, 0] - moved[_LEFT_EYE, 0]), np.float64)


@dataclass(frozen=True, eq=False)
class Sighting:
    """One head of known pose: its rotation relative to the camera, its landmarks on the plane at distance 1 (68 x 2), and
    their weights (68), 0 for those that are hidden.
    """

    rotation: Array
    flat: Array
    weights: Array


def refine(shape: HeadShape, sightings: Sequence[Sighting]) -> HeadShape:
    """The shape made deeper or flatter and nodded until its projections at the known poses lie nearest to the landmarks.

    Gauss and Newton's steps over those two numbers: what the sightings, which are of few people, tell better than the
    annotated faces, whose poses nobody knows.
    """
    depth, nod = 0.0, 0.0
    for _ in range(_REFINEMENTS):
        here = _misfits(_changed(shape.points, depth, nod), sightings)
        slopes = np.stack(
            [
                (_misfits(_changed(shape.points, depth + _TINY, nod), sightings) - here) / _TINY,
                (_misfits(_changed(shape.points, depth, nod + _TINY), sightings) - here) / _TINY,
            ],
            axis=1,
        )
        step = np.linalg.lstsq(slopes, -here, rcond=None)[0]
        depth, nod = depth + float(step[0]), nod + float(step[1])
    return HeadShape(_centred(_changed(shape.points, depth, nod)), shape.deviations)


_REFINEMENTS = 6
_TINY = 1e-4
_FAR_OFF = 0.08
"""Landmarks further from their place, in eye distances, count less and less."""


def _changed(points: Array, depth: float, nod: float) -> Array:
    """`points` with depths times exp(depth), looking up by `nod` radians."""
    cos, sin = np.cos(nod), np.sin(nod)
    turn = np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])
    return np.asarray((points * (1, 1, np.exp(depth))) @ turn.T, np.float64)


def _misfits(points: Array, sightings: Sequence[Sighting]) -> Array:
    """How far the landmarks are from where the shape projects to, in eye distances, by the root of what each counts."""
    return np.concatenate([_misfit(points, sighting) for sighting in sightings])


def _misfit(points: Array, sighting: Sighting) -> Array:
    """One head's, after it was shifted to where its landmarks are."""
    rows = np.zeros((68, 2, 3))
    rows[:, 0, 0] = rows[:, 1, 1] = 1
    rows[:, :, 2] = -sighting.flat
    turned = points @ sighting.rotation.T
    goal = sighting.flat * turned[:, 2:] - turned[:, :2]
    pull = sighting.weights
    error = goal
    for _ in range(3):
        root = np.sqrt(pull)[:, None]
        stacked = (rows * root[:, :, None]).reshape(-1, 3)
        shift = np.linalg.lstsq(stacked, (goal * root).reshape(-1), rcond=None)[0]
        error = rows @ shift - goal
        pull = sighting.weights / (1 + (np.linalg.norm(error, axis=1) / _FAR_OFF) ** 2)
    return np.asarray((error * np.sqrt(pull)[:, None]).reshape(-1), np.float64)


def write(shape: HeadShape, target: Path) -> None:
    """Write the module `edged/analyse/pose/shape.py`."""
    rows = [
        "    " + " ".join(f"({x:.3f}, {y:.3f}, {z:.3f})," for x, y, z in shape.points[start : start + 4])
        for start in range(0, 68, 4)
    ]
    spread = [
        "    " + " ".join(f"{value:.3f}," for value in shape.deviations[start : start + 12])
        for start in range(0, 68, 12)
    ]
    target.write_text(_MODULE.format(points="\n".join(rows), deviations="\n".join(spread)))


_MODULE = '''"""Our own head of 68 points, and how much each point varies; `python -m convert fit-head-shape` writes this file.

iBUG order; X to the image's right, Y down, Z away from the camera, for a head that looks into the lens. Origin: midway
between the outer eye corners; unit: their distance. Made symmetric. Fitted to annotated faces and heads of known pose.
"""

import numpy as np
from numpy.typing import NDArray

# fmt: off
HEAD_SHAPE: NDArray[np.float64] = np.array([
{points}
])

SHAPE_DEVIATIONS: NDArray[np.float64] = np.array([
{deviations}
])
"""One standard deviation of each point along one axis, over people and expressions, in the same unit."""
# fmt: on
'''
