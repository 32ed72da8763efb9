"""Reads heads of known pose, and says which sequences are kept back."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.data.coco import read_picture
from edged.analyse.pose.rotation import matrix_of, ray_rotation
from edged.analyse.pose.shape import HEAD_SHAPE
from edged.ports import Detector
from edged.render import MaskStyle, Wear, wear_mask
from edged.render.mean_face import five_points
from edged.types import Detection, Image, Lens, Points

HELD_OUT = ("02", "08", "16", "18", "20")
"""Sequences of people that no training sees: a woman with hair before her face, a man with glasses, a bearded man, a woman
with long hair in poor light, and a man who looks down much."""

CAMERA = Lens(517.0, 320.0, 240.0)
"""The camera of the sequences: 640 x 480 pixels, of the size that the crops have."""

PAD = 0.5
"""The crops are tight: so much of their longer side is added on every border, by repeating edge pixels."""

LEAST_SCORE = 0.2


@dataclass(frozen=True, eq=False)
class PosedHead:
    """One crop: its file, its sequence, the head's rotation relative to the camera, and where the crop's centre stood."""

    path: Path
    sequence: str
    rotation: NDArray[np.float64]
    centre: tuple[float, float]


def read_heads(folder: Path) -> list[PosedHead]:
    """The crops of `folder/pose.csv` in its order."""
    with (folder / "pose.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        PosedHead(
            folder / "images" / row["image"],
            row["sequence"],
            matrix_of(np.array([float(row[f"{axis}_deg"]) for axis in ("yaw", "pitch", "roll")])),
            (float(row["box_x"]) + float(row["box_w"]) / 2, float(row["box_y"]) + float(row["box_h"]) / 2),
        )
        for row in rows
    ]


def split(heads: Iterable[PosedHead], held_out: tuple[str, ...] = HELD_OUT) -> tuple[list[PosedHead], list[PosedHead]]:
    """Those to train on and those kept back."""
    trained: list[PosedHead] = []
    kept: list[PosedHead] = []
    for head in heads:
        (kept if head.sequence in held_out else trained).append(head)
    return trained, kept


@dataclass(frozen=True, eq=False)
class FoundHead:
    """A padded crop, its lens, the face found in it, and the true rotation relative to the camera.

    `seen` is height x width, 255 where the picture is not made up of repeated edge pixels.
    """

    head: PosedHead
    image: Image
    seen: NDArray[np.uint8]
    lens: Lens
    detection: Detection

    @property
    def facing(self) -> NDArray[np.float64]:
        """The true rotation relative to the line of sight to the face found."""
        ray = ray_rotation(np.array([self.detection.box.centre]), self.lens)[0]
        return np.asarray(ray.T @ self.head.rotation, np.float64)


def find_head(head: PosedHead, detector: Detector) -> FoundHead | None:
    """Pad the crop and find the face in it; None where the detector finds none there."""
    crop = read_picture(head.path)
    height, width = crop.shape[:2]
    border = round(PAD * max(height, width))
    image = np.asarray(cv2.copyMakeBorder(crop, border, border, border, border, cv2.BORDER_REPLICATE), np.uint8)
    seen = np.zeros(image.shape[:2], np.uint8)
    seen[border : border + height, border : border + width] = 255
    x, y = border + width / 2, border + height / 2
    lens = Lens(CAMERA.focal, x - (head.centre[0] - CAMERA.centre_x), y - (head.centre[1] - CAMERA.centre_y))
    found = [
        face for face in detector.detect(image) if face.score >= LEAST_SCORE and _fits(face, x, y, max(height, width))
    ]
    if not found:
        return None
    return FoundHead(head, image, seen, lens, max(found, key=lambda face: face.box.width * face.box.height))


def _fits(face: Detection, x: float, y: float, side: int) -> bool:
    """Whether the face is where and as large as the crop's is, rather than something in the background."""
    middle, size = face.box.centre, max(face.box.width, face.box.height)
    return max(abs(middle[0] - x), abs(middle[1] - y)) < 0.25 * side and 0.35 * side < size < 1.2 * side


def projected_points(found: FoundHead) -> Points:
    """68 points: our head shape at the true pose, moved and scaled onto the five points found.

    Where a head is turned, these are truer than what any landmark reader finds.
    """
    turned = HEAD_SHAPE @ found.facing.T
    flat = turned[:, :2] / (1 + turned[:, 2:] / 12)  # a head is some twelve eye distances away
    five = five_points(flat.astype(np.float32)).astype(np.float64)
    goal = found.detection.points
    assert goal is not None  # noqa: S101 - our own detector gives points
    centre, size = goal.mean(axis=0), goal.std()
    return np.asarray((flat - five.mean(axis=0)) * (size / five.std()) + centre, np.float32)


def masked(
    found: FoundHead, points: Points, style: MaskStyle, wear: Wear, detector: Detector, rng: np.random.Generator
) -> FoundHead:
    """The same head with a mask drawn on, and the face found anew; where it is not, as it was found bare."""
    image = wear_mask(found.image, points, style, wear, rng).image
    box = found.detection.box
    x, y = box.centre
    again = [
        face
        for face in detector.detect(image)
        if face.score >= LEAST_SCORE and _fits(face, x, y, round(max(box.width, box.height) * 1.4))
    ]
    detection = max(again, key=lambda face: face.box.width * face.box.height) if again else found.detection
    return FoundHead(found.head, image, found.seen, found.lens, detection)
