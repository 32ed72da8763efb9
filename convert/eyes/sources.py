"""Gathers eyes to learn from: ready-made crops of unknown people, and eyes of faces with 68 points."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.data.coco import read_picture
from convert.data.landmarks import PointedFace, read_points
from convert.eyes.lids import draw_lid
from convert.eyes.split import CropFile
from edged.analyse.eyes import EYE_STATES, EyeFrame, eye_crops
from edged.analyse.ratios import eye_aspect_ratios, eye_widths
from edged.types import Image

WIDE, WIDE_MARGIN = 64, 2.4
"""Side of the stored squares in pixels, and in eye widths: room to move, turn and scale."""

OPEN, CLOSED, HIDDEN = range(len(EYE_STATES))

EYE_SHARE = 0.7
"""How wide the eye is in a ready-made crop, in widths of the crop; measured by eye on 80 of them."""

CLEARLY_OPEN, CLEARLY_SHUT = 0.18, 0.05
"""Annotated aspect ratios of HELEN's eyes from and up to which the pictures agree with the label; between, they do not."""

SMALL_CLEARLY_OPEN = 0.28
"""The same for the YouTube faces, whose eyes are 9 px wide: their points are rounded."""


@dataclass(frozen=True, eq=False)
class WideEye:
    """One eye with room around it: WIDE x WIDE x 3, levelled, outer corner left where that is known.

    `width` is its width in the picture, in pixels. `whole` marks ready-made crops, which end 1 / EYE_SHARE eye widths
    across, `height` crop widths high.
    """

    image: NDArray[np.uint8]
    state: int
    group: str
    width: float
    height: float = 0.0


def crop_frame(width: int, height: int) -> EyeFrame:
    """Where the eye lies in a ready-made crop of this size: tall ones show the brow, and the eye lower down."""
    down = 0.5 * height + 0.25 * max(0.0, height - 0.6 * width)
    return EyeFrame(width / 2, down, EYE_SHARE * width, 0.0, mirrored=False)


def from_crop(file: CropFile) -> WideEye:
    """A ready-made crop; what lies beyond its border is its mirror image."""
    image = read_picture(file.path)
    height, width = image.shape[:2]
    edge = width // 2
    roomy = np.asarray(cv2.copyMakeBorder(image, edge, edge, edge, edge, cv2.BORDER_REFLECT_101), np.uint8)
    frame = crop_frame(width, height)
    moved = frame._replace(x=frame.x + edge, y=frame.y + edge)
    state = CLOSED if file.closed else OPEN
    return WideEye(
        eye_crops(roomy, [moved], None, WIDE, WIDE_MARGIN)[0], state, "crop", EYE_SHARE * width, height / width
    )


def from_points(
    faces: Sequence[PointedFace], group: str, clearly_open: float, rng: np.random.Generator
) -> Iterator[WideEye]:
    """Eyes labelled by their annotated aspect ratio; each clearly open one also with its lids drawn shut, or nearly."""
    for face in faces:
        image = read_picture(face.path)
        ratios, widths = eye_aspect_ratios(face.points), eye_widths(face.points)
        for side, (ratio, width) in enumerate(zip(ratios, widths, strict=True)):
            if ratio is None or width is None or width < 8:
                continue
            frame = EyeFrame.of(face.points, mirrored=side == 1)
            wide = eye_crops(image, [frame], None, WIDE, WIDE_MARGIN)[0]
            if ratio <= CLEARLY_SHUT and group == "large":
                yield WideEye(wide, CLOSED, group, width)
            elif ratio >= clearly_open:
                yield WideEye(wide, OPEN, group, width)
                lids = lids_in(frame, face.points[36 + 6 * side : 42 + 6 * side])
                yield WideEye(draw_lid(wide, lids, rng.uniform(0.0, 0.12), rng), CLOSED, f"drawn {group}", width)
                if ratio >= clearly_open + 0.08:
                    left = rng.uniform(0.16, 0.26) / ratio
                    yield WideEye(draw_lid(wide, lids, min(left, 1.0), rng), OPEN, f"drawn {group}", width)


def lids_in(frame: EyeFrame, outline: NDArray[np.float32]) -> NDArray[np.float64]:
    """Six points of an eye in the picture, moved into its wide square; always from the left corner on, over the top."""
    back = cv2.invertAffineTransform(frame.matrix(WIDE, WIDE_MARGIN))
    points = outline.astype(np.float64) @ back[:, :2].T + back[:, 2]
    # iBUG counts the image-right eye from its inner corner; mirrored, that is the right one.
    return points[[3, 2, 1, 0, 5, 4]] if frame.mirrored else points


def elsewhere(face: PointedFace, image: Image, rng: np.random.Generator) -> WideEye:
    """A place that is no eye: mouth, nose, jaw, hair or background, where a lost landmark may lie."""
    width = float(np.linalg.norm(face.points[39] - face.points[36]))
    target = face.points[rng.choice([8, 4, 12, 30, 33, 51, 57, 48, 54, 0, 16])] + rng.normal(0, 0.3 * width, 2)
    if rng.random() < 0.35:
        target = rng.uniform(0, 1, 2) * (image.shape[1], image.shape[0])
    near = np.abs(face.points[36:48] - target).max(axis=1).min() < 1.2 * width
    if near:
        target = face.points[57]
    turn, size = rng.uniform(-0.5, 0.5), width * rng.uniform(0.7, 1.5)
    frame = EyeFrame(float(target[0]), float(target[1]), size * np.cos(turn), size * np.sin(turn), False)
    return WideEye(eye_crops(image, [frame], None, WIDE, WIDE_MARGIN)[0], HIDDEN, "elsewhere", size)


def training_eyes(data: Path, crops: Sequence[CropFile], seed: int) -> Iterator[WideEye]:
    """Everything the classifier learns from; `crops` is the training part of the ready-made ones."""
    rng = np.random.default_rng(seed)
    for file in crops:
        yield from_crop(file)
    large = read_points(data / "landmarks68" / "helen_train")
    yield from from_points(large, "large", CLEARLY_OPEN, rng)
    small = read_points(data / "landmarks68" / "youtube_train")[::2]
    yield from from_points(small, "small", SMALL_CLEARLY_OPEN, rng)
    for face in large:
        yield elsewhere(face, read_picture(face.path), rng)
