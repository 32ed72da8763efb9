"""Keeps the wide crops in one memory-mapped file, so that training starts at once and costs little memory."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convert.mask.sources import WIDE, WideCrop


@dataclass(frozen=True, eq=False)
class CropStore:
    """N crops (N x WIDE x WIDE x 3), their states (N), groups (N names) and face sides in pixels (N)."""

    images: NDArray[np.uint8]
    states: NDArray[np.int64]
    groups: NDArray[np.str_]
    sides: NDArray[np.float32]


def write_store(folder: Path, crops: Iterable[WideCrop]) -> None:
    """Write `crops.bin` and then `crops.json`, whose presence marks a complete store."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[int, str, float]] = []
    with (folder / "crops.bin").open("wb") as file:
        for crop in tqdm(crops, desc="cutting faces", unit="face"):
            file.write(crop.image.tobytes())
            rows.append((crop.state, crop.group, round(crop.side, 2)))
    (folder / "crops.json").write_text(json.dumps(rows))


def open_store(folder: Path) -> CropStore | None:
    """The store in `folder`, memory-mapped; None when it has not been written to the end."""
    index = folder / "crops.json"
    if not index.is_file():
        return None
    rows = json.loads(index.read_text())
    images = np.memmap(folder / "crops.bin", np.uint8, "r", shape=(len(rows), WIDE, WIDE, 3))
    states, groups, sides = zip(*rows, strict=True)
    return CropStore(images, np.array(states, np.int64), np.array(groups, np.str_), np.array(sides, np.float32))
