"""Draws training samples: which face comes next, how its crop is misplaced, covered and worn down."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from convert.augment import blur, grow, jpeg, noise, photometric, shrink
from convert.data.occluders import draw_occluder
from convert.landmarks.store import BARE, CHANGED, HELEN, MASKED, YOUTUBE, FacePicture, FaceStore
from convert.training.batches import Batches, Course, Mixture
from edged.analyse.align import Square, aligned_crops, apply, inverse, square_around_landmarks
from edged.analyse.landmarks import CROP_MARGIN, CROP_SIZE
from edged.render.mean_face import MIRROR_68
from edged.types import Image, Points

Batch = tuple[torch.Tensor, torch.Tensor]
"""Faces uint8 [B, 112, 112, 3] and points float32 [B, 68, 2], in pixels of the crop from its centre."""

MIRROR = np.array(MIRROR_68)

LABEL_SHIFT = {HELEN: 0.009, YOUTUBE: 0.019}
"""How far to the right of the mirror-fair place a set's labels lie, in outer-eye distances.

A network taught with pictures and their mirror images alike answers half way between; it missed the labels of these
sets' training parts by so much, always to the same side (standard error 0.001).
"""


@dataclass(frozen=True)
class Misplacement:
    """How far a square lies from the ideal one, as standard deviations: in sides, logarithms and degrees."""

    share: float
    place: float
    scale: float
    turn: float
    down: float = 0.0
    """How much lower than ours the box of a detector lies, in sides."""


MISPLACEMENTS = (
    # As measured on HELEN's training part, bare and masked, between our detector's boxes and those of the points; its
    # five points tell little about the head's roll, so most of that stays in the crop. A little wider than measured.
    Misplacement(0.5, 0.036, 0.10, 9.0, 0.024),
    # The second look follows the first one's points.
    Misplacement(0.35, 0.014, 0.03, 2.0),
    # Detectors of others, faces at the border, heads lying on a shoulder.
    Misplacement(0.15, 0.06, 0.15, 18.0, 0.01),
)
LARGEST_TURN = 40.0


class Samples(Batches[Batch]):
    """Batches of faces; `shares` says how often each data set is drawn: bare, changed and masked."""

    def __init__(self, store: FaceStore, shares: Mapping[tuple[str, str], float], course: Course) -> None:
        super().__init__(course)
        self._store = store
        kinds = np.where(np.isin(store.wears, (BARE, CHANGED)), store.wears, MASKED)
        self._mixture = Mixture(zip(store.groups.tolist(), kinds.tolist(), strict=True), shares)

    def drawn(self, count: int, rng: np.random.Generator) -> Batch:
        """See `Batches`."""
        faces = np.empty((count, CROP_SIZE, CROP_SIZE, 3), np.uint8)
        points = np.empty((count, 68, 2), np.float32)
        for row, (_, chosen) in enumerate(self._mixture.draw(count, rng)):
            faces[row], points[row] = view(self._picture(chosen), rng)
        return torch.from_numpy(faces), torch.from_numpy(points - CROP_SIZE / 2)

    def _picture(self, number: int) -> FacePicture:
        store = self._store
        group, wear = str(store.groups[number]), str(store.wears[number])
        return FacePicture(store.pictures.image(number), store.points[number], group, wear)


def view(picture: FacePicture, rng: np.random.Generator) -> tuple[Image, Points]:
    """One training view of a face: the crop, and its points in pixels of the crop."""
    ideal = square_around_landmarks(picture.points, CROP_MARGIN)
    square = misplaced(ideal, rng)
    crops = aligned_crops(picture.image, [square], CROP_SIZE)
    crop, moved = crops.pixels[0], apply(inverse(crops.to_picture[0]), picture.points).astype(np.float32)
    if rng.random() < 0.5:
        crop, moved = mirrored(crop, moved, LABEL_SHIFT[picture.group])
    crop = covered(crop, moved, picture.wear in (BARE, CHANGED), rng)
    crop = worn_down(crop, ideal.side / CROP_MARGIN, rng)
    return crop, moved


def misplaced(ideal: Square, rng: np.random.Generator) -> Square:
    """A square as a detector, or a first look, would have given it."""
    kind = MISPLACEMENTS[rng.choice(len(MISPLACEMENTS), p=[m.share for m in MISPLACEMENTS])]
    right, down = rng.normal((0, kind.down), kind.place) * (ideal.side / CROP_MARGIN)
    turn = np.clip(rng.normal(0, kind.turn), -LARGEST_TURN, LARGEST_TURN)
    # A square on a leaning head is what an upright box, which is larger there, would give.
    side = ideal.side * float(np.exp(np.clip(rng.normal(0, kind.scale), -0.4, 0.4)))
    return Square(ideal.x + float(right), ideal.y + float(down), side, ideal.angle + float(np.deg2rad(turn)))


def mirrored(crop: Image, points: Points, label_shift: float) -> tuple[Image, Points]:
    """The same face in a mirror: left and right points change their names.

    `label_shift` is how far to the right the labels lie, in outer-eye distances: in the mirror they still do.
    """
    flipped = points[MIRROR].copy()
    unit = float(np.linalg.norm(points[45] - points[36]))
    flipped[:, 0] = crop.shape[1] - flipped[:, 0] + 2 * label_shift * unit
    return np.ascontiguousarray(crop[:, ::-1]), flipped


def covered(crop: Image, points: Points, bare: bool, rng: np.random.Generator) -> Image:
    """Sometimes sunglasses, something held before a bare face, or a patch of nothing."""
    if rng.random() < 0.1:
        crop = wear_sunglasses(crop, points, rng)
    if bare and rng.random() < 0.15:
        crop = draw_occluder(crop, points, rng)
    if rng.random() < 0.12:
        crop = crop.copy()
        x, y = rng.integers(0, CROP_SIZE - 10, 2)
        width, height = rng.integers(10, 45, 2)
        crop[y : y + height, x : x + width] = rng.integers(0, 256, 3)
    return crop


def wear_sunglasses(crop: Image, points: Points, rng: np.random.Generator) -> Image:
    """A copy with two dark lenses, a bridge and temples drawn round the eyes."""
    unit = max(float(np.linalg.norm(points[45] - points[36])), 4.0)
    along = (points[45] - points[36]) / unit
    turn = float(np.degrees(np.arctan2(along[1], along[0])))
    width, height = unit * rng.uniform(0.22, 0.3), unit * rng.uniform(0.14, 0.24)
    colour = rng.uniform(0, 70, 3)
    square = rng.random() < 0.5
    drop = rng.uniform(-0.02, 0.06)
    layer = crop.copy()
    centres = []
    for eye in (points[36:42], points[42:48]):
        centre = eye.mean(axis=0) + np.array([-along[1], along[0]]) * unit * drop
        centres.append(centre)
        if square:
            corners = cv2.boxPoints((tuple(map(float, centre)), (2 * width, 2 * height), turn))
            cv2.fillPoly(layer, [np.round(corners * 16).astype(np.int32)], colour.tolist(), cv2.LINE_AA, 4)
        else:
            axes = (round(width * 16), round(height * 16))
            where = (round(float(centre[0]) * 16), round(float(centre[1]) * 16))
            cv2.ellipse(layer, where, axes, turn, 0, 360, colour.tolist(), -1, cv2.LINE_AA, 4)
    thick = max(1, round(unit * 0.04))
    for ends in ((centres[0], centres[1]), (centres[0], points[0]), (centres[1], points[16])):
        start, end = (tuple(int(v) for v in np.clip(p, -999, 999)) for p in ends)
        cv2.line(layer, start, end, (colour * 0.7).tolist(), thick, cv2.LINE_AA)
    opacity = float(rng.uniform(0.75, 1.0))
    return np.asarray(cv2.addWeighted(layer, opacity, crop, 1 - opacity, 0), np.uint8)


def worn_down(crop: NDArray[np.uint8], side: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lit, blurred, seen from afar (faces of 20 px up; `side` is the face's in its picture), compressed and noisy."""
    if rng.random() < 0.8:
        crop = photometric(crop, rng)
    if rng.random() < 0.15:
        crop = blur(crop, rng, 2.2)
    if rng.random() < 0.3:
        small = float(np.exp(rng.uniform(np.log(20), np.log(80))))
        if small < side:
            crop = shrink(crop, max(16, round(small * CROP_MARGIN)))
    if rng.random() < 0.25:
        crop = jpeg(crop, rng, 30)
    crop = grow(crop, CROP_SIZE)
    return noise(crop, rng, 6.0) if rng.random() < 0.2 else crop
