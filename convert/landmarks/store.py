"""Keeps the training faces: as they are, with mouths opened and heads turned, and with masks drawn on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.data.coco import read_picture
from convert.data.expressions import change, random_expression
from convert.data.landmarks import PointedFace, person_of, read_points
from convert.data.split import is_held_out
from convert.data.store import Pictures, open_pictures, write_pictures
from edged.render import Wear, random_style, wear_mask
from edged.types import Image, Points

NAME = "faces"
HELEN, YOUTUBE = "helen_train", "youtube_train"
BARE, CHANGED, MASKED = "bare", "changed", "masked"
CHANGES = {HELEN: 4, YOUTUBE: 3}
"""How many times each face of a set is kept with its mouth opened, or its head turned further."""
MASKS = {HELEN: 4, YOUTUBE: 2}
"""How many masks are drawn on each face of a set; half of them on a changed one."""
WEARS = (Wear.CORRECT, Wear.NOSE, Wear.MOUTH, Wear.CHIN)
WEAR_SHARES = (0.55, 0.2, 0.13, 0.12)
HELD_OUT_EVERY = 15
"""Every so many faces of HELEN's training part are kept back: nobody appears twice there."""


@dataclass(frozen=True, eq=False)
class FacePicture:
    """One picture with one face; `group` is its data set, `wear` how a drawn mask is worn, or BARE or CHANGED."""

    image: Image
    points: Points
    group: str
    wear: str


@dataclass(frozen=True, eq=False)
class FaceStore:
    """Pictures by number, what they show, and their faces' `points` (N x 68 x 2)."""

    pictures: Pictures
    points: NDArray[np.float32]
    groups: NDArray[np.str_]
    wears: NDArray[np.str_]


def split_faces(data: Path) -> tuple[dict[str, list[PointedFace]], dict[str, list[PointedFace]]]:
    """(training, held out) faces of both sets: the videos by person, HELEN's photos one by one."""
    helen, youtube = (read_points(data / "landmarks68" / name) for name in (HELEN, YOUTUBE))
    training = {
        HELEN: [face for number, face in enumerate(helen) if number % HELD_OUT_EVERY],
        YOUTUBE: [face for face in youtube if not is_held_out(person_of(face.path))],
    }
    held_out = {HELEN: helen[::HELD_OUT_EVERY], YOUTUBE: [f for f in youtube if is_held_out(person_of(f.path))]}
    return training, held_out


def face_pictures(sets: dict[str, list[PointedFace]], seed: int) -> Iterator[FacePicture]:
    """Each face as it is, with its mouth opened or its head turned, and with its share of masks drawn on."""
    rng = np.random.default_rng(seed)
    for group, faces in sets.items():
        for face in faces:
            image = read_picture(face.path)
            changed = [change(image, face.points, random_expression(rng), rng) for _ in range(CHANGES[group])]
            yield FacePicture(image, face.points, group, BARE)
            for picture, points in changed:
                yield FacePicture(picture, points, group, CHANGED)
            for number, choice in enumerate(rng.choice(len(WEARS), MASKS[group], p=WEAR_SHARES)):
                picture, points = changed[number] if number % 2 else (image, face.points)
                worn = wear_mask(picture, points, random_style(rng), WEARS[choice], rng)
                yield FacePicture(worn.image, points, group, str(WEARS[choice]))


def write_store(folder: Path, pictures: Iterable[FacePicture]) -> None:
    """Write `faces.bin` and `faces.npz`; see `write_pictures`."""
    from tqdm import tqdm  # of the trainings: who only asks for the split need not have it

    shown = tqdm(pictures, desc="preparing faces", unit="face", mininterval=5)
    write_pictures(folder, NAME, ((face.image, (face.points, (face.group, face.wear))) for face in shown), _arrays)


def _arrays(rows: Sequence[tuple[Points, tuple[str, str]]]) -> dict[str, NDArray[Any]]:
    points, names = zip(*rows, strict=True)
    return {"points": np.stack(points), "names": np.array(names)}


def open_store(folder: Path) -> FaceStore | None:
    """The store in `folder`; None when it has not been written to the end."""
    found = open_pictures(folder, NAME)
    if found is None:
        return None
    pictures, arrays = found
    groups, wears = arrays["names"].T
    return FaceStore(pictures, arrays["points"], groups, wears)
