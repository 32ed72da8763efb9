"""Gathers what the head shape is fitted to, fits it and writes it: annotated faces, and landmarks on heads of known pose."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from convert.data.landmarks import read_points
from convert.pose import head_shape
from convert.pose.evaluate import open_service
from convert.pose.head_shape import HeadShape, Sighting
from convert.pose.heads import PosedHead, find_head, read_heads, split
from edged.analyse.pose import shape
from edged.ports import Detector, LandmarkReader

MOST_TURNED = 0.94
"""Cosine of the largest angle between nose and line of sight: further round, landmarks are guesses."""

UNSURE = 0.1
"""Expected error of a landmark, in face sizes, at which it counts half."""


def fit(data: Path, engines: Path) -> Path:
    """Fit the shape and write the product's module; give its path."""
    service = open_service(engines)
    mean = mean_head(data)
    trained, _ = split(read_heads(data / "headpose_biwi"))
    fitted = head_shape.refine(mean, list(sightings(trained, service.detector, service.landmarks)))
    target = Path(shape.__file__)
    head_shape.write(fitted, target)
    return target


def mean_head(data: Path) -> HeadShape:
    """The factorised shape of the training parts of HELEN and of the videos."""
    names = ("helen_train", "youtube_train")
    faces = [face.points for name in names for face in read_points(data / "landmarks68" / name)]
    return head_shape.factorise(np.stack(faces).astype(np.float64))


def sightings(heads: Sequence[PosedHead], detector: Detector, landmarks: LandmarkReader) -> Iterator[Sighting]:
    """Each head that is found and not turned too far; every sequence weighs the same however long it is."""
    lengths = {head.sequence: sum(other.sequence == head.sequence for other in heads) for head in heads}
    for head in heads:
        found = find_head(head, detector)
        if found is None or found.facing[2, 2] < MOST_TURNED:
            continue
        face = landmarks.read(found.image, [found.detection])[0]
        size = max(found.detection.box.width, found.detection.box.height)
        weights = 1 / (1 + (face.deviations.astype(np.float64) / size / UNSURE) ** 2)
        centre = (found.lens.centre_x, found.lens.centre_y)
        flat = (face.points.astype(np.float64) - centre) / found.lens.focal
        yield Sighting(head.rotation, flat, weights * (100 / lengths[head.sequence]))
