"""Keeps the training faces, bare and with masks drawn on, decoded in one memory-mapped file."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convert.data.coco import read_picture
from convert.data.landmarks import PointedFace, person_of, read_points
from convert.data.split import is_held_out
from edged.render import Wear, random_style, wear_mask
from edged.types import Image, Points

HELEN, YOUTUBE = "helen_train", "youtube_train"
BARE = "bare"
MASKS = {HELEN: 4, YOUTUBE: 2}
"""How many masks are drawn on each face of a set."""
WEARS = (Wear.CORRECT, Wear.NOSE, Wear.MOUTH, Wear.CHIN)
WEAR_SHARES = (0.55, 0.2, 0.13, 0.12)
HELD_OUT_EVERY = 15
"""Every so many faces of HELEN's training part are kept back: nobody appears twice there."""


@dataclass(frozen=True, eq=False)
class FacePicture:
    """One picture with one face; `group` is its data set, `wear` how a drawn mask is worn, or BARE."""

    image: Image
    points: Points
    group: str
    wear: str


@dataclass(frozen=True, eq=False)
class FaceStore:
    """Pictures by number: their bytes lie one after another in `pixels`; `points` are N x 68 x 2."""

    pixels: NDArray[np.uint8]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    """N x 2: height, width."""
    points: NDArray[np.float32]
    groups: NDArray[np.str_]
    wears: NDArray[np.str_]

    def image(self, number: int) -> Image:
        """Height x width x 3, read-only."""
        height, width = self.sizes[number]
        start = self.starts[number]
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)


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
    """Each face as it is, and with its share of masks drawn on."""
    rng = np.random.default_rng(seed)
    for group, faces in sets.items():
        for face in faces:
            image = read_picture(face.path)
            yield FacePicture(image, face.points, group, BARE)
            for choice in rng.choice(len(WEARS), MASKS[group], p=WEAR_SHARES):
                worn = wear_mask(image, face.points, random_style(rng), WEARS[choice], rng)
                yield FacePicture(worn.image, face.points, group, str(WEARS[choice]))


def write_store(folder: Path, pictures: Iterable[FacePicture]) -> None:
    """Write `faces.bin` and then `faces.npz`, whose presence marks a complete store."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes: list[Sequence[int]] = []
    points: list[Points] = []
    names: list[tuple[str, str]] = []
    with (folder / "faces.bin").open("wb") as file:
        for picture in tqdm(pictures, desc="preparing faces", unit="face", mininterval=5):
            file.write(picture.image.tobytes())
            sizes.append(picture.image.shape[:2])
            points.append(picture.points)
            names.append((picture.group, picture.wear))
    partial = folder / "partial.npz"
    np.savez(partial, sizes=np.array(sizes), points=np.stack(points), names=np.array(names))
    partial.replace(folder / "faces.npz")


def open_store(folder: Path) -> FaceStore | None:
    """The store in `folder`, memory-mapped; None when it has not been written to the end."""
    index = folder / "faces.npz"
    if not index.is_file():
        return None
    with np.load(index) as values:
        sizes, points, names = (values[key] for key in ("sizes", "points", "names"))
    ends = (sizes.prod(axis=1) * 3).cumsum()
    starts = np.concatenate([[0], ends[:-1]])
    pixels = np.memmap(folder / "faces.bin", np.uint8, "r")
    return FaceStore(pixels, starts, sizes, points, names[:, 0], names[:, 1])
