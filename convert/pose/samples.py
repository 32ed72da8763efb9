"""Draws training samples of heads: which crop comes next, and how it is moved, turned, mirrored and worn down."""

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from convert.augment import blur, jpeg, noise, photometric, shrink
from convert.pose.sources import WIDE
from convert.pose.store import HeadStore
from edged.analyse.pose.learned import CROP_SIZE
from edged.analyse.pose.rotation import about_z

Pixels = NDArray[np.uint8]
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

SHARES = {"bare": 0.36, "masked": 0.36, "pointed": 0.14, "pointed masked": 0.14}
"""How often each group is drawn."""

WEIGHTS = {"bare": 1.0, "masked": 1.0, "pointed": 0.5, "pointed masked": 0.5}
"""How much each counts: the pose of annotated faces is computed, not measured."""

_MIRROR = np.diag([-1.0, 1.0, 1.0])


class Samples(IterableDataset[Batch]):
    """Endless batches: uint8 [B, 64, 64, 3], float32 rotations [B, 3, 3] and weights [B], decided by `seed` and `start` alone."""

    def __init__(self, store: HeadStore, batch: int, seed: int, start: int, stop: int) -> None:
        self._store, self._batch, self._seed, self._start, self._stop = store, batch, seed, start, stop
        self._groups = {name: np.flatnonzero(store.groups == name) for name in SHARES}
        self._names = [name for name, members in self._groups.items() if len(members)]
        shares = np.array([SHARES[name] for name in self._names])
        self._shares = shares / shares.sum()

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self._start, self._stop):
            rng = np.random.default_rng((self._seed, step))
            images = np.empty((self._batch, CROP_SIZE, CROP_SIZE, 3), np.uint8)
            rotations = np.empty((self._batch, 3, 3), np.float32)
            weights = np.empty(self._batch, np.float32)
            for row, choice in enumerate(rng.choice(len(self._names), self._batch, p=self._shares)):
                name = self._names[choice]
                chosen, other = (
                    self._groups[name][rng.integers(len(self._groups[name]))],
                    rng.integers(len(self._store.groups)),
                )
                images[row], rotations[row] = jitter(
                    self._store.images[chosen], self._store.rotations[chosen], self._store.images[other], rng
                )
                weights[row] = WEIGHTS[name]
            yield torch.from_numpy(images), torch.from_numpy(rotations), torch.from_numpy(weights)


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
    cos, sin = scale * np.cos(np.deg2rad(turn)), scale * np.sin(np.deg2rad(turn))
    flip = -1.0 if mirrored else 1.0
    linear = np.array([[cos * flip, -sin], [sin * flip, cos]])
    centre = np.array([WIDE / 2 - 0.5] * 2) + rng.normal(0, 0.04 * CROP_SIZE, 2)
    offset = np.array([CROP_SIZE / 2 - 0.5] * 2) - linear @ centre
    matrix = np.column_stack([linear, offset])
    moved = cv2.warpAffine(
        wide, matrix, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)


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
    if len(image) != CROP_SIZE:
        image = np.asarray(cv2.resize(image, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_LINEAR), np.uint8)
    return image


def _hide(image: Pixels, rng: np.random.Generator) -> Pixels:
    """A plain rectangle somewhere: hands, microphones, other heads."""
    x, y = rng.integers(0, CROP_SIZE, 2)
    width, height = rng.integers(6, 28, 2)
    image = image.copy()
    image[y : y + height, x : x + width] = rng.integers(0, 256, 3)
    return image
