"""Classifies how masks are worn, with a crop classifier behind an `Engine`."""

from collections.abc import Sequence

import numpy as np

from edged.crops import probabilities, square_crops
from edged.ports import Engine
from edged.types import Box, Image, MaskScores

CROP_SIZE = 112
"""Side of the classifier's input, in pixels."""

CROP_MARGIN = 1.4
"""Side of the square cut from the picture, in units of the face box's longer side."""

MAX_BATCH = 32
"""More faces than this are judged in several runs, so that a crowd cannot grow the memory."""


class MaskClassifier:
    """Implements `edged.ports.MaskJudge`.

    The engine takes `faces` uint8 [batch, 112, 112, 3] (BGR, rows first) and gives `probabilities` float32 [batch, 3]
    in the order of `edged.types.JUDGED_STATES`; normalisation and calibration are inside the graph.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._crops = np.empty((MAX_BATCH, CROP_SIZE, CROP_SIZE, 3), np.uint8)

    def judge(self, image: Image, boxes: Sequence[Box]) -> list[MaskScores]:
        """One MaskScores for each box, in order. Raise ModelError for a wrong model."""
        scores: list[MaskScores] = []
        for start in range(0, len(boxes), MAX_BATCH):
            batch = boxes[start : start + MAX_BATCH]
            crops = square_crops(image, batch, CROP_SIZE, CROP_MARGIN, self._crops)
            rows = probabilities(self._engine, {"faces": crops}, "a mask classifier")
            scores.extend(MaskScores(*row) for row in rows)
        return scores
