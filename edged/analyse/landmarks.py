"""Finds 68 facial landmarks, with a regressor behind an `Engine`."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edged.analyse.align import AlignedCrops, Square, aligned_crops, apply, square_around, square_around_landmarks
from edged.errors import ConfigError, ModelError
from edged.ports import Engine
from edged.types import Detection, Image, Landmarks

MODELS: dict[str, str] = {"edged": "landmarks", "efficientnet": "landmarks-efficientnet"}
"""The manifest's name of the model behind each regressor."""

CROP_SIZE = 112
"""Side of the regressor's input, in pixels."""

CROP_MARGIN = 1.3
"""Side of the square cut from the picture, in units of the face box's longer side."""

MAX_BATCH = 16
"""More faces than this are read in several runs, so that a crowd cannot grow the memory."""

LOOKS = 2
"""The second look's crop follows the points of the first: a detector's box and five points are only roughly right."""

ONE_LOOK = ("efficientnet",)
"""Regressors that learned from crops around the box alone: a second look would frame faces in a way that is new to them."""

_LARGEST_OFFSET = 4.0
"""Points further than this from the crop's centre, in sides of the crop, are no answer."""

_LARGEST_LOG = 10.0


class LandmarkRegressor:
    """Implements `edged.ports.LandmarkReader`.

    The engine takes `faces` uint8 [batch, 112, 112, 3] (BGR, rows first, `edged.analyse.align`) and gives `points`
    float32 [batch, 68, 2], from the crop's centre in units of its side, and `log_deviations` float32 [batch, 68],
    natural logarithms of pixels of the crop; normalisation is inside the graph.
    """

    def __init__(self, engine: Engine, looks: int = LOOKS) -> None:
        self._engine = engine
        self._looks = looks
        self._pixels = np.empty((MAX_BATCH, CROP_SIZE, CROP_SIZE, 3), np.uint8)

    def read(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
        """One Landmarks for each detection, in order. Raise ModelError when the engine's answer is not one."""
        found: list[Landmarks] = []
        for start in range(0, len(detections), MAX_BATCH):
            batch = detections[start : start + MAX_BATCH]
            squares = [square_around(detection.box, detection.points, CROP_MARGIN) for detection in batch]
            landmarks = self._look(image, squares)
            for _ in range(self._looks - 1):
                squares = [square_around_landmarks(face.points, CROP_MARGIN) for face in landmarks]
                landmarks = self._look(image, squares)
            found.extend(landmarks)
        return found

    def _look(self, image: Image, squares: Sequence[Square]) -> list[Landmarks]:
        """One run on at most MAX_BATCH squares."""
        crops = aligned_crops(image, squares, CROP_SIZE, self._pixels)
        answer = self._engine.run({"faces": crops.pixels})
        points, logs = answer.get("points"), answer.get("log_deviations")
        if not _is_answer(points, (len(squares), 68, 2), _LARGEST_OFFSET) or not _is_answer(
            logs, (len(squares), 68), _LARGEST_LOG
        ):
            raise ModelError(
                f"model {self._engine.name}: its answer is not {len(squares)} x 68 points with deviations; "
                "it is not a landmark regressor of edged's: name another in the config"
            )
        assert points is not None  # noqa: S101 - for the type checker: checked just now
        assert logs is not None  # noqa: S101
        return _in_picture(crops, squares, points, logs)


def make_landmark_reader(name: str, open_model: Callable[[str], Engine]) -> LandmarkRegressor:
    """The regressor called `name`, its model opened by `open_model` under the name that `MODELS` lists.

    Raise ConfigError for a name that is not known, and whatever `open_model` raises.
    """
    if name not in MODELS:
        raise ConfigError(f"landmark regressor {name!r} is not known; known are: {', '.join(MODELS)}")
    return LandmarkRegressor(open_model(MODELS[name]), 1 if name in ONE_LOOK else LOOKS)


def _is_answer(values: NDArray[np.float32] | None, shape: tuple[int, ...], largest: float) -> bool:
    """Whether these are numbers of the right shape, none of them absurd."""
    return values is not None and values.shape == shape and bool((np.abs(values) <= largest).all())


def _in_picture(
    crops: AlignedCrops, squares: Sequence[Square], points: NDArray[np.float32], logs: NDArray[np.float32]
) -> list[Landmarks]:
    """The answers moved from their crops to the picture."""
    return [
        Landmarks(
            apply(affine, (offsets + 0.5) * CROP_SIZE).astype(np.float32),
            np.exp(log) * np.float32(square.side / CROP_SIZE),
        )
        for affine, square, offsets, log in zip(crops.to_picture, squares, points, logs, strict=True)
    ]
