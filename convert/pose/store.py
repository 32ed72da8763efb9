"""Keeps the wide crops of heads, so that training starts at once and costs little memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convert.data.store import open_crops, write_crops
from convert.pose.sources import WIDE, WideCrop

NAME = "heads"


@dataclass(frozen=True, eq=False)
class HeadStore:
    """N crops (N x WIDE x WIDE x 4, see WideCrop), their rotations (N x 3 x 3) and groups (N names)."""

    images: NDArray[np.uint8]
    rotations: NDArray[np.float64]
    groups: NDArray[np.str_]


def write_store(folder: Path, crops: Iterable[WideCrop]) -> None:
    """Write `heads.bin` and `heads.json`; see `write_crops`."""
    shown = tqdm(crops, desc="cutting heads", unit="head", mininterval=5)
    write_crops(
        folder,
        NAME,
        ((crop.image, (crop.group, crop.rotation.reshape(-1).round(7).tolist())) for crop in shown),
    )


def open_store(folder: Path) -> HeadStore | None:
    """The store in `folder`; None when it has not been written to the end."""
    found = open_crops(folder, NAME, (WIDE, WIDE, 4))
    if found is None:
        return None
    images, rows = found
    groups, rotations = zip(*rows, strict=True)
    return HeadStore(images, np.array(rotations).reshape(-1, 3, 3), np.array(groups, np.str_))
