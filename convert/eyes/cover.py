"""Draws sunglasses, hands and hair over eyes, clear glasses before them, sun and background beside them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.data.drawing import SKIN, blended, shares

Pixels = NDArray[np.uint8]
Alpha = NDArray[np.float32]

EYE_PIXELS = 64 / 2.4
"""How wide the eye is in the squares drawn on; it lies in their middle."""


def draw_sunglasses(wide: Pixels, rng: np.random.Generator) -> Pixels:
    """A copy whose eye is behind a dark or mirroring lens."""
    lens = _lens(len(wide), rng, reach=(0.75, 1.0))
    shade = _light(len(wide), rng) * rng.uniform(5, 70) + rng.uniform(-6, 6, 3)
    if rng.random() < 0.25:
        shade = _light(len(wide), rng) * rng.uniform(60, 220, 3)
    through = rng.uniform(0.0, 0.12)
    covered = blended(wide, shade * (1 - through) + wide * through, lens)
    if rng.random() < 0.5:
        covered = _glare(covered, rng, 0.6)
    return _rim(covered, lens, rng) if rng.random() < 0.5 else covered


def draw_cover(wide: Pixels, rng: np.random.Generator) -> Pixels:
    """A copy whose eye is behind a hand, an arm, cloth or hair."""
    size = len(wide)
    middle = np.array([size / 2] * 2) + rng.normal(0, 0.12 * EYE_PIXELS, 2)
    turn = rng.uniform(0, np.pi)
    along = np.array([np.cos(turn), np.sin(turn)])
    across = np.array([-along[1], along[0]])
    palette = SKIN if rng.random() < 0.6 else np.array([[20, 20, 25], [40, 55, 80], [230, 230, 230], [150, 110, 60]])
    base = palette[rng.integers(len(palette))] * rng.uniform(0.6, 1.15)
    if rng.random() < 0.3:
        base = wide.reshape(-1, 3)[rng.integers(size * size)].astype(np.float64)
    alpha, layer = np.zeros((size, size), np.uint8), np.zeros((size, size, 3), np.float32)
    fingers = int(rng.integers(1, 6))
    total = EYE_PIXELS * rng.uniform(1.0, 2.2)
    for k in range(fingers):
        shift = across * ((k + 0.5) / fingers - 0.5) * total
        start, end = middle + shift - along * size, middle + shift + along * size * rng.uniform(0.5, 1)
        thick = max(2, round(total / fingers * 1.06))
        for part, light in ((1.0, 0.7), (0.72, 0.9), (0.4, 1.03)):
            colour = tuple(float(v) for v in base * light * rng.uniform(0.95, 1.05))
            cv2.line(layer, _pixel(start), _pixel(end), colour, max(1, int(thick * part)), cv2.LINE_AA)
        cv2.line(alpha, _pixel(start), _pixel(end), 255, thick, cv2.LINE_AA)
    layer += np.asarray(cv2.resize(rng.normal(0, 9, (16, 16)).astype(np.float32), (size, size)), np.float32)[..., None]
    return blended(wide, layer, shares(alpha))


def draw_glasses(wide: Pixels, rng: np.random.Generator) -> Pixels:
    """A copy with clear or lightly tinted glasses: the eye can still be read."""
    lens = _lens(len(wide), rng, reach=(0.6, 1.05), slipped=0.3)
    tint = rng.uniform(0, 0.35)
    image = blended(wide, _light(len(wide), rng) * rng.uniform(20, 120, 3), lens * np.float32(tint))
    if rng.random() < 0.6:
        image = _glare(image, rng, 0.35)
    return _rim(image, lens, rng)


def draw_background(wide: Pixels, rng: np.random.Generator) -> Pixels:
    """A copy of a head turned so far that behind its outer side, at the eye's outer corner, the background begins."""
    turn = rng.normal(0, 0.35)
    rows, columns = np.mgrid[: len(wide), : len(wide)]
    edge = len(wide) / 2 - EYE_PIXELS * rng.uniform(0.5, 0.75)
    beyond = (columns - edge) * np.cos(turn) + (rows - len(wide) / 2) * np.sin(turn) < 0
    soft = np.asarray(cv2.GaussianBlur(beyond.astype(np.float32), (0, 0), float(rng.uniform(0.5, 1.5))), np.float32)
    return blended(wide, _light(len(wide), rng) * rng.uniform(10, 240, 3), soft)


def draw_sunlight(wide: Pixels, rng: np.random.Generator) -> Pixels:
    """A copy with sun on one side of a line near the eye, and shade on the other."""
    turn, size = rng.uniform(0, 2 * np.pi), len(wide)
    rows, columns = np.mgrid[:size, :size] - size / 2
    shift = rng.normal(0, 0.4) * EYE_PIXELS
    lit = ((columns * np.cos(turn) + rows * np.sin(turn)) > shift).astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(lit, (0, 0), float(np.exp(rng.uniform(np.log(0.6), np.log(12))))), np.float32)
    gains = rng.uniform(0.25, 1.0) + soft[..., None] * rng.uniform(0.4, 2.0)
    return np.asarray(np.clip(wide * gains, 0, 255), np.uint8)


def _lens(size: int, rng: np.random.Generator, reach: tuple[float, float], slipped: float = 0.1) -> Alpha:
    """1 inside a rounded lens round the eye.

    `reach`: half its width; `slipped`: how far it may sit too low or too high; both in eye widths.
    """
    half = EYE_PIXELS * rng.uniform(*reach) * np.array([1.0, rng.uniform(0.65, 1.0)])
    middle = size / 2 + rng.normal(0, (0.1, slipped)) * EYE_PIXELS
    rows, columns = np.mgrid[:size, :size]
    power = rng.uniform(2, 5)
    away = np.abs((columns - middle[0]) / half[0]) ** power + np.abs((rows - middle[1]) / half[1]) ** power
    return np.asarray(cv2.GaussianBlur((away < 1).astype(np.float32), (0, 0), 0.6), np.float32)


def _light(size: int, rng: np.random.Generator) -> Alpha:
    """A smooth slope of brightness about 1, size x size x 1."""
    ends = rng.uniform(0.5, 1.5, (2, 2)).astype(np.float32)
    return np.asarray(cv2.resize(ends, (size, size))[..., None], np.float32)


def _glare(image: Pixels, rng: np.random.Generator, strongest: float) -> Pixels:
    """Streaks and patches of reflected light."""
    size = len(image)
    alpha = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        start = rng.uniform(0.2, 0.8, 2) * size
        end = start + rng.normal(0, 0.25, 2) * size
        cv2.line(alpha, _pixel(start), _pixel(end), 255, int(rng.integers(1, 7)), cv2.LINE_AA)
    soft = shares(np.asarray(cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(0.6, 3))), np.uint8))
    return blended(image, rng.uniform(150, 255, 3), soft * np.float32(rng.uniform(0.1, strongest)))


def _rim(image: Pixels, lens: Alpha, rng: np.random.Generator) -> Pixels:
    """The frame round a lens."""
    width = int(rng.integers(1, 4))
    inside = (lens > 0.5).astype(np.uint8)
    edge = cv2.dilate(inside, np.ones((2 * width + 1,) * 2, np.uint8)) - inside
    soft = cv2.GaussianBlur(edge.astype(np.float32), (0, 0), 0.6)
    colour = np.full(3, rng.uniform(0, 80)) if rng.random() < 0.7 else rng.uniform(0, 230, 3)
    return blended(image, colour, np.asarray(soft, np.float32))


def _pixel(point: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
