"""Reads faces with 68 points, and turns points into the boxes a detector should find."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.types import Points


@dataclass(frozen=True, eq=False)
class PointedFace:
    """One picture with one face: `points` 68 x 2 float32, iBUG order, pixels."""

    path: Path
    points: Points


def read_points(folder: Path) -> list[PointedFace]:
    """The faces of `folder/points.csv` in its order."""
    with (folder / "points.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [PointedFace(folder / "images" / row[0], np.array(row[1:137], np.float32).reshape(68, 2)) for row in rows]


def person_of(path: Path) -> str:
    """Who a video frame shows, from names such as Jane_Doe_12.jpg; other names stand for themselves."""
    stem, _, number = path.stem.rpartition("_")
    return stem if number.isdigit() and stem else path.stem


def face_box(points: Points) -> NDArray[np.float32]:
    """The box (x1, y1, x2, y2) an annotator draws round a face: jaw to jaw, chin to the middle of the forehead."""
    x1, y1 = points.min(axis=0)
    x2, y2 = points.max(axis=0)
    return np.array([x1, y1 - 0.22 * (y2 - y1), x2, y2], np.float32)
