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
SCORED = (
    "masks853", *(f"people/{name}" for name in (*PEOPLE, "negatives")), *(f"mask_scenes3/{name}" for name in MASK_SCENES),
    "empty/scenes",
)  # fmt: skip
"""Folders of data whose kept back pictures are scored."""

_BLOCK = 64  # pictures compared at once with all others: bounds the memory


def key_of(path: Path) -> str:
    """The name by which a picture is held out or not: its folder's and its own, a folder `images` left out.

    `people/flickr8k/0001.jpg` is `flickr8k/0001.jpg`, `mask_scenes3/ilc/images/ilc_0000.jpg` is `ilc/ilc_0000.jpg`.
    """
    folder = path.parent.parent if path.parent.name == "images" else path.parent
    return path.name if folder.name in PLAIN else f"{folder.name}/{path.name}"


def is_kept_back(path: Path) -> bool:
    """Whether the picture belongs to the part (15 of 100) that no training sees."""
    return is_held_out(key_of(path))


def training_part(pictures: Sequence[LabelledPicture]) -> list[LabelledPicture]:
    """The pictures that trainings may see. Near copies were removed from these sets by those who brought them together."""
    return [picture for picture in pictures if not is_kept_back(picture.path)]


def held_out_part(pictures: Sequence[LabelledPicture]) -> list[LabelledPicture]:
    """The pictures that no training sees."""
    return [picture for picture in pictures if is_kept_back(picture.path)]


def kept_back_below(data: Path) -> list[Path]:
    """Every kept back picture of the `SCORED` folders that are there."""
    there = [data / name for name in SCORED if (data / name).is_dir()]
    folders = [folder / "images" if (folder / "images").is_dir() else folder for folder in there]
    return [path for folder in folders for path in picture_files(folder) if is_kept_back(path)]


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
