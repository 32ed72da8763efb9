"""Pictures of faces as they should not be, through the real models: cut off, upside down, covered, vanishing; nothing is told."""

import csv
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.assembly import EVERYTHING, Models, build_pipeline, load_models
from edged.capture.recordings import read_picture
from edged.config import CameraConfig, Config
from edged.pipeline import Outcome
from edged.types import Frame, Image

WIDTH, HEIGHT = 640, 480
FPS, SECONDS = 5, 7.0
MOST_FACES = 13
CONFIG = Config.model_validate({"attention": {"target_yaw": 0, "target_pitch": 0}})
KINECT_FIELD_OF_VIEW = 63.5

Scene = Callable[[float, Image, Image], Image]
"""The picture at a time, of somebody and somebody else."""


def watch(models: Models, pictures: Iterable[tuple[float, Image]]) -> Iterator[Outcome]:
    """What a cab's camera tells of pictures with their times; each has its own noise, as pictures have."""
    camera = CameraConfig(
        source="images:///cab", profile="driver", attention=CONFIG.attention, field_of_view=KINECT_FIELD_OF_VIEW
    )
    pipeline = build_pipeline("cab", camera, CONFIG, models)
    for index, (time_s, picture) in enumerate(pictures):
        yield pipeline.step(Frame("cab", index, time_s, cv2.add(picture, NOISE[index % len(NOISE)], dtype=cv2.CV_8U)))


def wall() -> Image:
    """A blurred wall of many colours."""
    spots = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    return np.asarray(cv2.normalize(cv2.GaussianBlur(spots, (0, 0), 25), None, 60, 190, cv2.NORM_MINMAX), np.uint8)


WALL = wall()
NOISE = [np.random.default_rng(seed).normal(0, 3, WALL.shape).astype(np.int16) for seed in range(7)]


def put(face: Image, x: float, y: float, *, angle: float = 0.0, scale: float = 1.0, before: Image = WALL) -> Image:
    """The face with its middle at (x, y), with soft edges, turned anticlockwise by so many degrees."""
    height, width = face.shape[:2]
    middle = (width - 1) / 2, (height - 1) / 2
    affine = cv2.getRotationMatrix2D(middle, angle, scale)
    affine[:, 2] += x - middle[0], y - middle[1]
    mask = np.zeros((height, width), np.float32)
    cv2.ellipse(mask, (width // 2, height // 2), (int(width * 0.47), int(height * 0.49)), 0, 0, 360, 1, -1)
    mask = cv2.warpAffine(cv2.GaussianBlur(mask, (0, 0), 4), affine, (WIDTH, HEIGHT))[..., None]
    return np.asarray(before * (1 - mask) + cv2.warpAffine(face, affine, (WIDTH, HEIGHT)) * mask, np.uint8)


def sway(time_s: float) -> float:
    """Nobody stands quite still."""
    return 3 * math.sin(3 * time_s)


SCENES: dict[str, Scene] = {
    "as it should be": lambda t, one, two: put(one, 320 + sway(t), 240),
    "out to the right and back": lambda t, one, two: put(one, 320 + 100 * min(t, SECONDS - t), 240),
    "out at the bottom and back": lambda t, one, two: put(one, 320, 240 + 80 * min(t, SECONDS - t)),
    "half beyond the left border": lambda t, one, two: put(one, -10 + sway(t), 240),
    "half beyond the right border": lambda t, one, two: put(one, 650 + sway(t), 240),
    "half below the border": lambda t, one, two: put(one, 320 + sway(t), 490),
    "half above the border": lambda t, one, two: put(one, 320 + sway(t), -5),
    "a third above the border": lambda t, one, two: put(one, 320 + sway(t), 20),
    "upside down": lambda t, one, two: put(one, 320 + sway(t), 240, angle=180),
    "on its side": lambda t, one, two: put(one, 320 + sway(t), 240, angle=90),
    "turning round": lambda t, one, two: put(one, 320, 240, angle=45 * t),
    "behind another": lambda t, one, two: put(two, 300 + sway(t), 240, before=put(one, 370, 240)),
    "passing another": lambda t, one, two: put(two, 200 + 30 * t, 240, before=put(one, 440 - 30 * t, 240)),
    "ever nearer": lambda t, one, two: put(one, 320, 240, scale=1 + t / 2),
}


@pytest.fixture(scope="module")
def models() -> Models:
    return load_models(Config().models, EVERYTHING)


@pytest.fixture(scope="module")
def faces(shared: Path, models: Models) -> list[Image]:
    """People who look into the lens with open eyes: the first of the test faces of whom the models say so."""
    found: list[Image] = []
    for path in sorted((shared / "data" / "landmarks68" / "helen_test" / "images").iterdir()):
        face = read_picture(path)
        *_, outcome = watch(models, ((k / FPS, put(face, 320, 240)) for k in range(3)))
        poses = [one.pose for one in outcome.faces if one.eyes and (one.eyes.open_probability or 0) > 0.9]
        if min(face.shape[:2]) >= 150 and any(p and abs(p.facing_yaw) < 8 and abs(p.facing_pitch) < 8 for p in poses):
            found.append(face)
        if len(found) == MOST_FACES:
            break
    return found


@pytest.mark.parametrize("people", [range(1, 2), pytest.param(range(MOST_FACES - 1), marks=pytest.mark.long)])
@pytest.mark.parametrize("scene", SCENES)
def test_faces_as_they_should_not_be_are_no_event(
    models: Models, faces: list[Image], scene: str, people: range
) -> None:
    """None of these people looks away or is tired."""
    times = [k / FPS for k in range(round(SECONDS * FPS))]
    for one, two in list(pairwise(faces))[people.start : people.stop]:
        told = [
            event
            for outcome in watch(models, ((t, SCENES[scene](t, one, two)) for t in times))
            for event in outcome.events
        ]
        assert told == []


# --- heads of known pose, at the place in the picture where they were


def film(shared: Path, sequence: str, first: int = 0, last: int = 10_000) -> list[tuple[float, Image]]:
    """Frames `first` to `last` of a sequence, six thirtieths of a second apart."""
    folder, frames = shared / "data" / "headpose_biwi", []
    with (folder / "pose.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["sequence"] == sequence]
    for row in rows:
        number = int(Path(row["image"]).stem.split("_")[1])
        if first <= number <= last:
            left, top, width, height = (int(row[f"box_{name}"]) for name in "xywh")
            picture = WALL.copy()
            picture[top : top + height, left : left + width] = cv2.resize(
                read_picture(folder / "images" / row["image"]), (width, height)
            )
            frames.append((number / 30, picture))
    return frames


def test_a_face_that_vanishes_in_a_nod_is_no_event(shared: Path, models: Models) -> None:
    nod = film(shared, "23", 249, 312)
    gone = [(312 / 30 + k / FPS, WALL) for k in range(1, 30)]
    outcomes = list(watch(models, [*nod, *gone]))
    seen = [one for outcome in outcomes for one in outcome.signals.attention if one.attentive is not None]
    assert (seen[0].attentive, seen[-1].attentive) == (True, False), "the head went down, and then out of sight"
    assert [event for outcome in outcomes for event in outcome.events] == []
    assert not any(one.nods for outcome in outcomes for one in outcome.signals.drowsiness)


def test_a_head_that_looks_round_is_told_of_and_does_not_nod(shared: Path, models: Models) -> None:
    """Else the scenes above could not fail: this one turns as far as necks go, for twelve seconds, wide awake."""
    outcomes = list(watch(models, film(shared, "04", last=360)))
    events = [event for outcome in outcomes for event in outcome.events]
    assert ("inattention", "long") in {(event.kind, event.state) for event in events}
    assert "drowsiness" not in {event.kind for event in events}
    assert not any(one.nods or one.yawns for outcome in outcomes for one in outcome.signals.drowsiness)
