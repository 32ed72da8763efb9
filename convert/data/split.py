"""Decides which pictures are held out from every training: by name, so that the answer never changes."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.data.coco import LabelledPicture

HELD_OUT_PERCENT = 15
PEOPLE = ("coco256", "flickr8k", "flickr8k_ra", "lspet", "mmpose_samples", "street_pedestrians", "ulfg_groups")
MASK_SCENES = ("ilc", "kary", "macwin", "karan_masked", "karan_bare", "jamesnogra", "slot_bare")
"""Folders of data/people and data/mask_scenes3, each from a source of its own."""
NEAR_DUPLICATE_BITS = 6
"""Pictures whose 64-bit difference hashes differ in at most this many bits are taken for the same photo."""


def is_held_out(name: str) -> bool:
    """Whether the picture (or person) called `name` is held out: the first 8 hex digits of its SHA-256, modulo 100, < 15."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 100 < HELD_OUT_PERCENT


def split(pictures: Sequence[LabelledPicture]) -> tuple[list[LabelledPicture], list[LabelledPicture]]:
    """(training part, held-out part), the split by file name.

    Training pictures that look like a held-out one (the set holds some photos twice) are in neither part.
    """
    held_out = [picture for picture in pictures if is_held_out(picture.path.name)]
    known = np.array([difference_hash(picture.path) for picture in held_out], np.uint64)
    training = [
        picture
        for picture in pictures
        if not is_held_out(picture.path.name)
        and (_distances(known, difference_hash(picture.path)) > NEAR_DUPLICATE_BITS).all()
    ]
    return training, held_out


def is_held_out_picture(path: Path) -> bool:
    """Whether a picture of a set that brings several sources together is held out: by its folder's and its own name."""
    source = path.parent.parent if path.parent.name == "images" else path.parent
    return is_held_out(f"{source.name}/{path.name}")


def held_out_part(pictures: Sequence[LabelledPicture]) -> list[LabelledPicture]:
    """The pictures that no training sees."""
    return [picture for picture in pictures if is_held_out_picture(picture.path)]


def training_part(pictures: Sequence[LabelledPicture]) -> list[LabelledPicture]:
    """The pictures that are not held out. Near copies were removed from these sets by those who brought them together."""
    return [picture for picture in pictures if not is_held_out_picture(picture.path)]


def difference_hash(path: Path) -> int:
    """64 bits that tell where the shrunken grey picture gets brighter from left to right."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        return 0
    small = cv2.resize(image, (9, 8), interpolation=cv2.INTER_AREA)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "big")


def _distances(known: NDArray[np.uint64], one: int) -> NDArray[np.int64]:
    different = np.bitwise_xor(known, np.uint64(one))
    bits = np.unpackbits(different.view(np.uint8).reshape(len(known), 8), axis=1)
    return np.asarray(bits.sum(axis=1), np.int64)
