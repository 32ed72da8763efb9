"""Draws hands, cups, telephones and microphones before bare faces: what must not be taken for a mask."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.data.drawing import blended, shares
from edged.types import Image, Points

Array = NDArray[np.float64]


def draw_occluder(image: Image, points68: Points, rng: np.random.Generator) -> Image:
    """A copy of `image` with one object before the mouth, nose or chin of the face with `points68`."""
    points = points68.astype(np.float64)
    unit = max(float(np.linalg.norm(points[45] - points[36])), 4.0)
    target = points[rng.choice([30, 33, 51, 62, 57, 8])] + rng.normal(0, 0.12 * unit, 2)
    draw = (_hand, _cup, _telephone, _microphone)[rng.choice(4, p=(0.5, 0.2, 0.15, 0.15))]
    layer, alpha = image.astype(np.float32), np.zeros(image.shape[:2], np.uint8)
    draw(_Drawing(layer, alpha, target, unit, _skin(image, points)), rng)
    soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), max(0.5, 0.01 * unit)), np.uint8)
    return blended(image, layer, shares(soft))


def _skin(image: Image, points: Array) -> Array:
    """The cheek's mean colour."""
    x, y = points[[1, 2, 14, 15, 31, 35]].mean(axis=0).astype(int)
    patch = image[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4]
    return patch.reshape(-1, 3).mean(axis=0) if patch.size else np.array([110.0, 130.0, 180.0])


@dataclass(frozen=True, eq=False)
class _Drawing:
    """What is drawn on, and about what: `target` is to be hidden, `unit` the distance of the outer eye corners in pixels."""

    layer: NDArray[np.float32]
    alpha: NDArray[np.uint8]
    target: Array
    unit: float
    skin: Array

    def stroke(self, a: Array, b: Array, width: float, colour: Array) -> None:
        """A thick rounded line, darker towards its edges."""
        start, end = (tuple(int(v) for v in np.clip(point, -9999, 9999)) for point in (a, b))
        thick = max(2, int(width))
        cv2.line(self.alpha, start, end, 255, thick, cv2.LINE_AA)
        for part, light in ((1.0, 0.72), (0.75, 0.9), (0.4, 1.02)):
            shade = tuple(float(v) for v in colour * light)
            cv2.line(self.layer, start, end, shade, max(1, int(thick * part)), cv2.LINE_AA)


def _hand(on: _Drawing, rng: np.random.Generator) -> None:
    angle = rng.uniform(-0.9, 0.9) + np.pi / 2 + rng.choice([0.0, -0.6, 0.6])
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    width = on.unit * rng.uniform(0.16, 0.24)
    colour = np.clip(on.skin * rng.uniform(0.8, 1.15), 0, 255)
    fingers = int(rng.integers(1, 5))
    palm = on.target + along * on.unit * 1.2
    on.stroke(palm, palm + along * on.unit * 2, width * 4, colour * 0.95)
    for finger in range(fingers):
        shift = across * (finger - (fingers - 1) / 2) * width * 0.95
        tip = on.target + shift + along * rng.uniform(-0.15, 0.15) * on.unit
        on.stroke(tip, palm + shift, width, colour * rng.uniform(0.95, 1.03))


def _cup(on: _Drawing, rng: np.random.Generator) -> None:
    top, bottom, height = (
        on.unit * rng.uniform(0.35, 0.6),
        on.unit * rng.uniform(0.25, 0.45),
        on.unit * rng.uniform(0.7, 1.4),
    )
    outline = np.array([[-top, 0], [top, 0], [bottom, height], [-bottom, height]])
    tilt = rng.uniform(-0.4, 0.4)
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    polygon = np.round(outline @ turn.T + on.target).astype(np.int32)
    cv2.fillPoly(on.alpha, [polygon], 255, cv2.LINE_AA)
    light = np.linspace(rng.uniform(0.6, 1.1), rng.uniform(0.6, 1.1), on.layer.shape[1], dtype=np.float32)
    on.layer[:] = rng.uniform(10, 240, 3).astype(np.float32) * light[None, :, None]
    hand = on.target + np.array([rng.choice([-1, 1]) * top, height * 0.6]) @ turn.T
    for finger in range(3):
        place = hand + np.array([0, finger * 0.2 * on.unit])
        on.stroke(place, place + np.array([-0.4, 0.05]) * on.unit, on.unit * 0.19, on.skin)


def _telephone(on: _Drawing, rng: np.random.Generator) -> None:
    size = on.unit * np.array([rng.uniform(0.5, 0.8), rng.uniform(1.0, 1.5)])
    corners = cv2.boxPoints((on.target.tolist(), size.tolist(), float(rng.uniform(-40, 40)))).astype(np.int32)
    cv2.fillPoly(on.alpha, [corners], 255, cv2.LINE_AA)
    on.layer[:] = rng.uniform(5, 90)
    grip = on.target + np.array([rng.choice([-0.5, 0.5]) * size[0], 0.2 * on.unit])
    on.stroke(grip, grip + np.array([0.1, 0.5]) * on.unit, on.unit * 0.2, on.skin)


def _microphone(on: _Drawing, rng: np.random.Generator) -> None:
    on.layer[:] = rng.uniform(15, 120)
    centre = tuple(int(v) for v in np.clip(on.target, -9999, 9999))
    cv2.circle(on.alpha, centre, max(2, int(on.unit * rng.uniform(0.15, 0.3))), 255, -1, cv2.LINE_AA)
    end = on.target + on.unit * np.array([rng.uniform(-0.6, 0.6), 1.6])
    cv2.line(on.alpha, centre, tuple(int(v) for v in end), 255, max(2, int(on.unit * 0.14)), cv2.LINE_AA)
    fist = on.target + (end - on.target) * 0.6
    on.stroke(fist, fist + np.array([0.25, 0.1]) * on.unit, on.unit * 0.3, on.skin)
