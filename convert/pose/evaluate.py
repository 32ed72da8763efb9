"""Measures head poses side by side, on sequences that no training saw, bare and with drawn masks."""

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.pose.heads import (
    LEAST_SCORE,
    PAD,
    FoundHead,
    PosedHead,
    find_head,
    masked,
    projected_points,
    read_heads,
    split,
)
from edged.analyse.landmarks import LandmarkRegressor
from edged.analyse.pose.fused import FusedPose, LearnedPose
from edged.analyse.pose.landmark_pose import solve
from edged.analyse.pose.rotation import angles_of, head_poses, ray_rotation
from edged.baselines.heatmap_pose import HeatmapPose
from edged.baselines.six_point_pose import SixPointPose
from edged.inference import load_manifest, open_engine
from edged.offline import tight_crop_lens
from edged.ports import Detector, Engine, LandmarkReader, PoseReader
from edged.readers import DetectionLimits, make_detector
from edged.render import Wear, random_style
from edged.types import Detection, HeadPose, Image, Landmarks, Lens

Angles = NDArray[np.float64]

SMALLEST_FACE = 15.0
"""Pixels, of the faces that the detector looks for."""


class LandmarksAlone:
    """Implements `edged.ports.PoseReader` with the landmarks only."""

    def read(
        self,
        image: Image,
        detections: Sequence[Detection],
        landmarks: Sequence[Landmarks],
        masked: Sequence[bool],
        lens: Lens,
    ) -> list[HeadPose | None]:
        """One for each face, in order."""
        solved = solve(landmarks, masked, lens)
        rays = _rays(detections, lens)
        poses = head_poses(rays.transpose(0, 2, 1) @ solved.rotations, rays, solved.deviations)
        return [pose if found else None for pose, found in zip(poses, solved.found.tolist(), strict=True)]


class LearnedAlone:
    """Implements `edged.ports.PoseReader` with the crop network only."""

    def __init__(self, engine: Engine) -> None:
        self._learned = LearnedPose(engine)

    def read(
        self,
        image: Image,
        detections: Sequence[Detection],
        landmarks: Sequence[Landmarks],
        masked: Sequence[bool],
        lens: Lens,
    ) -> list[HeadPose | None]:
        """One for each face, in order."""
        learned = self._learned.read(image, detections)
        return list(head_poses(learned.rotations, _rays(detections, lens), learned.deviations))


def _rays(detections: Sequence[Detection], lens: Lens) -> Angles:
    return ray_rotation(np.array([face.box.centre for face in detections]).reshape(-1, 2), lens)


def contestants(open_model: Callable[[str], Engine]) -> dict[str, PoseReader]:
    """Every reader there is, and the default's two halves."""
    return {
        "edged (both, fused)": FusedPose(open_model("pose")),
        "68 landmarks, SQPnP": LandmarksAlone(),
        "learned, crop": LearnedAlone(open_model("pose")),
        "heatmap": HeatmapPose(open_model("pose-heatmap")),
        "pnp6": SixPointPose(),
    }


@dataclass(frozen=True, eq=False)
class ReadHead:
    """A head kept back, found and with its landmarks read; `hidden` says whether a mask was drawn on."""

    found: FoundHead
    landmarks: Landmarks
    hidden: bool


def read_all(
    heads: Sequence[PosedHead], detector: Detector, landmarks: LandmarkReader, seed: int, *, hidden: bool
) -> Iterator[ReadHead]:
    """The heads that the detector finds, as they are or with drawn masks."""
    rng = np.random.default_rng(seed)
    for head in heads:
        found = find_head(head, detector)
        if found is None:
            continue
        if hidden:
            found = masked(found, projected_points(found), random_style(rng), Wear.CORRECT, detector, rng)
        yield ReadHead(found, landmarks.read(found.image, [found.detection])[0], hidden)


def crop_lens(found: FoundHead) -> Lens:
    """What `edged analyze` assumes of a tight crop whose place in its frame nobody knows."""
    height, width = found.image.shape[:2]
    border = round(max(height, width) * PAD / (1 + 2 * PAD))
    return tight_crop_lens(width - 2 * border, height - 2 * border, border)


@dataclass(frozen=True, eq=False)
class Score:
    """Errors in degrees (yaw, pitch, roll) of the heads answered, relative to the optical axis; N x 3 each."""

    errors: Angles
    """With the crop's true place in its frame."""
    blind: Angles
    """Without it."""
    expected: NDArray[np.float64]
    answered: float
    milliseconds: float


def score(reader: PoseReader, heads: Sequence[ReadHead]) -> Score:
    """Read heads one by one, as a stream brings them; heads not answered count in `answered` only.

    Times are the processor's: a busy machine does not spoil them.
    """
    errors, blind, expected = [], [], []
    spent = 0.0
    for head in heads:
        truth = angles_of(head.found.head.rotation)
        started = time.process_time()
        pose = _read(reader, head, head.found.lens)
        spent += time.process_time() - started
        unplaced = _read(reader, head, crop_lens(head.found))
        if pose is not None and unplaced is not None:
            errors.append(_apart(pose, truth))
            blind.append(_apart(unplaced, truth))
            expected.append(pose.deviation)
    count = max(len(heads), 1)
    rows = [np.array(values).reshape(-1, 3) for values in (errors, blind)]
    return Score(rows[0], rows[1], np.array(expected), len(errors) / count, spent / count * 1000)


def _read(reader: PoseReader, head: ReadHead, lens: Lens) -> HeadPose | None:
    return reader.read(head.found.image, [head.found.detection], [head.landmarks], [head.hidden], lens)[0]


def _apart(pose: HeadPose, truth: Angles) -> Angles:
    """Signed, within ±180."""
    return (np.array([pose.yaw, pose.pitch, pose.roll]) - truth + 180) % 360 - 180


def table(scores: Mapping[tuple[str, str], Score]) -> str:
    """Markdown; keys are the faces' kind and the reader's name."""
    lines = [
        "| faces | reader | answered | yaw | pitch | roll | mean | mean, place unknown | expected | ms a face |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (kind, name), row in scores.items():
        yaw, pitch, roll = mean_errors(row.errors)
        figures = f"{yaw:.2f} | {pitch:.2f} | {roll:.2f} | {(yaw + pitch + roll) / 3:.2f} | {mean_errors(row.blind).mean():.2f}"
        expected = f"{np.sqrt((row.expected**2).mean()):.1f}" if len(row.expected) else "–"
        lines.append(f"| {kind} | {name} | {row.answered:.3f} | {figures} | {expected} | {row.milliseconds:.2f} |")
    return "\n".join(lines)


def mean_errors(errors: Angles) -> Angles:
    """Mean absolute yaw, pitch and roll; NaN without a head."""
    return np.asarray(np.abs(errors).mean(axis=0) if len(errors) else np.full(3, np.nan), np.float64)


def compare(
    readers: Mapping[str, PoseReader],
    heads: Sequence[PosedHead],
    detector: Detector,
    landmarks: LandmarkReader,
    seed: int = 0,
) -> dict[tuple[str, str], Score]:
    """Every reader on every head, bare and masked."""
    scores: dict[tuple[str, str], Score] = {}
    for kind in ("bare", "masked"):
        found = list(read_all(heads, detector, landmarks, seed, hidden=kind == "masked"))
        scores |= {(kind, name): score(reader, found) for name, reader in readers.items()}
    return scores


@dataclass(frozen=True, eq=False)
class Service:
    """The product's models, as heads meet them in service."""

    open_model: Callable[[str], Engine]
    detector: Detector

    @property
    def landmarks(self) -> LandmarkReader:
        return LandmarkRegressor(self.open_model("landmarks"))


def open_service(folder: Path) -> Service:
    """Models of `folder` by their names in its manifest, each opened once and on one thread.

    Raise ModelError, naming the remedy, when one that is asked for is not there.
    """
    manifest = load_manifest(folder)

    @functools.cache
    def open_model(name: str) -> Engine:
        return open_engine(manifest, name, threads=1)

    return Service(open_model, make_detector("edged", open_model, DetectionLimits(SMALLEST_FACE, LEAST_SCORE)))


def report(data: Path, engines: Path, most: int | None = None) -> tuple[str, dict[tuple[str, str], Score]]:
    """The comparison on all sequences kept back, or on `most` heads from all over them: as a table, and as it is."""
    service = open_service(engines)
    _, kept = split(read_heads(data / "headpose_biwi"))
    heads = kept if most is None else kept[:: -(-len(kept) // most)]
    scores = compare(contestants(service.open_model), heads, service.detector, service.landmarks)
    return table(scores), scores
