"""Measures detectors side by side in one run: those of edged, and others' that lie beside the data."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from convert.contestants import LOWEST_SCORE, SERVED_SCORE, Choice, Contestant, contestants
from convert.data.coco import LabelledPicture, read_coco, read_picture
from convert.data.split import is_held_out
from convert.detector.evaluate import SIZE_BANDS, DetectionFigures, score
from edged.types import Detection, Image


@dataclass(frozen=True)
class Result:
    """What one detector reached: figures, milliseconds a picture (median) with decoding, and the size of its files."""

    name: str
    figures: DetectionFigures
    milliseconds: float
    file_bytes: int

    def record(self) -> dict[str, Any]:
        """The row as JSON has it."""
        return {
            "detector": self.name,
            "ap": round(self.figures.ap, 4),
            "recall_by_size": {band: round(value, 4) for band, value in self.figures.recall.items()},
            "ms_a_picture": round(self.milliseconds, 2),
            "file_bytes": self.file_bytes,
        }


@dataclass(eq=False)
class Replay:
    """Gives again what was found, picture after picture, so that scoring need not run the detector anew."""

    found: list[list[Detection]] = field(default_factory=list)
    _given: int = 0

    def detect(self, image: Image) -> list[Detection]:
        """The finds of the next picture; `image` is not looked at."""
        self._given += 1
        return self.found[self._given - 1]


def pictures_of(data: Path, everything: bool, most: int | None) -> list[LabelledPicture]:
    """The held-out pictures of masks853, or all of them; the first `most`, if given."""
    pictures = read_coco(data / "masks853")
    return [picture for picture in pictures if everything or is_held_out(picture.path.name)][:most]


def compare(detectors: Sequence[Contestant], pictures: Sequence[LabelledPicture]) -> list[Result]:
    """Run every detector on each picture before going on to the next: what else the machine does hits all alike."""
    finds = [Replay() for _ in detectors]
    times: list[list[float]] = [[] for _ in detectors]
    for picture in tqdm(pictures, desc="comparing", unit="picture", disable=None):
        image = read_picture(picture.path)
        for contestant, replay, spent in zip(detectors, finds, times, strict=True):
            # Untimed, and first: the runtime prepares for each size that it has not met before.
            replay.found.append(contestant.scored.detect(image))
            start = time.perf_counter()
            contestant.served.detect(image)
            spent.append(time.perf_counter() - start)
    return [
        Result(contestant.name, score(replay, pictures), float(np.median(spent) * 1000), contestant.file_bytes)
        for contestant, replay, spent in zip(detectors, finds, times, strict=True)
    ]


def report(results: Sequence[Result], pictures: Sequence[LabelledPicture], as_json: bool) -> str:
    """The results, the best AP first, as a table or as JSON."""
    ranked = sorted(results, key=lambda result: -result.figures.ap)
    faces = sum(len(picture.boxes) for picture in pictures)
    if as_json:
        rows = [result.record() for result in ranked]
        return json.dumps({"pictures": len(pictures), "faces": faces, "detectors": rows}, indent=1)
    return f"{len(pictures)} pictures, {faces} faces; recall by the face's shorter side in px\n\n{_table(ranked)}"


def _table(ranked: Sequence[Result]) -> str:
    bands = [f"{low}-{high}" for low, high in SIZE_BANDS]
    heads = " ".join(f"{head:>6}" for head in [*bands[:-1], f">={SIZE_BANDS[-1][0]}"])
    lines = [f"{'detector':<20} {'AP@0.4':>7} {heads} {'ms':>7} {'kB':>6}"]
    for result in ranked:
        recall = " ".join(f"{result.figures.recall.get(band, float('nan')):>6.3f}" for band in bands)
        size = result.file_bytes / 1000
        lines.append(f"{result.name:<20} {result.figures.ap:>7.4f} {recall} {result.milliseconds:>7.2f} {size:>6.0f}")
    return "\n".join(lines)


__all__ = [
    "LOWEST_SCORE",
    "SERVED_SCORE",
    "Choice",
    "Contestant",
    "Replay",
    "Result",
    "compare",
    "contestants",
    "pictures_of",
    "report",
]
