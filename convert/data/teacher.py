"""A YuNet face detector as teacher: boxes and points for pictures that come without them."""

from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edged.errors import UsageError
from edged.types import Image

STRIDES = (8, 16, 32)


class Teacher:
    """Finds faces with the ONNX file that a user names; nothing of it ends up in our weights but its answers."""

    def __init__(self, model: Path) -> None:
        if not model.is_file():
            raise UsageError(f"{model}: not found; the teacher is YuNet, put its dynamic ONNX file there")
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]

    def find(self, image: Image, scale: float = 1.0, threshold: float = 0.5) -> NDArray[np.float32]:
        """Faces in `image` looked at `scale` times as large: N x 15 rows, best first, in pixels of `image`.

        A row is x1, y1, x2, y2, score and the five points (x, y) in our order.
        """
        resized = cv2.resize(image, None, fx=scale, fy=scale) if scale != 1.0 else image
        height, width = resized.shape[:2]
        bottom, right = -height % 32, -width % 32
        padded = cv2.copyMakeBorder(resized, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
        batch = padded.transpose(2, 0, 1)[None].astype(np.float32)
        answers = dict(zip(self._outputs, self._session.run(self._outputs, {self._input: batch}), strict=True))
        rows = np.concatenate([_decode(answers, stride, padded.shape[1], threshold) for stride in STRIDES])
        if not len(rows):
            return rows
        corners = rows[:, :4].copy()
        corners[:, 2:] -= corners[:, :2]
        kept = np.asarray(cv2.dnn.NMSBoxes(corners.tolist(), rows[:, 4].tolist(), threshold, 0.45)).reshape(-1)
        kept_rows = rows[kept.astype(int)]
        kept_rows[:, :4] /= scale
        kept_rows[:, 5:] /= scale
        return np.asarray(kept_rows, np.float32)


def _decode(answers: dict[str, NDArray[np.float32]], stride: int, width: int, threshold: float) -> NDArray[np.float32]:
    """The rows of one level; the formulas are those of libfacedetection.train."""
    score = np.sqrt(np.clip(answers[f"cls_{stride}"], 0, 1) * np.clip(answers[f"obj_{stride}"], 0, 1)).reshape(-1)
    chosen = np.flatnonzero(score >= threshold)
    columns = width // stride
    prior = np.stack([chosen % columns, chosen // columns], axis=1).astype(np.float32)
    box = answers[f"bbox_{stride}"].reshape(-1, 4)[chosen]
    centre, size = prior + box[:, :2], np.exp(box[:, 2:])
    points = answers[f"kps_{stride}"].reshape(-1, 5, 2)[chosen] + prior[:, None]
    corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1) * stride
    return np.concatenate([corners, score[chosen, None], points.reshape(-1, 10) * stride], axis=1).astype(np.float32)
