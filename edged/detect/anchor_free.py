"""Our one-stage detector at run time: a pass over the picture and one over a small copy, or one over crops around
expected faces; decoding and suppression in NumPy.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edged.detect.boxes import SAME_FACE, iou, suppress
from edged.detect.canvas import SMALL_FACES, Canvas, WorkingSize
from edged.detect.mosaic import LONGEST, Part, around, arrange, merged
from edged.errors import ModelError
from edged.ports import NONE_KNOWN, Engine, Known
from edged.types import Box, Detection, Image, MaskScores

STRIDES = (8, 16, 32)
CHANNELS = 23
"""Of each output: score, box centre (dx, dy), box size (w, h), five points (dx, dy), five visibilities, three mask
probabilities. Distances are from the cell's centre; all lengths are in units of the stride."""

NEAR_SIDE = 320
"""Longer side of the small copy, in which faces that fill the picture have the size of those learned from. It costs a
sixteenth of a picture of 1,280."""
FAR_SIDE = 352
"""Pictures processed no larger than this need no copy: whatever is in them is small enough."""
FAR_FACE, NEAR_FACE = 160.0, 112.0
"""Longer sides, in pixels of the working size: the largest face taken from the picture, and the smallest from the copy.
Close up, the network takes parts of faces and plain walls for faces; on held-out pictures processed twice as large the
copy raises AP from 0.925 to 0.932."""
SURE_WHOLE, INSIDE = 0.5, 0.7
"""What lies with more than this share of itself inside a face of the copy that scores so much is a part of that face."""
CUT_OFF = 0.08
"""A detection this near to a border of a crop, in units of its longer side, may be what is seen of a larger face."""
WORTH_IT = 0.7
"""Crops that take a larger share than this of the pixels of the whole picture save nothing."""
MOST_PARTS = 32
"""Nor do so many: each costs a little, however small it is."""

Rows = NDArray[np.float32]
SCALE = attrgetter("scale")


class AnchorFreeDetector:
    """Implements `edged.ports.NearbyDetector` with five points and mask scores.

    The engine takes `image` uint8 [1, H, W, 3], H and W multiples of 32, and gives `stride8`, `stride16` and
    `stride32`, float32 [1, 23, H/s, W/s].
    """

    def __init__(
        self,
        engine: Engine,
        working_size: WorkingSize = SMALL_FACES,
        score: float = 0.3,
        overlap: float = SAME_FACE,
        most: int = 300,
    ) -> None:
        """Faces scoring below `score` are dropped, as are those overlapping a better one by more than `overlap` IoU.

        At most `most` faces are returned.
        """
        self._engine = engine
        self._working_size = working_size
        self._canvas, self._near = Canvas(working_size), Canvas(WorkingSize(NEAR_SIDE, 1.0))
        self._score, self._overlap, self._most = score, overlap, most

    def detect(self, image: Image, known: Known = NONE_KNOWN) -> list[Detection]:
        """All faces, best score first. Raise ModelError when the engine's output is not a detector's."""
        height, width = image.shape[:2]
        if height == 0 or width == 0:
            return []
        return detections(self.suppressed(self.candidates(image)), width, height)

    def candidates(self, image: Image) -> Rows:
        """What scores enough in a picture that has pixels, in its pixels, best first; many rows for each face."""
        height, width = image.shape[:2]
        rows, scale = self._pass(self._canvas, image)
        if scale.max() * max(width, height) > FAR_SIDE:
            near, near_scale = self._pass(self._near, image)
            rows = join(rows, rescaled(near, scale / near_scale))
        # Bounds the suppression: a wall of posters must not stall the camera.
        rows = rows[np.argsort(-rows[:, 0], kind="stable")[: 4 * self._most]]
        return rescaled(rows, np.float32(1) / scale)

    def suppressed(self, rows: Rows) -> Rows:
        """The best row of each face, best face first."""
        return rows[suppress(rows[:, 1:5], rows[:, 0], self._overlap)[: self._most]]

    def detect_around(self, image: Image, boxes: Sequence[Box], known: Known = NONE_KNOWN) -> list[Detection] | None:
        """See `NearbyDetector`. Large faces are scaled down, as in the small copy: one pass is enough."""
        height, width = image.shape[:2]
        scale = self._working_size.scale(width, height) if width and height else 1.0
        if len(boxes) > MOST_PARTS:
            return None
        parts = [part for box in boxes if (part := around(box, width, height, scale))]
        if not parts:
            return []
        mosaic = arrange(merged(parts))
        if mosaic.area > WORTH_IT * scale**2 * width * height or max(mosaic.width, mosaic.height) > LONGEST:
            return None
        seen = self._run(mosaic.draw(image))
        rows = np.empty((0, CHANNELS), np.float32)
        for _, alike in groupby(sorted(mosaic.parts, key=SCALE), key=SCALE):
            found = [_within(seen, part, width, height) for part in alike]
            rows = np.concatenate([without_parts(np.concatenate(found), rows), rows])
        return detections(self.suppressed(rows), width, height)

    def _pass(self, canvas: Canvas, image: Image) -> tuple[Rows, NDArray[np.float32]]:
        """The candidates at one working size, in its pixels, and the scales along x and y."""
        picture, scale_x, scale_y = canvas.lay(image)
        return self._run(picture), np.array([scale_x, scale_y], np.float32)

    def _run(self, picture: Image) -> Rows:
        """The candidates in a picture whose sides are multiples of 32, in its pixels."""
        outputs = self._engine.run({"image": picture[None]})
        return np.concatenate([self._level(outputs, stride, picture.shape) for stride in STRIDES])

    def _level(self, outputs: dict[str, NDArray[Any]], stride: int, shape: tuple[int, ...]) -> Rows:
        """One output's candidate rows."""
        level = level_of(outputs, self._engine.name, stride, CHANNELS, shape)
        return decode(level, stride, self._score)


def level_of(
    outputs: Mapping[str, NDArray[Any]], model: str, stride: int, channels: int, shape: tuple[int, ...]
) -> NDArray[Any]:
    """The output of one stride, channels x H x W, for a picture of `shape`. Raise ModelError when the model gives no such one."""
    level = outputs.get(f"stride{stride}")
    if level is None or level.shape != (1, channels, shape[0] // stride, shape[1] // stride):
        raise ModelError(
            f"model {model}: stride{stride} is missing or not [1, {channels}, H/{stride}, W/{stride}]; "
            "it is no such detector as edged converts: build it again, or name another in the config"
        )
    return level[0]  # type: ignore[no-any-return]


def decode(level: NDArray[np.float32], stride: int, threshold: float) -> Rows:
    """The cells of one level (23 x H x W) that score at least `threshold`, as N x 23 rows in pixels.

    A row: score, x1, y1, x2, y2, five points (x, y), five visibilities, three mask probabilities. Cells holding
    anything that is not finite are left out.
    """
    y, x = np.nonzero(level[0] >= threshold)
    found = level[:, y, x].T.astype(np.float32)
    keep = np.isfinite(found).all(axis=1)
    found = found[keep]
    cell = np.stack([x[keep], y[keep]], axis=1).astype(np.float32) + np.float32(0.5)
    rows = found.copy()
    centre, half = cell + found[:, 1:3], found[:, 3:5] / 2
    rows[:, 1:3], rows[:, 3:5] = (centre - half) * stride, (centre + half) * stride
    rows[:, 5:15] = (found[:, 5:15].reshape(-1, 5, 2) + cell[:, None]).reshape(-1, 10) * stride
    return rows


def rescaled(rows: Rows, scale: NDArray[np.float32]) -> Rows:
    """A copy with boxes and points multiplied by `scale` (x, y)."""
    rows = rows.copy()
    rows[:, 1:15] *= np.tile(scale, 7)
    return rows


def join(far: Rows, near: Rows) -> Rows:
    """Candidates of the whole picture and of its small copy, both in the former's pixels.

    Large faces come from the copy. What the large picture shows inside one of them, and much smaller, is a part of it.
    """
    near = near[_sides(near) >= NEAR_FACE]
    far = far[_sides(far) <= FAR_FACE]
    return np.concatenate([without_parts(far, near), near])


def without_parts(rows: Rows, coarser: Rows) -> Rows:
    """Those of `rows` that are no part of a face that was found at a coarser scale; both in the same pixels."""
    whole = coarser[coarser[:, 0] >= SURE_WHOLE]
    if not len(whole) or not len(rows):
        return rows
    inside = (iou(rows[:, 1:5], whole[:, 1:5], "min") > INSIDE) & (_sides(rows)[:, None] < 0.7 * _sides(whole))
    return rows[~inside.any(axis=1)]


def _within(rows: Rows, part: Part, width: int, height: int) -> Rows:
    """The candidates on one part of a mosaic, in pixels of the picture, without those that the part's borders may cut off."""
    centre = (rows[:, 1:3] + rows[:, 3:5]) / 2 - (part.x, part.y)
    rows = rows[((centre >= 0) & (centre < part.size)).all(axis=1)]
    scale = np.array([(part.right - part.left) / part.size[0], (part.bottom - part.top) / part.size[1]], np.float32)
    rows = rescaled(rows - _shift(part.x, part.y), scale) + _shift(part.left, part.top)
    room = CUT_OFF * _sides(rows)
    cut = (rows[:, 1] < part.left + room) & (part.left > 0) | (rows[:, 2] < part.top + room) & (part.top > 0)
    cut |= (rows[:, 3] > part.right - room) & (part.right < width)
    cut |= (rows[:, 4] > part.bottom - room) & (part.bottom < height)
    return rows[~cut]


def _shift(x: float, y: float) -> NDArray[np.float32]:
    """What is added to a row to move it."""
    shift = np.zeros(CHANNELS, np.float32)
    shift[1:15] = np.tile((x, y), 7)
    return shift


def _sides(rows: Rows) -> NDArray[np.float32]:
    return np.asarray(np.maximum(rows[:, 3] - rows[:, 1], rows[:, 4] - rows[:, 2]), np.float32)


def detections(rows: Rows, width: int, height: int) -> list[Detection]:
    """Rows in the picture's pixels to detections, their boxes cut to the picture."""
    boxes = rows[:, 1:5]
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
    points = rows[:, 5:15].reshape(-1, 5, 2)
    return [
        Detection(Box(*box), float(row[0]), face_points, MaskScores(*row[20:23].tolist()))
        for row, box, face_points in zip(rows, boxes.tolist(), points, strict=True)
        if box[2] > box[0] and box[3] > box[1]
    ]
