"""Draws the detector's training samples: windows of real scenes, and mosaics of single faces."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from convert.augment import blur, infrared, jpeg, low_light, noise, photometric
from convert.data.clutter import draw_clutter
from convert.data.coco import INCORRECT
from convert.data.headwear import draw_headwear
from convert.data.shade import darken
from convert.detector.losses import Faces
from convert.detector.pictures import COLUMNS, IGNORED, STATE, SURE, Rows
from convert.detector.store import PictureStore
from convert.training.batches import Batches, Course

Batch = tuple[torch.Tensor, list[Rows]]
"""uint8 [B, side, side, 3], and the faces of each sample."""

SIDES = {320: 1.0, 640: 0.25}
"""Sides of samples in pixels, and how many there are in a batch of that side, relative to the batch: alike in pixels."""
LARGE = 0.2
"""Share of batches with the larger side: faces that fill the picture must be found too."""
SHARES = {"crowd": 0.36, "people": 0.34, "scene": 0.08, "single": 0.13, "empty": 0.09}
"""How often each group is drawn."""
OFTEN = 3.0
"""How many times as often as others pictures are drawn that are marked so."""
FACELESS = 0.25
"""Share of windows laid anywhere in their picture: most of a picture is no face."""
FACELESS_SCALES = (0.7, 5.0)
"""They reach further than faces do: the cells that find large faces must see large things that are none."""
CLUTTERED = 0.2
DRESSED_UP = 0.22
"""How often sunglasses, a cap or something else is drawn on a face."""
DARKENED = 0.08
"""How often a face is darkened."""
USUAL_SCALE = 1.15
"""A camera looks at a picture's own size, `edged analyze` at up to twice that; most samples are nearer to the first."""
LEAST_FILLED = 0.6
"""A picture is made at least so long, in sides of the sample: what lies outside it teaches little."""
SMALLEST = 5.0
"""Faces with a shorter side below this, in sample pixels, are not asked about."""
MIRRORED_POINTS = (1, 0, 2, 4, 3)
TILES = (1, 2, 3, 4, 6, 9)
TILE_SHARES = (0.2, 0.22, 0.2, 0.16, 0.12, 0.1)
STRAIGHT, TILTED = 0.6, 0.3
"""Shares of samples that stay about upright, and that tilt up to 50 degrees; the others turn up to 100."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A square of pixels and the faces in it (N x COLUMNS)."""

    image: NDArray[np.uint8]
    faces: Rows


class Samples(Batches[Batch]):
    """Batches of windows and mosaics, and the faces in each."""

    def __init__(
        self,
        store: PictureStore,
        course: Course,
        cutouts: Sequence[NDArray[np.uint8]] = (),
        often: NDArray[np.bool_] | None = None,
    ) -> None:
        """`cutouts` are drawn beside faces; `often` marks the pictures that are drawn `OFTEN` times as often as others."""
        super().__init__(course)
        often = np.zeros(len(store.groups), bool) if often is None else often
        self._store, self._cutouts = store, cutouts
        self._members = {name: np.flatnonzero(store.groups == name) for name in SHARES}
        self._names = [name for name in SHARES if len(self._members[name])]
        shares = np.array([SHARES[name] for name in self._names])
        self._shares = shares / shares.sum()
        self._weights = {
            name: _weights(store, members, often) for name, members in self._members.items() if len(members)
        }

    def drawn(self, count: int, rng: np.random.Generator) -> Batch:
        """See `Batches`."""
        side = max(SIDES) if rng.random() < LARGE else min(SIDES)
        samples = [self.draw(side, rng) for _ in range(max(1, round(count * SIDES[side])))]
        return torch.from_numpy(np.stack([sample.image for sample in samples])), [sample.faces for sample in samples]

    def draw(self, side: int, rng: np.random.Generator) -> Sample:
        """One sample, mirrored half the time, and worn down as cameras do."""
        name = self._names[rng.choice(len(self._names), p=self._shares)]
        if name == "single":
            sample = mosaic(self._store, self._members[name], side, rng)
        else:
            number = int(rng.choice(self._members[name], p=self._weights[name]))
            sample = window(self._store.pictures.image(number), self._store.rows(number), side, rng)
            if rng.random() < CLUTTERED:
                draw_clutter(sample.image, sample.faces[:, :4], rng, self._cutouts)
        _dress_up(sample, rng)
        if rng.random() < 0.5:
            sample = mirror(sample)
        return Sample(_wear_down(sample.image, rng), _settle(sample.faces))


def _dress_up(sample: Sample, rng: np.random.Generator) -> None:
    """Darken some of the faces, and draw things on some, in place; what they hide of a face's points is not visible any more."""
    for face in sample.faces:
        if face[STATE] != IGNORED and rng.random() < DARKENED:
            darken(sample.image, face[:4], rng)
        if face[STATE] != IGNORED and face[14] > 0 and rng.random() < DRESSED_UP:
            left = draw_headwear(sample.image, face[4:14].reshape(5, 2), rng)
            face[19:24] = np.where(face[19:24] > 0, left, face[19:24])


def _weights(store: PictureStore, members: NDArray[np.int64], often: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Full pictures more often, since one window shows only a part; also those of the rare state, and those marked `often`."""
    weights = np.array([np.sqrt(max(1, len(store.rows(number)))) for number in members])
    rare = np.array([(store.rows(number)[:, STATE] == INCORRECT).any() for number in members])
    weights = weights * np.where(rare, 2.0, 1.0) * np.where(often[members], OFTEN, 1.0)
    return np.asarray(weights / weights.sum(), np.float64)


def window(image: NDArray[np.uint8], faces: Rows, side: int, rng: np.random.Generator) -> Sample:
    """A scaled and turned window of one picture, usually with a face in it."""
    faceless = rng.random() < FACELESS
    scale = float(USUAL_SCALE * np.exp(rng.normal(0, 0.5)).clip(0.3, 3.2)) * (1.5 if side > min(SIDES) else 1.0)
    if faceless:
        scale = float(np.exp(rng.uniform(*np.log(FACELESS_SCALES))))
    height, width = image.shape[:2]
    scale = max(scale, LEAST_FILLED * side / max(height, width))
    real = faces[faces[:, STATE] != IGNORED]
    chosen = real[rng.integers(len(real)), :4] if len(real) and not faceless else None
    if chosen is not None:
        # No window shall show only a cheek of its face.
        scale = min(scale, side * 0.95 / max(float((chosen[2:] - chosen[:2]).max()), 1.0))
        corner = (chosen[:2] + chosen[2:]) / 2 * scale - rng.uniform(0.1, 0.9, 2) * side
    free = np.array([width, height]) * scale - side
    if chosen is None:
        corner = free * rng.uniform(0, 1, 2)
    if rng.random() < 0.75:
        # Mostly no more of the window than need be shows what lies outside the picture.
        corner = corner.clip(np.minimum(free, 0), np.maximum(free, 0))
    canvas = np.empty((side, side, 3), np.uint8)
    border = int(rng.integers(0, 256)) if rng.random() < 0.5 else 0
    moves = _turned(Moves(np.eye(2) * scale, -corner), np.full(2, side / 2), _angle(rng), _stretch(rng))
    _place(image, canvas, moves, border)
    return Sample(canvas, _clipped(_moved(faces, moves), 0.0, 0.0, side, side))


def mosaic(store: PictureStore, singles: NDArray[np.int64], side: int, rng: np.random.Generator) -> Sample:
    """A chessboard of single faces, from one to dozens."""
    count = int(rng.choice(TILES, p=TILE_SHARES))
    edges = np.round(np.linspace(0, side, count + 1)).astype(int)
    canvas = np.empty((side, side, 3), np.uint8)
    rows = []
    for top, bottom in pairwise(edges.tolist()):
        for left, right in pairwise(edges.tolist()):
            number = int(singles[rng.integers(len(singles))])
            image, faces = store.pictures.image(number), store.rows(number)
            tile = canvas[top:bottom, left:right]
            rows.append(_tile(image, faces, tile, np.array([left, top]), rng))
    return Sample(canvas, np.concatenate(rows).reshape(-1, COLUMNS))


def _tile(
    image: NDArray[np.uint8], faces: Rows, tile: NDArray[np.uint8], origin: NDArray[np.int64], rng: np.random.Generator
) -> Rows:
    """Fill one tile with one picture, its first face inside; return the faces in the mosaic's pixels."""
    height, width = tile.shape[:2]
    x1, y1, x2, y2 = faces[0, :4]
    face = max(float(x2 - x1), float(y2 - y1), 1.0)
    wanted = min(width, height) * rng.uniform(0.3, 0.85)
    scale = float(wanted / face)
    slack = (np.array([width, height]) - wanted) / 2 * rng.uniform(-0.9, 0.9, 2)
    corner = np.array([(x1 + x2) / 2, (y1 + y2) / 2]) * scale - np.array([width, height]) / 2 - slack
    centre = np.array([width, height]) / 2 + slack
    moves = _turned(Moves(np.eye(2) * scale, -corner), centre, _angle(rng), _stretch(rng))
    _place(image, tile, moves, None)
    left, top = (float(v) for v in origin)
    placed = Moves(moves.linear, moves.shift + origin)
    return _clipped(_moved(faces, placed), left, top, left + width, top + height)


@dataclass(frozen=True, eq=False)
class Moves:
    """How a picture's points (pixels, centres at +0.5) come into a sample: `linear` (2 x 2) @ point + `shift` (2)."""

    linear: NDArray[np.float64]
    shift: NDArray[np.float64]


def _angle(rng: np.random.Generator) -> float:
    """Radians by which a sample is turned: heads lean, people lie, cameras hang askew."""
    choice = rng.random()
    if choice < STRAIGHT:
        return float(np.radians(rng.normal(0, 5)))
    return float(np.radians(rng.uniform(-50, 50) if choice < STRAIGHT + TILTED else rng.uniform(-100, 100)))


def _stretch(rng: np.random.Generator) -> NDArray[np.float64]:
    """How much wider and higher: the borders of wide-angle lenses and careless scaling do so."""
    ratio = float(np.exp(rng.normal(0, 0.05)))
    return np.array([ratio, 1 / ratio])


def _turned(moves: Moves, centre: NDArray[np.float64], angle: float, stretch: NDArray[np.float64]) -> Moves:
    """`moves`, then turned and stretched about `centre`, a place in the sample."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]]) * stretch[:, None]
    return Moves(turn @ moves.linear, turn @ (moves.shift - centre) + centre)


def _place(image: NDArray[np.uint8], canvas: NDArray[np.uint8], moves: Moves, border: int | None) -> None:
    """Fill `canvas` with `image` as `moves` says; `border` None repeats the edge."""
    linear = moves.linear
    scale = float(np.sqrt(abs(np.linalg.det(linear))))
    if scale < 0.7:
        # Averaged first: the warp looks at four pixels only.
        shrunk = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        image, linear = np.asarray(shrunk, np.uint8), linear / scale
    # Pixel centres lie at +0.5 on both sides.
    offset = linear @ np.full(2, 0.5) - 0.5 + moves.shift
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    size = (canvas.shape[1], canvas.shape[0])
    matrix = np.column_stack([linear, offset])
    canvas[:] = cv2.warpAffine(image, matrix, size, None, cv2.INTER_LINEAR, mode, (border or 0,) * 3)


def _moved(faces: Rows, moves: Moves) -> Rows:
    """Boxes become those round the turned ellipses in them: a head is no rectangle, whose corners would reach too far."""
    moved = faces.copy()
    points = faces[:, 4:14].reshape(-1, 5, 2) @ moves.linear.T + moves.shift
    centre = (faces[:, :2] + faces[:, 2:4]) / 2 @ moves.linear.T + moves.shift
    half = (faces[:, 2:4] - faces[:, :2]) / 2
    reach = np.sqrt(half**2 @ (moves.linear.T**2))
    moved[:, :4] = np.column_stack([centre - reach, centre + reach])
    moved[:, 4:14] = points.reshape(-1, 10)
    return moved


def _clipped(faces: Rows, left: float, top: float, right: float, bottom: float) -> Rows:
    """Cut the boxes to the frame; faces with less than half of themselves left become regions to ignore."""
    clipped = faces.copy()
    clipped[:, [0, 2]] = faces[:, [0, 2]].clip(left, right)
    clipped[:, [1, 3]] = faces[:, [1, 3]].clip(top, bottom)
    before = (faces[:, 2] - faces[:, 0]) * (faces[:, 3] - faces[:, 1])
    after = (clipped[:, 2] - clipped[:, 0]) * (clipped[:, 3] - clipped[:, 1])
    clipped[after < 0.5 * before, STATE] = IGNORED
    return clipped[after > 0]


def mirror(sample: Sample) -> Sample:
    """Left becomes right, in pixels, boxes and the names of the points."""
    side = sample.image.shape[1]
    faces = sample.faces.copy()
    faces[:, [0, 2]] = side - sample.faces[:, [2, 0]]
    points = sample.faces[:, 4:14].reshape(-1, 5, 2)[:, MIRRORED_POINTS].copy()
    points[..., 0] = side - points[..., 0]
    faces[:, 4:14] = points.reshape(-1, 10)
    faces[:, 14:19] = sample.faces[:, 14:19][:, MIRRORED_POINTS]
    faces[:, 19:24] = sample.faces[:, 19:24][:, MIRRORED_POINTS]
    return Sample(np.ascontiguousarray(sample.image[:, ::-1]), faces)


def _wear_down(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() < 0.8:
        image = photometric(image, rng)
    choice = rng.random()
    if choice < 0.12:
        image = infrared(image, rng) if choice < 0.05 else low_light(image, rng)
    if rng.random() < 0.15:
        image = blur(image, rng, 2.0)
    if rng.random() < 0.2:
        image = jpeg(image, rng, 35)
    return noise(image, rng, 8.0) if rng.random() < 0.1 else image


def _settle(faces: Rows) -> Rows:
    """Faces too small to be asked about become regions to ignore."""
    faces = faces.copy()
    side = np.minimum(faces[:, 2] - faces[:, 0], faces[:, 3] - faces[:, 1])
    faces[side < SMALLEST, STATE] = IGNORED
    return faces


def to_truth(faces: Rows, device: torch.device) -> Faces:
    """One sample's rows as the loss wants them. A doubtful face is a region to ignore as well: around it nothing is asked."""
    ignored = (faces[:, STATE] == IGNORED) | (faces[:, SURE] < 1)
    real = torch.from_numpy(faces[faces[:, STATE] != IGNORED]).to(device)
    return Faces(
        boxes=real[:, :4],
        points=real[:, 4:14].reshape(-1, 5, 2),
        point_weights=real[:, 14:19],
        visible=real[:, 19:24],
        states=real[:, STATE].long(),
        sure=real[:, SURE],
        ignored=torch.from_numpy(faces[ignored, :4]).to(device),
    )
