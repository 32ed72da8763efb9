"""Draws gloves, lettering, balls, animals and other things beside the faces of a picture: what must not be taken for one."""

import string
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.data.drawing import SKIN, blended, shares

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float32]
TRIES = 6
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)


def draw_clutter(image: Pixels, boxes: Boxes, rng: np.random.Generator, cutouts: Sequence[Pixels] = ()) -> None:
    """Put one to three things into `image`, in place, clear of `boxes` (N x 4, corners); crowded pictures stay as they are.

    `cutouts` are BGRA pictures of things, drawn half the time where there are any.
    """
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        side = float(np.exp(rng.uniform(np.log(12), np.log(0.9 * min(height, width)))))
        place = _free_place(width, height, side, boxes, rng)
        if place is None:
            continue
        x, y = place
        layer = image[y : y + int(side), x : x + int(side)]
        if len(cutouts) and rng.random() < 0.5:
            _thing(layer, cutouts[int(rng.integers(len(cutouts)))], rng)
        else:
            (_glove, _lettering, _ball)[rng.choice(3, p=(0.4, 0.35, 0.25))](layer, rng)


def _free_place(width: int, height: int, side: float, boxes: Boxes, rng: np.random.Generator) -> tuple[int, int] | None:
    """The corner of a square that touches no box."""
    for _ in range(TRIES):
        x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
        touched = (boxes[:, 0] < x + side) & (boxes[:, 2] > x) & (boxes[:, 1] < y + side) & (boxes[:, 3] > y)
        if not touched.any():
            return int(x), int(y)
    return None


def _colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """White, blue or black cloth, or skin: gloves and hands in equal parts."""
    cloth = np.array([[235, 235, 235], [200, 150, 60], [40, 40, 40]], np.float64)
    palette = cloth if rng.random() < 0.6 else SKIN
    shade = palette[rng.integers(len(palette))] * rng.uniform(0.75, 1.1) + rng.normal(0, 6, 3)
    return np.asarray(shade.clip(0, 255), np.float64)


def _glove(layer: Pixels, rng: np.random.Generator) -> None:
    """A hand with a few fingers, bent or straight, shaded across."""
    side = layer.shape[0]
    alpha = np.zeros(layer.shape[:2], np.uint8)
    base = np.array([side / 2, side * 0.62])
    turn = rng.uniform(0, 2 * np.pi)
    thick = max(1, int(side * rng.uniform(0.12, 0.18)))
    cv2.ellipse(
        alpha, _point(base), (int(side * 0.26), int(side * 0.24)), np.degrees(turn), 0, 360, 255, -1, cv2.LINE_AA
    )
    for finger in range(int(rng.integers(2, 6))):
        angle = turn + (finger - 2) * rng.uniform(0.22, 0.34)
        knuckle = base + np.array([np.cos(angle), np.sin(angle)]) * side * 0.24
        bend = angle + rng.normal(0, 0.5)
        tip = knuckle + np.array([np.cos(bend), np.sin(bend)]) * side * rng.uniform(0.1, 0.26)
        cv2.line(alpha, _point(base), _point(knuckle), 255, thick, cv2.LINE_AA)
        cv2.line(alpha, _point(knuckle), _point(tip), 255, thick, cv2.LINE_AA)
    distance = cv2.distanceTransform(alpha, cv2.DIST_L2, 3)
    light = 0.6 + 0.4 * np.clip(distance / max(thick * 0.4, 1.0), 0, 1)
    light *= np.linspace(rng.uniform(0.75, 1.05), rng.uniform(0.75, 1.05), side)[None, :]
    _blend(layer, _colour(rng) * light[..., None], alpha)


def _lettering(layer: Pixels, rng: np.random.Generator) -> None:
    """A sign: a few letters, often on a plate."""
    side = layer.shape[0]
    if rng.random() < 0.5:
        _blend(layer, np.broadcast_to(rng.uniform(0, 255, 3), layer.shape), np.full(layer.shape[:2], 255, np.uint8))
    letters = "".join(rng.choice(list(string.ascii_letters + string.digits), int(rng.integers(1, 6))))
    font = FONTS[rng.integers(len(FONTS))]
    (width, height), _ = cv2.getTextSize(letters, font, 1.0, 1)
    scale = side * rng.uniform(0.6, 0.95) / max(width, height)
    place = (int((side - width * scale) / 2), int((side + height * scale) / 2))
    alpha = np.zeros(layer.shape[:2], np.uint8)
    cv2.putText(alpha, letters, place, font, scale, 255, max(1, int(scale * rng.uniform(1, 5))), cv2.LINE_AA)
    _blend(layer, np.broadcast_to(rng.uniform(0, 255, 3), layer.shape), alpha)


def _ball(layer: Pixels, rng: np.random.Generator) -> None:
    """A shaded ball or lamp with bands, round like a head and without its features."""
    side = layer.shape[0]
    y, x = np.mgrid[:side, :side] / max(side - 1, 1) * 2 - 1
    x = x / rng.uniform(0.6, 0.95)
    y = y / rng.uniform(0.8, 0.98)
    alpha = ((x**2 + y**2) < 1).astype(np.uint8) * 255
    light = np.clip(1.05 - 0.5 * ((x - rng.uniform(-0.6, 0.6)) ** 2 + (y - rng.uniform(-0.8, 0.3)) ** 2), 0.2, 1.1)
    colour = np.where((np.sin(y * rng.uniform(1, 9) + rng.uniform(0, 6)) > 0)[..., None], _colour(rng), _colour(rng))
    _blend(layer, colour * light[..., None], alpha)


def _thing(layer: Pixels, cutout: Pixels, rng: np.random.Generator) -> None:
    """A cut-out or, half the time, a part of it, such as the head of an animal; leaning, mirrored, in another light."""
    side = layer.shape[0]
    height, width = cutout.shape[:2]
    shown = max(height, width) * (1.0 if rng.random() < 0.5 else rng.uniform(0.3, 0.8))
    centre = rng.uniform(0.25, 0.75, 2) if shown < max(height, width) else np.full(2, 0.5)
    turn = np.degrees(rng.normal(0, 0.3) if rng.random() < 0.8 else rng.uniform(0, 2 * np.pi))
    matrix = cv2.getRotationMatrix2D((width * centre[0], height * centre[1]), turn, side / shown)
    matrix[:, 2] += side / 2 - np.array([width, height]) * centre
    drawn = cv2.warpAffine(cutout, matrix, (side, side), flags=cv2.INTER_AREA if side < shown else cv2.INTER_LINEAR)
    drawn = drawn[:, ::-1] if rng.random() < 0.5 else drawn
    _blend(layer, drawn[..., :3].astype(np.float64) * rng.uniform(0.6, 1.15), np.ascontiguousarray(drawn[..., 3]))


def _point(place: NDArray[np.float64]) -> tuple[int, int]:
    return int(place[0]), int(place[1])


def _blend(layer: Pixels, colour: NDArray[np.float64], alpha: NDArray[np.uint8]) -> None:
    layer[:] = blended(layer, colour, shares(alpha))
