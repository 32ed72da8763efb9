"""The default head pose: what the landmarks say and what the pixels say, weighed by how far each is to be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edged.analyse.align import aligned_crops, square_around
from edged.analyse.pose.landmark_pose import FURTHEST, UNMASKED_POINTS, LandmarkPoses, solve
from edged.analyse.pose.rotation import about_z, from_six, head_poses, ray_rotation, turn_of, vector_of
from edged.errors import ModelError
from edged.ports import Arrays, Engine
from edged.types import MOST_DEVIATION, Detection, HeadPose, Image, Landmarks, Lens

Array = NDArray[np.float64]

CROP_SIZE = 64
"""Side of the network's input, in pixels."""

CROP_MARGIN = 1.3
"""Side of the square cut from the picture, in units of the face box's longer side."""

MAX_BATCH = 32
"""More faces than this are read in several runs, so that a crowd cannot grow the memory."""


LEARNED_SHARES = np.array([1.3, 0.9, 0.7])
"""The learned pose's errors about the head's axes (nod, turn, tilt) over the one expected error that it gives."""

SOLVED_SHARES = np.array([3.0, 0.7, 0.7])
"""The same of the landmarks' pose, whose weakness is the nod: noses are longer or shorter, and landmark readers, taught on
people who look ahead, draw those who look up or down too much like them."""

STEADY, TURNED_LOSS = 10.0, 0.05
"""Landmarks far round a head are guesses from the shape of the rest, and look surer than they are: a nose so many degrees
off the line of sight costs nothing, and each square degree beyond so many degrees of expected error."""

MOST_TURNED = 40.0
"""Degrees off the line of sight, by the pixels; the landmarks of heads turned further are not used."""

AT_ODDS = 3.0
"""Readings further apart than so many times their common expected error are not averaged: the surer one is taken."""

LOST, DOUBTFUL, UNSURE = 0.03, 0.015, 9.0
"""Landmarks of whom half of those that no mask hides are expected to err by LOST of the box's side, or by DOUBTFUL of it
while the pixels' pose is expected to err by UNSURE degrees, show no head that is turned less than MOST_TURNED. So much was
expected of none of 119 heads of known pose and one in a hundred drivers and passers-by, but of 94 in a hundred faces on their
side or upside down, and of most hands and shoulders that were taken for faces."""


@dataclass(frozen=True, slots=True, eq=False)
class LearnedPoses:
    """N heads: rotations relative to the lines of sight (N x 3 x 3), expected errors of one angle in degrees (N)."""

    rotations: Array
    deviations: Array


class LearnedPose:
    """The engine takes `faces` uint8 [batch, 64, 64, 3] (BGR, rows first) and gives `columns` float32 [batch, 6], the first
    two columns of each rotation in the crop's own axes, and `deviations` float32 [batch] in degrees.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._crops = np.empty((MAX_BATCH, CROP_SIZE, CROP_SIZE, 3), np.uint8)

    def read(self, image: Image, detections: Sequence[Detection]) -> LearnedPoses:
        """The poses of all faces, in order. Raise ModelError when the engine's output is not one."""
        count = len(detections)
        poses = LearnedPoses(np.empty((count, 3, 3)), np.empty(count))
        for start in range(0, count, MAX_BATCH):
            batch = detections[start : start + MAX_BATCH]
            squares = [square_around(face.box, face.points, CROP_MARGIN) for face in batch]
            output = self._engine.run({"faces": aligned_crops(image, squares, CROP_SIZE, self._crops).pixels})
            columns, deviations = self._checked(output, len(batch))
            turns = about_z(np.degrees(np.array([square.angle for square in squares])))
            poses.rotations[start : start + len(batch)] = turns @ from_six(columns)
            poses.deviations[start : start + len(batch)] = deviations
        return poses

    def _checked(self, output: Arrays, count: int) -> tuple[Array, Array]:
        columns, deviations = (output.get(name, np.empty(0)).astype(np.float64) for name in ("columns", "deviations"))
        finite = np.isfinite(columns).all() and np.isfinite(deviations).all()
        if columns.shape != (count, 6) or deviations.shape != (count,) or not finite:
            raise ModelError(
                f"model {self._engine.name}: its output is not {count} rotations with their errors; "
                "it is not a head pose of edged's: name another in the config"
            )
        return columns, deviations


class FusedPose:
    """Implements `edged.ports.PoseReader`: landmarks by SQPnP and the crop network, averaged by inverse variance."""

    def __init__(self, engine: Engine) -> None:
        self._learned = LearnedPose(engine)

    def read(
        self,
        image: Image,
        detections: Sequence[Detection],
        landmarks: Sequence[Landmarks],
        masked: Sequence[bool],
        lens: Lens,
    ) -> list[HeadPose | None]:
        """One for each face, in order; None where the box is not finite. Raise ModelError for a wrong model."""
        boxes = np.array([face.box for face in detections], np.float64).reshape(-1, 4)
        usable = (np.abs(boxes) < FURTHEST).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        rows = np.flatnonzero(usable).tolist()
        poses: list[HeadPose | None] = [None] * len(detections)
        if not rows:
            return poses
        rays = ray_rotation((boxes[rows, :2] + boxes[rows, 2:]) / 2, lens)
        learned = self._learned.read(image, [detections[row] for row in rows])
        solved = _solve(learned, [landmarks[row] for row in rows], [masked[row] for row in rows], lens)
        facing, deviations = fuse(learned, solved, rays)
        lost = _lost([landmarks[row] for row in rows], boxes[rows], learned) & (_off_sight(facing) < MOST_TURNED)
        deviations = np.where(lost, MOST_DEVIATION, deviations)
        for row, pose in zip(rows, head_poses(facing, rays, deviations), strict=True):
            poses[row] = pose
        return poses


def _solve(learned: LearnedPoses, landmarks: Sequence[Landmarks], masked: Sequence[bool], lens: Lens) -> LandmarkPoses:
    """The landmarks' poses, of heads near the line of sight only."""
    count = len(landmarks)
    poses = LandmarkPoses(np.tile(np.eye(3), (count, 1, 1)), np.full(count, MOST_DEVIATION), np.zeros(count, np.bool_))
    rows = np.flatnonzero(_off_sight(learned.rotations) < MOST_TURNED).tolist()
    near = solve([landmarks[row] for row in rows], [masked[row] for row in rows], lens)
    poses.rotations[rows], poses.deviations[rows], poses.found[rows] = near.rotations, near.deviations, near.found
    return poses


def fuse(learned: LearnedPoses, solved: LandmarkPoses, rays: Array) -> tuple[Array, Array]:
    """The heads' rotations relative to the lines of sight `rays` (N x 3 x 3), and the expected errors of one angle (N).

    Each of a head's three axes is weighed by itself.
    """
    apart = vector_of(learned.rotations.transpose(0, 2, 1) @ rays.transpose(0, 2, 1) @ solved.rotations)
    deviations = np.hypot(solved.deviations, _turned_loss(learned.rotations))
    one = (learned.deviations[:, None] * LEARNED_SHARES) ** 2
    other = (deviations[:, None] * SOLVED_SHARES) ** 2
    other = np.where(solved.found[:, None], other, np.inf)
    weights = one / (one + other)
    distance = np.degrees(np.sqrt((apart * apart).sum(axis=1)))
    at_odds = solved.found & (distance > AT_ODDS * np.sqrt(one.sum(axis=1) + other.sum(axis=1)))
    surer = (other.sum(axis=1) < one.sum(axis=1))[:, None]
    weights = np.where(at_odds[:, None], surer, weights)
    expected = np.where(at_odds, distance / 2, np.sqrt((one * (1 - weights)).mean(axis=1)))
    return learned.rotations @ turn_of(weights * apart), np.minimum(expected, MOST_DEVIATION)


def _lost(landmarks: Sequence[Landmarks], boxes: Array, learned: LearnedPoses) -> NDArray[np.bool_]:
    """Whose landmarks are too unsure for a head that looks this way, N."""
    errors = np.sort([face.deviations[UNMASKED_POINTS] for face in landmarks], axis=1)[:, len(UNMASKED_POINTS) // 2]
    share = errors / (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    # Written so that what is not a number, which sorts behind all that is one, is lost too.
    return np.asarray(~((share <= DOUBTFUL) | ((share <= LOST) & (learned.deviations <= UNSURE))), np.bool_)


def _turned_loss(rotations: Array) -> Array:
    """What is added, in squares, to the landmarks' expected error in degrees (N)."""
    return np.asarray(TURNED_LOSS * np.maximum(_off_sight(rotations) - STEADY, 0) ** 2, np.float64)


def _off_sight(rotations: Array) -> Array:
    """Degrees between the noses and the line of sight, N."""
    return np.asarray(np.degrees(np.arccos(np.clip(rotations[:, 2, 2], -1, 1))), np.float64)
