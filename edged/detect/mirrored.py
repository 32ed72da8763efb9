"""Detects in a still picture and in its mirror image, and joins both (test-time augmentation).

A network errs differently on the two, and nobody waits for a still picture as for a camera's. What is found in only one of them
keeps half of its score, and boxes are the mean of both (box voting, Gidaris and Komodakis, ICCV 2015).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edged.detect.anchor_free import AnchorFreeDetector, Rows, detections
from edged.detect.boxes import SAME_FACE, iou
from edged.ports import NONE_KNOWN, Known
from edged.types import Box, Detection, Image

VOTES = 0.7
"""Candidates that overlap a face's best one by at least this IoU have a say in where it lies, by the square of their score."""
MIRRORED_POINTS = (1, 0, 2, 4, 3)
"""Where each of the five points is found in a mirrored picture: eyes and corners of the mouth change places."""


class MirroringDetector:
    """Implements `edged.ports.NearbyDetector`; crop passes stay single ones."""

    def __init__(self, detector: AnchorFreeDetector) -> None:
        self._detector = detector

    def detect(self, image: Image, known: Known = NONE_KNOWN) -> list[Detection]:
        """See `AnchorFreeDetector.detect`; twice its cost."""
        height, width = image.shape[:2]
        if height == 0 or width == 0:
            return []
        passes = [
            self._detector.candidates(image),
            mirrored(self._detector.candidates(np.ascontiguousarray(image[:, ::-1])), width),
        ]
        return detections(self._joined(passes), width, height)

    def detect_around(self, image: Image, boxes: Sequence[Box], known: Known = NONE_KNOWN) -> list[Detection] | None:
        """See `NearbyDetector`."""
        return self._detector.detect_around(image, boxes, known)

    def _joined(self, passes: Sequence[Rows]) -> Rows:
        """The best row of each face, with the mean of its scores in the passes, and box and points as the candidates vote."""
        everyone = np.concatenate(passes)
        if not len(everyone):
            return everyone
        faces = self._detector.suppressed(everyone).copy()
        scores = np.mean([_scores(faces, self._detector.suppressed(rows)) for rows in passes], axis=0)
        votes = np.where(iou(faces[:, 1:5], everyone[:, 1:5]) >= VOTES, everyone[:, 0] ** 2, 0)
        faces[:, 1:15] = votes @ everyone[:, 1:15] / votes.sum(axis=1, keepdims=True)
        faces[:, 0] = scores
        return faces[np.argsort(-scores, kind="stable")]


def mirrored(rows: Rows, width: int) -> Rows:
    """The rows of a mirrored picture `width` pixels wide, as they would be in the picture itself."""
    rows = rows.copy()
    rows[:, [1, 3]] = width - rows[:, [3, 1]]
    points = rows[:, 5:15].reshape(-1, 5, 2)[:, MIRRORED_POINTS]
    rows[:, 5:15] = np.stack([width - points[..., 0], points[..., 1]], axis=2).reshape(-1, 10)
    rows[:, 15:20] = rows[:, 15:20][:, MIRRORED_POINTS]
    return rows


def _scores(faces: Rows, found: Rows) -> NDArray[np.float32]:
    """Each face's score in one pass, 0 where it was not found; a detection belongs to the face that it overlaps most."""
    scores = np.zeros(len(faces), np.float32)
    if len(found):
        overlaps = iou(found[:, 1:5], faces[:, 1:5])
        whose = overlaps.argmax(axis=1)
        same = overlaps.max(axis=1) >= SAME_FACE
        np.maximum.at(scores, whose[same], found[same, 0])
    return scores
