"""The eyes on which eye classifiers are scored, cut as in service: none of them was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.augment import grow, jpeg, noise, shrink
from convert.data.landmarks import read_points
from convert.eyes.cover import draw_cover, draw_sunglasses
from convert.eyes.sources import CLEARLY_OPEN, HIDDEN, WIDE, WIDE_MARGIN, WideEye, from_crop, from_points
from convert.eyes.split import read_crops, split
from edged.analyse.eyes import EYE_MARGIN, EYE_SIZE


@dataclass(frozen=True, eq=False)
class Examples:
    """Eyes as the classifier is shown them, and their true states."""

    images: NDArray[np.uint8]
    states: NDArray[np.int64]


def service_view(wide: NDArray[np.uint8], narrow: float | None = None) -> NDArray[np.uint8]:
    """A wide eye framed as in service; where `narrow` is given, as if it had been so many pixels wide."""
    step = EYE_MARGIN / WIDE_MARGIN * WIDE / EYE_SIZE
    offset = WIDE / 2 - 0.5 - step * (EYE_SIZE / 2 - 0.5)
    matrix = np.array([[step, 0, offset], [0, step, offset]])
    view = cv2.warpAffine(wide, matrix, (EYE_SIZE, EYE_SIZE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    image = np.asarray(view, np.uint8)
    if narrow is None or round(narrow * EYE_MARGIN) >= EYE_SIZE:
        return image
    return grow(shrink(image, round(narrow * EYE_MARGIN)), EYE_SIZE)


def from_afar(eyes: Sequence[WideEye], narrow: float, seed: int = 0) -> Examples:
    """As if they had been `narrow` pixels wide in the picture of a cheap camera: with noise, and compressed there."""
    rng = np.random.default_rng(seed)
    images = np.empty((len(eyes), EYE_SIZE, EYE_SIZE, 3), np.uint8)
    for image, eye in zip(images, eyes, strict=True):
        small = shrink(service_view(eye.image), min(round(narrow * EYE_MARGIN), EYE_SIZE))
        image[:] = grow(jpeg(noise(small, rng, 6.0), rng, 40), EYE_SIZE)
    return Examples(images, np.array([eye.state for eye in eyes], np.int64))


def held_out_crops(data: Path, fold: int) -> list[WideEye]:
    """The ready-made crops of the fold that is held out."""
    return [from_crop(file) for file in split(read_crops(data / "eyes"), fold)[1]]


def held_out_faces(data: Path, seed: int = 0) -> list[WideEye]:
    """HELEN's test eyes: clearly open and clearly shut ones, and open ones with lids drawn."""
    faces = read_points(data / "landmarks68" / "helen_test")
    return list(from_points(faces, "large", CLEARLY_OPEN, np.random.default_rng(seed)))


def in_service(eyes: Sequence[WideEye], narrow: float | None = None) -> Examples:
    """As `edged` cuts them; `narrow` as for `service_view`."""
    images = np.stack([service_view(eye.image, narrow) for eye in eyes])
    return Examples(images, np.array([eye.state for eye in eyes], np.int64))


def stretched(eyes: Sequence[WideEye]) -> Examples:
    """Ready-made crops resized whole, without looking where the eye is."""
    from convert.eyes.samples import whole_crop  # as trainings do, with PyTorch

    images = np.stack([whole_crop(eye.image, eye.height, None) for eye in eyes])
    return Examples(images, np.array([eye.state for eye in eyes], np.int64))


def covered(eyes: Sequence[WideEye], seed: int = 0) -> Examples:
    """Each eye behind drawn sunglasses or a drawn hand, arm or hair."""
    rng = np.random.default_rng(seed)
    draw = (draw_sunglasses, draw_cover)
    images = np.stack([service_view(draw[k % 2](eye.image, rng)) for k, eye in enumerate(eyes)])
    return Examples(images, np.full(len(eyes), HIDDEN, np.int64))
