"""Keeps the wide crops of faces, so that training starts at once and costs little memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convert.data.store import open_crops, write_crops
from convert.mask.sources import WIDE, WideCrop

NAME = "crops"
OPINIONS = "opinions.npy"
"""Beside the crops: what a teacher says of each, N x 3 probabilities; not a number where it was not asked."""


@dataclass(frozen=True, eq=False)
class CropStore:
    """N crops (N x WIDE x WIDE x 3), their states (N), groups (N names), face sides in pixels (N), and a teacher's opinions."""

    images: NDArray[np.uint8]
    states: NDArray[np.int64]
    groups: NDArray[np.str_]
    sides: NDArray[np.float32]
    opinions: NDArray[np.float32] | None = None


def write_store(folder: Path, crops: Iterable[WideCrop]) -> None:
    """Write `crops.bin` and `crops.json`; see `write_crops`."""
    shown = tqdm(crops, desc="cutting faces", unit="face", mininterval=5)
    write_crops(folder, NAME, ((crop.image, (crop.state, crop.group, round(crop.side, 2))) for crop in shown))


def open_store(folder: Path) -> CropStore | None:
    """The store in `folder`; None when it has not been written to the end."""
    found = open_crops(folder, NAME, (WIDE, WIDE, 3))
    if found is None:
        return None
    images, rows = found
    states, groups, sides = zip(*rows, strict=True)
    said = folder / OPINIONS
    return CropStore(
        images,
        np.array(states, np.int64),
        np.array(groups, np.str_),
        np.array(sides, np.float32),
        np.load(said) if said.is_file() else None,
    )
