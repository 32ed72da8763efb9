"""The labelled pictures that models are scored on: every folder of the data, with what is to be ignored in it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.data.held_out import TEST_PORTRAITS, is_kept_back, labelled_folders, near_copies
from convert.data.landmarks import PointedFace, face_box, read_points
from edged.errors import UsageError
from edged.types import JUDGED_STATES, Points

UNTOLD = -1
"""The state of a face whose mask nobody judged."""
STATES = {state.value: index for index, state in enumerate(JUDGED_STATES)}
BARE = STATES["none"]

CROWDS, PEOPLE, MASKS, EMPTY, PORTRAITS = (
    "masked crowds",
    "ordinary people",
    "mask photographs",
    "empty scenes",
    "portraits",
)
SCENES = (CROWDS, PEOPLE, MASKS, EMPTY)
"""Sets of whole scenes: every face in them is labelled, or ignored. Portraits have one labelled face, whoever else is there."""
GROUPS = {"masks853": CROWDS, "people": PEOPLE, "mask_scenes3": MASKS, "empty": EMPTY}
"""The set of each folder of the data."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of one picture, N faces.

    `boxes` are N x 4 (x1, y1, x2, y2) and `heights` N as labelled, in pixels; `states` index `JUDGED_STATES`, or are
    UNTOLD; `ignored` faces count neither way. `points` (68 x 2) are there where the only face was so labelled.
    """

    path: Path
    group: str
    source: str
    boxes: NDArray[np.float64]
    heights: NDArray[np.float64]
    states: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    points: Points | None = None

    @property
    def sides(self) -> NDArray[np.float64]:
        """The shorter side of each face."""
        return np.minimum(self.boxes[:, 2] - self.boxes[:, 0], self.boxes[:, 3] - self.boxes[:, 1])


@dataclass(frozen=True)
class Part:
    """Which pictures count: those no training saw, or all of them; at most `sample` of each set, from all over it."""

    everything: bool = False
    sample: int | None = None


def read_all(data: Path, part: Part) -> tuple[list[Truth], int]:
    """The scenes and portraits below `data` that belong to `part`, and how many were left out as near copies.

    A picture that is kept back but looks like one that is not is left out: trainings may have seen it. (Of masks853 the
    trainings leave out the copies.) Raise UsageError when no set is there.
    """
    found = list(_scenes(data))
    copies: set[Path] = set()
    if not part.everything:
        rest = [truth.path for truth in found if truth.group != CROWDS and not is_kept_back(truth.path)]
        found = [truth for truth in found if is_kept_back(truth.path)]
        asked = [truth.path for truth in found if truth.group != CROWDS]
        copies = {path for path, alike in zip(asked, near_copies(asked, rest), strict=True) if alike}
        found = [truth for truth in found if truth.path not in copies]
    found += _portraits(data)
    if not found:
        raise UsageError(
            f"{data}: no picture to score in masks853, people, mask_scenes3, empty or landmarks68; --data names their folder"
        )
    return [truth for group in (*SCENES, PORTRAITS) for truth in _sampled(found, group, part.sample)], len(copies)


def read_scenes(file: Path, pictures: Path, group: str, source: str) -> list[Truth]:
    """The pictures of a COCO file, by name, lying in `pictures`.

    Faces marked `ignore` or `iscrowd`, and those of a category `unknown`, are ignored. A category that is none of ours
    says nothing of masks; of ordinary people we know that they wear none.
    """
    coco = json.loads(file.read_text())
    names = {category["id"]: str(category["name"]) for category in coco["categories"]}
    faces: dict[int, list[dict[str, Any]]] = {}
    for face in coco["annotations"]:
        faces.setdefault(face["image_id"], []).append(face)
    otherwise = BARE if group == PEOPLE else UNTOLD
    return [
        _truth(pictures / image["file_name"], group, source, faces.get(image["id"], []), names, otherwise)
        for image in sorted(coco["images"], key=lambda image: str(image["file_name"]))
    ]


def _truth(
    path: Path, group: str, source: str, faces: Sequence[dict[str, Any]], names: dict[int, str], otherwise: int
) -> Truth:
    corners = np.array([face["bbox"] for face in faces], np.float64).reshape(-1, 4)
    heights = corners[:, 3].copy()
    corners[:, 2:] += corners[:, :2]
    states = [STATES.get(names[face["category_id"]], otherwise) for face in faces]
    ignored = [
        bool(face.get("ignore") or face.get("iscrowd")) or names[face["category_id"]] == "unknown" for face in faces
    ]
    return Truth(path, group, source, corners, heights, np.array(states, np.int64), np.array(ignored, bool))


def _scenes(data: Path) -> Iterable[Truth]:
    """Every COCO file there is."""
    for folder, file, pictures in labelled_folders(data):
        where = folder.relative_to(data)
        group = EMPTY if folder.name == "negatives" else GROUPS[where.parts[0]]
        yield from read_scenes(file, pictures, group, str(where))


def _portraits(data: Path) -> list[Truth]:
    """The test parts of the faces with 68 points: no training has them, and they wear no masks."""
    folders = (data / name for name in TEST_PORTRAITS)
    return [_portrait(face, folder.name) for folder in folders if folder.is_dir() for face in read_points(folder)]


def _portrait(face: PointedFace, source: str) -> Truth:
    box = face_box(face.points).astype(np.float64)[None]
    heights = box[:, 3] - box[:, 1]
    return Truth(face.path, PORTRAITS, source, box, heights, np.array([BARE]), np.zeros(1, bool), face.points)


def _sampled(truths: Sequence[Truth], group: str, most: int | None) -> list[Truth]:
    """The set's pictures; with `most`, so many at even distances."""
    chosen = [truth for truth in truths if truth.group == group]
    if most is None or len(chosen) <= most:
        return chosen
    return [chosen[index] for index in np.linspace(0, len(chosen) - 1, most).round().astype(int)]
