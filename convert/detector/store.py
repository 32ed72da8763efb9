"""Keeps the training pictures with their faces."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convert.data.store import Pictures, open_pictures, write_pictures
from convert.detector.pictures import COLUMNS, Rows, TrainingPicture

NAME = "pictures"


@dataclass(frozen=True, eq=False)
class PictureStore:
    """Pictures by number, their groups and their faces."""

    pictures: Pictures
    faces: Rows
    first_face: NDArray[np.int64]
    """N + 1: picture k's faces are rows first_face[k] to first_face[k + 1]."""
    groups: NDArray[np.str_]

    def rows(self, number: int) -> Rows:
        """The picture's faces, N x COLUMNS."""
        return self.faces[self.first_face[number] : self.first_face[number + 1]]


def write_store(folder: Path, pictures: Iterable[TrainingPicture]) -> None:
    """Write `pictures.bin` and `pictures.npz`; see `write_pictures`."""
    shown = tqdm(pictures, desc="preparing pictures", unit="picture", mininterval=5)
    write_pictures(folder, NAME, ((picture.image, (picture.faces, picture.group)) for picture in shown), _arrays)


def _arrays(rows: Sequence[tuple[Rows, str]]) -> dict[str, NDArray[Any]]:
    faces, groups = zip(*rows, strict=True)
    return {
        "faces": np.concatenate(faces).reshape(-1, COLUMNS),
        "first_face": np.array([0, *map(len, faces)]).cumsum(),
        "groups": np.array(groups),
    }


def open_store(folder: Path) -> PictureStore | None:
    """The store in `folder`; None when it has not been written to the end."""
    found = open_pictures(folder, NAME)
    return None if found is None else PictureStore(found[0], **found[1])
