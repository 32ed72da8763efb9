"""Glasses, head cover, beard and age group of labelled faces: `attributes.csv`, for the evaluation alone.

Nobody is named; sex and ethnicity are not told. One viewer, a vision model and not people, looked at each labelled face from
24 px on of the part that no training sees, and at every seventh or so of the portraits, on contact sheets: 150 px a face,
1.8 times as wide as its box. `?` stands where it could not be told: most often age and beard.

* glasses: `dark` are sunglasses; goggles that one sees through are `clear`. Glasses pushed up into the hair are none.
* head cover: `cap or hat` with knitted and surgical caps, `hood or helmet`, `scarf` with turbans; a hair band is none.
* beard: of bare faces only; a moustache is one, stubble is `?`.
* age: `child` looks younger than about 13, `old` older than about 60; youths between child and adult are `?`.

Their noise: of 216 faces drawn at random and looked at again, 199 rows were the same, and the rest changed between `?` and an
answer. Of 60 looked at again mirrored and twice as large, two answers were another one (1 of 58 head covers, 1 of 30 beards),
and seven changed between `?` and an answer; the larger look stands in the table. The second looks were the same viewer's, who
could still know the first: count on more errors than that. Some people are in several pictures, which count as separate ones
(one bearded man in a dozen).
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edged.detect.boxes import iou
from edged.errors import UsageError

TABLE = Path(__file__).with_name("attributes.csv")
VALUES = {
    "glasses": ("none", "clear", "dark"),
    "head cover": ("none", "cap or hat", "hood or helmet", "scarf"),
    "beard": ("none", "beard"),
    "age": ("child", "adult", "old"),
}
"""The columns, and what each may hold beside `UNTOLD`."""
UNTOLD = "?"
SAME = 0.5
"""IoU from which a labelled box is the row's: a box that was moved a little keeps its row."""
DEPTHS = (3, 4)
"""Of pictures below the data folder: `people/flickr8k/0001.jpg`, `mask_scenes3/ilc/images/ilc_0000.jpg`."""

Seen = Mapping[str, str]
"""What was seen of one face, by column; what could not be told is left out."""


class Attributes:
    """The table, by picture (its path below the data folder). Raise UsageError for a row that cannot be understood."""

    def __init__(self, table: Path = TABLE) -> None:
        self._boxes: dict[str, list[list[float]]] = {}
        self._seen: dict[str, list[Seen]] = {}
        with table.open(newline="") as file:
            reader = csv.DictReader(file)
            for row in reader:
                where = f"{table}, line {reader.line_num}"
                self._boxes.setdefault(row["picture"], []).append(_box(row, where))
                self._seen.setdefault(row["picture"], []).append(_seen(row, where))

    def of(self, picture: Path, box: NDArray[np.float64]) -> Seen:
        """What was seen of the face in `box` (x1, y1, x2, y2): nothing where nobody looked."""
        ends = ("/".join(picture.parts[-depth:]) for depth in DEPTHS)
        name = next((end for end in ends if end in self._boxes), None)
        if name is None:
            return {}
        overlaps = iou(np.array(self._boxes[name]), box[None])[:, 0]
        best = int(overlaps.argmax())
        return self._seen[name][best] if overlaps[best] >= SAME else {}


def _box(row: Mapping[str, str], where: str) -> list[float]:
    try:
        return [float(row[corner]) for corner in ("x1", "y1", "x2", "y2")]
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{where}: the box must be four numbers, x1, y1, x2 and y2") from None


def _seen(row: Mapping[str, str], where: str) -> Seen:
    for column, values in VALUES.items():
        if row.get(column) not in (*values, UNTOLD):
            known = ", ".join((*values, UNTOLD))
            raise UsageError(f"{where}: {column} is {row.get(column)!r}, and must be one of {known}")
    return {column: row[column] for column in VALUES if row[column] != UNTOLD}
