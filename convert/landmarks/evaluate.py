"""Scores landmark regressors on faces they have never seen, in the boxes of edged's own detector."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convert.data.coco import read_picture
from convert.data.landmarks import PointedFace, face_box
from convert.landmarks.store import HELEN, WEARS, YOUTUBE, split_faces
from edged.analyse.landmarks import PASSES, LandmarkRegressor
from edged.assembly import load_models
from edged.config import ModelsConfig
from edged.ports import Detector
from edged.render import random_style, wear_mask
from edged.types import Box, Detection, Image, Points

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False)
class Faces:
    """Pictures with one labelled face each, and what our detector made of it."""

    images: list[Image]
    points: list[Points]
    detections: list[Detection]
    missed: int
    """How many the detector did not find: those got the box of their labels."""


def our_detector() -> Detector:
    """The default detector, as in service."""
    return load_models(ModelsConfig(smallest_face=15, least_score=0.1, threads=1)).detector


def found_faces(faces: Sequence[PointedFace], detector: Detector, mask_seed: int | None = None) -> Faces:
    """Run the detector on every face's picture; with `mask_seed`, after drawing a mask, all ways of wearing in turn."""
    rng = np.random.default_rng(mask_seed)
    images, detections, missed = [], [], 0
    for number, face in enumerate(faces):
        image = read_picture(face.path)
        if mask_seed is not None:
            wear = WEARS[number % len(WEARS)]
            image = wear_mask(image, face.points, random_style(rng), wear, rng).image
        detection = _nearest(detector.detect(image), face.points)
        if detection is None:
            missed += 1
            detection = Detection(Box(*face_box(face.points).tolist()), 0.0)
        images.append(image)
        detections.append(detection)
    return Faces(images, [face.points for face in faces], detections, missed)


def _nearest(found: Sequence[Detection], points: Points) -> Detection | None:
    """The best find whose centre lies within half a face of the labelled one's."""
    x1, y1, x2, y2 = face_box(points).tolist()
    reach = max(x2 - x1, y2 - y1) / 2
    near = [d for d in found if np.hypot(d.box.centre[0] - (x1 + x2) / 2, d.box.centre[1] - (y1 + y2) / 2) < reach]
    return near[0] if near else None


def held_out_faces(data: Path) -> dict[str, Faces]:
    """The faces kept back from the training parts, bare and (HELEN) masked."""
    _, held_out = split_faces(data)
    detector = our_detector()
    return {
        "helen": found_faces(held_out[HELEN], detector),
        "helen_masked": found_faces(held_out[HELEN], detector, mask_seed=1),
        "youtube": found_faces(held_out[YOUTUBE][::3], detector),
    }


@dataclass(frozen=True, eq=False)
class Score:
    """What a regressor did on N faces: errors and deviations N x 68, both in units of the outer-eye distance."""

    errors: NDArray[np.float64]
    deviations: NDArray[np.float64]

    @property
    def nmes(self) -> NDArray[np.float64]:
        """The NME of every face, in percent."""
        return np.asarray(100 * self.errors.mean(axis=1))

    @property
    def mean(self) -> float:
        return float(self.nmes.mean())

    @property
    def failures(self) -> float:
        """The share of faces with an NME over 10 %."""
        return float((self.nmes > 10).mean())

    def within(self, deviations: float) -> float:
        """The share of points that lie within so many of their own deviations; 39 % and 86 % if honest and Gaussian."""
        return float((self.errors <= deviations * self.deviations).mean())


def score(regressor: LandmarkRegressor, faces: Faces) -> Score:
    """Read every face in its detection's box."""
    errors, deviations = [], []
    for image, truth, found in zip(faces.images, faces.points, faces.detections, strict=True):
        landmarks = regressor.read(image, [found])[0]
        unit = float(np.linalg.norm(truth[36] - truth[45]))
        errors.append(np.linalg.norm(landmarks.points.astype(np.float64) - truth, axis=1) / unit)
        deviations.append(landmarks.deviations.astype(np.float64) / unit)
    return Score(np.array(errors), np.array(deviations))


def nme_of_network(network: "nn.Module", faces: Faces, passes: int = PASSES) -> float:
    """The mean NME of a PyTorch network, read as in service."""
    from convert.landmarks.network import LandmarkModel
    from convert.training.engine import TorchEngine

    engine = TorchEngine(LandmarkModel(network), ("points", "log_deviations"))
    return score(LandmarkRegressor(engine, passes), faces).mean
