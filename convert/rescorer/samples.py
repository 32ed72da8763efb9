"""Draws the rescorer's training samples: faces and other finds in equal parts, moved and worn down."""

import numpy as np
import torch
from numpy.typing import NDArray

from convert.augment import Shift, blur, farther, grow, infrared, jpeg, low_light, middle, noise, photometric
from convert.data.shade import darken
from convert.rescorer.crops import WIDE, CropStore
from convert.training.batches import Batches, Course
from edged.detect.rescorer import CROP_MARGIN, CROP_SIZE

Batch = tuple[torch.Tensor, torch.Tensor]
"""uint8 [B, CROP_SIZE, CROP_SIZE, 3] and what is to be learned, float32 [B]: near 1 for a face, near 0 for none."""

VALIDATION = 40
"""One crop of so many is not drawn, but scored for the log. Its neighbours are: it tells the progress, not the quality."""
HARD_FACE = 0.6
"""Faces that the detector scores below are drawn twice as often."""
DARKENED = 0.2
SMOOTHING = 0.02
HEAD = np.array([1 - 1 / CROP_MARGIN, 1 + 1 / CROP_MARGIN], np.float32) * CROP_SIZE / 2 + (WIDE - CROP_SIZE) / 2
"""Where the detection lies in a wide crop, along both axes, in pixels."""


class Samples(Batches[Batch]):
    """Batches of finds, half of them faces."""

    def __init__(self, store: CropStore, course: Course) -> None:
        super().__init__(course)
        self._store = store
        drawn = np.arange(len(store.images)) % VALIDATION != 0
        self._faces = np.flatnonzero(store.is_face & drawn)
        self._others = np.flatnonzero(~store.is_face & drawn)
        self._face_weights = _shares(np.where(store.scores[self._faces] < HARD_FACE, 2.0, 1.0))
        # What the detector is surest of costs most.
        self._other_weights = _shares(0.25 + 3.0 * store.scores[self._others].astype(np.float64))

    def drawn(self, count: int, rng: np.random.Generator) -> Batch:
        """See `Batches`."""
        half = count // 2
        faces = rng.choice(self._faces, half, p=self._face_weights)
        others = rng.choice(self._others, count - half, p=self._other_weights)
        images = np.empty((count, CROP_SIZE, CROP_SIZE, 3), np.uint8)
        for row, number in enumerate([*faces.tolist(), *others.tolist()]):
            images[row] = jitter(self._store.images[number], float(self._store.sides[number]), rng)
        targets = torch.full((count,), SMOOTHING / 2)
        targets[:half] += 1 - SMOOTHING
        return torch.from_numpy(images), targets


def _shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(weights / weights.sum(), np.float64)


def jitter(wide: NDArray[np.uint8], side: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One training view of a wide crop whose find was `side` pixels long."""
    image = np.array(wide)
    if rng.random() < DARKENED:
        darken(image, np.array([HEAD[0], HEAD[0], HEAD[1], HEAD[1]], np.float32), rng)
    scale = float(np.exp(rng.normal(0, 0.12)).clip(0.75, 1.35))
    turn = float(np.deg2rad(rng.normal(0, 8)))
    mirrored = bool(rng.random() < 0.5)
    image = middle(image, CROP_SIZE, Shift(scale, turn, mirrored, *rng.normal(0, 0.03 * CROP_SIZE, 2)))
    if rng.random() < 0.8:
        image = photometric(image, rng)
    light = rng.random()
    if light < 0.08:
        image = infrared(image, rng) if light < 0.03 else low_light(image, rng)
    if rng.random() < 0.2:
        image = blur(image, rng, 2.0)
    image = _distance(image, side, rng)
    return noise(image, rng, 6.0) if rng.random() < 0.2 else image


def _distance(image: NDArray[np.uint8], side: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Some of the larger finds become small ones, and some are compressed."""
    if side > 20 and rng.random() < 0.3:
        image = farther(image, CROP_MARGIN, side, 48, rng)
    if rng.random() < 0.25:
        image = jpeg(image, rng, 30)
    return grow(image, CROP_SIZE)
