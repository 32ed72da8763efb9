"""What reads a found face, on faces that no training saw: landmarks, head pose, eyes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from convert.data.landmarks import person_of, read_points
from convert.evaluation.bootstrap import Estimate, Numbers, estimate, ratio
from edged.analyse.landmarks import LandmarkRegressor
from edged.inference import Manifest, open_engine

Row = TypeVar("Row")

EYE_FOLD = 0
"""The part of the eye crops that is held out of the model that ships."""
MASK_SEED = 0
"""Draws the masks that the card's figures have."""
LANDMARK_SETS = (
    ("HELEN", "helen_test", None),
    ("HELEN, masks drawn", "helen_test", MASK_SEED),
    ("YouTube", "youtube_test", None),
)


@dataclass(frozen=True)
class Figure:
    """One figure of one model on one set. `clusters` are what was resampled: people where there are several pictures of each."""

    of: str
    name: str
    unit: str
    faces: int
    clusters: int
    estimate: Estimate

    def record(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "set": self.of,
            "figure": self.name,
            "unit": self.unit,
            "faces": self.faces,
            "clusters": self.clusters,
            "estimate": self.estimate.record(),
        }


def landmark_figures(data: Path, manifest: Manifest, most: int | None) -> Iterator[Figure]:
    """NME in percent of the outer-eye distance, and the share of faces over 10 %, in the boxes of our own detector."""
    from convert.landmarks.evaluate import found_faces, our_detector, score

    regressor, detector = LandmarkRegressor(open_engine(manifest, "landmarks", 1)), our_detector()
    for name, folder, seed in LANDMARK_SETS:
        faces = _spread(read_points(data / "landmarks68" / folder), most)
        nmes = score(regressor, found_faces(faces, detector, seed)).nmes
        people = [person_of(face.path) for face in faces]
        yield _mean(name, "NME", "%", nmes, people)
        yield _mean(name, "faces over 10 %", "share", (nmes > 10).astype(np.float64), people)


def pose_figures(data: Path, manifest: Manifest, most: int | None) -> Iterator[Figure]:
    """Mean absolute error of yaw, pitch and roll, in degrees, of every reader there is, bare and with drawn masks."""
    from convert.pose.evaluate import contestants, open_service, read_all, score
    from convert.pose.heads import read_heads, split

    service = open_service(manifest.directory)
    heads = _spread(split(read_heads(data / "headpose_biwi"))[1], most)
    for kind in ("bare", "masks drawn"):
        found = list(read_all(heads, service.detector, service.landmarks, 0, hidden=kind != "bare"))
        for name, reader in contestants(service.open_model).items():
            errors = np.abs(score(reader, found).errors).mean(axis=1)
            yield _mean(f"BIWI, {kind}", name, "degrees", errors, [str(row) for row in range(len(errors))])


def eye_figures(data: Path, manifest: Manifest, most: int | None) -> Iterator[Figure]:
    """The share of eyes whose state is told rightly, framed as in service."""
    from convert.eyes.evaluate import held_out_crops, held_out_faces, in_service

    engine = open_engine(manifest, "eyes", 1)
    for name, eyes in (("crops", held_out_crops(data, EYE_FOLD)), ("HELEN", held_out_faces(data))):
        examples = in_service(_spread(eyes, most))
        parts = [
            engine.run({"eyes": examples.images[start : start + 32]})["probabilities"]
            for start in range(0, len(examples.images), 32)
        ]
        right = (np.concatenate(parts).argmax(axis=1) == examples.states).astype(np.float64)
        yield _mean(name, "accuracy", "share", right, [str(row) for row in range(len(right))])


def _mean(of: str, name: str, unit: str, values: Numbers, clusters: Sequence[str]) -> Figure:
    """The mean of `values`, resampled by cluster."""
    known, owner = np.unique(np.array(clusters, np.str_), return_inverse=True)
    of_each = (values, np.ones(len(values)))
    sums, counts = (np.bincount(owner, each, len(known)).astype(np.float64) for each in of_each)
    return Figure(of, name, unit, len(values), len(known), estimate(len(known), ratio(sums, counts)))


def _spread(rows: Sequence[Row], most: int | None) -> list[Row]:
    """At most so many of them, at even distances."""
    if most is None or len(rows) <= most:
        return list(rows)
    return [rows[index] for index in np.linspace(0, len(rows) - 1, most).round().astype(int)]
