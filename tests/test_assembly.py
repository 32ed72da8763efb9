"""What the config becomes: the lens behind turned and cut pictures, and which models are loaded for which profiles."""

from dataclasses import replace

import numpy as np
import pytest
from support.doubles import BARE, BoxLandmarks, ConstantEyes, ConstantJudge, ConstantPose, ScriptedDetector, sighting

from edged.assembly import EVERYTHING, MASK_ONLY, Models, build_pipeline, lens_maker, model_names, tasks_of
from edged.config import CameraConfig, Config, ModelsConfig, Tasks
from edged.detect.anchor_free import AnchorFreeDetector
from edged.detect.canvas import WorkingSize
from edged.errors import ModelError
from edged.types import Frame, Lens

SOURCE = "file:///x.mp4"


def camera(**keys: object) -> CameraConfig:
    return CameraConfig(source=SOURCE, **keys)


def everything() -> Models:
    return Models(ScriptedDetector([]), ConstantJudge(BARE), {}, {}, BoxLandmarks(), ConstantPose(), ConstantEyes())


# --- the lens


def test_the_lens_is_that_of_the_cameras_field_of_view():
    assert lens_maker(camera(field_of_view=70))(1280, 720) == Lens.of(1280, 720, 70)


def test_a_cut_leaves_focal_length_and_optical_axis_where_they_were():
    """The right half and the lower three quarters of 1280x720."""
    lens = lens_maker(camera(field_of_view=70, region=(0.5, 0.25, 1.0, 1.0)))(640, 540)
    whole = Lens.of(1280, 720, 70)
    assert lens.focal == pytest.approx(whole.focal)
    assert (lens.centre_x, lens.centre_y) == pytest.approx((whole.centre_x - 640, whole.centre_y - 180))


@pytest.mark.parametrize(("rotation", "size"), [(90, (720, 1280)), (270, (720, 1280)), (180, (1280, 720))])
def test_turning_the_picture_does_not_change_the_glass(rotation, size):
    lens = lens_maker(camera(field_of_view=70, rotation=rotation))(*size)
    assert lens.focal == pytest.approx(Lens.of(1280, 720, 70).focal)
    assert (lens.centre_x, lens.centre_y) == (size[0] / 2, size[1] / 2)


# --- the models


@pytest.mark.parametrize(
    ("profiles", "more"),
    [
        ((), set()),
        (("entrance", "entrance"), set()),
        (("entrance", "classroom"), {"landmarks", "pose"}),
        (("driver",), {"landmarks", "pose", "eyes"}),
    ],
)
def test_models_are_loaded_only_for_cameras_that_want_them(profiles, more):
    cameras = {f"camera{n}": camera(profile=profile) for n, profile in enumerate(profiles)}
    names = set(model_names(ModelsConfig(), tasks_of(Config(camera=cameras))))
    assert names - set(model_names(ModelsConfig())) == more


@pytest.mark.parametrize(("pose", "models"), [("edged", {"pose"}), ("heatmap", {"pose-heatmap"}), ("pnp6", set())])
def test_the_pose_reader_brings_its_own_models(pose, models):
    chosen = set(model_names(ModelsConfig(pose=pose), EVERYTHING)) - set(model_names(ModelsConfig(), MASK_ONLY))
    assert chosen - {"landmarks", "eyes"} == models


def test_a_camera_gets_the_readers_its_profile_wants_although_another_loaded_more():
    models = everything()
    assert models.readers(MASK_ONLY) is None
    classroom, driver = models.readers(camera(profile="classroom").tasks), models.readers(EVERYTHING)
    assert classroom.landmarks is driver.landmarks is models.landmarks
    assert (classroom.eyes, driver.eyes) == (None, models.eyes)


def test_attention_turned_on_at_an_entrance_is_wanted():
    config = Config(camera={"door": camera(attention={"enabled": True})})
    assert tasks_of(config) == Tasks(mask=True, attention=True, drowsiness=False)


@pytest.mark.parametrize(
    ("keys", "smallest"),
    [
        ({"profile": "classroom"}, 32),
        ({"profile": "driver"}, 32),
        ({"profile": "driver", "attention": {"enabled": False}}, 64),
        ({"profile": "classroom", "attention": {"smallest_face": 48}}, 48),
    ],
)
def test_faces_are_read_from_the_smallest_size_that_anything_asks_for(keys, smallest):
    pipeline = build_pipeline("door", camera(**keys), Config(), everything())
    assert pipeline.analyser.settings.smallest_landmarks == smallest
    offline = build_pipeline("door", camera(**keys), Config(), everything(), every_frame=True)
    assert offline.analyser.settings.smallest_landmarks == 0


@pytest.mark.parametrize(
    ("keys", "offline", "read"),
    [
        ({}, False, {1}),
        ({"mask": {"enabled": True}}, False, {1, 2}),
        ({"profile": "classroom"}, False, {1, 2}),
        ({}, True, {1, 2}),
    ],
)
def test_in_a_cab_the_driver_alone_is_read_once_they_are_known(keys, offline, read):
    seen = [sighting(100, side=150), sighting(300, side=90)]
    models = replace(everything(), detector=ScriptedDetector(iter(lambda: seen, None)))
    pipeline = build_pipeline("cab", camera(**{"profile": "driver", **keys}), Config(), models, every_frame=offline)
    picture = np.zeros((480, 640, 3), np.uint8)
    *_, last = (pipeline.step(Frame("cab", k, k / 10, picture)) for k in range(20))
    assert {face.track.id for face in last.faces} == {1, 2}
    assert {face.track.id for face in last.faces if face.landmarks} == read


def test_only_in_a_stream_faces_are_not_looked_for_everywhere_in_every_picture():
    assert build_pipeline("door", camera(), Config(), everything()).schedule is not None
    assert build_pipeline("door", camera(), Config(), everything(), every_frame=True).schedule is None


@pytest.mark.parametrize(
    ("keys", "one_person"),
    [
        ({"profile": "driver"}, True),
        ({"profile": "driver", "mask": {"enabled": True}}, False),
        ({"profile": "classroom"}, False),
        ({"profile": "entrance"}, False),
    ],
)
def test_only_where_nobody_but_the_driver_counts_others_are_looked_for_less_often(keys, one_person):
    assert build_pipeline("cab", camera(**keys), Config(), everything()).schedule.one_person is one_person


@pytest.mark.parametrize(
    ("keys", "rescored"),
    [
        ({"profile": "driver"}, False),
        ({"profile": "driver", "mask": {"enabled": True}}, False),
        ({"profile": "entrance", "drowsiness": {"enabled": True}}, False),
        ({"profile": "classroom"}, True),
        ({"profile": "entrance"}, True),
    ],
)
def test_a_head_that_sinks_keeps_its_track_wherever_people_fall_asleep(keys, rescored):
    assert build_pipeline("cab", camera(**keys), Config(), everything()).schedule.rescore_unclear is rescored


def test_a_camera_with_faces_of_its_own_size_watches_with_its_own_detector():
    shared = AnchorFreeDetector(Seen(), WorkingSize(1280, 1.0), 0.35)
    models = Models(shared, ConstantJudge(BARE), {"detector": Seen(), "rescorer": Seen()}, {})
    pipeline = build_pipeline("door", camera(smallest_face=96), Config(), models)
    assert pipeline.schedule is not None
    assert pipeline.schedule.detector is pipeline.detector is not shared


# --- the detector


class Seen:
    """An engine that remembers the size of the largest picture it was given, and gives up there."""

    name, backend = "detector", "test"

    def __init__(self) -> None:
        self.longest = 0

    def run(self, inputs):
        self.longest = max(self.longest, *(size for array in inputs.values() for size in array.shape))
        raise ModelError("seen enough")


def longest_side_seen(**keys: object) -> int:
    engine = Seen()
    shared = AnchorFreeDetector(engine, WorkingSize(1280, 1.0), 0.35)
    models = Models(shared, ConstantJudge(BARE), {"detector": engine, "rescorer": Seen()}, {})
    pipeline = build_pipeline("door", camera(**keys), Config(), models)
    with pytest.raises(ModelError):
        pipeline.detector.detect(np.zeros((480, 640, 3), np.uint8))
    return engine.longest


def test_a_camera_that_looks_for_large_faces_only_looks_at_a_smaller_picture():
    usual, close = longest_side_seen(), longest_side_seen(smallest_face=96)
    assert usual == 640
    assert close == pytest.approx(usual / 4, rel=0.2)
