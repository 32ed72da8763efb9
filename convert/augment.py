"""Makes clean pictures look like what cheap cameras, distance, compression and poor light leave of them."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def photometric(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Vary exposure, contrast, gamma, white balance and saturation; one picture in ten turns grey (night cameras)."""
    table = np.arange(256, dtype=np.float32) / 255
    table = table ** np.exp(rng.normal(0, 0.25))
    table = (table - 0.5) * np.exp(rng.normal(0, 0.16)) + 0.5 + rng.normal(0, 0.06)
    gains = np.exp(rng.normal(0, 0.07, 3)) * np.exp(rng.normal(0, 0.1))
    tables = np.clip(table[:, None] * gains[None] * 255, 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(image, tables.reshape(1, 256, 3)), np.uint8)
    choice = rng.random()
    if choice < 0.4:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        keep = 0.0 if choice < 0.1 else float(rng.uniform(0.2, 1.7))
        image = np.asarray(cv2.addWeighted(image, keep, grey, 1 - keep, 0), np.uint8)
    return image


def infrared(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Grey and lit from the front: bright in the middle, dark at the borders and far away, as cameras in cabs see at night."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    height, width = grey.shape
    x = np.linspace(-1, 1, width, dtype=np.float32) - np.float32(rng.uniform(-0.4, 0.4))
    y = np.linspace(-1, 1, height, dtype=np.float32) - np.float32(rng.uniform(-0.4, 0.4))
    fall = np.float32(rng.uniform(0.3, 1.2))
    light = np.float32(rng.uniform(1.0, 1.6)) / (1 + fall * (x[None] ** 2 + y[:, None] ** 2))
    lit = np.clip(grey * light, 0, 255).astype(np.uint8)
    return noise(np.repeat(lit[..., None], 3, axis=2), rng, 12.0)


def low_light(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Dark, pale and grainy."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    pale = float(rng.uniform(0.2, 0.7))
    dark = float(rng.uniform(0.12, 0.5))
    return noise(np.asarray(cv2.addWeighted(image, dark * (1 - pale), grey, dark * pale, 0), np.uint8), rng, 9.0)


def blur(image: Pixels, rng: np.random.Generator, largest: float) -> Pixels:
    """Out of focus, or moved; `largest` is the largest sigma, or a third of the largest streak, in pixels."""
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, largest))), np.uint8)
    length = int(rng.integers(3, max(4, int(3 * largest) + 1)))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    centre = (length - 1) / 2
    start, end = (tuple(round(float(v)) for v in centre + sign * reach) for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / max(float(kernel.sum()), 1.0)), np.uint8)


def noise(image: Pixels, rng: np.random.Generator, largest: float) -> Pixels:
    """Sensor noise of a standard deviation up to `largest` grey levels."""
    grain = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0, largest))
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def jpeg(image: Pixels, rng: np.random.Generator, worst: int) -> Pixels:
    """Compress and decompress with a quality from `worst` to 90."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(worst, 91))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8) if done else image


def shrink(image: Pixels, size: int) -> Pixels:
    """Square pictures made `size` pixels wide, as a distant face is: averaged, with one of the usual kernels."""
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def grow(image: Pixels, size: int) -> Pixels:
    """Square pictures made `size` pixels wide, as in service."""
    if len(image) == size:
        return image
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def farther(image: Pixels, margin: float, side: float, farthest: int, rng: np.random.Generator) -> Pixels:
    """A square crop of a face `side` pixels long as if the face were 9 to `farthest` pixels long, if that is less.

    `margin` is the crop's side in units of the face's.
    """
    small = float(np.exp(rng.uniform(np.log(9), np.log(farthest))))
    return shrink(image, max(8, round(small * margin))) if small < side else image


@dataclass(frozen=True)
class Shift:
    """How far a crop lies from the ideal one: boxes are never exact."""

    scale: float
    turn: float
    """Radians, of the picture."""
    mirrored: bool
    right: float
    down: float
    """Pixels, of the crop's middle before the turn."""


def middle(wide: Pixels, size: int, shift: Shift) -> Pixels:
    """The `size` x `size` pixels at the middle of a wide crop, shifted; what lies outside repeats the edge."""
    cos, sin = shift.scale * np.cos(shift.turn), shift.scale * np.sin(shift.turn)
    flip = -1.0 if shift.mirrored else 1.0
    linear = np.array([[cos * flip, -sin], [sin * flip, cos]])
    centre = len(wide) / 2 - 0.5 + np.array([shift.right, shift.down])
    matrix = np.column_stack([linear, np.array([size / 2 - 0.5] * 2) - linear @ centre])
    moved = cv2.warpAffine(wide, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)
