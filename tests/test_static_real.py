"""Real pictures hung on a wall, and real people who sit, before the real detector: which of them become pictures."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.daemon import needs_models

from edged.analyse.static import StaticFaces
from edged.assembly import SURE_SCORES, load_models
from edged.capture.recordings import read_picture
from edged.config import ModelsConfig
from edged.ports import Detector
from edged.track import Tracker, TrackerSettings
from edged.types import Image

pytestmark = needs_models

FPS = 5
PICTURES = ("maksssksksss841", "maksssksksss98", "maksssksksss540", "maksssksksss813")
"""One large face, a small crowd, two more."""
SITTING = ("driver_4", "eye_closure", "driver_1", "driver_3")
"""The classroom is three seconds long, in which some pupils do not move at all."""
NEAR = 60.0
"""Smaller finds in these clips are parts of the car."""
LARGE_ENOUGH = 24.0
"""Smaller faces are those `models.smallest_face` does not look for."""


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_models(ModelsConfig(threads=1)).detector


def seconds(quick: float, long: float) -> list[object]:
    return [
        pytest.param(quick, 2, marks=pytest.mark.slow, id=f"{quick:g} s"),
        pytest.param(long, None, marks=pytest.mark.long, id=f"{long:g} s"),
    ]


def filmed(image: Image, count: int, noise: float, flicker: float, trembling: float) -> Iterator[Image]:
    """A picture on a wall, as a camera sees it: noise, light that flickers, a mount that trembles, JPEG."""
    random = np.random.default_rng(0)
    height, width = image.shape[:2]
    for number in range(count):
        shift = np.float32([[1, 0, random.normal(0, trembling)], [0, 1, random.normal(0, trembling)]])
        moved = cv2.warpAffine(image, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
        light = 1 + flicker * np.sin(number * 4.7) + 0.1 * np.sin(number / 40)
        noisy = np.clip(moved * light + random.normal(0, noise, image.shape), 0, 255).astype(np.uint8)
        yield cv2.imdecode(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)


def to_and_fro(path: Path, count: int) -> Iterator[Image]:
    """A clip forwards and backwards, again and again: somebody who sits there for as long as one likes."""
    reader = cv2.VideoCapture(str(path))
    step, pictures = max(1, round(reader.get(cv2.CAP_PROP_FPS) / FPS)), []
    while (read := reader.read())[0]:
        pictures.append(read[1])
    pictures = pictures[::step]
    pictures += pictures[-2:0:-1]
    return (pictures[number % len(pictures)] for number in range(count))


def watch(detector: Detector, pictures: Iterator[Image], static_seconds: float) -> dict[int, tuple[float, float]]:
    """Of each track that was there for the whole time: its size, and the share of its time in which it was static."""
    sure = SURE_SCORES["edged"]
    tracker = Tracker(TrackerSettings(new_score=sure))
    faces, seen, static, sizes, frames = StaticFaces(static_seconds), {}, {}, {}, 0
    for frames, image in enumerate(pictures, 1):
        tracks = tracker.update(frames / FPS, detector.detect(image))
        for track in tracks:
            seen[track.id] = seen.get(track.id, 0) + 1
            sizes[track.id] = track.box.side
        for face in faces.update(frames / FPS, image, tracks):
            static[face.track] = static.get(face.track, 0) + 1
    return {track: (sizes[track], static.get(track, 0) / n) for track, n in seen.items() if n > 0.9 * frames}


@pytest.mark.parametrize("camera", [(3, 0.0, 0.0), (9, 0.05, 0.0), (5, 0.02, 0.3)], ids=["good", "dim", "trembling"])
@pytest.mark.parametrize(("static_seconds", "some"), seconds(6, 60))
def test_portraits_on_a_wall_are_pictures(shared, detector, static_seconds, some, camera):
    for name in PICTURES[:some]:
        image = read_picture(shared / "data" / "masks853" / "images" / f"{name}.jpg")
        told = watch(detector, filmed(image, round(2 * static_seconds * FPS), *camera), static_seconds)
        large = {track: share for track, (size, share) in told.items() if size >= LARGE_ENOUGH}
        assert large, name
        assert min(large.values()) > 0.25, (name, told)


@pytest.mark.parametrize(("static_seconds", "some"), seconds(10, 60))
def test_people_who_sit_are_people(shared, detector, static_seconds, some):
    for clip in SITTING[:some]:
        pictures = to_and_fro(shared / "data" / "video" / f"{clip}.mp4", round(2.5 * static_seconds * FPS))
        told = watch(detector, pictures, static_seconds)
        people = {track: share for track, (size, share) in told.items() if size >= NEAR}
        assert people, clip
        assert set(people.values()) == {0.0}, clip
