"""Reads pictures, and their face boxes and mask states from COCO files."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.errors import Failed, UsageError
from edged.types import Image

CORRECT, INCORRECT, NONE = 0, 1, 2
"""Indices in `edged.types.JUDGED_STATES`: how labels stand in arrays."""


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """One picture's faces: `boxes` N x 4 float32 (x1, y1, x2, y2) in pixels, `states` N int64 (index in JUDGED_STATES)."""

    path: Path
    boxes: NDArray[np.float32]
    states: NDArray[np.int64]


def read_coco(folder: Path) -> list[LabelledPicture]:
    """The pictures of `folder/annotations.json`, by file name. Raise UsageError when there is no such file."""
    source = folder / "annotations.json"
    if not source.is_file():
        raise UsageError(f"{source}: not found; --data must name the folder that holds {folder.name}/")
    coco = json.loads(source.read_text())
    faces: dict[int, list[tuple[float, float, float, float, int]]] = {}
    for face in coco["annotations"]:
        x, y, width, height = face["bbox"]
        faces.setdefault(face["image_id"], []).append((x, y, x + width, y + height, face["category_id"] - 1))
    pictures = []
    for image in sorted(coco["images"], key=lambda image: str(image["file_name"])):
        rows = np.array(faces.get(image["id"], []), np.float32).reshape(-1, 5)
        path = folder / "images" / image["file_name"]
        pictures.append(LabelledPicture(path, rows[:, :4], rows[:, 4].astype(np.int64)))
    return pictures


def read_picture(path: Path) -> Image:
    """The picture at `path`, BGR. Raise Failed when it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise Failed(f"{path}: cannot be read as a picture; fetch the data set again")
    return np.asarray(image, np.uint8)
