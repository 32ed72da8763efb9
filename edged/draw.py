"""Draws what was found onto copies of pictures, in the colours people know: green, blue, red, grey."""

from collections.abc import Sequence

import cv2

from edged.types import Box, Image, MaskState

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


def annotate(image: Image, faces: Sequence[tuple[Box, MaskState, str]]) -> Image:
    """A copy of `image` with each face's box and, where there is room, its state in words and the given note."""
    drawn = image.copy()
    thickness = max(1, round(min(image.shape[:2]) / 300))
    for box, state, _ in faces:
        corners = _corner(box.x1, box.y1), _corner(box.x2, box.y2)
        cv2.rectangle(drawn, *corners, COLOURS[state], thickness)
    for box, state, note in faces:  # words lie over all boxes
        _write(drawn, box, WORDS[state] + (f" {note}" if note else ""), state)
    return drawn


def _write(drawn: Image, box: Box, words: str, state: MaskState) -> None:
    """Put `words` on a bar above or below the box, inside the picture; small faces get their colour alone."""
    x1, y1 = _corner(box.x1, box.y1)
    x2, y2 = _corner(box.x2, box.y2)
    scale = max(0.35, min(0.9, (x2 - x1) / 220))
    (width, height), _ = cv2.getTextSize(words, FONT, scale, 1)
    if width > 2.5 * (x2 - x1):
        return
    left = min(max(0, x1), max(0, drawn.shape[1] - width - 6))
    bottom = min(y1 if y1 > height + 6 else y2 + height + 6, drawn.shape[0])
    cv2.rectangle(drawn, (left, bottom - height - 6), (left + width + 6, bottom), COLOURS[state], cv2.FILLED)
    cv2.putText(drawn, words, (left + 3, bottom - 4), FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)


def _corner(x: float, y: float) -> tuple[int, int]:
    """A pixel that OpenCV can take: it draws wrongly from 2^15 on."""
    return int(min(max(x, -20_000), 20_000)), int(min(max(y, -20_000), 20_000))
