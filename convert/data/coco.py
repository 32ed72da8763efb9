"""Reads pictures, and their face boxes and mask states from COCO files."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.capture.file_kinds import PICTURE_SUFFIXES
from edged.capture.recordings import picture_files
from edged.errors import Failed, UsageError
from edged.types import Image

CORRECT, INCORRECT, NONE = 0, 1, 2
"""Indices in `edged.types.JUDGED_STATES`: how labels stand in arrays."""
UNKNOWN = -1
"""The state of a face that nobody could tell, or was asked to."""
STATES = {"correct": CORRECT, "incorrect": INCORRECT, "none": NONE, "unknown": UNKNOWN, "face": NONE}
"""What the data sets' categories mean; where there is only `face`, nobody wears a mask."""


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """One picture's faces: `boxes` N x 4 float32 (x1, y1, x2, y2) in pixels, `states` N int64 (index in JUDGED_STATES).

    `ignored` (N, bool) marks what may be a face: a find there is neither right nor wrong. `scores` (N) say how sure the
    teachers were of a pseudo-label, 1 where a person labelled it.
    """

    path: Path
    boxes: NDArray[np.float32]
    states: NDArray[np.int64]
    ignored: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    scores: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))


def read_coco(folder: Path, name: str = "annotations.json", images: str = "images") -> list[LabelledPicture]:
    """The pictures that `folder/name` lists, by file name; they lie in `folder/images`. Raise UsageError without that file."""
    source = folder / name
    if not source.is_file():
        raise UsageError(f"{source}: not found; --data must name the folder that holds {folder.name}/")
    coco = json.loads(source.read_text())
    states = {category["id"]: STATES.get(category["name"], UNKNOWN) for category in coco["categories"]}
    faces: dict[int, list[tuple[float, ...]]] = {}
    for face in coco["annotations"]:
        x, y, width, height = face["bbox"]
        state = states[face["category_id"]]
        ignored = bool(face.get("ignore") or face.get("iscrowd"))
        row = (x, y, x + width, y + height, state, ignored, face.get("score", 1.0))
        faces.setdefault(face["image_id"], []).append(row)
    pictures = []
    for image in sorted(coco["images"], key=lambda image: str(image["file_name"])):
        rows = np.array(faces.get(image["id"], []), np.float32).reshape(-1, 7)
        path = folder / images / image["file_name"]
        found = rows[:, :4], rows[:, 4].astype(np.int64), rows[:, 5] > 0, rows[:, 6]
        pictures.append(LabelledPicture(path, *found))
    return pictures


def counted(picture: LabelledPicture) -> NDArray[np.bool_]:
    """Which faces count when finds are scored: not those marked to be ignored, nor those whose state nobody knows.

    The latter are finds of a detector that nobody looked at.
    """
    return np.asarray(~picture.ignored & (picture.states != UNKNOWN))


def counted_faces(picture: LabelledPicture) -> LabelledPicture:
    """The picture with only the faces that count."""
    chosen = counted(picture)
    return LabelledPicture(
        picture.path, picture.boxes[chosen], picture.states[chosen], picture.ignored[chosen], picture.scores[chosen]
    )


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly in `folder`, by name. Raise UsageError when there is none."""
    found = picture_files(folder)
    if not found:
        raise UsageError(f"{folder}: holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))})")
    return found


def read_picture(path: Path) -> Image:
    """The picture at `path`, BGR. Raise Failed when it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise Failed(f"{path}: cannot be read as a picture; fetch the data set again")
    return np.asarray(image, np.uint8)
