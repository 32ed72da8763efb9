"""The faces on which mask classifiers are scored: none of them was trained on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convert.classification import confusion, logits_of, macro_f1
from convert.data.coco import CORRECT, INCORRECT, NONE, LabelledPicture, counted_faces, read_coco, read_picture
from convert.data.held_out import MASK_SCENES, held_out_part
from convert.data.landmarks import face_box, read_points
from convert.data.split import split
from convert.layers import normalise
from edged.analyse.mask import CROP_MARGIN, CROP_SIZE
from edged.crops import square_crops
from edged.render import Wear, random_style, wear_mask
from edged.types import Box, Image

SMALLEST_SCORED = 16
"""Shorter side in pixels."""
SIZE_BANDS = ((8, 12), (12, 16), (16, 20), (20, 40), (40, 10_000))


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


def web_examples(data: Path) -> Examples:
    """The faces of known state in the held-out parts of the reviewed photographs from the web."""
    pictures = [picture for name in MASK_SCENES for picture in held_out_part(read_coco(data / "mask_scenes3" / name))]
    return labelled_examples([counted_faces(picture) for picture in pictures])


def together(*examples: Examples) -> Examples:
    """One after the other."""
    return Examples(
        np.concatenate([one.images for one in examples]),
        np.concatenate([one.states for one in examples]),
        np.concatenate([one.sides for one in examples]),
    )


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


def held_out_figures(
    network: nn.Module, examples: Examples, prepare: Callable[[torch.Tensor], torch.Tensor] = normalise
) -> dict[str, float]:
    """How a network in training does on the examples that count, for its log."""
    seen = examples.sides >= SMALLEST_SCORED
    table = confusion(logits_of(network, examples.images[seen], prepare), examples.states[seen])
    return {"macro_f1": round(macro_f1(table), 4), "accuracy": round(float(table.trace() / table.sum()), 4)}
