"""Decides which collected pictures no training sees, by name: one rule, for the trainings and for the evaluation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.data.coco import LabelledPicture
from convert.data.split import NEAR_DUPLICATE_BITS, difference_hash, is_held_out
from edged.capture.recordings import picture_files

PLAIN = frozenset({"masks853"})
"""Folders whose pictures are known by their file names alone, as they were before there were others."""

PEOPLE = ("coco256", "flickr8k", "flickr8k_ra", "lspet", "mmpose_samples", "street_pedestrians", "ulfg_groups")
MASK_SCENES = ("ilc", "kary", "macwin", "karan_masked", "karan_bare", "jamesnogra", "slot_bare")
"""Folders of data/people and data/mask_scenes3, each from a source of its own."""
LEARNED_WHOLE = frozenset({"people/mtfl80", "empty/crops"})
"""Folders that trainings see whole: nothing of them is kept back, and nothing of them scores as unseen."""

LABELLED = (
    ("masks853", "annotations.json"), ("people/*", "boxes.json"), ("mask_scenes3/*", "annotations.json"),
    ("empty/*", "annotations.json"),
)  # fmt: skip
"""Folders of labelled scenes, and their COCO files."""
TEST_PORTRAITS = ("landmarks68/helen_test", "landmarks68/youtube_test")
"""Folders of faces with 68 points that no training sees."""

_BLOCK = 64  # pictures compared at once with all others: bounds the memory


def key_of(path: Path) -> str:
    """The name by which a picture is held out or not: its folder's and its own, a folder `images` left out.

    `people/flickr8k/0001.jpg` is `flickr8k/0001.jpg`, `mask_scenes3/ilc/images/ilc_0000.jpg` is `ilc/ilc_0000.jpg`.
    """
    folder = _folder_of(path)
    return path.name if folder.name in PLAIN else f"{folder.name}/{path.name}"


def _folder_of(path: Path) -> Path:
    return path.parent.parent if path.parent.name == "images" else path.parent


def is_kept_back(path: Path) -> bool:
    """Whether the picture belongs to the part (15 of 100) that no training sees; nothing of `LEARNED_WHOLE` does."""
    folder = _folder_of(path)
    return f"{folder.parent.name}/{folder.name}" not in LEARNED_WHOLE and is_held_out(key_of(path))


def training_part(pictures: Sequence[LabelledPicture]) -> list[LabelledPicture]:
    """The pictures that trainings may see. Near copies were removed from the collected sets by those who brought them together;
    what users add goes through `unlike`.
    """
    return [picture for picture in pictures if not is_kept_back(picture.path)]


def held_out_part(pictures: Sequence[LabelledPicture]) -> list[LabelledPicture]:
    """The pictures that no training sees."""
    return [picture for picture in pictures if is_kept_back(picture.path)]


def labelled_folders(data: Path) -> list[tuple[Path, Path, Path]]:
    """The `LABELLED` folders below `data`: each with its COCO file, and the folder in which its pictures lie."""
    files = [file for pattern, name in LABELLED for file in sorted(data.glob(f"{pattern}/{name}"))]
    pictures = [file.parent / "images" for file in files]
    return [
        (file.parent, file, images if images.is_dir() else file.parent)
        for file, images in zip(files, pictures, strict=True)
    ]


def scored_below(data: Path) -> list[Path]:
    """Every picture that `evaluate` scores as seen by no training: of the labelled folders the part that is kept back, and the
    test portraits.
    """
    scenes = [path for *_, pictures in labelled_folders(data) for path in picture_files(pictures) if is_kept_back(path)]
    portraits = [data / name / "images" for name in TEST_PORTRAITS]
    return scenes + [path for folder in portraits if folder.is_dir() for path in picture_files(folder)]


def unlike(pictures: Sequence[LabelledPicture], others: Sequence[Path]) -> list[LabelledPicture]:
    """The `pictures` that are near copies of none of `others`."""
    copies = near_copies([picture.path for picture in pictures], others)
    return [picture for picture, copy in zip(pictures, copies.tolist(), strict=True) if not copy]


def near_copies(asked: Sequence[Path], others: Sequence[Path]) -> NDArray[np.bool_]:
    """Whether each of `asked` looks like one of `others`: difference hashes within `NEAR_DUPLICATE_BITS` of 64 bits.

    Plain pictures, which have no hash to speak of, are alike too.
    """
    known = np.array([difference_hash(path) for path in others], np.uint64)
    hashes = np.array([difference_hash(path) for path in asked], np.uint64)
    found = np.zeros(len(hashes), bool)
    for start in range(0, len(hashes) if len(known) else 0, _BLOCK):
        different = np.bitwise_xor(hashes[start : start + _BLOCK, None], known[None])
        bits = np.unpackbits(different.view(np.uint8), axis=1).reshape(*different.shape, 64).sum(axis=2, dtype=np.uint8)
        found[start : start + _BLOCK] = (bits <= NEAR_DUPLICATE_BITS).any(axis=1)
    return found
