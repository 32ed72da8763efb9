"""A YuNet face detector as teacher: boxes and points for pictures that come without them."""

from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from convert.peers import YUNET_OVERLAP, YUNET_STRIDES, decode_yunet
from edged.errors import UsageError
from edged.types import Image


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
        columns = padded.shape[1]
        rows = np.concatenate([decode_yunet(answers, s, columns // s, threshold) for s in YUNET_STRIDES])
        if not len(rows):
            return rows
        corners = rows[:, :4].copy()
        corners[:, 2:] -= corners[:, :2]
        kept = np.asarray(cv2.dnn.NMSBoxes(corners.tolist(), rows[:, 4].tolist(), threshold, YUNET_OVERLAP)).reshape(-1)
        kept_rows = rows[kept.astype(int)]
        kept_rows[:, :4] /= scale
        kept_rows[:, 5:] /= scale
        return np.asarray(kept_rows, np.float32)
