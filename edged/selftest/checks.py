"""What each stage must give for the golden pictures: within these tolerances, what the CPU gave when they were made.

Each stage is given the golden values of the stages before it, so that each model is checked by itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from edged.analyse.eyes import MODEL as EYE_MODEL
from edged.config import ModelsConfig
from edged.detect.boxes import iou
from edged.readers import DETECTORS, LANDMARK_READERS, MASK_CLASSIFIERS, POSE_READERS, SURE_SCORES, Choice, OpenModel
from edged.selftest.golden import (
    GoldenFace,
    GoldenPicture,
    eye_state,
    find_faces,
    judge_masks,
    read_eyes,
    read_landmarks,
    read_poses,
)
from edged.types import Detection, EyeReading, HeadPose, Landmarks, MaskScores, MaskState

SAME_BOX, SAME_FACE = 0.8, 0.5
"""Intersection over union: of our own detector's boxes with the golden ones, which may come from a neighbouring cell when
scores are close; and of others' boxes, which are drawn by other rules."""
POINT_SHARE = 0.08
"""How far each of the five points may lie off, in the face's shorter sides."""
LANDMARK_PIXELS = 1.0
"""How far each of our own 68 may lie off, in pixels of the picture."""
OTHERS_SHARE = 0.1
"""How far another regressor's 68 may lie off on average, in the face's shorter sides."""
POSE_DEGREES = 2.0
SURE_STATE = 0.5

OWN = "edged"
"""Our own of each kind; the others are there to compare with."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage, the manifest's names of its models, and `check`: what comes out otherwise than it should, a line each."""

    models: tuple[str, ...]
    check: Callable[[OpenModel, Sequence[GoldenPicture]], list[str]]


def all_stages() -> tuple[Stage, ...]:
    """Every stage that has a model, in the order in which a picture passes them."""
    tables: dict[Callable[..., list[str]], Mapping[str, Choice[Any]]] = {
        _check_detector: DETECTORS,
        _check_masks: MASK_CLASSIFIERS,
        _check_landmarks: LANDMARK_READERS,
        _check_poses: POSE_READERS,
    }
    stages = (Stage(one.models, partial(check, name)) for check, table in tables.items() for name, one in table.items())
    return (*(stage for stage in stages if stage.models), Stage((EYE_MODEL,), _check_eyes))


def _check_detector(name: str, open_model: OpenModel, pictures: Sequence[GoldenPicture]) -> list[str]:
    """Our own finds every face and nothing else; others are held to the bare faces, which any detector finds."""
    problems: list[str] = []
    for picture, found in zip(pictures, find_faces(name, open_model, ModelsConfig(), pictures), strict=True):
        sure = [face for face in found if face.score >= SURE_SCORES[name]]
        if name != OWN:
            problems += _missed(picture, sure, SAME_FACE, bare_only=True)
            continue
        problems += _missed(picture, sure, SAME_BOX, bare_only=False)
        if len(sure) > len(picture.faces):
            problems.append(f"picture {picture.name}: {len(sure)} faces are found, {len(picture.faces)} are there")
    return problems


def _missed(picture: GoldenPicture, found: Sequence[Detection], overlap: float, *, bare_only: bool) -> Iterator[str]:
    boxes = np.array([face.box for face in found], np.float64).reshape(-1, 4)
    for number, face in enumerate(picture.faces, 1):
        if bare_only and face.state is not MaskState.NONE:
            continue
        overlaps = iou(np.array([face.detection.box], np.float64), boxes)[0]
        if not len(overlaps) or overlaps.max() < overlap:
            yield f"{_where(picture, number)} is not found"
        elif not bare_only and not _same_points(face.detection, found[int(overlaps.argmax())]):
            yield f"{_where(picture, number)}: its five points lie elsewhere"


def _same_points(golden: Detection, found: Detection) -> bool:
    if golden.points is None or found.points is None:
        return golden.points is found.points
    apart = np.linalg.norm(golden.points - found.points, axis=1).max()
    return bool(apart <= POINT_SHARE * golden.box.side)


def _check_masks(name: str, open_model: OpenModel, pictures: Sequence[GoldenPicture]) -> list[str]:
    """Others are held to the bare faces, which any classifier knows."""

    def check(face: GoldenFace, scores: MaskScores) -> str | None:
        if (scores.state is face.state and max(scores) >= SURE_STATE) or _not_asked(name, face):
            return None
        return f"the mask is judged {scores.state} ({max(scores):.2f}), it is {face.state}"

    return _differences(pictures, judge_masks(name, open_model, pictures), check)


def _check_landmarks(name: str, open_model: OpenModel, pictures: Sequence[GoldenPicture]) -> list[str]:
    """Others are held to the bare faces, and roughly: their points are their own."""

    def check(face: GoldenFace, landmarks: Landmarks) -> str | None:
        distances = np.linalg.norm(face.landmarks.points - landmarks.points, axis=1)
        if name != OWN:
            apart = float(distances.mean())
            right = apart <= OTHERS_SHARE * face.detection.box.side or _not_asked(name, face)
            return None if right else f"the landmarks lie {apart:.1f} px off on average"
        apart = float(distances.max())
        return None if apart <= LANDMARK_PIXELS else f"a landmark lies {apart:.1f} px off"

    return _differences(pictures, read_landmarks(name, open_model, pictures), check)


def _check_poses(name: str, open_model: OpenModel, pictures: Sequence[GoldenPicture]) -> list[str]:
    def check(face: GoldenFace, pose: HeadPose | None) -> str | None:
        golden = face.poses[name]
        if pose is None:
            return "the head's pose cannot be read"
        apart = float(np.abs(np.subtract(_angles(golden), _angles(pose))).max())
        return None if apart <= POSE_DEGREES else f"the head's pose is {apart:.1f} degrees off"

    return _differences(pictures, read_poses(name, open_model, pictures), check)


def _check_eyes(open_model: OpenModel, pictures: Sequence[GoldenPicture]) -> list[str]:
    def check(face: GoldenFace, eyes: EyeReading) -> str | None:
        seen = eye_state(eyes)
        return None if seen == face.eyes else f"the eyes are read as {seen}, they are {face.eyes}"

    return _differences(pictures, read_eyes(open_model, pictures), check)


def _not_asked(name: str, face: GoldenFace) -> bool:
    return name != OWN and face.state is not MaskState.NONE


def _angles(pose: HeadPose) -> tuple[float, float, float]:
    return pose.yaw, pose.pitch, pose.roll


def _differences(
    pictures: Sequence[GoldenPicture], outputs: Sequence[Sequence[T]], check: Callable[[GoldenFace, T], str | None]
) -> list[str]:
    """What `check` says of every face, with its place."""
    return [
        f"{_where(picture, number)}: {difference}"
        for picture, row in zip(pictures, outputs, strict=True)
        for number, (face, output) in enumerate(zip(picture.faces, row, strict=True), 1)
        if (difference := check(face, output))
    ]


def _where(picture: GoldenPicture, number: int) -> str:
    return f"picture {picture.name}, face {number}"
