"""What people saw on pictures whose data set says less, or something else: `reviewed.csv`, our own labels.

Every face that an earlier classifier doubted was looked at. The folders call whole pictures `correct` or `none`; some
show a bare nose, a bare face, or no face at all.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.data.coco import CORRECT, INCORRECT, NONE

STATES = {"correct": CORRECT, "incorrect": INCORRECT, "none": NONE, "leave out": None}
TABLE = Path(__file__).with_name("reviewed.csv")


@dataclass(frozen=True)
class Verdict:
    """One face's state, None for "not to be trained on"; `place` is a point inside it, None for a picture of one face."""

    state: int | None
    place: tuple[float, float] | None


class Reviewed:
    """The table, by picture (its path below the data folder)."""

    def __init__(self, table: Path = TABLE) -> None:
        self._verdicts: dict[str, list[Verdict]] = {}
        with table.open(newline="") as file:
            for row in csv.DictReader(file):
                self._verdicts.setdefault(row["picture"], []).append(_verdict(row))

    def state(self, picture: Path, box: NDArray[np.float32] | None, otherwise: int) -> int | None:
        """The reviewed state of the face in `box` of a picture, or `otherwise`; None means: leave it out.

        `picture` is a path whose end is looked up; `box` None asks about the only face of a picture.
        """
        for verdict in self._of(picture):
            if verdict.place is None or (box is not None and _inside(verdict.place, box)):
                return verdict.state
        return otherwise

    def _of(self, picture: Path) -> list[Verdict]:
        """Scenes lie two, crops four folders deep."""
        ends = ("/".join(picture.parts[-depth:]) for depth in (2, 4))
        return next((self._verdicts[end] for end in ends if end in self._verdicts), [])


def _verdict(row: Mapping[str, str]) -> Verdict:
    return Verdict(STATES[row["state"]], (float(row["x"]), float(row["y"])) if row["x"] else None)


def _inside(place: tuple[float, float], box: NDArray[np.float32]) -> bool:
    return bool(box[0] <= place[0] <= box[2] and box[1] <= place[1] <= box[3])


__all__ = ["Reviewed", "Verdict"]
