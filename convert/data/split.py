"""Decides which pictures are held out from every training: by name, so that the answer never changes."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.data.coco import LabelledPicture

HELD_OUT_PERCENT = 15
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
