"""Finds the training pictures in which a detector errs: what it has learned already teaches it nothing more."""

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convert.detector.pictures import IGNORED, STATE, SURE, Rows
from convert.detector.store import PictureStore
from convert.evaluation.matching import rows_of
from edged.detect.boxes import iou
from edged.ports import Detector

LEAST_SCORE = 0.55
"""A weaker detection is none: a little below what a new face must score."""
SMALLEST = 14.0
"""Shorter side, in pixels, of the faces that must be found."""
FOUND, BESIDE = 0.4, 0.3
"""A face is found by a detection that overlaps it by at least FOUND IoU. A detection is false when it overlaps no face, and no
ignored region, by BESIDE."""
GROUPS = ("crowd", "people", "empty")
"""Others are labelled by a teacher alone, or hold one face each."""


def erred(store: PictureStore, detector: Detector) -> NDArray[np.bool_]:
    """Whether `detector` misses a sure face of each picture, or sees one where none is; False for pictures of other groups."""
    found = np.zeros(len(store.groups), bool)
    asked = np.flatnonzero(np.isin(store.groups, GROUPS))
    for number in tqdm(asked.tolist(), desc="looking for errors", unit="picture", mininterval=5):
        finds = rows_of(detector.detect(store.pictures.image(number)))
        found[number] = errs(store.rows(number), finds[finds[:, 4] >= LEAST_SCORE, :4])
    return found


def errs(faces: Rows, boxes: NDArray[np.floating]) -> bool:
    """Whether `boxes` miss a face among `faces` (rows as `PictureStore` has them), or one of them is false."""
    sure = (faces[:, STATE] != IGNORED) & (faces[:, SURE] >= 1)
    sides = (faces[:, 2:4] - faces[:, :2]).min(axis=1, initial=np.inf)
    wanted = faces[sure & (sides >= SMALLEST), :4]
    missed = iou(wanted, boxes).max(axis=1, initial=0) < FOUND
    false = iou(boxes, faces[:, :4]).max(axis=1, initial=0) < BESIDE
    return bool(missed.any() or false.any())
