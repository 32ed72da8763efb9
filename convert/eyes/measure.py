"""Measures what is left of both eye measures as faces get smaller: detector, landmarks and eye reader together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from convert.data.coco import read_picture
from convert.data.landmarks import PointedFace, read_points
from convert.eyes.sources import CLEARLY_OPEN, CLEARLY_SHUT
from edged.analyse.ratios import eye_aspect_ratios, eye_widths
from edged.ports import Detector, EyeReader, LandmarkReader
from edged.types import Landmarks

WIDTHS = (8.0, 10.0, 12.0, 14.0, 16.0, 20.0)


@dataclass(eq=False)
class Sized:
    """What was read at one eye width: per face the true and the read aspect ratio, and the open probability."""

    faces: int = 0
    truths: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    states: list[bool] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)

    def row(self, width: float) -> str:
        """A line of the table."""
        truth, ratio = np.array(self.truths), np.array(self.ratios)
        right = (np.array(self.opened) > 0.5) == np.array(self.states)
        alike = float(np.corrcoef(truth, ratio)[0, 1])
        error = float(np.abs(truth - ratio).mean())
        return f"| {width:g} | {len(truth)} of {self.faces} | {right.mean():.3f} | {error:.3f} | {alike:.2f} |"


def size_table(data: Path, detector: Detector, landmarks: LandmarkReader, eyes: EyeReader) -> str:
    """HELEN's test faces, shrunk until their eyes are so many pixels wide, as Markdown."""
    faces = read_points(data / "landmarks68" / "helen_test")
    lines = [
        "| eye width, px | faces found | open or shut, right | aspect ratio, mean error | correlation |",
        "|---|---|---|---|---|",
    ]
    lines += [_sized(faces, width, detector, landmarks, eyes).row(width) for width in WIDTHS]
    return "\n".join(lines)


def _sized(
    faces: Sequence[PointedFace], width: float, detector: Detector, landmarks: LandmarkReader, eyes: EyeReader
) -> Sized:
    sized = Sized()
    for face in faces:
        known, wide = _mean(eye_aspect_ratios(face.points)), _mean(eye_widths(face.points))
        if known is None or wide is None or wide < 0.9 * width:
            continue
        sized.faces += 1
        scale = width / wide
        image = np.asarray(
            cv2.resize(read_picture(face.path), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
        found = detector.detect(image)[:1]
        if not found:
            continue
        points: Landmarks = landmarks.read(image, found)[0]
        look = eyes.read(image, [points], [None])[0]
        ratio = _mean(eye_aspect_ratios(points.points))
        if ratio is not None:
            sized.truths.append(known)
            sized.ratios.append(ratio)
        if look.open_probability is not None and not CLEARLY_SHUT < known < CLEARLY_OPEN:
            sized.states.append(known >= CLEARLY_OPEN)
            sized.opened.append(look.open_probability)
    return sized


def _mean(pair: tuple[float | None, float | None]) -> float | None:
    """Of both eyes; None unless both are known."""
    left, right = pair
    return None if left is None or right is None else (left + right) / 2
