"""An empty scene is not looked at again and again; whatever changes in it is, and in no case later than a second."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.doubles import ConstantJudge, ScriptedDetector, sighting

from convert.data.coco import read_coco, read_picture
from edged.analyse import Analyser
from edged.detect.unchanged import CELL, LOOK_AGAIN_S, EmptyScene, glance_at
from edged.encounters import Encounters
from edged.events import Events
from edged.events.mask import MaskEvents
from edged.pipeline import Pipeline
from edged.signals import Smoother
from edged.track import Tracker, TrackerSettings
from edged.types import Detection, Frame, Image

HALL = np.random.default_rng(1).integers(40, 200, (23, 40, 3)).astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)


def seen(image: Image, noise: float, seed: int) -> Image:
    """As a camera would give it."""
    return np.clip(image + np.random.default_rng(seed).normal(0, noise, image.shape), 0, 255).astype(np.uint8)


def scene_of(image: Image) -> EmptyScene:
    scene = EmptyScene()
    scene.looked(0.0, glance_at(image), found=False)
    return scene


def test_a_cameras_noise_changes_nothing():
    scene = scene_of(seen(HALL, 3, 0))
    assert all(scene.still_shows_nobody(0.1, glance_at(seen(HALL, 3, seed))) for seed in range(1, 30))


@given(x=st.integers(0, 640 - 24), y=st.integers(0, 368 - 24), step=st.sampled_from([-30, 30]))
def test_the_smallest_face_anywhere_is_a_change(x: int, y: int, step: int):
    there = HALL.copy()
    there[y : y + 24, x : x + 24] += np.uint8(step % 256)
    assert not scene_of(HALL).still_shows_nobody(0.1, glance_at(there))


def test_slow_changes_add_up():
    scene, dusk = scene_of(HALL), HALL.astype(np.float64)
    told = []
    for _ in range(20):
        dusk -= 1
        told.append(scene.still_shows_nobody(0.5, glance_at(dusk.astype(np.uint8))))
    assert told[0]
    assert not told[-1]


@pytest.mark.parametrize("time_s", [LOOK_AGAIN_S, 60.0, -0.1, float("nan")])
def test_no_picture_tells_about_another_for_long_or_backwards(time_s: float):
    assert not scene_of(HALL).still_shows_nobody(time_s, glance_at(HALL))


def test_a_picture_with_faces_or_of_another_size_tells_nothing():
    scene = scene_of(HALL)
    assert not scene.still_shows_nobody(0.1, glance_at(HALL[:-CELL]))
    assert not EmptyScene().still_shows_nobody(0.1, glance_at(HALL))
    scene.looked(0.2, glance_at(HALL), found=True)
    assert not scene.still_shows_nobody(0.3, glance_at(HALL))


@pytest.mark.parametrize("size", [(0, 0), (0, 9), (1, 1), (15, 17), (1080, 1920)])
def test_pictures_of_any_size_have_a_glance(size: tuple[int, int]):
    picture = np.full((*size, 3), 77, np.uint8)
    glance = glance_at(picture)
    assert glance.shape == (-(-size[0] // CELL) if size[1] else 0, -(-size[1] // CELL) if size[0] else 0, 3)
    assert (glance == 77).all()


def test_real_faces_of_the_smallest_size_do_not_appear_unseen(shared):
    """Cut out, made 24 pixels small, and put somewhere into a hall."""
    rng = np.random.default_rng(0)
    scene = scene_of(seen(HALL, 2, 0))
    unseen, faces = 0, 0
    for labelled in read_coco(shared / "data" / "masks853")[::3]:
        picture = read_picture(labelled.path)
        for x1, y1, x2, y2 in labelled.boxes.round().astype(int):
            if min(x2 - x1, y2 - y1) < 40:
                continue
            face = cv2.resize(picture[max(y1, 0) : y2, max(x1, 0) : x2], (24, 24), interpolation=cv2.INTER_AREA)
            oval = cv2.ellipse(np.zeros((24, 24, 1), np.uint8), (12, 12), (11, 11), 0, 0, 360, 1, -1).astype(np.bool_)
            x, y = rng.integers(0, HALL.shape[1] - 24), rng.integers(0, HALL.shape[0] - 24)
            there = HALL.copy()
            there[y : y + 24, x : x + 24] = np.where(oval, face, there[y : y + 24, x : x + 24])
            unseen += scene.still_shows_nobody(0.1, glance_at(seen(there, 2, faces + 1)))
            faces += 1
    assert faces > 150
    assert unseen <= faces / 200


# --- in the pipeline


def pipeline(frames: list[list[Detection]]) -> tuple[Pipeline, ScriptedDetector]:
    detector = ScriptedDetector(frames)
    stages = Tracker(), Analyser(ConstantJudge()), Smoother(), Events(MaskEvents("door")), Encounters("door")
    return Pipeline("door", detector, *stages, scene=EmptyScene()), detector


def test_an_empty_hall_is_looked_at_once_a_second():
    line, detector = pipeline([])
    for number in range(50):
        assert line.step(Frame("door", number, number / 10, HALL)).detections == []
    assert len(detector.pictures) == 5


def test_whoever_is_followed_is_looked_for_in_every_picture_also_out_of_sight():
    """Ten pictures a second: nobody, somebody in pictures 2 and 3, whom the detector then misses until the track is lost."""
    line, detector = pipeline([[], [sighting(100)], [sighting(100)]])
    there = HALL.copy()
    there[80:120, 80:120] = 255
    looked = []
    for number in range(20):
        before = len(detector.pictures)
        line.step(Frame("door", number, number / 10, HALL if number < 2 else there))
        looked.append(len(detector.pictures) > before)
    lost = 3 + round(TrackerSettings().lost_seconds * 10)
    assert looked[:2] == [True, False]
    assert all(looked[2:lost])
    assert not any(looked[lost + 3 :]), "nobody again, and nothing changes"


def test_a_new_face_that_is_missed_once_is_looked_for_again():
    line, _ = pipeline([[sighting(100)], [], *[[sighting(100)]] * 6])
    outcomes = [line.step(Frame("door", number, number / 10, HALL)) for number in range(8)]
    assert len(outcomes[-1].faces) == 1


def test_weak_finds_that_nobody_follows_keep_it_looking():
    line, detector = pipeline([[sighting(100, score=0.4)]] * 10)
    for number in range(10):
        line.step(Frame("door", number, number / 15, HALL))
    assert len(detector.pictures) == 10


def test_events_and_encounters_end_in_time_while_nothing_changes():
    line, _ = pipeline([[sighting(100)]] * 20)
    outcomes = [line.step(Frame("door", number, number / 10, HALL)) for number in range(80)]
    ends = [event for outcome in outcomes for event in outcome.events if event.phase == "end"]
    assert len(ends) == 1
    assert any(encounter.closed for outcome in outcomes for encounter in outcome.encounters)
