"""Draws what was found onto copies of pictures: boxes in the colours people know, landmarks, the axes of heads, words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edged.types import Box, HeadPose, Image, MaskState, Points

COLOURS = {
    MaskState.CORRECT: (60, 170, 40),
    MaskState.INCORRECT: (220, 120, 20),
    MaskState.NONE: (40, 40, 220),
    MaskState.UNCERTAIN: (130, 130, 130),
}
"""BGR."""

WORDS = {
    MaskState.CORRECT: "Correctly Masked",
    MaskState.INCORRECT: "Incorrectly Masked",
    MaskState.NONE: "Unmasked",
    MaskState.UNCERTAIN: "Uncertain",
}
FONT = cv2.FONT_HERSHEY_SIMPLEX
POINT, SHUT, NOSE, SIDE, DOWN = (255, 255, 120), (200, 60, 255), (0, 220, 255), (120, 120, 255), (120, 230, 120)
"""Landmarks, shut eyes, and the head's axes: the way the nose points, the way to the image's right, and the way down."""
BAR = (50, 50, 50)
"""Behind words that are not about the mask."""

LEAST_SIDE_FOR_POINTS, LEAST_SIDE_FOR_AXES = 40, 28
"""Pixels. On smaller faces they would hide the face."""

BRIDGE, EYES = 27, (slice(36, 42), slice(42, 48))
"""Where the 68 landmarks have the top of the nose, and the eyes' outlines."""

_FARTHEST = 20_000
"""OpenCV draws wrongly from 2^15 on."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """What is drawn of one face. `note` stands beside the mask's state, `lines` below the face."""

    box: Box
    state: MaskState
    note: str = ""
    lines: Sequence[str] = ()
    points: Points | None = None
    pose: HeadPose | None = None
    eyes_shut: bool = False


def annotate(image: Image, faces: Sequence[Portrait]) -> Image:
    """A copy of `image` with each face's box, points, axes and, where there is room, its state and more in words."""
    drawn = image.copy()
    thickness = max(1, round(min(image.shape[:2]) / 300))
    for face in faces:
        corners = _pixel(face.box.x1, face.box.y1), _pixel(face.box.x2, face.box.y2)
        cv2.rectangle(drawn, *corners, COLOURS[face.state], thickness)
        if face.box.side >= LEAST_SIDE_FOR_POINTS:
            _mark_points(drawn, face)
        if face.pose is not None and face.box.side >= LEAST_SIDE_FOR_AXES:
            _mark_axes(drawn, face, face.pose)
    for face in faces:  # words lie over all boxes
        _write(drawn, face)
    return drawn


def _mark_points(drawn: Image, face: Portrait) -> None:
    """Dots that grow with the face, and the outlines of eyes that are shut."""
    if face.points is None:
        return
    points = np.clip(np.nan_to_num(face.points), -_FARTHEST, _FARTHEST).round().astype(np.int32)
    radius = _stroke(face, 100, least=0)
    for x, y in points.tolist():
        cv2.circle(drawn, (x, y), radius, POINT, cv2.FILLED)
    if face.eyes_shut:
        cv2.polylines(drawn, [points[eye] for eye in EYES], True, SHUT, radius + 1, cv2.LINE_AA)


def _mark_axes(drawn: Image, face: Portrait, pose: HeadPose) -> None:
    """The head's axes from the top of the nose, as a camera far away would see them."""
    origin = face.box.centre if face.points is None else tuple(face.points[BRIDGE].tolist())
    length = 0.45 * face.box.side
    thickness = _stroke(face, 90)
    for (x, y), colour in zip(_axes(pose), (SIDE, DOWN, NOSE), strict=True):
        start, tip = _pixel(*origin), _pixel(origin[0] + x * length, origin[1] + y * length)
        cv2.arrowedLine(drawn, start, tip, colour, thickness + (colour is NOSE), cv2.LINE_AA, tipLength=0.2)


def _stroke(face: Portrait, share: float, least: int = 1) -> int:
    """A width in pixels that grows with the face."""
    return int(min(max(face.box.side / share, least), 20))


def _axes(pose: HeadPose) -> tuple[tuple[float, float], ...]:
    """Where the head's right, its down and its nose point in the image: columns of Rz(roll) Ry(yaw) Rx(-pitch)."""
    yaw, pitch, roll = (math.radians(angle) for angle in (pose.yaw, -pose.pitch, pose.roll))
    (cy, sy), (cx, sx), (cz, sz) = ((math.cos(angle), math.sin(angle)) for angle in (yaw, pitch, roll))
    right = cz * cy, sz * cy
    down = cz * sy * sx - sz * cx, sz * sy * sx + cz * cx
    nose = -(cz * sy * cx + sz * sx), -(sz * sy * cx - cz * sx)
    return right, down, nose


def _write(drawn: Image, face: Portrait) -> None:
    """The mask's state on a bar above the box, or below it; further lines below. Small faces get their colour alone."""
    words = WORDS[face.state] + (f" {face.note}" if face.note else "")
    (x1, y1), (x2, y2) = _pixel(face.box.x1, face.box.y1), _pixel(face.box.x2, face.box.y2)
    scale = max(0.35, min(0.9, (x2 - x1) / 220))
    (_, height), _ = cv2.getTextSize(words, FONT, scale, 1)
    row = height + 6
    below = min(y2, drawn.shape[0] - row * (len(face.lines) + (y1 <= row)))
    if _fits(words, scale, x2 - x1):
        if y1 > row:
            _bar(drawn, words, scale, x1, y1, COLOURS[face.state])
        else:
            below += row
            _bar(drawn, words, scale, x1, below, COLOURS[face.state])
    for line in face.lines:
        if _fits(line, scale, x2 - x1):
            below += row
            _bar(drawn, line, scale, x1, below, BAR)


def _fits(words: str, scale: float, face_width: int) -> bool:
    return bool(cv2.getTextSize(words, FONT, scale, 1)[0][0] <= 2.5 * face_width)


def _bar(drawn: Image, words: str, scale: float, x: int, bottom: int, colour: tuple[int, int, int]) -> None:
    """Words in white on a bar that ends at row `bottom`, moved sideways and up into the picture."""
    (width, height), _ = cv2.getTextSize(words, FONT, scale, 1)
    left = min(max(0, x), max(0, drawn.shape[1] - width - 6))
    bottom = min(bottom, drawn.shape[0])
    cv2.rectangle(drawn, (left, bottom - height - 6), (left + width + 6, bottom), colour, cv2.FILLED)
    cv2.putText(drawn, words, (left + 3, bottom - 4), FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)


def _pixel(x: float, y: float) -> tuple[int, int]:
    """A pixel that OpenCV can take."""
    x, y = (value if math.isfinite(value) else 0.0 for value in (x, y))
    return int(min(max(x, -_FARTHEST), _FARTHEST)), int(min(max(y, -_FARTHEST), _FARTHEST))
