"""The golden pictures: what they show, what the models said of them when they were made, and what each model is given for them.

They stand in `engines/golden/`, each with its hash in `golden.toml` beside it; `python -m convert golden` makes both.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edged.analyse.eyes import MODEL as EYE_MODEL
from edged.analyse.eyes import EyeClassifier
from edged.capture.recordings import decode_picture
from edged.config import ModelsConfig
from edged.errors import EdgedError, ModelError
from edged.inference import default_engines_dir, load_manifest, open_engine
from edged.ports import Arrays, Engine
from edged.readers import (
    DETECTORS,
    LANDMARK_READERS,
    MASK_CLASSIFIERS,
    POSE_READERS,
    DetectionLimits,
    OpenModel,
    make_detector,
    make_landmark_reader,
    make_mask_judge,
    make_pose_reader,
    using,
)
from edged.toml import load_toml
from edged.types import Box, Detection, EyeReading, HeadPose, Image, Landmarks, Lens, MaskScores, MaskState

FOLDER, TABLE = "golden", "golden.toml"
"""Beside the models, and therein."""

MOST_PICTURE_BYTES = 1 << 20
MOST_BATCHES = 16
"""Inputs kept of one model: MTCNN's first network alone is given seventy."""

SURE_OPEN = 0.5
"""From this probability on, eyes are open."""

EyeState = Literal["open", "closed", "small", "turned away", "hidden"]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PoseEntry(_Entry):
    """Degrees, as `edged.types.HeadPose` has them."""

    yaw: float
    pitch: float
    roll: float
    facing_yaw: float
    facing_pitch: float
    deviation: float


class PosesEntry(_Entry):
    """By the name of the reader in the config; the third, pnp6, has no model."""

    edged: PoseEntry
    heatmap: PoseEntry


class FaceEntry(_Entry):
    """One face, in pixels of the picture: how its mask was drawn, and what the CPU's stages said of it."""

    state: Literal["correct", "incorrect", "none"]
    box: tuple[float, float, float, float]
    score: float
    points: tuple[tuple[float, float], ...] = Field(min_length=5, max_length=5)
    landmarks: tuple[tuple[float, float], ...] = Field(min_length=68, max_length=68)
    deviations: tuple[float, ...] = Field(min_length=68, max_length=68)
    pose: PosesEntry
    eyes: EyeState


class PictureEntry(_Entry):
    """One file."""

    file: str = Field(pattern=r"^[a-z0-9-]+\.jpg$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    drawn: str
    faces: tuple[FaceEntry, ...]


class GoldenTable(_Entry):
    """`golden.toml`."""

    source: str
    licence: str
    picture: dict[str, PictureEntry] = Field(min_length=1)


@dataclass(frozen=True, slots=True, eq=False)
class GoldenFace:
    """What is to be found of one face. `state` is how the mask was drawn; the rest is what the CPU's stages said.

    `poses` are by the reader's name in the config; `eyes` is "open" or "closed", or why they cannot be read.
    """

    state: MaskState
    detection: Detection
    landmarks: Landmarks
    poses: dict[str, HeadPose]
    eyes: EyeState


@dataclass(frozen=True, slots=True, eq=False)
class GoldenPicture:
    """One picture (BGR), and every face in it."""

    name: str
    image: Image
    faces: tuple[GoldenFace, ...]

    @property
    def detections(self) -> list[Detection]:
        return [face.detection for face in self.faces]

    @property
    def landmarks(self) -> list[Landmarks]:
        return [face.landmarks for face in self.faces]

    @property
    def masked(self) -> list[bool]:
        return [face.state is not MaskState.NONE for face in self.faces]

    @property
    def lens(self) -> Lens:
        """The one that the poses were read with."""
        height, width = self.image.shape[:2]
        return Lens.of(width, height)


def golden_pictures(folder: Path | None = None) -> tuple[GoldenPicture, ...]:
    """All of them, from `folder` or beside the models. Raise ModelError when one is missing or is not what the table says."""
    folder = folder or default_engines_dir() / FOLDER
    table = golden_table(folder)
    return tuple(
        GoldenPicture(name, _picture(folder / entry.file, entry.sha256), tuple(map(_face, entry.faces)))
        for name, entry in table.picture.items()
    )


def golden_table(folder: Path) -> GoldenTable:
    """The table in `folder`. Raise ModelError when it is missing or wrong."""
    path = folder / TABLE
    try:
        return GoldenTable(**load_toml(path))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); {REINSTALL}") from None
    except (ValueError, TypeError, ValidationError) as error:
        line = " ".join(str(error).split())[:200]
        raise ModelError(f"{path}: not a table of golden pictures ({line}); {REINSTALL}") from None


REINSTALL = "reinstall edged, which brings the golden pictures"


def _picture(path: Path, sha256: str) -> Image:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_PICTURE_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); {REINSTALL}") from None
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelError(
            f"{path}: sha256 is {found[:12]}…, {TABLE} says {sha256[:12]}…; the picture was altered: {REINSTALL}"
        )
    try:
        return decode_picture(data, str(path))
    except EdgedError as error:
        raise ModelError(f"{error}; this OpenCV lacks JPEG: install opencv-python-headless") from None


def _face(entry: FaceEntry) -> GoldenFace:
    points, landmarks, deviations = (
        np.array(values, np.float32) for values in (entry.points, entry.landmarks, entry.deviations)
    )
    return GoldenFace(
        MaskState(entry.state),
        Detection(Box(*entry.box), entry.score, points),
        Landmarks(landmarks, deviations),
        {name: HeadPose(**pose) for name, pose in entry.pose.model_dump().items()},
        entry.eyes,
    )


LEAST_SCORE = 0.05
"""So that there are detections of which the detector is not sure, and the rescorer is run too."""


def find_faces(
    name: str, open_model: OpenModel, models: ModelsConfig, pictures: Sequence[GoldenPicture]
) -> list[list[Detection]]:
    """What the detector called `name` finds in each picture."""
    detector = make_detector(
        name, open_model, DetectionLimits(models.smallest_face, min(models.least_score, LEAST_SCORE))
    )
    return [detector.detect(picture.image) for picture in pictures]


def judge_masks(name: str, open_model: OpenModel, pictures: Sequence[GoldenPicture]) -> list[list[MaskScores]]:
    """What the mask classifier called `name` says of each picture's faces."""
    judge = make_mask_judge(name, open_model)
    return [judge.judge(picture.image, [face.box for face in picture.detections]) for picture in pictures]


def read_landmarks(name: str, open_model: OpenModel, pictures: Sequence[GoldenPicture]) -> list[list[Landmarks]]:
    """What the landmark regressor called `name` says of each picture's faces."""
    reader = make_landmark_reader(name, open_model)
    return [reader.read(picture.image, picture.detections) for picture in pictures]


def read_poses(name: str, open_model: OpenModel, pictures: Sequence[GoldenPicture]) -> list[list[HeadPose | None]]:
    """What the pose reader called `name` says of each picture's faces, from their golden landmarks."""
    reader = make_pose_reader(name, open_model)
    return [
        reader.read(picture.image, picture.detections, picture.landmarks, picture.masked, picture.lens)
        for picture in pictures
    ]


def read_eyes(open_model: OpenModel, pictures: Sequence[GoldenPicture]) -> list[list[EyeReading]]:
    """What the eye classifier says of each picture's faces, from their golden landmarks."""
    reader = EyeClassifier(open_model(EYE_MODEL))
    return [
        reader.read(picture.image, picture.landmarks, [face.poses["edged"] for face in picture.faces])
        for picture in pictures
    ]


def eye_state(eyes: EyeReading) -> str:
    """What was read of one face's eyes, as the table has it."""
    if eyes.open_probability is None:
        return eyes.unavailable or "hidden"
    return "open" if eyes.open_probability >= SURE_OPEN else "closed"


def golden_inputs(names: Sequence[str], models: ModelsConfig) -> dict[str, list[dict[str, NDArray[Any]]]]:
    """What each of these models of the manifest is given while the golden pictures run through the CPU's stages.

    At least one batch and at most MOST_BATCHES for each, of several sizes where there are several. Raise ModelError
    when a model or picture is missing or altered, or a model belongs to no stage.
    """
    manifest = load_manifest(default_engines_dir())
    recorders: dict[str, RecordingEngine] = {}

    def open_model(name: str) -> Engine:
        recorders[name] = RecordingEngine(open_engine(manifest, name, models.threads))
        return recorders[name]

    _run_stages(frozenset(names), open_model, models, golden_pictures())
    strangers = sorted(set(names) - recorders.keys())
    if strangers:
        raise ModelError(f"model {strangers[0]}: no stage of edged's runs it, so no golden picture reaches it")
    return {name: _spread(recorders[name].given) for name in names}


def _run_stages(
    names: frozenset[str], open_model: OpenModel, models: ModelsConfig, pictures: Sequence[GoldenPicture]
) -> None:
    """Run every stage that one of the models belongs to."""
    for detector in using(DETECTORS, names):
        find_faces(detector, open_model, models, pictures)
    for pose in using(POSE_READERS, names):
        read_poses(pose, open_model, pictures)
    for judge in using(MASK_CLASSIFIERS, names):
        judge_masks(judge, open_model, pictures)
    for regressor in using(LANDMARK_READERS, names):
        read_landmarks(regressor, open_model, pictures)
    if EYE_MODEL in names:
        read_eyes(open_model, pictures)


def _spread(batches: Sequence[dict[str, NDArray[Any]]]) -> list[dict[str, NDArray[Any]]]:
    """At most MOST_BATCHES, from the first to the last."""
    count = min(len(batches), MOST_BATCHES)
    return [batches[index * (len(batches) - 1) // max(count - 1, 1)] for index in range(count)]


class RecordingEngine:
    """An engine that remembers what it was given; stages use their buffers again, so it keeps copies."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.backend = engine.backend
        self.given: list[dict[str, NDArray[Any]]] = []

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        self.given.append({name: np.array(value) for name, value in inputs.items()})
        return self._engine.run(inputs)
