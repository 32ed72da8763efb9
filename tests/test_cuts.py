"""A cut is noticed, and nothing that happens within a scene is taken for one; who stands near the old place is somebody new."""

import cv2
import numpy as np
import pytest
from support.doubles import BARE, WORN, ConstantJudge, ScriptedDetector, analyser_settings, sighting

from edged.analyse import Analyser
from edged.assembly import Models, build_pipeline
from edged.config import CameraConfig, Config
from edged.detect.changes import SceneCuts
from edged.events import Events
from edged.events.encounters import Encounters
from edged.events.kinds import MaskEvents
from edged.pipeline import Pipeline
from edged.signals import Smoother
from edged.track import Tracker, TrackerSettings
from edged.types import Encounter, Frame, Image

SIZE = (240, 320)


def scene(seed: int, mean: float = 120.0, contrast: float = 45.0) -> Image:
    """Large patches of light and dark, as rooms are, with a sensor's noise."""
    random = np.random.default_rng(seed)
    patches = cv2.resize(random.normal(0, 1, (6, 8, 3)).astype(np.float32), SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    noise = random.normal(0, 4, patches.shape)
    return np.clip(mean + contrast * patches + noise, 0, 255).astype(np.uint8)


def cuts(*pictures: Image) -> list[bool]:
    watching = SceneCuts()
    return [watching.is_cut(picture) for picture in pictures]


def covered(picture: Image, share: float) -> Image:
    """Somebody in black stands right before the camera."""
    picture = picture.copy()
    picture[:, : round(share * picture.shape[1])] = 20
    return picture


@pytest.mark.parametrize("seed", range(10))
def test_another_scene_is_a_cut_and_only_its_first_picture(seed):
    one, other = scene(seed), scene(seed + 100)
    assert cuts(one, one, other, other, one) == [False, False, True, False, True]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    ("mean", "contrast"), [(60, 20), (200, 25), (120, 80)], ids=["lights off", "lights on", "harder light"]
)
def test_other_light_is_no_cut(seed, mean, contrast):
    random = np.random.default_rng(seed)
    again = scene(seed, mean, contrast).astype(np.int16) + random.normal(0, 6, (*SIZE, 3)).astype(np.int16)
    assert cuts(scene(seed), np.clip(again, 0, 255).astype(np.uint8)) == [False, False]


@pytest.mark.parametrize("seed", range(10))
def test_who_walks_past_close_to_the_camera_is_no_cut(seed):
    still = scene(seed)
    pictures = [covered(still, share) for share in (0, 0.1, 0.2, 0.3, 0.4, 0.3, 0.2, 0.1, 0)]
    assert not any(cuts(*pictures))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_moment_without_a_picture_is_no_cut_and_hides_none(level):
    empty: Image = np.full((*SIZE, 3), level, np.uint8)
    assert cuts(scene(1), empty, empty, scene(1)) == [False] * 4
    assert cuts(scene(1), empty, scene(2)) == [False, False, True]


def test_pictures_of_any_size_are_compared():
    assert (
        cuts(scene(1), cv2.resize(scene(1), (1280, 720)), np.zeros((0, 0, 3), np.uint8), scene(1)[:3, :2])[:3]
        == [False] * 3
    )


def play(*scenes: Image) -> list[Encounter]:
    """A second of each, with a face in the middle all the time: one that is masked after the first cut."""
    judge = ConstantJudge(BARE)
    line = Pipeline(
        "door",
        ScriptedDetector([[sighting(160)]] * 100),
        Tracker(TrackerSettings(birth_evidence=0)),
        Analyser(judge, analyser_settings()),
        Smoother(),
        Events(MaskEvents("door")),
        Encounters("door"),
        cuts=SceneCuts(),
    )
    told: list[Encounter] = []
    for index in range(10 * len(scenes)):
        judge.scores = BARE if index < 10 else WORN
        told += line.step(Frame("door", index, index / 10, scenes[index // 10])).encounters
    return [one for one in (*told, *line.finish(len(scenes), "end").encounters) if one.closed]


def test_who_stands_where_somebody_stood_before_a_cut_is_somebody_else():
    first, second = play(scene(1), scene(2))
    assert (first.track, first.state.value) == (1, "none")
    assert (second.track, second.state.value) == (2, "correct")
    assert first.last_seen_s < second.first_seen_s


def test_in_a_picture_of_another_size_nobody_is_where_somebody_was():
    """The same scene, as the camera was set to another resolution: the box is in other pixels."""
    first, second = play(scene(1), cv2.resize(scene(1), (640, 480)))
    assert (first.track, second.track) == (1, 2)


def test_within_a_scene_it_is_one_person():
    assert len(play(scene(1), scene(1, 90, 30))) == 1


@pytest.mark.parametrize(("profile", "looked_for"), [("entrance", True), ("classroom", True), ("driver", False)])
def test_a_driver_goes_on_whatever_light_sweeps_by(profile, looked_for):
    config = Config()
    models = Models(ScriptedDetector([]), ConstantJudge(BARE), {}, {}, *[None] * 3)
    camera = CameraConfig(source="images:///cab", profile=profile)
    assert (build_pipeline("cab", camera, config, models, every_frame=True).cuts is not None) is looked_for
