"""Cuts out what the detector finds in its training pictures, right and wrong: what the rescorer learns from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convert.data.store import open_crops, write_crops
from convert.detector.pictures import IGNORED, STATE, SURE, Rows
from convert.detector.store import PictureStore
from edged.crops import square_crops
from edged.detect.boxes import iou
from edged.detect.rescorer import CROP_MARGIN, CROP_SIZE
from edged.ports import Detector
from edged.types import Box, Image

WIDE = 112
"""Side of the stored crops: the rescorer's crop and room to move it, at the same scale."""
WIDE_MARGIN = CROP_MARGIN * WIDE / CROP_SIZE
RIGHT, WRONG = 0.5, 0.35
"""A find that overlaps a face by at least RIGHT IoU is one, by at most WRONG none; those between are left out."""
BESIDE_IGNORED = 0.1
"""Finds that overlap an ignored region by more are left out."""
MOST_FACES, MOST_OTHERS, MOST_OTHERS_EMPTY = 8, 7, 20
"""Of one picture: the faces, and the surest finds that are none, with and without a face in the picture."""
SMALLEST = 6.0
"""Shorter side, in pixels, of the faces that are cut out although the detector missed them."""
SINGLES = 9000
"""Pictures of one face are many and alike: so many of them are drawn."""

NAME = "crops"


@dataclass(frozen=True, eq=False)
class Crop:
    """WIDE x WIDE x 3 pixels; whether a face is there; the detector's score, 0 where it found nothing; the longer side."""

    image: NDArray[np.uint8]
    is_face: bool
    score: float
    side: float


@dataclass(frozen=True, eq=False)
class CropStore:
    """N crops (N x WIDE x WIDE x 3) with N values of each field of `Crop`."""

    images: NDArray[np.uint8]
    is_face: NDArray[np.bool_]
    scores: NDArray[np.float32]
    sides: NDArray[np.float32]


def write_store(folder: Path, crops: Iterable[Crop]) -> None:
    """Write the crops; see `write_crops`."""
    write_crops(
        folder, NAME, ((crop.image, (crop.is_face, round(crop.score, 4), round(crop.side, 1))) for crop in crops)
    )


def open_store(folder: Path) -> CropStore | None:
    """The store in `folder`; None when it has not been written to the end."""
    found = open_crops(folder, NAME, (WIDE, WIDE, 3))
    if found is None:
        return None
    images, rows = found
    is_face, scores, sides = zip(*rows, strict=True)
    return CropStore(images, np.array(is_face, bool), np.array(scores, np.float32), np.array(sides, np.float32))


def cut(store: PictureStore, detectors: tuple[Detector, Detector], seed: int) -> Iterator[Crop]:
    """What the detectors, one for each working size, find in the pictures of `store`: in turns, both in empty pictures."""
    rng = np.random.default_rng(seed)
    singles = np.flatnonzero(store.groups == "single")
    chosen = rng.choice(singles, min(SINGLES, len(singles)), replace=False)
    numbers = np.concatenate([np.flatnonzero(store.groups != "single"), chosen]).tolist()
    for turn, number in enumerate(tqdm(numbers, desc="cutting finds", unit="picture", mininterval=5)):
        image, rows = store.pictures.image(number), store.rows(number)
        using = detectors if store.groups[number] == "empty" else (detectors[turn % 2],)
        found = [(np.array(d.box, np.float32), d.score) for detector in using for d in detector.detect(image)]
        yield from _cut_out(image, _chosen(found, rows, rng))


Find = tuple[NDArray[np.float32], bool, float]
"""Box (corners, pixels), whether it is a face, the detector's score."""


def _chosen(found: list[tuple[NDArray[np.float32], float]], rows: Rows, rng: np.random.Generator) -> list[Find]:
    """The finds of one picture that are surely right or surely wrong, and the faces that were missed."""
    sure = (rows[:, STATE] != IGNORED) & (rows[:, SURE] >= 1)
    faces, unsure = rows[sure, :4], rows[~sure, :4]
    missed = np.ones(len(faces), bool)
    right: list[Find] = []
    wrong: list[Find] = []
    for box, score in found:
        overlap = iou(box[None], faces)[0] if len(faces) else np.zeros(1, np.float32)
        if overlap.max() >= RIGHT:
            missed[overlap.argmax()] = False
            right.append((box, True, score))
        elif overlap.max() <= WRONG and (not len(unsure) or iou(box[None], unsure).max() <= BESIDE_IGNORED):
            wrong.append((box, False, score))
    large = (faces[:, 2:] - faces[:, :2]).min(axis=1) >= SMALLEST
    right += [(box, True, 0.0) for box in faces[missed & large]]
    wrong.sort(key=lambda find: -find[2])
    some = [right[k] for k in rng.permutation(len(right))[:MOST_FACES]]
    return some + wrong[: MOST_OTHERS if len(rows) else MOST_OTHERS_EMPTY]


def _cut_out(image: Image, finds: list[Find]) -> Iterator[Crop]:
    crops = square_crops(image, [Box(*box.tolist()) for box, _, _ in finds], WIDE, WIDE_MARGIN)
    for crop, (box, is_face, score) in zip(crops, finds, strict=True):
        yield Crop(crop, is_face, score, float(max(box[2] - box[0], box[3] - box[1])))
