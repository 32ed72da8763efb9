"""Keeps the wide crops of heads in one memory-mapped file, so that training starts at once and costs little memory."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from convert.pose.sources import WIDE, WideCrop


@dataclass(frozen=True, eq=False)
class HeadStore:
    """N crops (N x WIDE x WIDE x 4, see WideCrop), their rotations (N x 3 x 3) and groups (N names)."""

    images: NDArray[np.uint8]
    rotations: NDArray[np.float64]
    groups: NDArray[np.str_]


def write_store(folder: Path, crops: Iterable[WideCrop]) -> None:
    """Write `heads.bin` and then `heads.json`, whose presence marks a complete store."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, list[float]]] = []
    with (folder / "heads.bin").open("wb") as file:
        for crop in tqdm(crops, desc="cutting heads", unit="head", mininterval=5):
            file.write(crop.image.tobytes())
            rows.append((crop.group, crop.rotation.reshape(-1).round(7).tolist()))
    (folder / "heads.json").write_text(json.dumps(rows))


def open_store(folder: Path) -> HeadStore | None:
    """The store in `folder`, memory-mapped; None when it has not been written to the end."""
    index = folder / "heads.json"
    if not index.is_file():
        return None
    rows = json.loads(index.read_text())
    images = np.memmap(folder / "heads.bin", np.uint8, "r", shape=(len(rows), WIDE, WIDE, 4))
    groups, rotations = zip(*rows, strict=True)
    return HeadStore(images, np.array(rotations).reshape(-1, 3, 3), np.array(groups, np.str_))
