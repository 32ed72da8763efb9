"""Reads detectors that others trained, to be measured beside ours: YuNet and Ultra-Light, behind the `Detector` contract."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.detect.boxes import suppress
from edged.ports import Arrays, Engine
from edged.types import Box, Detection, Image

YUNET_STRIDES = (8, 16, 32)
YUNET_OVERLAP = 0.45
ULTRA_LIGHT_SIZE = (640, 480)
"""Width and height that its graph is made for."""
ULTRA_LIGHT_OVERLAP = 0.3

MOST = 750
"""At most so many faces are returned, as RetinaFace is evaluated; Ultra-Light would give thousands at low scores."""

Rows = NDArray[np.float32]
"""N x 5: x1, y1, x2, y2, score."""
PointedRows = NDArray[np.float32]
"""N x 15: as `Rows`, then five points (x, y) in our order."""


class YuNet:
    """YuNet (github.com/ShiqiYu/libfacedetection.train) at `enlarge` times the picture's own size."""

    def __init__(self, engine: Engine, enlarge: float, score: float) -> None:
        self._engine, self._enlarge, self._score = engine, enlarge, score

    def detect(self, image: Image) -> list[Detection]:
        """See `Detector`."""
        scale = self._enlarge
        resized = image if scale == 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        height, width = resized.shape[:2]
        canvas = np.zeros((height + -height % 32, width + -width % 32, 3), np.float32)
        canvas[:height, :width] = resized
        answers = self._engine.run({"input": np.ascontiguousarray(canvas.transpose(2, 0, 1)[None])})
        levels = [decode_yunet(answers, stride, canvas.shape[1] // stride, self._score) for stride in YUNET_STRIDES]
        rows = np.concatenate(levels)[:, :5]
        rows[:, :4] /= scale
        return _best(rows, YUNET_OVERLAP)


def decode_yunet(answers: Arrays, stride: int, columns: int, threshold: float) -> PointedRows:
    """One level's faces in px of what the network saw.

    The formulas are those of libfacedetection.train.
    """
    certain, present = (np.clip(answers[f"{kind}_{stride}"], 0, 1).reshape(-1) for kind in ("cls", "obj"))
    scores = np.sqrt(certain * present)
    chosen = np.flatnonzero(scores >= threshold)
    cells = np.stack([chosen % columns, chosen // columns], axis=1).astype(np.float32)
    boxes = answers[f"bbox_{stride}"].reshape(-1, 4)[chosen]
    centres, half = cells + boxes[:, :2], np.exp(boxes[:, 2:]) / 2
    corners = np.concatenate([centres - half, centres + half], axis=1) * stride
    points = (answers[f"kps_{stride}"].reshape(-1, 5, 2)[chosen] + cells[:, None]) * stride
    return np.concatenate([corners, scores[chosen, None], points.reshape(-1, 10)], axis=1).astype(np.float32)


class UltraLight:
    """Ultra-Light RFB (github.com/Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB), made for 640 x 480."""

    def __init__(self, engine: Engine, score: float) -> None:
        self._engine, self._score = engine, score

    def detect(self, image: Image) -> list[Detection]:
        """See `Detector`."""
        height, width = image.shape[:2]
        resized = cv2.resize(image, ULTRA_LIGHT_SIZE, interpolation=cv2.INTER_LINEAR)[:, :, ::-1]
        planes = (resized.transpose(2, 0, 1).astype(np.float32) - 127) / 128
        answers = self._engine.run({"input": np.ascontiguousarray(planes[None])})
        scores = answers["scores"][0, :, 1]
        chosen = np.flatnonzero(scores >= self._score)
        corners = answers["boxes"][0, chosen] * np.array([width, height] * 2, np.float32)
        return _best(np.concatenate([corners, scores[chosen, None]], axis=1), ULTRA_LIGHT_OVERLAP)


def _best(rows: Rows, overlap: float) -> list[Detection]:
    """The rows that no better one overlaps, best first."""
    rows = rows[np.argsort(-rows[:, 4], kind="stable")[: 4 * MOST]]
    kept = suppress(rows[:, :4], rows[:, 4], overlap)[:MOST]
    return [Detection(Box(*row[:4]), row[4]) for row in rows[kept].tolist()]
