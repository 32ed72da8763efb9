"""Head pose from five points drawn as heatmaps, with the network of arXiv 1812.00739 behind an `Engine`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edged.analyse.pose.landmark_pose import FURTHEST
from edged.analyse.pose.rotation import head_poses, matrix_of, ray_rotation
from edged.errors import ModelError
from edged.ports import Engine
from edged.types import Detection, HeadPose, Image, Landmarks, Lens, Points

MARGIN = 1.5
"""Side of the square that the heatmaps show, in units of the longer side of the five points' bounding box."""

FULL_CONFIDENCE = 0.05
"""A point whose expected error is this much of the square's side is drawn half as high as a sure one."""

DEVIATION = 9.0
"""Degrees: its error on heads of known pose, see engines/pose-heatmap.md."""

MAX_BATCH = 32
"""More faces than this are read in several runs, so that a crowd cannot grow the memory."""

SMALLEST_SIDE = 2.0
"""Pixels: less shows no head."""

_EYES = (slice(36, 42), slice(42, 48))
_OTHERS = (30, 0, 16)
_USED = np.r_[36:48, _OTHERS]


def five_of(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Eye centres, nose tip and the jaw's ends, which stand for the ears, of 68 rows in iBUG order: 5 x ..."""
    rows = [values[eye].mean(axis=0) for eye in _EYES] + [values[index] for index in _OTHERS]
    return np.stack(rows).astype(np.float64)


def to_square(points: NDArray[np.float64], deviations: NDArray[np.float64]) -> NDArray[np.float32]:
    """5 x 2 points and their 5 expected errors, in pixels, to 5 x 3: x and y in the square's side, and confidence.

    The points must not all lie in one spot.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    side = MARGIN * float((high - low).max())
    placed = (points - (low + high) / 2) / side + 0.5
    confidence = 1 / (1 + (deviations / side / FULL_CONFIDENCE) ** 2)
    return np.column_stack([placed, confidence]).astype(np.float32)


class HeatmapPose:
    """Implements `edged.ports.PoseReader`.

    The engine takes `points` float32 [batch, 5, 3] as `to_square` gives them, and gives `angles` float32 [batch, 3]:
    yaw, pitch and roll in degrees relative to the line of sight. The heatmaps are drawn inside the graph.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(
        self,
        image: Image,
        detections: Sequence[Detection],
        landmarks: Sequence[Landmarks],
        masked: Sequence[bool],
        lens: Lens,
    ) -> list[HeadPose | None]:
        """One for each face, in order; None where the landmarks are not finite. Raise ModelError for a wrong model."""
        poses: list[HeadPose | None] = [None] * len(landmarks)
        squares = [(row, _square(face)) for row, face in enumerate(landmarks)]
        usable = [(row, square) for row, square in squares if square is not None]
        for start in range(0, len(usable), MAX_BATCH):
            batch = usable[start : start + MAX_BATCH]
            facing = matrix_of(self._angles(np.stack([square for _, square in batch])).astype(np.float64))
            rays = ray_rotation(np.stack([_middle(landmarks[row].points) for row, _ in batch]), lens)
            read = head_poses(facing, rays, np.full(len(batch), DEVIATION))
            for (row, _), pose in zip(batch, read, strict=True):
                poses[row] = pose
        return poses

    def _angles(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        angles = self._engine.run({"points": points}).get("angles")
        if angles is None or angles.shape != (len(points), 3) or not np.isfinite(angles).all():
            raise ModelError(
                f"model {self._engine.name}: its output is not {len(points)} x 3 angles; "
                "it is not a heatmap pose of edged's: name another in the config"
            )
        return angles


def _square(face: Landmarks) -> NDArray[np.float32] | None:
    if not (np.abs(face.points[_USED]) < FURTHEST).all():
        return None
    points, deviations = five_of(face.points), np.abs(face.deviations.astype(np.float64))
    if np.ptp(points, axis=0).max() < SMALLEST_SIDE:
        return None
    return to_square(points, five_of(np.where(deviations < FURTHEST, deviations, FURTHEST)))


def _middle(points: Points) -> NDArray[np.float64]:
    five = five_of(points)
    return np.asarray((five.min(axis=0) + five.max(axis=0)) / 2, np.float64)
