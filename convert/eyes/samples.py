"""Draws training samples: which eye comes next, and how it is covered, jittered and worn down."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from convert.augment import blur, grow, jpeg, noise, photometric, shrink
from convert.eyes.cover import draw_background, draw_cover, draw_glasses, draw_sunglasses, draw_sunlight
from convert.eyes.sources import CLOSED, EYE_SHARE, HIDDEN, OPEN, WIDE, WIDE_MARGIN
from convert.eyes.store import EyeStore
from convert.training.batches import Batches, Course, Mixture
from edged.analyse.eyes import EYE_MARGIN, EYE_SIZE

SHARES: dict[tuple[str, int], float] = {
    ("crop", OPEN): 0.20, ("large", OPEN): 0.16, ("drawn large", OPEN): 0.07, ("small", OPEN): 0.04, ("drawn small", OPEN): 0.01,
    ("crop", CLOSED): 0.26, ("large", CLOSED): 0.05, ("drawn large", CLOSED): 0.11, ("drawn small", CLOSED): 0.03,
    ("elsewhere", HIDDEN): 0.06,
}  # fmt: skip
"""How often each group and state is drawn, before some eyes are covered."""

COVERED, GLASSES, SUNLIT, EDGE = 0.16, 0.18, 0.2, 0.12
"""How often an eye is covered, looks through drawn glasses, stands in sun and shade, and ends at the background."""

Pixels = NDArray[np.uint8]
Batch = tuple[torch.Tensor, torch.Tensor]
"""uint8 [B, EYE_SIZE, EYE_SIZE, 3] and int64 states [B]."""


class Samples(Batches[Batch]):
    """Batches of eyes as landmarks would have framed them, and their states."""

    def __init__(self, store: EyeStore, course: Course) -> None:
        super().__init__(course)
        self._store = store
        self._mixture = Mixture(zip(store.groups.tolist(), store.states.tolist(), strict=True), SHARES)

    def drawn(self, count: int, rng: np.random.Generator) -> Batch:
        """See `Batches`."""
        images = np.empty((count, EYE_SIZE, EYE_SIZE, 3), np.uint8)
        states = np.empty(count, np.int64)
        for row, (_, chosen) in enumerate(self._mixture.draw(count, rng)):
            images[row], states[row] = self._covered(chosen, rng)
        return torch.from_numpy(images), torch.from_numpy(states)

    def _covered(self, chosen: int, rng: np.random.Generator) -> tuple[Pixels, int]:
        store = self._store
        wide, state = store.images[chosen], int(store.states[chosen])
        choice = rng.random()
        if state != HIDDEN and choice < COVERED:
            wide, state = (draw_sunglasses if choice < 0.6 * COVERED else draw_cover)(wide, rng), HIDDEN
        elif choice < COVERED + GLASSES:
            wide = draw_glasses(wide, rng)
        if rng.random() < EDGE:
            wide = draw_background(wide, rng)
        if rng.random() < SUNLIT:
            wide = draw_sunlight(wide, rng)
        return jitter(wide, float(store.widths[chosen]), float(store.heights[chosen]), rng), state


def jitter(wide: Pixels, width: float, height: float, rng: np.random.Generator) -> Pixels:
    """One training view of an eye that was `width` pixels wide: moved, turned, mirrored, lit, seen from afar.

    `height` is a ready-made crop's height in crop widths, 0 for eyes out of faces.
    """
    image = whole_crop(wide, height, rng) if height > 0 and rng.random() < 0.4 else _move(wide, height > 0, rng)
    if rng.random() < 0.85:
        image = photometric(image, rng)
    if rng.random() < 0.15:
        image = _infrared(image, rng)
    if rng.random() < 0.25:
        image = blur(image, rng, 1.4)
    image = _distance(image, width, rng)
    return noise(image, rng, 9.0) if rng.random() < 0.3 else image


def _move(wide: Pixels, ready_made: bool, rng: np.random.Generator) -> Pixels:
    """Landmarks are never exact: scale, place and angle of the frame vary as theirs do."""
    # Little lies beyond a ready-made crop's border.
    widest = 1.2 if ready_made else 1.35
    scale = EYE_MARGIN / WIDE_MARGIN * WIDE / EYE_SIZE * float(np.exp(rng.normal(0, 0.14)).clip(0.7, widest))
    turn = np.deg2rad(rng.normal(0, 8))
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    tall = float(np.exp(rng.normal(0, 0.07)))
    linear = np.array([[cos * flip, -sin * tall], [sin * flip, cos * tall]])
    centre = np.array([WIDE / 2 - 0.5] * 2) + rng.normal(0, 0.075 * WIDE / WIDE_MARGIN, 2)
    return _view(wide, np.column_stack([linear, centre - linear @ np.array([EYE_SIZE / 2 - 0.5] * 2)]))


def whole_crop(wide: Pixels, height: float, rng: np.random.Generator | None) -> Pixels:
    """A ready-made crop stretched whole, as who has only such crops would show them; jittered where `rng` is given."""
    across = WIDE / WIDE_MARGIN / EYE_SHARE
    extent = np.array([across, across * height])
    middle = np.array([WIDE / 2, WIDE / 2 - 0.25 * max(0.0, height - 0.6) * across])
    flip = 1.0
    if rng is not None:
        extent *= np.exp(rng.normal(0, 0.05, 2)).clip(0.85, 1.05)
        middle += rng.normal(0, 0.03, 2) * across
        flip = -1.0 if rng.random() < 0.5 else 1.0
    step = extent / EYE_SIZE
    linear = np.diag(step * (flip, 1.0))
    return _view(wide, np.column_stack([linear, middle - 0.5 - linear @ np.array([EYE_SIZE / 2 - 0.5] * 2)]))


def _view(wide: Pixels, matrix: NDArray[np.float64]) -> Pixels:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(wide, matrix, (EYE_SIZE, EYE_SIZE), flags=flags, borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def _infrared(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Grey as under infra-red lamps: mostly red, flat, sometimes with a bright pupil's glint."""
    red = image[..., 2].astype(np.float32) * 0.8 + image[..., 1] * 0.2
    flat = (red - red.mean()) * rng.uniform(0.4, 1.2) + rng.uniform(50, 190)
    if rng.random() < 0.4:
        x, y = (EYE_SIZE / 2 + rng.normal(0, 3, 2)).astype(int)
        cv2.circle(flat, (int(x), int(y)), int(rng.integers(0, 2)), float(rng.uniform(180, 255)), -1, cv2.LINE_AA)
    return np.asarray(np.repeat(np.clip(flat, 0, 255).astype(np.uint8)[..., None], 3, axis=2), np.uint8)


def _distance(image: Pixels, width: float, rng: np.random.Generator) -> Pixels:
    """Half of the eyes become 8 to 24 pixels narrow, are compressed there, and are grown as in service."""
    if rng.random() < 0.5:
        narrow = float(np.exp(rng.uniform(np.log(8), np.log(24))))
        if narrow < width and round(narrow * EYE_MARGIN) < EYE_SIZE:
            image = shrink(image, round(narrow * EYE_MARGIN))
    if rng.random() < 0.35:
        image = jpeg(image, rng, 35)
    return grow(image, EYE_SIZE)
