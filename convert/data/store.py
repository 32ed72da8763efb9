"""Prepared training pictures on disk: decoded once, in one memory-mapped file, so that trainings start at once."""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from convert.whole_file import write_whole

Store = TypeVar("Store")
Row = TypeVar("Row")
Pixels = NDArray[np.uint8]


def prepared(folder: Path, open_store: Callable[[Path], Store | None], write: Callable[[Path], None]) -> Store:
    """The store in `folder`, from an earlier run or written there now; `open_store` gives None while there is none."""
    found = open_store(folder)
    if found is None:
        write(folder)
        found = open_store(folder)
    assert found is not None  # noqa: S101 - written to the end just now
    return found


def write_crops(folder: Path, name: str, crops: Iterable[tuple[Pixels, Sequence[Any]]]) -> None:
    """Write crops of one size, each with its row of plain values: `NAME.bin`, then `NAME.json`, which marks the end."""
    rows, _ = _write_pixels(folder, name, crops)
    write_whole(folder / f"{name}.json", json.dumps(rows).encode())


def open_crops(folder: Path, name: str, shape: tuple[int, int, int]) -> tuple[Pixels, list[list[Any]]] | None:
    """The crops (N x `shape`) and their rows; None when they have not been written to the end."""
    index = folder / f"{name}.json"
    if not index.is_file():
        return None
    rows: list[list[Any]] = json.loads(index.read_text())
    return np.memmap(folder / f"{name}.bin", np.uint8, "r", shape=(len(rows), *shape)), rows


@dataclass(frozen=True, eq=False)
class Pictures:
    """BGR pictures of any size, by number: their bytes lie one after another in `pixels`."""

    pixels: Pixels
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    """N x 2: height, width."""

    def image(self, number: int) -> Pixels:
        """Height x width x 3, read-only."""
        height, width = self.sizes[number]
        start = self.starts[number]
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)


def write_pictures(
    folder: Path,
    name: str,
    pictures: Iterable[tuple[Pixels, Row]],
    told: Callable[[Sequence[Row]], dict[str, NDArray[Any]]],
) -> None:
    """Write pictures, each with what belongs to it: `NAME.bin`, then `NAME.npz`, which marks the end.

    `told` makes the arrays of that file out of what belongs to all pictures, in their order.
    """
    rows, sizes = _write_pixels(folder, name, pictures)
    arrays: dict[str, Any] = {"sizes": np.array(sizes), **told(rows)}
    index = io.BytesIO()
    np.savez(index, **arrays)
    write_whole(folder / f"{name}.npz", index.getvalue())


def open_pictures(folder: Path, name: str) -> tuple[Pictures, dict[str, NDArray[Any]]] | None:
    """The pictures and the other arrays; None when they have not been written to the end."""
    index = folder / f"{name}.npz"
    if not index.is_file():
        return None
    with np.load(index) as values:
        arrays = dict(values)
    sizes = arrays.pop("sizes")
    ends = (sizes.prod(axis=1) * 3).cumsum()
    pixels = np.memmap(folder / f"{name}.bin", np.uint8, "r")
    return Pictures(pixels, np.concatenate([[0], ends[:-1]]), sizes), arrays


def _write_pixels(
    folder: Path, name: str, images: Iterable[tuple[Pixels, Row]]
) -> tuple[list[Row], list[tuple[int, ...]]]:
    """Write the images' bytes one after another; give what belongs to each, and their heights and widths."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    sizes: list[tuple[int, ...]] = []
    with (folder / f"{name}.bin").open("wb") as file:
        for image, row in images:
            file.write(image.tobytes())
            rows.append(row)
            sizes.append(image.shape[:2])
    return rows, sizes
