"""Head pose from a face's pixels, with a small network behind an `Engine`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edged.analyse.align import aligned_crops, square_around
from edged.analyse.pose.rotation import about_z, from_six
from edged.errors import ModelError
from edged.ports import Arrays, Engine
from edged.types import Detection, Image

Array = NDArray[np.float64]

CROP_SIZE = 64
"""Side of the network's input, in pixels."""

CROP_MARGIN = 1.3
"""Side of the square cut from the picture, in units of the face box's longer side."""

MAX_BATCH = 32
"""More faces than this are read in several runs, so that a crowd cannot grow the memory."""


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
        """The poses of all faces, in order. Raise ModelError when the engine's answer is not one."""
        count = len(detections)
        poses = LearnedPoses(np.empty((count, 3, 3)), np.empty(count))
        for start in range(0, count, MAX_BATCH):
            batch = detections[start : start + MAX_BATCH]
            squares = [square_around(face.box, face.points, CROP_MARGIN) for face in batch]
            answer = self._engine.run({"faces": aligned_crops(image, squares, CROP_SIZE, self._crops).pixels})
            columns, deviations = self._checked(answer, len(batch))
            turns = about_z(np.degrees(np.array([square.angle for square in squares])))
            poses.rotations[start : start + len(batch)] = turns @ from_six(columns)
            poses.deviations[start : start + len(batch)] = deviations
        return poses

    def _checked(self, answer: Arrays, count: int) -> tuple[Array, Array]:
        columns, deviations = (answer.get(name, np.empty(0)).astype(np.float64) for name in ("columns", "deviations"))
        finite = np.isfinite(columns).all() and np.isfinite(deviations).all()
        if columns.shape != (count, 6) or deviations.shape != (count,) or not finite:
            raise ModelError(
                f"model {self._engine.name}: its answer is not {count} rotations with their errors; "
                "it is not a head pose of edged's: name another in the config"
            )
        return columns, deviations
