"""Draws training samples: which crop comes next, and how it is jittered and worn down."""

import numpy as np
import torch
from numpy.typing import NDArray

from convert.augment import Shift, blur, farther, grow, jpeg, middle, noise, photometric
from convert.data.coco import CORRECT, INCORRECT, NONE
from convert.mask.store import CropStore
from convert.training.batches import Batches, Course, Mixture
from edged.analyse.mask import CROP_MARGIN, CROP_SIZE

Batch = tuple[torch.Tensor, torch.Tensor]
"""uint8 [B, CROP_SIZE, CROP_SIZE, 3] and the probabilities to learn, float32 [B, 3]."""

SHARES: dict[tuple[str, int], float] = {
    ("real", CORRECT): 0.22, ("reviewed", CORRECT): 0.10, ("web", CORRECT): 0.05, ("scene", CORRECT): 0.06,
    ("rendered set", CORRECT): 0.02, ("drawn correct", CORRECT): 0.06, ("dressed", CORRECT): 0.02,
    ("dressed people", CORRECT): 0.05,
    ("real", INCORRECT): 0.05, ("reviewed", INCORRECT): 0.17, ("dressed", INCORRECT): 0.05,
    ("rendered set", INCORRECT): 0.02, ("drawn nose", INCORRECT): 0.05, ("drawn mouth", INCORRECT): 0.03,
    ("drawn chin", INCORRECT): 0.01, ("dressed people", INCORRECT): 0.05,
    ("real", NONE): 0.11, ("reviewed", NONE): 0.07, ("people", NONE): 0.11, ("bare crop", NONE): 0.06, ("web", NONE): 0.03,
    ("rendered set", NONE): 0.01, ("bare", NONE): 0.04, ("occluded", NONE): 0.05, ("turned", NONE): 0.02,
}  # fmt: skip
"""How often each group and state is drawn. `incorrect` is drawn far above its share in the world, since it is rare there."""

SMOOTHING = 0.05
TEACHER_SHARE = 0.6
"""How much of what is learned is the teacher's opinion, where it has one; the label is the rest."""

PRIOR_SHARE = 0.25
NATURAL_SHARES = (0.80, 0.03, 0.17)
"""correct, incorrect, none: as found in the training part of masks853."""


def prior_offset() -> tuple[float, float, float]:
    """What to add to the logits for the world's shares instead of the drawn ones, taken a quarter of the way.

    All the way (Saerens et al. 2002) the rare state would hardly ever be called; not at all, one good mask in thirty
    would be called a violation. A quarter, in logarithms, is the compromise.
    """
    total = sum(SHARES.values())
    drawn = [sum(share for (_, state), share in SHARES.items() if state == k) / total for k in range(3)]
    correct, incorrect, none = (
        PRIOR_SHARE * float(np.log(natural / share)) for natural, share in zip(NATURAL_SHARES, drawn, strict=True)
    )
    return correct, incorrect, none


ABOVE = {"real": 0.11, "dressed": 0.11}
"""The labels of masks853 are of the lower face: our detector, which learned whole faces elsewhere, puts its boxes so much higher,
in units of the longer side. Elsewhere the two agree within 0.05."""
AS_DETECTED = 0.8
"""How many of the views of these groups are cut as the detector would have."""


class Samples(Batches[Batch]):
    """Batches of faces as a detector would have cut them, and how their masks are worn."""

    def __init__(self, store: CropStore, course: Course) -> None:
        super().__init__(course)
        self._store = store
        self._mixture = Mixture(zip(store.groups.tolist(), store.states.tolist(), strict=True), SHARES)

    def drawn(self, count: int, rng: np.random.Generator) -> Batch:
        """See `Batches`."""
        images = np.empty((count, CROP_SIZE, CROP_SIZE, 3), np.uint8)
        targets = np.full((count, 3), SMOOTHING / 3, np.float32)
        for row, ((group, state), chosen) in enumerate(self._mixture.draw(count, rng)):
            images[row] = jitter(
                self._store.images[chosen], float(self._store.sides[chosen]), rng, ABOVE.get(group, 0.0)
            )
            targets[row, state] += 1 - SMOOTHING
            if self._store.opinions is not None and np.isfinite(self._store.opinions[chosen, 0]):
                targets[row] += TEACHER_SHARE * (self._store.opinions[chosen] - targets[row])
        return torch.from_numpy(images), torch.from_numpy(targets)


def jitter(wide: NDArray[np.uint8], side: float, rng: np.random.Generator, above: float = 0.0) -> NDArray[np.uint8]:
    """One training view of a wide crop whose face was `side` pixels: moved, turned, mirrored, lit, seen from afar.

    `above`: how far a detector's box lies above that of the crop, in units of its longer side; most views are cut there.
    """
    image = _move(wide, rng, above if rng.random() < AS_DETECTED else 0.0)
    if rng.random() < 0.85:
        image = photometric(image, rng)
    if rng.random() < 0.2:
        image = blur(image, rng, 2.5)
    image = _distance(image, side, rng)
    return noise(image, rng, 6.0) if rng.random() < 0.25 else image


def _move(wide: NDArray[np.uint8], rng: np.random.Generator, above: float) -> NDArray[np.uint8]:
    """Boxes are never exact: scale, place and angle vary as a detector's do."""
    scale = float(np.exp(rng.normal(0, 0.1)).clip(0.75, 1.35))
    turn = float(np.deg2rad(rng.normal(0, 8)))
    mirrored = bool(rng.random() < 0.5)
    right, down = rng.normal(0, 0.035 * CROP_SIZE, 2)
    return middle(wide, CROP_SIZE, Shift(scale, turn, mirrored, right, down - above / CROP_MARGIN * CROP_SIZE))


def _distance(image: NDArray[np.uint8], side: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Half of the larger faces become 9 to 64 pixels small, are compressed there, and are grown as in service."""
    if side > 24 and rng.random() < 0.5:
        image = farther(image, CROP_MARGIN, side, 64, rng)
    if rng.random() < 0.35:
        image = jpeg(image, rng, 30)
    return grow(image, CROP_SIZE)
