"""Draws what was found onto copies of pictures: boxes in the colours people know, landmarks, the axes of heads, words."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edged.render.labels import Places, Spot
from edged.types import DROWSY_LEVELS, Box, DrowsinessLevel, HeadPose, Image, MaskState, Points

Colour = tuple[int, int, int]
"""BGR."""

COLOURS: dict[MaskState, Colour] = {
    MaskState.CORRECT: (60, 170, 40),
    MaskState.INCORRECT: (220, 120, 20),
    MaskState.NONE: (40, 40, 220),
    MaskState.UNCERTAIN: (130, 130, 130),
}
FONT = cv2.FONT_HERSHEY_SIMPLEX
POINT, OPEN, SHUT = (255, 255, 120), (140, 240, 60), (200, 60, 255)
"""Landmarks, the outlines of open eyes and of shut ones."""
NOSE, SIDE, DOWN = (0, 220, 255), (120, 120, 255), (120, 230, 120)
"""The head's axes: the way the nose points, the way to the image's right, and the way down."""
BAR, WHITE = (50, 50, 50), (255, 255, 255)
"""Behind words that are not about the mask, and the words themselves."""
LEVEL_COLOURS: dict[DrowsinessLevel, Colour] = {
    "unknown": (150, 130, 90),
    "alert": (160, 150, 30),
    "notice": (20, 150, 200),
    "warning": (20, 105, 235),
    "alarm": (40, 40, 220),
}
"""They frame faces on cameras whose profile does not ask for masks: green is a mask worn correctly, and nothing else."""

LEAST_SIDE_FOR_POINTS, LEAST_SIDE_FOR_AXES, LEAST_SIDE_FOR_BADGE = 40, 28, 14
"""Pixels. On smaller faces they would hide the face."""

CROWD = 8
"""More faces than this carry a badge instead of words, and one line tells what the badges mean."""

BRIDGE, EYES = 27, (slice(36, 42), slice(42, 48))
"""Where the 68 landmarks have the top of the nose, and the eyes' outlines."""

_FARTHEST = 20_000
"""OpenCV draws wrongly from 2^15 on."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """What is drawn of one face. `note` stands beside the mask's state, `lines` below the face.

    `state` is None where the profile does not ask for masks: `level` then colours the frame. `eyes_shut` is None where
    that is not known.
    """

    box: Box
    state: MaskState | None
    note: str = ""
    lines: Sequence[str] = ()
    points: Points | None = None
    pose: HeadPose | None = None
    eyes_shut: bool | None = None
    level: DrowsinessLevel | None = None

    @property
    def colour(self) -> Colour:
        return LEVEL_COLOURS[self.level or "unknown"] if self.state is None else COLOURS[self.state]

    @property
    def headline(self) -> str:
        return " ".join(filter(None, ("" if self.state is None else self.state.words.capitalize(), self.note)))


def annotate(image: Image, faces: Sequence[Portrait]) -> Image:
    """A copy of `image` with each face's box, points, axes and, where there is room, its state and more in words.

    No words lie on other words or on another face: where there is no room for them a badge in the state's colour tells it,
    and so it does on every face of a crowd.
    """
    drawn = image.copy()
    faces = [replace(face, box=_within_limits(face.box)) for face in faces]
    for face in faces:
        cv2.rectangle(drawn, *_corners(face.box), face.colour, _frame_width(drawn, face))
        if face.box.side >= LEAST_SIDE_FOR_POINTS:
            _mark_points(drawn, face)
        if face.pose is not None and face.box.side >= LEAST_SIDE_FOR_AXES:
            _mark_axes(drawn, face, face.pose)
    # Words and badges lie over all boxes; the largest faces choose first.
    places = Places(drawn.shape[1], drawn.shape[0], [face.box for face in faces])
    ordered = sorted(faces, key=lambda face: -face.box.side)
    if len(faces) <= CROWD:
        for face in ordered:
            _write_state(drawn, places, face)
        return drawn
    _write_legend(drawn, places, faces)
    for face in ordered:
        _badge_beside(drawn, places, face)
    for face in ordered:
        if face.level in DROWSY_LEVELS:
            _write_lines(drawn, places, face)
    return drawn


def _frame_width(drawn: Image, face: Portrait) -> int:
    """In pixels: more on large pictures, less on small faces."""
    width: int = min(round(min(drawn.shape[:2]) / 300), round(face.box.side / 12))
    return max(1, width)


def _mark_points(drawn: Image, face: Portrait) -> None:
    """Dots that grow with the face, and the outlines of the eyes where it is known whether they are open."""
    if face.points is None:
        return
    points = np.clip(np.nan_to_num(face.points), -_FARTHEST, _FARTHEST).round().astype(np.int32)
    radius = _stroke(face, 100, least=0)
    for x, y in points.tolist():
        cv2.circle(drawn, (x, y), radius, POINT, cv2.FILLED)
    if face.eyes_shut is not None:
        colour, width = (SHUT, radius + 1) if face.eyes_shut else (OPEN, max(1, radius))
        cv2.polylines(drawn, [points[eye] for eye in EYES], True, colour, width, cv2.LINE_AA)


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


def _write_state(drawn: Image, places: Places, face: Portrait) -> None:
    """The mask's state and the note in words, or where they do not fit the badge; further lines below."""
    if not (face.headline and _write(drawn, places, face, [face.headline], face.colour)):
        _badge_beside(drawn, places, face)
    _write_lines(drawn, places, face)


def _write_lines(drawn: Image, places: Places, face: Portrait) -> None:
    """As many of the face's lines, from the first, as there is room for, in the colour of what is grave."""
    colour = LEVEL_COLOURS[face.level] if face.level in DROWSY_LEVELS else BAR
    for count in range(len(face.lines), 0, -1):
        if _write(drawn, places, face, face.lines[:count], colour, below=True):
            return


def _write(
    drawn: Image, places: Places, face: Portrait, lines: Sequence[str], colour: Colour, *, below: bool = False
) -> bool:
    """Write `lines` one under the other on bars beside the face; False where there is no room for all of them."""
    scale = max(0.38, min(0.9, face.box.width / 220))
    sizes = [cv2.getTextSize(line, FONT, scale, 1)[0] for line in lines]
    width, row = max(size[0] for size in sizes) + 6, sizes[0][1] + 8
    if (
        width > 2.5 * face.box.width + 6
        or (spot := places.beside(face.box, width, row * len(lines), below=below)) is None
    ):
        return False
    left, top = spot
    for number, (line, size) in enumerate(zip(lines, sizes, strict=True)):
        bottom = top + row * (number + 1)
        cv2.rectangle(drawn, (left, bottom - row), (left + size[0] + 5, bottom - 1), colour, cv2.FILLED)
        cv2.putText(drawn, line, (left + 3, bottom - 5), FONT, scale, WHITE, 1, cv2.LINE_AA)
    return True


def _badge_beside(drawn: Image, places: Places, face: Portrait) -> None:
    """The badge of the face's state, where no other face is if there is such a place.

    Tiny faces and verdicts that are none have their frame's colour alone.
    """
    if face.state in (None, MaskState.UNCERTAIN) or face.box.side < LEAST_SIDE_FOR_BADGE:
        return
    side = int(min(max(face.box.side / 3, 11), 26))
    for over_faces in (False, True):
        if (spot := places.beside(face.box, side, side, over_faces=over_faces)) is not None:
            _badge(drawn, spot, side, face.state)
            return


def _badge(drawn: Image, spot: Spot, side: int, state: MaskState) -> None:
    """A disc in the state's colour with a sign of its own: a tick, an exclamation mark, a cross, a question mark."""
    radius = side / 2
    x, y = spot[0] + radius, spot[1] + radius
    cv2.circle(drawn, _pixel(x, y), int(radius), COLOURS[state], cv2.FILLED, cv2.LINE_AA)
    for stroke in _SIGNS[state]:
        points = np.array([(x + dx * radius, y + dy * radius) for dx, dy in stroke])
        cv2.polylines(drawn, [points.round().astype(np.int32)], False, WHITE, max(1, side // 9), cv2.LINE_AA)


_Stroke = tuple[tuple[float, float], ...]
_DOT: _Stroke = ((0.0, 0.5), (0.0, 0.55))
_SIGNS: dict[MaskState, tuple[_Stroke, ...]] = {
    MaskState.CORRECT: (((-0.5, 0.05), (-0.12, 0.42), (0.5, -0.38)),),
    MaskState.INCORRECT: (((0.0, -0.6), (0.0, 0.15)), _DOT),
    MaskState.NONE: (((-0.4, -0.4), (0.4, 0.4)), ((0.4, -0.4), (-0.4, 0.4))),
    MaskState.UNCERTAIN: (((-0.32, -0.3), (0.0, -0.58), (0.32, -0.3), (0.0, 0.0), (0.0, 0.15)), _DOT),
}
"""From the middle of the badge, its radius being 1."""


def _write_legend(drawn: Image, places: Places, faces: Sequence[Portrait]) -> None:
    """What the badges of a crowd mean, and how many faces carry each, in a corner without faces if there is one."""
    counts = Counter(face.state for face in faces if face.state is not None)
    scale = max(0.4, min(0.9, min(drawn.shape[:2]) / 1000))
    entries = [(state, f"{counts[state]} {state.words}") for state in MaskState if counts[state]]
    if not entries:
        return
    sizes = [cv2.getTextSize(words, FONT, scale, 1)[0] for _, words in entries]
    row = sizes[0][1] + 10
    width = max(size[0] for size in sizes) + row + 6
    if (spot := places.corner(width, row * len(entries))) is None:
        return
    left, top = spot
    cv2.rectangle(drawn, (left, top), (left + width - 1, top + row * len(entries) - 1), BAR, cv2.FILLED)
    for number, (state, words) in enumerate(entries):
        _badge(drawn, (left + 3, top + row * number + 2), row - 4, state)
        cv2.putText(drawn, words, (left + row + 2, top + row * (number + 1) - 6), FONT, scale, WHITE, 1, cv2.LINE_AA)


def _corners(box: Box) -> tuple[tuple[int, int], tuple[int, int]]:
    return _pixel(box.x1, box.y1), _pixel(box.x2, box.y2)


def _within_limits(box: Box) -> Box:
    (x1, y1), (x2, y2) = _corners(box)
    return Box(x1, y1, x2, y2)


def _pixel(x: float, y: float) -> tuple[int, int]:
    """A pixel that OpenCV can take."""
    x, y = (value if math.isfinite(value) else 0.0 for value in (x, y))
    return int(min(max(x, -_FARTHEST), _FARTHEST)), int(min(max(y, -_FARTHEST), _FARTHEST))
