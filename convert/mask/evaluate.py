"""Scores a mask classifier on faces it has never seen, and finds the temperature that makes its scores honest."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convert.data.coco import CORRECT, INCORRECT, NONE, LabelledPicture, read_coco, read_picture
from convert.data.landmarks import face_box, read_points
from convert.data.split import split
from convert.mask.network import normalise
from edged.analyse.crop import square_crops
from edged.analyse.mask import CROP_MARGIN, CROP_SIZE
from edged.render import Wear, random_style, wear_mask
from edged.types import Box, Image

SIZE_BANDS = ((8, 12), (12, 16), (16, 20), (20, 40), (40, 10_000))
Confusion = NDArray[np.int64]
"""3 x 3 counts: rows are truth, columns the answer, both in the order of JUDGED_STATES."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Faces cut exactly as in service: pixels, states, and the shorter side in the picture."""

    images: NDArray[np.uint8]
    states: NDArray[np.int64]
    sides: NDArray[np.float32]


def held_out_examples(data: Path) -> Examples:
    """Every face of the held-out part of masks853, with its labelled box."""
    _, held_out = split(read_coco(data / "masks853"))
    return labelled_examples(held_out)


def labelled_examples(pictures: list[LabelledPicture]) -> Examples:
    """Every face of `pictures`."""
    images = [_cut(read_picture(picture.path), picture.boxes) for picture in pictures]
    boxes = np.concatenate([picture.boxes for picture in pictures])
    states = np.concatenate([picture.states for picture in pictures])
    sides = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    return Examples(np.concatenate(images), states, sides)


def drawn_examples(data: Path, seed: int) -> Examples:
    """HELEN's test faces, in turn bare and with a drawn mask worn in each of the four ways."""
    rng = np.random.default_rng(seed)
    images, states, sides = [], [], []
    wears: list[Wear | None] = [None, *Wear]
    for number, face in enumerate(read_points(data / "landmarks68" / "helen_test")):
        wear = wears[number % len(wears)]
        image = read_picture(face.path)
        if wear is not None:
            image = wear_mask(image, face.points, random_style(rng), wear, rng).image
        box = face_box(face.points)
        images.append(_cut(image, box[None]))
        states.append(NONE if wear is None else CORRECT if wear is Wear.CORRECT else INCORRECT)
        sides.append(min(box[2] - box[0], box[3] - box[1]))
    return Examples(np.concatenate(images), np.array(states, np.int64), np.array(sides, np.float32))


def _cut(image: Image, boxes: NDArray[np.float32]) -> NDArray[np.uint8]:
    return square_crops(image, [Box(*row) for row in boxes.tolist()], CROP_SIZE, CROP_MARGIN)


@torch.inference_mode()
def logits_of(
    network: nn.Module, images: NDArray[np.uint8], prepare: Callable[[torch.Tensor], torch.Tensor] = normalise
) -> NDArray[np.float32]:
    """N x 3 logits for N crops, in float32; `prepare` makes of uint8 [batch, 96, 96, 3] what the network takes."""
    device = next(network.parameters()).device
    parts = [
        network(prepare(torch.from_numpy(images[start : start + 64]).to(device))).cpu()
        for start in range(0, len(images), 64)
    ]
    return np.asarray(torch.cat(parts).float().numpy(), np.float32)


def confusion(scores: NDArray[np.float32], states: NDArray[np.int64]) -> Confusion:
    """Count answers (the highest score) against truth."""
    table = np.zeros((3, 3), np.int64)
    np.add.at(table, (states, scores.argmax(axis=1)), 1)
    return table


def f1_scores(table: Confusion) -> NDArray[np.float64]:
    """F1 of each state; 0 where a state never occurs."""
    return np.asarray(2 * table.diagonal() / np.maximum(table.sum(0) + table.sum(1), 1), np.float64)


def macro_f1(table: Confusion) -> float:
    """The mean F1 of the three states."""
    return float(f1_scores(table).mean())


def best_temperature(logits: NDArray[np.float32], states: NDArray[np.int64]) -> float:
    """The divisor of the logits with the least negative log-likelihood (Guo et al. 2017, arXiv 1706.04599)."""
    candidates = np.exp(np.linspace(np.log(0.2), np.log(5), 200))
    losses = [_negative_log_likelihood(logits / t, states) for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def _negative_log_likelihood(logits: NDArray[np.float32], states: NDArray[np.int64]) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(states)), states]).mean())


def calibration_error(probabilities: NDArray[np.float32], states: NDArray[np.int64], bins: int = 10) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over equal bins of confidence."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == states
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(float(confidence[place == k].mean() - right[place == k].mean())) * float((place == k).mean())
        for k in range(bins)
        if (place == k).any()
    ]
    return float(sum(gaps))
