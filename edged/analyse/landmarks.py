"""Finds 68 facial landmarks, with a regressor behind an `Engine`."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edged.analyse.align import AlignedCrops, Square, aligned_crops, apply, square_around, square_around_landmarks
from edged.errors import ModelError
from edged.ports import Engine
from edged.types import Detection, Image, Landmarks, Points

CROP_SIZE = 112
"""Side of the regressor's input, in pixels."""

CROP_MARGIN = 1.3
"""Side of the square cut from the picture, in units of the face box's longer side."""

MAX_BATCH = 16
"""More faces than this are read in several runs, so that a crowd cannot grow the memory."""

PASSES = 2
"""The second pass's crop follows the points of the first: a detector's box and five points are only roughly right."""

STILL = 0.05
"""A pass that moves or turns a face's square by less than this, in sides and radians, or scales it by less than this share, is
the last: on four drivers' clips the points then lie as near to those of two passes from the detector's box (1.4 % of the
distance of the eyes) as those of a third pass do (1.1 %)."""

_LARGEST_OFFSET = 4.0
"""Points further than this from the crop's centre, in sides of the crop, are no output."""

_LARGEST_LOG = 10.0


class LandmarkRegressor:
    """Implements `edged.ports.LandmarkReader`.

    The engine takes `faces` uint8 [batch, 112, 112, 3] (BGR, rows first, `edged.analyse.align`) and gives `points`
    float32 [batch, 68, 2], from the crop's centre in units of its side, and `log_deviations` float32 [batch, 68],
    natural logarithms of pixels of the crop; normalisation is inside the graph.
    """

    def __init__(self, engine: Engine, passes: int = PASSES) -> None:
        self._engine = engine
        self._passes = passes
        self._pixels = np.empty((MAX_BATCH, CROP_SIZE, CROP_SIZE, 3), np.uint8)

    def read(
        self, image: Image, detections: Sequence[Detection], before: Sequence[Points | None] = ()
    ) -> list[Landmarks]:
        """See `LandmarkReader`. Raise ModelError when the engine's output is not landmarks."""
        starts = [
            _Start(square_around(face.box, face.points, CROP_MARGIN), self._passes)
            if points is None
            else _Start(square_around_landmarks(points, CROP_MARGIN), 1)
            for face, points in zip(detections, before or [None] * len(detections), strict=True)
        ]
        return [
            landmarks
            for first in range(0, len(starts), MAX_BATCH)
            for landmarks in self._converge(image, starts[first : first + MAX_BATCH])
        ]

    def _converge(self, image: Image, starts: Sequence["_Start"]) -> list[Landmarks]:
        """The landmarks of at most MAX_BATCH faces: those that need another pass are read once more, together."""
        squares = [start.square for start in starts]
        landmarks = self._run(image, squares)
        for done in range(1, self._passes):
            found = [square_around_landmarks(face.points, CROP_MARGIN) for face in landmarks]
            moved = [
                row
                for row, (start, old, new) in enumerate(zip(starts, squares, found, strict=True))
                if done < start.passes or not _is_still(old, new)
            ]
            if not moved:
                break
            for row, face in zip(moved, self._run(image, [found[row] for row in moved]), strict=True):
                squares[row], landmarks[row] = found[row], face
        return landmarks

    def _run(self, image: Image, squares: Sequence[Square]) -> list[Landmarks]:
        """One run on at most MAX_BATCH squares."""
        crops = aligned_crops(image, squares, CROP_SIZE, self._pixels)
        output = self._engine.run({"faces": crops.pixels})
        points, logs = output.get("points"), output.get("log_deviations")
        if not _is_answer(points, (len(squares), 68, 2), _LARGEST_OFFSET) or not _is_answer(
            logs, (len(squares), 68), _LARGEST_LOG
        ):
            raise ModelError(
                f"model {self._engine.name}: its output is not {len(squares)} x 68 points with deviations; "
                "it is not a landmark regressor of edged's: name another in the config"
            )
        assert points is not None  # noqa: S101 - for the type checker: checked just now
        assert logs is not None  # noqa: S101
        return _in_picture(crops, squares, points, logs)


class _Start(NamedTuple):
    """Where a face is looked for, and how many passes it gets at least."""

    square: Square
    passes: int


def _is_still(old: Square, new: Square) -> bool:
    """Whether the points that were found in `old` lie as they would in `new`."""
    shift = math.hypot(new.x - old.x, new.y - old.y) / old.side
    turn = math.remainder(new.angle - old.angle, math.tau)
    return max(shift, abs(turn), abs(math.log(new.side / old.side))) < STILL


def _is_answer(values: NDArray[np.float32] | None, shape: tuple[int, ...], largest: float) -> bool:
    """Whether these are numbers of the right shape, none of them absurd."""
    return values is not None and values.shape == shape and bool((np.abs(values) <= largest).all())


def _in_picture(
    crops: AlignedCrops, squares: Sequence[Square], points: NDArray[np.float32], logs: NDArray[np.float32]
) -> list[Landmarks]:
    """The outputs moved from their crops to the picture."""
    return [
        Landmarks(
            apply(affine, (offsets + 0.5) * CROP_SIZE).astype(np.float32),
            np.exp(log) * np.float32(square.side / CROP_SIZE),
        )
        for affine, square, offsets, log in zip(crops.to_picture, squares, points, logs, strict=True)
    ]
