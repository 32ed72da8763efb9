"""Keeps the training pictures, decoded, in one memory-mapped file."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convert.detector.pictures import COLUMNS, Rows, TrainingPicture


@dataclass(frozen=True, eq=False)
class PictureStore:
    """Pictures by number: their bytes lie one after another in `pixels`."""

    pixels: NDArray[np.uint8]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    """N x 2: height, width."""
    faces: Rows
    first_face: NDArray[np.int64]
    """N + 1: picture k's faces are rows first_face[k] to first_face[k + 1]."""
    groups: NDArray[np.str_]

    def image(self, number: int) -> NDArray[np.uint8]:
        """Height x width x 3, read-only."""
        height, width = self.sizes[number]
        start = self.starts[number]
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)

    def rows(self, number: int) -> Rows:
        """The picture's faces, N x COLUMNS."""
        return self.faces[self.first_face[number] : self.first_face[number + 1]]


def write_store(folder: Path, pictures: Iterable[TrainingPicture]) -> None:
    """Write `pictures.bin` and then `pictures.npz`, whose presence marks a complete store."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes: list[tuple[int, int]] = []
    faces: list[Rows] = []
    groups: list[str] = []
    with (folder / "pictures.bin").open("wb") as file:
        for picture in tqdm(pictures, desc="preparing pictures", unit="picture", mininterval=2):
            file.write(picture.image.tobytes())
            sizes.append((picture.image.shape[0], picture.image.shape[1]))
            faces.append(picture.faces)
            groups.append(picture.group)
    counts = np.array([0, *(len(rows) for rows in faces)])
    everything = np.concatenate(faces).reshape(-1, COLUMNS)
    partial = folder / "partial.npz"
    np.savez(partial, sizes=np.array(sizes), faces=everything, first_face=counts.cumsum(), groups=np.array(groups))
    partial.replace(folder / "pictures.npz")


def open_store(folder: Path) -> PictureStore | None:
    """The store in `folder`, memory-mapped; None when it has not been written to the end."""
    index = folder / "pictures.npz"
    if not index.is_file():
        return None
    with np.load(index) as values:
        sizes, faces, first_face, groups = (values[key] for key in ("sizes", "faces", "first_face", "groups"))
    ends = (sizes.prod(axis=1) * 3).cumsum()
    starts = np.concatenate([[0], ends[:-1]])
    return PictureStore(np.memmap(folder / "pictures.bin", np.uint8, "r"), starts, sizes, faces, first_face, groups)
