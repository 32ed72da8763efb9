"""Decides which ready-made eye crops are held out: whole stretches of the numbering, and nothing that looks like them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.data.coco import read_picture

BLOCKS, FOLDS = 35, 7
"""The numbering of each folder is cut into BLOCKS equal stretches; every FOLDS-th belongs to one fold."""

GAP = 0.006
"""Crops this near to a held-out stretch, in lengths of the numbering, are in neither part: eyes of one person stand together."""

ALIKE = 0.93
"""Correlation of shrunken grey crops, or of their mirror images, from which two are taken for the same eye or its pair."""


@dataclass(frozen=True)
class CropFile:
    """One ready-made crop. `place` is where it stands in its folder's numbering, 0 to 1."""

    path: Path
    closed: bool
    place: float


def read_crops(folder: Path) -> list[CropFile]:
    """All crops of `folder`/open and `folder`/closed."""
    found = []
    for name in ("open", "closed"):
        paths = sorted((folder / name).glob("*.jpg"))
        found += [CropFile(path, name == "closed", (k + 0.5) / len(paths)) for k, path in enumerate(paths)]
    return found


def is_held_out(place: float, fold: int = 0) -> bool:
    """Whether the stretch at `place` belongs to `fold`."""
    return int(place * BLOCKS) % FOLDS == (fold + 3) % FOLDS


def split(crops: Sequence[CropFile], fold: int = 0) -> tuple[list[CropFile], list[CropFile]]:
    """(training part, held-out part).

    Both folders show their people in about the same order, the eyes of one person next to each other. So whole
    stretches are held out, the same in both folders; crops at their edges, and others that look like a held-out one,
    are in neither part.
    """
    held_out = [crop for crop in crops if is_held_out(crop.place, fold)]
    near = [c for c in crops if c not in held_out and not any(is_held_out(c.place + g, fold) for g in (-GAP, GAP))]
    known = np.stack([_thumbnail(read_picture(crop.path)) for crop in held_out])
    training = [crop for crop in near if _likeness(known, read_picture(crop.path)) < ALIKE]
    return training, held_out


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The picture's rough look as 256 numbers of mean 0 and length 1."""
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (16, 16), interpolation=cv2.INTER_AREA)
    flat = grey.astype(np.float32).ravel()
    flat -= flat.mean()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-6), np.float32)


def _likeness(known: NDArray[np.float32], image: NDArray[np.uint8]) -> float:
    """The highest correlation with any of `known`, mirrored or not."""
    views = (image, np.ascontiguousarray(image[:, ::-1]))
    return max(float((known @ _thumbnail(view)).max()) for view in views)
