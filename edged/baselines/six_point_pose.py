"""Head pose from six landmarks and OpenCV's solvePnP: a widespread method, kept to compare with and not for its accuracy."""

from collections.abc import Sequence

import cv2
import numpy as np

from edged.analyse.pose.landmark_pose import FURTHEST, solve_pnp
from edged.analyse.pose.rotation import head_poses, ray_rotation
from edged.types import Detection, HeadPose, Image, Landmarks, Lens

SIX_POINTS = (30, 8, 36, 45, 48, 54)
"""Nose tip, chin, outer eye corners, mouth corners, in iBUG order."""

# A generic head that many programs use, turned from its axes (Y up, Z to the camera) into ours; others differ by 3 to 8 degrees.
SIX_POINT_HEAD = np.array(
    [(0, 0, 0), (0, 330, 65), (-225, -170, 135), (225, -170, 135), (-150, 150, 125), (150, 150, 125)], np.float64
)

DEVIATION = 9.0
"""Degrees: its error on heads of known pose, see engines/pose.md."""


class SixPointPose:
    """Implements `edged.ports.PoseReader` without a model.

    It does not know of masks: hidden points are taken as they are guessed.
    """

    def read(
        self,
        image: Image,
        detections: Sequence[Detection],
        landmarks: Sequence[Landmarks],
        masked: Sequence[bool],
        lens: Lens,
    ) -> list[HeadPose | None]:
        """One for each face, in order; None where the points are not finite or the solution lies behind the camera."""
        return [_solve(face, lens) for face in landmarks]


def _solve(face: Landmarks, lens: Lens) -> HeadPose | None:
    points = face.points[list(SIX_POINTS)].astype(np.float64)
    if not (np.abs(points) < FURTHEST).all():
        return None
    matrix = np.array([[lens.focal, 0, lens.centre_x], [0, lens.focal, lens.centre_y], [0, 0, 1]])
    solved = solve_pnp(SIX_POINT_HEAD, points, matrix, cv2.SOLVEPNP_ITERATIVE)
    if solved is None:
        return None
    rotation = solved[0][None]
    ray = ray_rotation(points[:1], lens)
    return head_poses(ray.transpose(0, 2, 1) @ rotation, ray, np.array([DEVIATION]))[0]
