"""Draws the detector's training samples: windows of real scenes, and mosaics of single faces."""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from convert.augment import blur, jpeg, noise, photometric
from convert.data.clutter import draw_clutter
from convert.data.coco import INCORRECT
from convert.detector.losses import Faces
from convert.detector.pictures import COLUMNS, IGNORED, Rows
from convert.detector.store import PictureStore
from convert.training.batches import Batches, Course

Batch = tuple[torch.Tensor, list[Rows]]
"""uint8 [B, SIZE, SIZE, 3], and the faces of each sample."""

SIZE = 320
"""Side of a sample, in pixels."""
SHARES = {"crowd": 0.62, "scene": 0.15, "single": 0.23}
"""How often each group is drawn. Only `crowd` is labelled by people throughout."""
FACELESS = 0.3
"""Share of windows laid anywhere in their picture: most of a picture is no face."""
FACELESS_SCALES = (0.7, 5.0)
"""They reach further than faces do: the cells that find large faces must see large things that are none."""
CLUTTERED = 0.25
USUAL_SCALE = 1.6
"""Small pictures are enlarged about this much in service, and so they are here."""
SMALLEST = 5.0
"""Faces with a shorter side below this, in sample pixels, are not asked about."""
MIRRORED_POINTS = (1, 0, 2, 4, 3)
TILES = (1, 2, 3, 4, 6, 9)
TILE_SHARES = (0.15, 0.2, 0.2, 0.2, 0.15, 0.1)


@dataclass(frozen=True, eq=False)
class Sample:
    """SIZE x SIZE x 3 pixels and the faces in them (N x COLUMNS)."""

    image: NDArray[np.uint8]
    faces: Rows


class Samples(Batches[Batch]):
    """Batches of windows and mosaics, and the faces in each."""

    def __init__(self, store: PictureStore, course: Course) -> None:
        super().__init__(course)
        self._store = store
        self._members = {name: np.flatnonzero(store.groups == name) for name in SHARES}
        self._names = [name for name in SHARES if len(self._members[name])]
        shares = np.array([SHARES[name] for name in self._names])
        self._shares = shares / shares.sum()
        self._weights = {name: _weights(store, members) for name, members in self._members.items() if len(members)}

    def drawn(self, count: int, rng: np.random.Generator) -> Batch:
        """See `Batches`."""
        samples = [self.draw(rng) for _ in range(count)]
        return torch.from_numpy(np.stack([sample.image for sample in samples])), [sample.faces for sample in samples]

    def draw(self, rng: np.random.Generator) -> Sample:
        """One sample, mirrored half the time, and worn down as cameras do."""
        name = self._names[rng.choice(len(self._names), p=self._shares)]
        if name == "single":
            sample = mosaic(self._store, self._members[name], rng)
        else:
            number = int(rng.choice(self._members[name], p=self._weights[name]))
            sample = window(self._store.pictures.image(number), self._store.rows(number), rng)
            if rng.random() < CLUTTERED:
                draw_clutter(sample.image, sample.faces[:, :4], rng)
        if rng.random() < 0.5:
            sample = mirror(sample)
        return Sample(_wear_down(sample.image, rng), _settle(sample.faces))


def _weights(store: PictureStore, members: NDArray[np.int64]) -> NDArray[np.float64]:
    """Full pictures more often, since one window shows only a part; pictures of the rare state twice as often."""
    weights = np.array([np.sqrt(max(1, len(store.rows(number)))) for number in members])
    rare = np.array([(store.rows(number)[:, 24] == INCORRECT).any() for number in members])
    weights = weights * np.where(rare, 2.0, 1.0)
    return np.asarray(weights / weights.sum(), np.float64)


def window(image: NDArray[np.uint8], faces: Rows, rng: np.random.Generator) -> Sample:
    """A scaled window of one picture, usually with a face in it."""
    faceless = rng.random() < FACELESS
    scale = float(USUAL_SCALE * np.exp(rng.normal(0, 0.45)).clip(0.35, 3.0))
    if faceless:
        scale = float(np.exp(rng.uniform(*np.log(FACELESS_SCALES))))
    height, width = image.shape[:2]
    real = faces[faces[:, 24] != IGNORED]
    chosen = real[rng.integers(len(real)), :4] if len(real) and not faceless else None
    if chosen is not None:
        # No window shall show only a cheek of its face.
        scale = min(scale, SIZE * 0.95 / max(float((chosen[2:] - chosen[:2]).max()), 1.0))
    free = np.array([width, height]) * scale - SIZE
    if chosen is not None:
        place = (chosen[:2] + chosen[2:]) / 2 * scale
        corner = place - rng.uniform(0.1, 0.9, 2) * SIZE
    else:
        corner = free * rng.uniform(0, 1, 2)
    if rng.random() < 0.75:
        # Mostly no more of the window than need be shows what lies outside the picture.
        corner = corner.clip(np.minimum(free, 0), np.maximum(free, 0))
    canvas = np.empty((SIZE, SIZE, 3), np.uint8)
    border = int(rng.integers(0, 256)) if rng.random() < 0.5 else 0
    _place(image, canvas, scale, corner, border)
    return Sample(canvas, _clipped(_moved(faces, scale, -corner), 0.0, 0.0, SIZE, SIZE))


def mosaic(store: PictureStore, singles: NDArray[np.int64], rng: np.random.Generator) -> Sample:
    """A chessboard of single faces, from one to dozens."""
    count = int(rng.choice(TILES, p=TILE_SHARES))
    edges = np.round(np.linspace(0, SIZE, count + 1)).astype(int)
    canvas = np.empty((SIZE, SIZE, 3), np.uint8)
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
    side = max(float(x2 - x1), float(y2 - y1), 1.0)
    wanted = min(width, height) * rng.uniform(0.3, 0.8)
    scale = float(wanted / side)
    slack = (np.array([width, height]) - wanted) / 2 * rng.uniform(-0.9, 0.9, 2)
    corner = np.array([(x1 + x2) / 2, (y1 + y2) / 2]) * scale - np.array([width, height]) / 2 - slack
    _place(image, tile, scale, corner, None)
    left, top = (float(v) for v in origin)
    return _clipped(_moved(faces, scale, origin - corner), left, top, left + width, top + height)


def _place(
    image: NDArray[np.uint8], canvas: NDArray[np.uint8], scale: float, corner: NDArray[np.float64], border: int | None
) -> None:
    """Fill `canvas` with `image` scaled, from `corner` (in scaled pixels) on; `border` None repeats the edge."""
    if scale < 0.7:
        shrunk = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        image, scale = np.asarray(shrunk, np.uint8), 1.0
    # Pixel centres lie at +0.5 on both sides.
    offset = 0.5 * scale - 0.5 - corner
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    size = (canvas.shape[1], canvas.shape[0])
    canvas[:] = cv2.warpAffine(image, matrix, size, None, cv2.INTER_LINEAR, mode, (border or 0,) * 3)


def _moved(faces: Rows, scale: float, shift: NDArray[np.float64]) -> Rows:
    moved = faces.copy()
    moved[:, :14] = (faces[:, :14].reshape(-1, 7, 2) * scale + shift).reshape(-1, 14)
    return moved


def _clipped(faces: Rows, left: float, top: float, right: float, bottom: float) -> Rows:
    """Cut the boxes to the frame; faces with less than half of themselves left become regions to ignore."""
    clipped = faces.copy()
    clipped[:, [0, 2]] = faces[:, [0, 2]].clip(left, right)
    clipped[:, [1, 3]] = faces[:, [1, 3]].clip(top, bottom)
    before = (faces[:, 2] - faces[:, 0]) * (faces[:, 3] - faces[:, 1])
    after = (clipped[:, 2] - clipped[:, 0]) * (clipped[:, 3] - clipped[:, 1])
    clipped[after < 0.5 * before, 24] = IGNORED
    return clipped[after > 0]


def mirror(sample: Sample) -> Sample:
    """Left becomes right, in pixels, boxes and the names of the points."""
    faces = sample.faces.copy()
    faces[:, [0, 2]] = SIZE - sample.faces[:, [2, 0]]
    points = sample.faces[:, 4:14].reshape(-1, 5, 2)[:, MIRRORED_POINTS].copy()
    points[..., 0] = SIZE - points[..., 0]
    faces[:, 4:14] = points.reshape(-1, 10)
    faces[:, 14:19] = sample.faces[:, 14:19][:, MIRRORED_POINTS]
    faces[:, 19:24] = sample.faces[:, 19:24][:, MIRRORED_POINTS]
    return Sample(np.ascontiguousarray(sample.image[:, ::-1]), faces)


def _wear_down(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() < 0.8:
        image = photometric(image, rng)
    if rng.random() < 0.12:
        image = blur(image, rng, 1.6)
    if rng.random() < 0.2:
        image = jpeg(image, rng, 35)
    return noise(image, rng, 8.0) if rng.random() < 0.1 else image


def _settle(faces: Rows) -> Rows:
    """Faces too small to be asked about become regions to ignore."""
    faces = faces.copy()
    side = np.minimum(faces[:, 2] - faces[:, 0], faces[:, 3] - faces[:, 1])
    faces[side < SMALLEST, 24] = IGNORED
    return faces


def to_truth(faces: Rows, device: torch.device) -> Faces:
    """One sample's rows as the loss wants them."""
    ignored = faces[:, 24] == IGNORED
    real = torch.from_numpy(faces[~ignored]).to(device)
    return Faces(
        boxes=real[:, :4],
        points=real[:, 4:14].reshape(-1, 5, 2),
        point_weights=real[:, 14:19],
        visible=real[:, 19:24],
        states=real[:, 24].long(),
        ignored=torch.from_numpy(faces[ignored, :4]).to(device),
    )
