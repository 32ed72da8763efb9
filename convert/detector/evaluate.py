"""Scores a detector on pictures it has never seen, with the run-time decoder and the rules of the project's AP."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.classification import Confusion, macro_f1
from convert.data.coco import LabelledPicture, counted, counted_faces, read_picture
from convert.detector.network import DetectorModel, DetectorNetwork
from convert.training.engine import TorchEngine
from edged.detect.anchor_free import STRIDES, AnchorFreeDetector
from edged.detect.boxes import iou
from edged.detect.canvas import WorkingSize
from edged.ports import Detector
from edged.types import Detection

SIZE_BANDS = ((0, 12), (12, 20), (20, 40), (40, 10_000))
SMALLEST_JUDGED = 16


@dataclass(frozen=True, eq=False)
class DetectionFigures:
    """Average precision at IoU 0.4, recall by the face's shorter side in pixels, and the mask branch's confusion."""

    ap: float
    recall: dict[str, float]
    masks: Confusion

    def flat(self) -> dict[str, float]:
        """For a log line."""
        named = {f"recall_{band}": round(value, 4) for band, value in self.recall.items()}
        return {"ap": round(self.ap, 4), "mask_f1": round(macro_f1(self.masks), 4), **named}


def score_network(network: DetectorNetwork, pictures: Sequence[LabelledPicture], size: WorkingSize) -> DetectionFigures:
    """Figures of a network in training; candidates down to a score of 0.02 count, as usual for AP."""
    engine = TorchEngine(DetectorModel(network), [f"stride{stride}" for stride in STRIDES])
    return score(AnchorFreeDetector(engine, size, score=0.02), pictures)


def score(detector: Detector, pictures: Sequence[LabelledPicture], needed: float = 0.4) -> DetectionFigures:
    """Run `detector` over `pictures`. A find is right when it overlaps a face not yet taken by at least `needed`.

    Faces that count neither way are no misses, and finds on them neither right nor wrong.
    """
    ranked: list[tuple[float, bool]] = []
    counts = {band: [0, 0] for band in SIZE_BANDS}
    masks = np.zeros((3, 3), np.int64)
    for labelled in pictures:
        picture = counted_faces(labelled)
        found = detector.detect(read_picture(picture.path))
        taken = match(found, picture.boxes, needed)
        passed_over = match(found, labelled.boxes[~counted(labelled)], needed)
        ranked += [
            (face.score, place >= 0)
            for face, place, neither in zip(found, taken, passed_over, strict=True)
            if place >= 0 or neither < 0
        ]
        sides = np.minimum(picture.boxes[:, 2] - picture.boxes[:, 0], picture.boxes[:, 3] - picture.boxes[:, 1])
        for index, side in enumerate(sides):
            band = next(band for band in SIZE_BANDS if band[0] <= side < band[1])
            counts[band][0] += index in taken
            counts[band][1] += 1
        for face, place in zip(found, taken, strict=True):
            if place >= 0 and sides[place] >= SMALLEST_JUDGED and face.mask is not None and picture.states[place] >= 0:
                masks[picture.states[place], int(np.argmax(face.mask))] += 1
    total = sum(count for _, count in counts.values())
    recall = {f"{low}-{high}": hit / count for (low, high), (hit, count) in counts.items() if count}
    return DetectionFigures(average_precision(ranked, total), recall, masks)


def average_precision(ranked: Sequence[tuple[float, bool]], total: int) -> float:
    """The area under the precision envelope over recall (all points)."""
    order = np.array(sorted(ranked, key=lambda hit: -hit[0]), np.float64).reshape(-1, 2)
    right = np.cumsum(order[:, 1])
    recall, precision = right / max(total, 1), right / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(np.concatenate([[0.0], recall])) * envelope))


def match(found: Sequence[Detection], truth: NDArray[np.float32], needed: float) -> list[int]:
    """For each find, best score first, the face it takes, or -1."""
    if not len(found) or not len(truth):
        return [-1] * len(found)
    overlap = iou(np.array([face.box for face in found], np.float32), truth)
    taken: list[int] = []
    for row in overlap:
        row[[place for place in taken if place >= 0]] = -1
        best = int(row.argmax())
        taken.append(best if row[best] >= needed else -1)
    return taken
