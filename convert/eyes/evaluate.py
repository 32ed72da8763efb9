"""Scores an eye classifier on eyes it has never seen, cut as in service."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convert.augment import jpeg, noise, shrink
from convert.data.landmarks import read_points
from convert.eyes.cover import draw_cover, draw_sunglasses
from convert.eyes.samples import whole_crop
from convert.eyes.sources import CLEARLY_OPEN, HIDDEN, WIDE, WIDE_MARGIN, WideEye, from_crop, from_points
from convert.eyes.split import read_crops, split
from convert.mask.network import normalise
from edged.analyse.eyes import EYE_MARGIN, EYE_SIZE, EYE_STATES

Answers = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""N x EYE_SIZE x EYE_SIZE x 3 to N x 3 scores."""


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
    small = shrink(image, round(narrow * EYE_MARGIN))
    return np.asarray(cv2.resize(small, (EYE_SIZE, EYE_SIZE), interpolation=cv2.INTER_LINEAR), np.uint8)


def from_afar(eyes: Sequence[WideEye], narrow: float, seed: int = 0) -> Examples:
    """As if they had been `narrow` pixels wide in the picture of a cheap camera: with noise, and compressed there."""
    rng = np.random.default_rng(seed)
    images = np.empty((len(eyes), EYE_SIZE, EYE_SIZE, 3), np.uint8)
    for image, eye in zip(images, eyes, strict=True):
        small = shrink(service_view(eye.image), min(round(narrow * EYE_MARGIN), EYE_SIZE))
        worn = jpeg(noise(small, rng, 6.0), rng, 40)
        image[:] = cv2.resize(worn, (EYE_SIZE, EYE_SIZE), interpolation=cv2.INTER_LINEAR)
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
    images = np.stack([whole_crop(eye.image, eye.height, None) for eye in eyes])
    return Examples(images, np.array([eye.state for eye in eyes], np.int64))


def covered(eyes: Sequence[WideEye], seed: int = 0) -> Examples:
    """Each eye behind drawn sunglasses or a drawn hand, arm or hair."""
    rng = np.random.default_rng(seed)
    draw = (draw_sunglasses, draw_cover)
    images = np.stack([service_view(draw[k % 2](eye.image, rng)) for k, eye in enumerate(eyes)])
    return Examples(images, np.full(len(eyes), HIDDEN, np.int64))


@torch.inference_mode()
def logits_of(network: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """N x 3 logits for N eyes, in float32."""
    parts = [network(normalise(torch.from_numpy(images[start : start + 64]))) for start in range(0, len(images), 64)]
    return np.asarray(torch.cat(parts).float().numpy(), np.float32)


def accuracy(scores: NDArray[np.float32], states: NDArray[np.int64]) -> float:
    """Share of right answers; an eye called hidden that is not counts as wrong."""
    return float((scores.argmax(axis=1) == states).mean())


def confusion(scores: NDArray[np.float32], states: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts: rows are truth, columns the answer, both in the order of EYE_STATES."""
    table = np.zeros((len(EYE_STATES),) * 2, np.int64)
    np.add.at(table, (states, scores.argmax(axis=1)), 1)
    return table
