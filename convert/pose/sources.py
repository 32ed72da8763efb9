"""Cuts the pictures that the learned pose is trained on, each with its rotation: heads of known pose, and annotated faces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.data.coco import read_picture
from convert.data.expressions import change, random_expression
from convert.data.landmarks import PointedFace, read_points
from convert.pose.heads import FoundHead, PosedHead, find_head, masked, projected_points
from edged.analyse.align import aligned_crops, square_around
from edged.analyse.pose.fused import CROP_MARGIN, CROP_SIZE
from edged.analyse.pose.landmark_pose import solve
from edged.analyse.pose.rotation import about_z
from edged.analyse.pose.shape import HEAD_SHAPE
from edged.ports import Detector
from edged.render import Wear, random_style, wear_mask
from edged.types import Detection, Image, Landmarks, Lens

WIDE = 96
"""Side of a wide crop in pixels: the face as large as in the network's crop, with room to move and turn."""

MASKED_VARIANTS = 2
"""Drawn masks a head of known pose; annotated faces, of which there are more, get one."""

POINTED_DISTANCE = 14.0
"""How far annotated faces are taken to have been from their unknown cameras, in outer-eye distances: 1.3 m."""


@dataclass(frozen=True, eq=False)
class WideCrop:
    """`image` WIDE x WIDE x 4: BGR and, last, 255 where the picture shows something; `rotation` 3 x 3, in the crop's own axes,
    relative to the line of sight; `group` says where it is from.
    """

    image: NDArray[np.uint8]
    rotation: NDArray[np.float64]
    group: str


def from_heads(heads: Sequence[PosedHead], detector: Detector, rng: np.random.Generator) -> Iterator[WideCrop]:
    """Each head bare and with masks drawn on."""
    for head in heads:
        found = find_head(head, detector)
        if found is None:
            continue
        yield _cut(found, "bare")
        for _ in range(MASKED_VARIANTS):
            wear = Wear.CORRECT if rng.random() < 0.8 else Wear.NOSE
            points = projected_points(found)
            yield _cut(masked(found, points, random_style(rng), wear, detector, rng), "masked")


def _cut(found: FoundHead, group: str) -> WideCrop:
    return wide_crop(found.image, found.seen, found.detection, found.facing, group)


def wide_crop(
    image: Image, seen: NDArray[np.uint8], detection: Detection, facing: NDArray[np.float64], group: str
) -> WideCrop:
    """Cut round a detection as in service, wider."""
    square = square_around(detection.box, detection.points, CROP_MARGIN * WIDE / CROP_SIZE)
    pixels = aligned_crops(image, [square], WIDE).pixels[0]
    shown = aligned_crops(np.repeat(seen[:, :, None], 3, axis=2), [square], WIDE).pixels[0, :, :, :1]
    turn = about_z(np.array(-np.degrees(square.angle)))
    return WideCrop(np.concatenate([pixels, shown], axis=2), turn @ facing, group)


def from_points(faces: Sequence[PointedFace], detector: Detector, rng: np.random.Generator) -> Iterator[WideCrop]:
    """Annotated faces, bare, with a mask, and turned further; their pose is that of our head shape on their points."""
    for face in faces:
        image = read_picture(face.path)
        yield from _turned(image, face, detector, rng)
        facing = pointed_pose(face)
        found = _found(image, face, detector)
        if facing is None or found is None:
            continue
        seen = np.full(image.shape[:2], 255, np.uint8)
        yield wide_crop(image, seen, found, facing, "pointed")
        wear = Wear.CORRECT if rng.random() < 0.8 else Wear.NOSE
        dressed = wear_mask(image, face.points, random_style(rng), wear, rng).image
        yield wide_crop(dressed, seen, _found(dressed, face, detector) or found, facing, "pointed masked")


def _turned(image: Image, face: PointedFace, detector: Detector, rng: np.random.Generator) -> Iterator[WideCrop]:
    """The face with its head turned further, and its mouth opened at times."""
    turned, points = change(image, face.points, random_expression(rng), rng)
    moved = PointedFace(face.path, points)
    facing, found = pointed_pose(moved), _found(turned, moved, detector)
    if facing is not None and found is not None:
        yield wide_crop(turned, np.full(image.shape[:2], 255, np.uint8), found, facing, "pointed turned")


def pointed_pose(face: PointedFace) -> NDArray[np.float64] | None:
    """The rotation relative to the line of sight; pictures cut out of others do not tell where that was."""
    size = float(np.ptp(face.points, axis=0).max())
    eyes = size * float(HEAD_SHAPE[45, 0] - HEAD_SHAPE[36, 0]) / float(np.ptp(HEAD_SHAPE[:, :2], axis=0).max())
    x, y = (face.points.min(axis=0) + face.points.max(axis=0)) / 2
    lens = Lens(POINTED_DISTANCE * eyes, float(x), float(y))
    solved = solve([Landmarks(face.points, np.full(68, 0.01 * size, np.float32))], [False], lens)
    return solved.rotations[0] if solved.found[0] else None


def _found(image: Image, face: PointedFace, detector: Detector) -> Detection | None:
    """The detection round the annotated points."""
    (left, top), (right, bottom) = face.points.min(axis=0), face.points.max(axis=0)
    side = max(right - left, bottom - top)
    for detection in detector.detect(image):
        x, y = detection.box.centre
        near = max(abs(x - (left + right) / 2), abs(y - (top + bottom) / 2)) < 0.35 * side
        if near and 0.6 * side < max(detection.box.width, detection.box.height) < 1.8 * side:
            return detection
    return None


def training_crops(data: Path, trained: Sequence[PosedHead], detector: Detector, seed: int) -> Iterator[WideCrop]:
    """Everything that the network learns from; `trained` are the heads of the training sequences."""
    rng = np.random.default_rng(seed)
    yield from from_heads(trained, detector, rng)
    for name in ("helen_train", "youtube_train"):
        yield from from_points(read_points(data / "landmarks68" / name), detector, rng)
