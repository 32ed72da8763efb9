"""Measures who should decide how a mask is worn, by face size: the detector's branch, the crop classifier, or both together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.classification import f1_scores, macro_f1
from convert.data.coco import read_coco, read_picture
from convert.data.split import split
from convert.detector.evaluate import match
from edged.ports import Detector, MaskJudge
from edged.types import JUDGED_STATES

SIZE_BANDS = ((12, 16), (16, 24), (24, 40), (40, 10_000), (16, 10_000))
Scores = NDArray[np.float64]

JUDGES: dict[str, Callable[[Scores, Scores], Scores]] = {
    "branch": lambda branch, crop: branch,
    "classifier": lambda branch, crop: crop,
    "product": lambda branch, crop: branch * crop,
    "mean": lambda branch, crop: branch + crop,
}


@dataclass(frozen=True, eq=False)
class FoundFaces:
    """Labelled faces that the detector found: shorter side in pixels, true state, and both judges' scores (N x 3)."""

    sides: NDArray[np.float32]
    states: NDArray[np.int64]
    branch: Scores
    crop: Scores


def find_faces(data: Path, detector: Detector, judge: MaskJudge) -> FoundFaces:
    """Run both over the held-out part of masks853."""
    rows: list[tuple[float, int, Sequence[float], Sequence[float]]] = []
    for picture in split(read_coco(data / "masks853"))[1]:
        image = read_picture(picture.path)
        found = detector.detect(image)
        crops = judge.judge(image, [face.box for face in found])
        for face, crop, place in zip(found, crops, match(found, picture.boxes, 0.4), strict=True):
            if place >= 0 and face.mask is not None:
                box = picture.boxes[place]
                side = float(min(box[2] - box[0], box[3] - box[1]))
                rows.append((side, int(picture.states[place]), face.mask, crop))
    return FoundFaces(
        sides=np.array([row[0] for row in rows], np.float32),
        states=np.array([row[1] for row in rows], np.int64),
        branch=np.array([row[2] for row in rows], np.float64).reshape(-1, 3),
        crop=np.array([row[3] for row in rows], np.float64).reshape(-1, 3),
    )


def decision_table(faces: FoundFaces) -> str:
    """Macro-F1, and F1 of each state, by judge and face size, as Markdown."""
    head = "| faces | n | judge | macro-F1 | " + " | ".join(state.value for state in JUDGED_STATES) + " |"
    lines = [head, "|---" * (4 + len(JUDGED_STATES)) + "|"]
    for low, high in SIZE_BANDS:
        inside = (faces.sides >= low) & (faces.sides < high)
        band = f"{low}–{high} px" if high < 10_000 else f"≥ {low} px"
        for name, judge in JUDGES.items():
            table = np.zeros((3, 3), np.int64)
            answers = judge(faces.branch, faces.crop).argmax(axis=1)
            np.add.at(table, (faces.states[inside], answers[inside]), 1)
            states = " | ".join(f"{value:.3f}" for value in f1_scores(table))
            lines.append(f"| {band} | {inside.sum()} | {name} | {macro_f1(table):.3f} | {states} |")
    return "\n".join(lines)
