"""Rotations and the angles told to people, and the line of sight from the camera to a face.

Frames, for heads and cameras alike: X to the image's right, Y down, Z away from the camera. A rotation matrix (3 x 3)
turns head coordinates into camera coordinates; the identity is a head that faces along the optical axis.

    R = Rz(roll) Ry(yaw) Rx(-pitch)

so that yaw > 0 turns the nose to the image's left, pitch > 0 looks up, roll > 0 tilts the head clockwise in the image
(the signs of 300W-LP and Hopenet, arXiv 1710.00925). All functions work on stacks: ... x 3 x 3 and ... x 3.
"""

import numpy as np
from numpy.typing import NDArray

from edged.types import HeadPose, Lens

Array = NDArray[np.float64]

_SMALL = 1e-9
_NEXT, _LAST = [1, 2, 0], [2, 0, 1]
"""Indices of the cross product's factors."""


def matrix_of(angles: Array) -> Array:
    """... x 3 angles (yaw, pitch, roll) in degrees to ... x 3 x 3 matrices."""
    radians = np.radians(np.asarray(angles, np.float64))
    cosines, sines = np.cos(radians), np.sin(radians)
    (cy, cx, cz), (sy, sx, sz) = ((part[..., 0], part[..., 1], part[..., 2]) for part in (cosines, sines))
    return _matrices(
        (cz * cy, -cz * sy * sx - sz * cx, cz * sy * cx - sz * sx),
        (sz * cy, -sz * sy * sx + cz * cx, sz * sy * cx + cz * sx),
        (-sy, -cy * sx, cy * cx),
    )


def angles_of(matrices: Array) -> Array:
    """... x 3 x 3 matrices to ... x 3 angles (yaw, pitch, roll) in degrees; yaw lies within ±90."""
    m = np.asarray(matrices, np.float64)
    yaw = np.arctan2(-m[..., 2, 0], np.hypot(m[..., 0, 0], m[..., 1, 0]))
    pitch = -np.arctan2(m[..., 2, 1], m[..., 2, 2])
    roll = np.arctan2(m[..., 1, 0], m[..., 0, 0])
    return np.asarray(np.degrees(np.stack([yaw, pitch, roll], axis=-1)), np.float64)


def from_six(values: Array) -> Array:
    """The rotation whose first two columns are nearest, in Gram-Schmidt's sense, to the two 3-vectors in ... x 6.

    The continuous form of Zhou et al. 2019 (arXiv 1812.07035). Vectors that are null or parallel still give some rotation.
    """
    values = np.asarray(values, np.float64)
    first, _ = _unit(values[..., :3], (1.0, 0.0, 0.0))
    second, parallel = _unit(_across(first, values[..., 3:]), (0.0, 0.0, 0.0))
    if parallel.any():
        least = np.eye(3)[np.abs(first).argmin(axis=-1)]
        second = np.where(parallel, _unit(_across(first, least), (0.0, 1.0, 0.0))[0], second)
    rotation = np.empty((*values.shape[:-1], 3, 3))
    rotation[..., 0], rotation[..., 1] = first, second
    rotation[..., 2] = first[..., _NEXT] * second[..., _LAST] - first[..., _LAST] * second[..., _NEXT]
    return rotation


def about_z(degrees: Array) -> Array:
    """... angles to ... x 3 x 3 turns in the picture's plane, clockwise as seen in the picture."""
    radians = np.radians(np.asarray(degrees, np.float64))
    cos, sin, zero = np.cos(radians), np.sin(radians), np.zeros_like(radians)
    return _matrices((cos, -sin, zero), (sin, cos, zero), (zero, zero, zero + 1))


def ray_rotation(points: Array, lens: Lens) -> Array:
    """The least rotation (N x 3 x 3) that turns the optical axis into the lines of sight to `points` (N x 2 pixels).

    With a head's rotation R relative to the camera, `ray.T @ R` is how the head stands to who looks at it through the
    lens, and it is what a crop round the face shows.
    """
    centre = np.array([lens.centre_x, lens.centre_y])
    flat = (np.asarray(points, np.float64) - centre) / lens.focal
    sight = np.concatenate([flat, np.ones((len(flat), 1))], axis=1)
    x, y, z = (sight / _length(sight)[:, None]).T
    # Rodrigues' formula for the turn from (0, 0, 1) to (x, y, z), which is always less than 90 degrees.
    k = 1 / (1 + z)
    return _matrices((1 - k * x * x, -k * x * y, x), (-k * x * y, 1 - k * y * y, y), (-x, -y, z))


def turn_of(vectors: Array) -> Array:
    """Rodrigues' formula: ... x 3 turn vectors (axis times angle in radians) to ... x 3 x 3."""
    angle = _length(vectors)
    axis = vectors / np.maximum(angle, _SMALL)[..., None]
    x, y, z = axis[..., 0], axis[..., 1], axis[..., 2]
    sine, cosine = np.sin(angle), np.cos(angle)
    xs, ys, zs, versine = x * sine, y * sine, z * sine, 1 - cosine
    xy, xz, yz = x * y * versine, x * z * versine, y * z * versine
    return _matrices(
        (cosine + x * x * versine, xy - zs, xz + ys),
        (xy + zs, cosine + y * y * versine, yz - xs),
        (xz - ys, yz + xs, cosine + z * z * versine),
    )


def vector_of(turns: Array) -> Array:
    """... x 3 x 3 to the shortest turn vectors, ... x 3 in radians; turns near 180 degrees give some vector of that length."""
    twice_sine = np.stack([turns[..., i, j] - turns[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0))], axis=-1)
    length = _length(twice_sine)
    angle = np.arctan2(length, np.einsum("...ii->...", turns) - 1)
    axis = np.where(length[..., None] > _SMALL, twice_sine / np.maximum(length, _SMALL)[..., None], (0.0, 1.0, 0.0))
    return np.asarray(axis * angle[..., None], np.float64)


def head_poses(facing: Array, rays: Array, deviations: Array) -> list[HeadPose]:
    """One HeadPose for each of N `facing` rotations (relative to the lines of sight), N `rays` and N `deviations` in degrees."""
    relative = angles_of(facing)
    absolute = angles_of(rays @ facing)
    return [
        HeadPose(yaw, pitch, roll, facing_yaw, facing_pitch, deviation)
        for (yaw, pitch, roll), (facing_yaw, facing_pitch, _), deviation in zip(
            absolute.tolist(), relative.tolist(), deviations.tolist(), strict=True
        )
    ]


def _matrices(*rows: tuple[Array, Array, Array]) -> Array:
    """Nine arrays of one shape, row by row, to ... x 3 x 3."""
    matrices = np.empty((*np.shape(rows[0][0]), 3, 3))
    for i, row in enumerate(rows):
        for j, entry in enumerate(row):
            matrices[..., i, j] = entry
    return matrices


def _across(first: Array, vectors: Array) -> Array:
    """What of the vectors stands across the unit vectors `first`."""
    return np.asarray(vectors - (first * vectors).sum(axis=-1, keepdims=True) * first, np.float64)


def _length(vectors: Array) -> Array:
    # NumPy's norm does the same, in three times the time where there are few.
    return np.asarray(np.sqrt((vectors * vectors).sum(axis=-1)), np.float64)


def _unit(vectors: Array, fallback: tuple[float, float, float]) -> tuple[Array, NDArray[np.bool_]]:
    """The vectors' directions, `fallback` for null vectors, and which are null (... x 1)."""
    length = _length(vectors)[..., None]
    null = ~(length > _SMALL)
    if not null.any():
        return vectors / length, null
    return np.where(null, fallback, vectors / np.maximum(length, _SMALL)), null
