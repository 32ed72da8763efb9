"""RetinaFace with MobileNet-0.25 at run time: one pass over the picture, decoding and suppression in NumPy.

Deng et al. 2019 (arXiv 1905.00641); anchors and variances are those of github.com/biubug6/Face-Detector-1MB-with-landmark,
from whose weights `convert/retinaface.py` builds the graph.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edged.detect.anchor_free import level_of
from edged.detect.boxes import suppress
from edged.detect.canvas import Canvas, WorkingSize
from edged.errors import ConfigError
from edged.ports import Engine
from edged.types import Box, Detection, Image

ANCHORS = {8: (10, 20), 16: (32, 64), 32: (128, 256)}
"""The sides of the squares that faces are relative to, in px, by stride; all are centred in their cell."""
VALUES = 15
"""Of each anchor: face logit, box centre (dx, dy), log size (w, h), five points (dx, dy); all raw."""
CHANNELS = 2 * VALUES
"""Of each output: the first anchor's values, then the second's."""
CENTRE_VARIANCE = 0.1
"""Centres and points are in tenths of the anchor's side …"""
SIZE_VARIANCE = 0.2
"""… and sizes in fifths of the natural logarithm."""
MEAN_BGR = (104, 117, 123)
"""What the graph subtracts; borders of this colour are 0 to the network, as those inside it are."""

OWN_SIZE = WorkingSize(long_side=2048, enlarge=1.0)
"""Pictures keep their size; a larger one would take more than a gigabyte of memory."""
LARGEST_LOG_SCALE = 4.0
"""No face is 50 times as large as its anchor; the bound keeps absurd outputs finite."""

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RetinaFaceSettings:
    """What may be tuned. Raise ConfigError for values that make no sense."""

    score: float = 0.3
    """Faces less probable than this are dropped, …"""
    overlap: float = 0.4
    """… as are those that overlap a better one by more than this IoU."""
    most: int = 300
    """At most this many faces are returned."""

    def __post_init__(self) -> None:
        if not 0 < self.score < 1:
            raise ConfigError(f"score = {self.score}: must be above 0 and below 1")
        if not 0 <= self.overlap <= 1:
            raise ConfigError(f"overlap = {self.overlap}: must be 0 … 1")
        if not 1 <= self.most <= 10_000:
            raise ConfigError(f"most = {self.most}: must be 1 … 10000")


class RetinaFace:
    """Finds faces and five points; implements `edged.ports.Detector`.

    The engine takes `image` uint8 [1, H, W, 3], H and W multiples of 32, and gives `stride8`, `stride16` and
    `stride32`, floats [1, 30, H/s, W/s].
    """

    def __init__(
        self, engine: Engine, settings: RetinaFaceSettings | None = None, working_size: WorkingSize = OWN_SIZE
    ) -> None:
        self._engine, self._canvas = engine, Canvas(working_size, MEAN_BGR)
        self._settings = settings or RetinaFaceSettings()

    def detect(self, image: Image) -> list[Detection]:
        """All faces, best first, boxes cut to the picture; points may lie outside it.

        Raise ModelError when the engine's output is not RetinaFace's.
        """
        height, width = image.shape[:2]
        if height == 0 or width == 0:
            return []
        canvas, scale_x, scale_y = self._canvas.lay(image)
        outputs = self._engine.run({"image": canvas[None]})
        rows = np.concatenate([self._level(outputs, stride, canvas.shape) for stride in ANCHORS])
        # Bounds the suppression: a wall of posters must not stall the camera.
        rows = rows[np.argsort(-rows[:, 0], kind="stable")[: 4 * self._settings.most]]
        rows = rows[suppress(rows[:, 1:5], rows[:, 0], self._settings.overlap)[: self._settings.most]]
        return _detections(rows, scale_x, scale_y, width, height)

    def _level(self, outputs: dict[str, NDArray[Any]], stride: int, shape: tuple[int, ...]) -> Rows:
        """One output's candidate rows."""
        return decode(level_of(outputs, self._engine.name, stride, CHANNELS, shape), stride, self._settings.score)


def decode(level: NDArray[np.floating[Any]], stride: int, threshold: float) -> Rows:
    """The anchors of one level (30 x H x W) with a face's probability of at least `threshold`, as N x 15 rows in pixels.

    A row: score, x1, y1, x2, y2, five points (x, y). Anchors holding anything that is not finite are left out.
    """
    values = level.reshape(2, VALUES, *level.shape[1:])
    which, y, x = np.nonzero(values[:, 0] >= math.log(threshold / (1 - threshold)))
    found = values[which, :, y, x].astype(np.float32)
    keep = np.isfinite(found).all(axis=1)
    found = found[keep]
    side = np.array(ANCHORS[stride], np.float32)[which[keep], None]
    middle = (np.stack([x[keep], y[keep]], axis=1).astype(np.float32) + np.float32(0.5)) * stride
    centre = middle + found[:, 1:3] * np.float32(CENTRE_VARIANCE) * side
    half = side / 2 * np.exp(np.minimum(found[:, 3:5] * np.float32(SIZE_VARIANCE), LARGEST_LOG_SCALE))
    points = middle[:, None] + found[:, 5:].reshape(-1, 5, 2) * np.float32(CENTRE_VARIANCE) * side[:, None]
    score = 1 / (1 + np.exp(-found[:, :1]))
    return np.concatenate([score, centre - half, centre + half, points.reshape(-1, 10)], axis=1)


def _detections(rows: Rows, scale_x: float, scale_y: float, width: int, height: int) -> list[Detection]:
    """Rows in working pixels to detections in the picture's, boxes cut to it; what lies outside it is left out."""
    scale = np.array([scale_x, scale_y], np.float32)
    boxes = rows[:, 1:5] / np.tile(scale, 2)
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
    return [
        Detection(Box(*box), float(row[0]), row[5:].reshape(5, 2) / scale)
        for row, box in zip(rows, boxes.tolist(), strict=True)
        if box[2] > box[0] and box[3] > box[1]
    ]
