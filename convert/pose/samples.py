"""Draws training samples of heads: which crop comes next, and how it is moved, turned, mirrored and worn down."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from convert.augment import Shift, blur, grow, jpeg, middle, noise, photometric, shrink
from convert.pose.store import HeadStore
from convert.training.batches import Batches, Course, Mixture
from edged.analyse.pose.fused import CROP_SIZE
from edged.analyse.pose.rotation import about_z

Pixels = NDArray[np.uint8]
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""uint8 [B, 64, 64, 3], float32 rotations [B, 3, 3] and weights [B]."""

SHARES = {"bare": 0.33, "masked": 0.33, "pointed": 0.12, "pointed masked": 0.11, "pointed turned": 0.11}
"""How often each group is drawn."""

WEIGHTS = {"bare": 1.0, "masked": 1.0, "pointed": 0.5, "pointed masked": 0.5, "pointed turned": 0.5}
"""How much each counts: the pose of annotated faces is computed, not measured."""

_MIRROR = np.diag([-1.0, 1.0, 1.0])


class Samples(Batches[Batch]):
    """Batches of heads as a detector would have cut them, their rotations and how much each counts."""

    def __init__(self, store: HeadStore, course: Course) -> None:
        super().__init__(course)
        self._store = store
        self._mixture = Mixture(store.groups.tolist(), SHARES)

    def drawn(self, count: int, rng: np.random.Generator) -> Batch:
        """See `Batches`."""
        store = self._store
        images = np.empty((count, CROP_SIZE, CROP_SIZE, 3), np.uint8)
        rotations = np.empty((count, 3, 3), np.float32)
        weights = np.empty(count, np.float32)
        for row, (name, chosen) in enumerate(self._mixture.draw(count, rng)):
            other = rng.integers(len(store.groups))
            images[row], rotations[row] = jitter(
                store.images[chosen], store.rotations[chosen], store.images[other], rng
            )
            weights[row] = WEIGHTS[name]
        return torch.from_numpy(images), torch.from_numpy(rotations), torch.from_numpy(weights)


def jitter(
    wide: Pixels, rotation: NDArray[np.float64], other: Pixels, rng: np.random.Generator
) -> tuple[Pixels, NDArray[np.float64]]:
    """One training view of a wide crop, and its rotation; `other` is any crop, which may fill what the picture did not show."""
    turn = rng.normal(0, 12)
    mirrored = rng.random() < 0.5
    image = _move(wide, turn, mirrored, rng)
    if mirrored:
        rotation = _MIRROR @ rotation @ _MIRROR
    pixels = _filled(image, other, rng)
    if rng.random() < 0.8:
        pixels = photometric(pixels, rng)
    if rng.random() < 0.2:
        pixels = blur(pixels, rng, 1.5)
    pixels = _from_afar(pixels, rng)
    if rng.random() < 0.25:
        pixels = noise(pixels, rng, 6.0)
    if rng.random() < 0.25:
        pixels = _hide(pixels, rng)
    return pixels, about_z(np.array(turn)) @ rotation


def _move(wide: Pixels, turn: float, mirrored: bool, rng: np.random.Generator) -> Pixels:
    """Boxes are never exact: scale, place and angle vary as a detector's do."""
    scale = float(np.exp(rng.normal(0, 0.08)).clip(0.78, 1.25))
    radians = float(np.deg2rad(turn))
    return middle(wide, CROP_SIZE, Shift(scale, radians, mirrored, *rng.normal(0, 0.04 * CROP_SIZE, 2)))


def _filled(image: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Repeated edge pixels tell where a head is cut, which no camera's picture does: half of them are painted over."""
    pixels = np.ascontiguousarray(image[:, :, :3])
    choice = rng.random()
    if choice < 0.5:
        return pixels
    fill = np.broadcast_to(rng.integers(0, 256, 3).astype(np.uint8), pixels.shape)
    if choice < 0.75:
        fill = np.asarray(cv2.resize(other[:, :, :3], (CROP_SIZE, CROP_SIZE)), np.uint8)
    return np.where(image[:, :, 3:] < 128, fill, pixels)


def _from_afar(image: Pixels, rng: np.random.Generator) -> Pixels:
    """A third of the faces become 16 to 50 pixels small, are compressed there, and are grown as in service."""
    if rng.random() < 0.33:
        image = shrink(image, int(np.exp(rng.uniform(np.log(16), np.log(50)))))
    if rng.random() < 0.3:
        image = jpeg(image, rng, 35)
    return grow(image, CROP_SIZE)


def _hide(image: Pixels, rng: np.random.Generator) -> Pixels:
    """A plain rectangle somewhere: hands, microphones, other heads."""
    x, y = rng.integers(0, CROP_SIZE, 2)
    width, height = rng.integers(6, 28, 2)
    image = image.copy()
    image[y : y + height, x : x + width] = rng.integers(0, 256, 3)
    return image
