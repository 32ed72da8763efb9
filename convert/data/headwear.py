"""Draws sunglasses, caps, hats, helmets, hoods and signs on faces of which five points are known: people as they come.

All shapes are given in the mean face's frame: origin midway between the outer eye corners, unit their distance, y down.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.data.drawing import SKIN, blended, shares
from edged.render.mean_face import MEAN_FACE, five_points

Array = NDArray[np.float64]
SMALLEST_UNIT = 4.0
"""Pixels between the outer eye corners below which nothing could be seen of what is drawn."""
REACH = 2.2
"""Nothing is drawn farther from the face's origin, in units."""
SUBPIXEL_BITS = 4
TURN = np.linspace(0, 2 * np.pi, 40, endpoint=False)
HIDES_EYES = np.array([0, 0, 1, 1, 1], np.float32)
HIDES_NOTHING = np.ones(5, np.float32)


def draw_headwear(
    image: NDArray[np.uint8], points5: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw one thing on one face of `image`, in place. Returns 0 for each of the five points that it hides, 1 for the others."""
    drawing = begin_drawing(image, points5)
    if drawing is None:
        return HIDES_NOTHING
    draw = (draw_sunglasses, _glasses, _cap, _hat, _helmet, _hood, _sign)
    return draw[rng.choice(len(draw), p=(0.3, 0.1, 0.2, 0.1, 0.1, 0.1, 0.1))](drawing, rng)


@dataclass(frozen=True, eq=False)
class Drawing:
    """The part of the picture round one face, and the way from the mean face's frame into it."""

    patch: NDArray[np.uint8]
    linear: Array
    origin: Array
    unit: float

    def place(self, points: Array) -> NDArray[np.int32]:
        """Points of the mean face's frame as OpenCV's fixed-point pixels."""
        moved = (points @ self.linear.T + self.origin) * (1 << SUBPIXEL_BITS)
        return np.asarray(np.round(moved.clip(-1e6, 1e6)), np.int32)

    def fill(
        self, outlines: list[Array], colour: Array, opacity: float = 1.0, holes: list[Array] | None = None
    ) -> None:
        """Fill outlines (N x 2 each) with a colour that is lighter on one side, as cloth and glass are."""
        alpha = np.zeros(self.patch.shape[:2], np.uint8)
        for outline in outlines:
            cv2.fillPoly(alpha, [self.place(outline)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        for hole in holes or []:
            cv2.fillPoly(alpha, [self.place(hole)], 0, cv2.LINE_AA, SUBPIXEL_BITS)
        self.lay(alpha, colour, opacity)

    def stroke(self, line: Array, width: float, colour: Array, *, closed: bool = False) -> None:
        """A line `width` units thick."""
        alpha = np.zeros(self.patch.shape[:2], np.uint8)
        thick = max(1, round(width * self.unit))
        cv2.polylines(alpha, [self.place(line)], closed, 255, thick, cv2.LINE_AA, SUBPIXEL_BITS)
        self.lay(alpha, colour)

    def lay(self, alpha: NDArray[np.uint8], colour: Array, opacity: float = 1.0) -> None:
        """Lay a colour over the patch where `alpha` says so, shaded from one side to the other."""
        height, width = alpha.shape
        light = np.linspace(0.75, 1.15, width).reshape(1, width, 1)
        layer = np.broadcast_to(colour * light, (height, width, 3))
        self.patch[:] = blended(self.patch, layer, shares(alpha) * np.float32(opacity))


def begin_drawing(image: NDArray[np.uint8], points5: NDArray[np.float32]) -> Drawing | None:
    """Draws on one face of `image`, in place; None where it is too small, outside the picture, or its points make no face."""
    source = np.column_stack([five_points(MEAN_FACE), np.ones(5)]).astype(np.float64)
    affine, *_ = np.linalg.lstsq(source, points5.astype(np.float64), rcond=None)
    linear, origin = np.asarray(affine[:2].T, np.float64), np.asarray(affine[2], np.float64)
    unit = float(np.sqrt(abs(np.linalg.det(linear))))
    if not SMALLEST_UNIT <= unit <= max(image.shape):
        return None
    height, width = image.shape[:2]
    x1, y1 = (max(0, int(value)) for value in origin - REACH * unit)
    x2, y2 = min(width, int(origin[0] + REACH * unit) + 1), min(height, int(origin[1] + REACH * unit) + 1)
    if x2 - x1 < 2 or y2 - y1 < 2:
        return None
    return Drawing(image[y1:y2, x1:x2], linear, origin - (x1, y1), unit)


def ellipse(x: float, y: float, half_width: float, half_height: float, squareness: float = 1.0) -> Array:
    """An outline; `squareness` below 1 makes it nearer to a rectangle."""
    cos, sin = np.cos(TURN), np.sin(TURN)
    across, along = np.sign(cos) * np.abs(cos) ** squareness, np.sign(sin) * np.abs(sin) ** squareness
    return np.column_stack([x + half_width * across, y + half_height * along])


def _cloth(rng: np.random.Generator) -> Array:
    """Any colour; dark and white ones more often."""
    choice = rng.random()
    if choice < 0.35:
        return np.asarray(rng.uniform(5, 70, 3))
    return np.asarray(rng.uniform(190, 250, 3) if choice < 0.5 else rng.uniform(0, 255, 3))


def _lenses(rng: np.random.Generator) -> list[Array]:
    size = rng.uniform(0.24, 0.38), rng.uniform(0.14, 0.3)
    squareness, down = rng.uniform(0.55, 1.0), rng.uniform(-0.02, 0.08)
    return [ellipse(side * 0.36, down, *size, squareness) for side in (-1, 1)]


def _frame(drawing: Drawing, colour: Array, rng: np.random.Generator) -> None:
    width = rng.uniform(0.02, 0.06)
    drawing.stroke(np.array([[-0.12, 0.0], [0.12, 0.0]]), width, colour)
    for side in (-1, 1):
        drawing.stroke(np.array([[side * 0.66, -0.02], [side * 0.82, 0.0]]), width, colour)


def draw_sunglasses(drawing: Drawing, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns what `draw_headwear` does."""
    colour = rng.uniform(0, 60, 3) if rng.random() < 0.8 else rng.uniform(0, 200, 3)
    lenses = _lenses(rng)
    _frame(drawing, colour, rng)
    drawing.fill(lenses, np.asarray(colour), float(rng.uniform(0.8, 1.0)))
    if rng.random() < 0.4:
        start = rng.uniform(-0.3, 0.3, 2) * (1, 0.4) + (rng.choice([-0.36, 0.36]), 0)
        drawing.stroke(np.array([start, start + rng.uniform(-0.15, 0.15, 2)]), 0.05, np.full(3, 220.0))
    return HIDES_EYES


def _glasses(drawing: Drawing, rng: np.random.Generator) -> NDArray[np.float32]:
    colour = np.asarray(rng.uniform(0, 120, 3))
    for lens in _lenses(rng):
        drawing.stroke(lens, float(rng.uniform(0.02, 0.06)), colour, closed=True)
    _frame(drawing, colour, rng)
    return HIDES_NOTHING


def _dome(bottom: float, half_width: float, height: float) -> Array:
    """The upper half of an ellipse that stands on y = `bottom`."""
    outline = ellipse(0.0, bottom, half_width, height)
    outline[:, 1] = np.minimum(outline[:, 1], bottom + 0.06)
    return outline


def _cap(drawing: Drawing, rng: np.random.Generator) -> NDArray[np.float32]:
    colour, bottom = _cloth(rng), float(rng.uniform(-0.5, -0.2))
    drawing.fill([_dome(bottom, rng.uniform(0.8, 0.95), rng.uniform(0.6, 0.9))], colour)
    visor = ellipse(rng.uniform(-0.3, 0.3), bottom + 0.02, rng.uniform(0.6, 0.9), rng.uniform(0.1, 0.28))
    drawing.fill([visor], colour * rng.uniform(0.5, 0.95))
    return HIDES_NOTHING


def _hat(drawing: Drawing, rng: np.random.Generator) -> NDArray[np.float32]:
    colour, bottom = _cloth(rng), float(rng.uniform(-0.55, -0.25))
    drawing.fill([_dome(bottom, rng.uniform(0.75, 0.95), rng.uniform(0.5, 0.9))], colour)
    drawing.fill([ellipse(0.0, bottom, rng.uniform(0.9, 1.7), rng.uniform(0.08, 0.3))], colour * rng.uniform(0.6, 1.0))
    return HIDES_NOTHING


def _helmet(drawing: Drawing, rng: np.random.Generator) -> NDArray[np.float32]:
    shell = _dome(rng.uniform(-0.3, 0.6), rng.uniform(0.95, 1.15), rng.uniform(1.1, 1.5))
    opening = ellipse(0.0, 0.45, rng.uniform(0.66, 0.78), rng.uniform(0.7, 0.85), 0.8)
    drawing.fill([shell], _cloth(rng), holes=[opening])
    return HIDES_NOTHING


def _hood(drawing: Drawing, rng: np.random.Generator) -> NDArray[np.float32]:
    outer = ellipse(0.0, 0.35, rng.uniform(1.0, 1.3), rng.uniform(1.4, 1.8))
    opening = ellipse(0.0, 0.42, rng.uniform(0.6, 0.75), rng.uniform(0.72, 0.9))
    drawing.fill([outer], _cloth(rng), holes=[opening])
    return HIDES_NOTHING


def _sign(drawing: Drawing, rng: np.random.Generator) -> NDArray[np.float32]:
    """A board, a hand or somebody's arm before any part of the face; less than half of it."""
    angle = rng.uniform(0, 2 * np.pi)
    centre = np.array([0.0, 0.45]) + np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.6, 0.95)
    colour = SKIN[rng.integers(len(SKIN))] if rng.random() < 0.5 else _cloth(rng)
    turn = rng.uniform(0, np.pi)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * rng.uniform((0.3, 0.3), (0.55, 1.2))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    outline = corners @ rotation.T + centre
    drawing.fill([outline], np.asarray(colour, np.float64))
    edge = outline.astype(np.float32)
    places = five_points(MEAN_FACE).tolist()
    inside = [cv2.pointPolygonTest(edge, (x, y), False) >= 0 for x, y in places]
    return np.where(inside, 0, 1).astype(np.float32)
