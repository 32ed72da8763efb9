"""MTCNN, the compatibility detector: three small networks, each on what the one before let through.

Zhang et al. 2016 (arXiv 1604.02878). Steps, constants and rounding are those of the PyPI package `mtcnn` 1.0.0, whose
weights the networks carry (see `convert/mtcnn.py`); where we differ from it on purpose, a comment says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.detect.boxes import Floats as Boxes
from edged.detect.boxes import Kind, iou
from edged.errors import ConfigError, UsageError
from edged.ports import Engine
from edged.types import Box, Detection, Image

CELL = 12
"""The side of the window that P-Net judges, in px of the scaled picture."""
STRIDE = 2
"""From one window to the next."""

# Bounds on what one picture can cost; the fullest street scenes measured reached 623, 622 and 55.
MAX_WINDOWS = 2048  # of one scale, and of all scales together
MAX_PROPOSALS = 1024  # R-Net's batch
MAX_CANDIDATES = 256  # O-Net's batch
MAX_SIDE = 32_766  # what OpenCV can resample
PRECISE_VALUES = 3 << 23  # 8 megapixels: 100 MB as floats
STRIP_PIXELS = 1 << 16  # P-Net sees this much at once: more falls out of the caches and takes twice as long

_BLOCK = 256  # rows compared at once: bounds memory to N x 256 overlaps
_SAME_SCALE_OVERLAP = 0.5
_OVERLAP = 0.7
_GREY = (127.5, 127.5, 127.5)  # 0 once normalised

# A scaled picture's shorter side is at least this long. The package counts its scales with a closed form, which at its
# defaults amounts to this; with larger faces it would go on below 12 px, and then finds nothing at all.
_SHORTEST_SIDE = 0.6 * CELL * 0.709**-1.5

Floats = NDArray[np.float32]
Picture: TypeAlias = NDArray[Any]
"""Height x width x 3, BGR, 0 … 255, uint8 or float32."""

_NO_BOXES: Floats = np.empty((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class MtcnnSettings:
    """What may be tuned, with the package's defaults. Raise ConfigError for values that make no sense."""

    smallest_face: float = 20.0
    """The side of the smallest face to find, in px; the time taken falls with its square."""
    scale_factor: float = 0.709
    """Each scale's size relative to the one before."""
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8)
    """A face's probability must be above these for P-, R- and O-Net to let it through."""

    def __post_init__(self) -> None:
        if not 4 <= self.smallest_face <= 10_000:
            raise ConfigError(f"smallest_face = {self.smallest_face}: must be 4 … 10000 px")
        if not 0.1 <= self.scale_factor <= 0.95:
            raise ConfigError(f"scale_factor = {self.scale_factor}: must be 0.1 … 0.95")
        if not all(0 <= threshold < 1 for threshold in self.thresholds):
            raise ConfigError(f"thresholds = {self.thresholds}: must be at least 0 and below 1")


class Scored(NamedTuple):
    """Boxes (N x 4) and their scores (N)."""

    boxes: Floats
    scores: Floats


class Mtcnn:
    """Finds faces and five points with P-Net, R-Net and O-Net; implements `edged.ports.Detector`."""

    def __init__(self, pnet: Engine, rnet: Engine, onet: Engine, settings: MtcnnSettings | None = None) -> None:
        self._pnet = pnet
        self._rnet = rnet
        self._onet = onet
        self._settings = settings or MtcnnSettings()

    def detect(self, image: Image) -> list[Detection]:
        """All faces, best first. Boxes end at the picture's last pixel; points may lie outside it.

        Raise UsageError for a picture with a side of more than MAX_SIDE px.
        """
        if image.size == 0:
            return []
        if max(image.shape[:2]) > MAX_SIDE:
            size = f"{image.shape[1]} x {image.shape[0]} px"
            raise UsageError(f"a picture of {size} is too long for MTCNN; make its sides at most {MAX_SIDE} px")
        picture = _precise(image)
        return self._finish(picture, self._refine(picture, self._propose(picture)))

    def _propose(self, image: Picture) -> Floats:
        """P-Net over the pyramid: square boxes."""
        height, width = image.shape[:2]
        found = [self._propose_at(image, scale) for scale in scales(height, width, self._settings)]
        return squared(_distinct(found, _OVERLAP).boxes[:MAX_PROPOSALS])

    def _propose_at(self, image: Picture, scale: float) -> Scored:
        height, width = image.shape[:2]
        size = int(width * scale), int(height * scale)
        scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        found = [self._propose_in(scaled[first:last], first) for first, last in strips(size[1], size[0])]
        boxes, scores = _distinct(found, _SAME_SCALE_OVERLAP)
        return Scored(boxes / np.float32(scale), scores)

    def _propose_in(self, strip: Picture, top: int) -> Scored:
        """The boxes, in px of the scaled picture, of the windows that P-Net takes for faces."""
        result = self._pnet.run({"picture": np.asarray(strip[None], np.float32)})
        probabilities, offsets = result["probabilities"][0], result["offsets"][0]
        rows, columns = np.nonzero(probabilities > self._settings.thresholds[0])
        corners = STRIDE * np.stack([columns, rows], axis=1).astype(np.float32)
        corners[:, 1] += top
        # The windows' width is 11 to the package: from the first to the last pixel's centre.
        windows = np.concatenate([corners + 1, corners + CELL], axis=1)
        boxes = windows + offsets[:, rows, columns].T * np.float32(CELL - 1)
        return Scored(boxes, probabilities[rows, columns])

    def _refine(self, image: Picture, squares: Floats) -> Floats:
        """R-Net over the proposals: fewer and better square boxes."""
        if not len(squares):
            return squares
        result = self._rnet.run({"picture": patches(image, squares, 24)})
        likely = result["probabilities"] > self._settings.thresholds[1]
        boxes = _moved(squares[likely], result["offsets"][likely])
        keep = suppress_strictly(boxes, result["probabilities"][likely], _OVERLAP)[:MAX_CANDIDATES]
        return squared(boxes[keep])

    def _finish(self, image: Picture, squares: Floats) -> list[Detection]:
        """O-Net over the candidates: the faces."""
        if not len(squares):
            return []
        result = self._onet.run({"picture": patches(image, squares, 48)})
        likely = result["probabilities"] > self._settings.thresholds[2]
        squares, scores = squares[likely], result["probabilities"][likely]
        points = _sides(squares)[:, None, :2] * result["points"][likely] + squares[:, None, :2] - 1
        boxes = _moved(squares, result["offsets"][likely])
        keep = suppress_strictly(boxes, scores, _OVERLAP, "min")
        boxes = clip(boxes, image.shape[1] - 1, image.shape[0] - 1)
        return [Detection(Box(*boxes[i].tolist()), float(scores[i]), points[i]) for i in keep]


def _precise(image: Image) -> Picture:
    """As floats, so that scaled pictures are not rounded to whole grey levels: that moves boxes by pixels.

    Not for pictures so large that the copy would strain a small machine's memory.
    """
    return np.ascontiguousarray(image, np.uint8 if image.size > PRECISE_VALUES else np.float32)


def scales(height: int, width: int, settings: MtcnnSettings) -> list[float]:
    """The pyramid: the first scale makes the smallest face 12 px, the last leaves the shorter side 12 px."""
    shortest = min(height, width)
    scale = CELL / settings.smallest_face
    found = []
    while shortest * scale >= _SHORTEST_SIDE:
        found.append(scale)
        scale *= settings.scale_factor
    return found


def strips(height: int, width: int) -> Iterator[tuple[int, int]]:
    """First and last rows that cover each of P-Net's windows once, with at most about STRIP_PIXELS pixels each."""
    rows = max(STRIP_PIXELS // width // STRIDE, CELL) * STRIDE
    # Pooling rounds up: with an odd height, a last window ends one row below the picture.
    for first in range(0, height - CELL + 2, rows):
        yield first, min(first + rows + CELL - STRIDE, height)


def patches(image: Picture, boxes: Floats, size: int) -> Floats:
    """What stands in each box, resampled to `size` x `size`: N x size x size x 3, mid-grey outside the picture.

    Samples are taken at `size` points from edge to edge, without smoothing: TensorFlow's `crop_and_resize`.
    """
    height, width = image.shape[:2]
    x = _samples(boxes[:, 0], boxes[:, 2], width, size)
    y = _samples(boxes[:, 1], boxes[:, 3], height, size)
    shape = (len(boxes), size, size)
    map_x = np.broadcast_to(x[:, None, :], shape).reshape(-1, size)
    map_y = np.broadcast_to(y[:, :, None], shape).reshape(-1, size)
    found = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=_GREY)
    return np.asarray(found, np.float32).reshape(*shape, 3)


def _samples(first: Floats, last: Floats, length: int, size: int) -> Floats:
    """`size` coordinates from `first` to `last` for each box; those outside the picture are moved well outside."""
    # The package divides by the picture's length, TensorFlow multiplies by the last pixel's index.
    ratio = (length - 1) / length
    found = np.linspace(first * ratio, last * ratio, size, axis=1, dtype=np.float32)
    # Further out than a pixel, so that OpenCV does not blend the border's grey with the picture.
    found[(found < 0) | (found > length - 1)] = -2
    return found


def _distinct(found: list[Scored], threshold: float) -> Scored:
    """All boxes together, best first, without those that overlap a better one."""
    boxes = np.concatenate([_NO_BOXES, *(scored.boxes for scored in found)])
    scores = np.concatenate([np.empty(0, np.float32), *(scored.scores for scored in found)])
    keep = best(scores, MAX_WINDOWS)
    boxes, scores = boxes[keep], scores[keep]
    keep = suppress_strictly(boxes, scores, threshold)
    return Scored(boxes[keep], scores[keep])


def _sides(boxes: Floats) -> Floats:
    """Width, height, width, height, counting pixels as the package does (the last one too)."""
    size = boxes[:, 2:] - boxes[:, :2] + 1
    return np.concatenate([size, size], axis=1)


def _moved(boxes: Floats, offsets: Floats) -> Floats:
    return boxes + offsets * _sides(boxes)


def suppress_strictly(boxes: Boxes, scores: Boxes, threshold: float, kind: Kind = "union") -> NDArray[np.intp]:
    """Non-maximum suppression without mercy: indices of the boxes kept, best score first.

    A box is dropped when it overlaps *any* better one by more than `threshold`, even one that was itself dropped.
    """
    order = _best_first(scores)
    ranked = boxes[order]
    keep = np.ones(len(order), bool)
    for start in range(0, len(order), _BLOCK):
        block = ranked[start : start + _BLOCK]
        overlaps = iou(ranked[: start + len(block)], block, kind) > threshold
        better = np.arange(len(overlaps))[:, None] < np.arange(start, start + len(block))
        keep[start : start + len(block)] = ~(overlaps & better).any(axis=0)
    return order[keep]


def squared(boxes: Boxes) -> Boxes:
    """The boxes made square about their centres, with the longer side."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    side = np.maximum(width, height)
    x1 = boxes[:, 0] + width / 2 - side / 2
    y1 = boxes[:, 1] + height / 2 - side / 2
    return np.stack([x1, y1, x1 + side, y1 + side], axis=1)


def clip(boxes: Boxes, right: float, bottom: float) -> Boxes:
    """The boxes with every corner moved into 0 … `right`, 0 … `bottom`."""
    limit = np.array([right, bottom, right, bottom], boxes.dtype)
    return np.clip(boxes, np.zeros(4, boxes.dtype), limit)


def best(scores: Boxes, count: int) -> NDArray[np.intp]:
    """Indices of the `count` best scores (all, when there are fewer), in their given order."""
    if len(scores) <= count:
        return np.arange(len(scores))
    return np.sort(np.argpartition(scores, -count)[-count:])


def _best_first(scores: Boxes) -> NDArray[np.intp]:
    """Equal scores, common where a network is quite sure, come last one first: the same on every machine."""
    return np.argsort(scores, kind="stable")[::-1]
