"""Yawns on synthetic mouths: each is found once at every frame rate, and talking, laughing, singing and chewing are none."""

import math
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.daemon import needs_models
from support.doubles import sighting
from support.traces import Camera, Script

from edged.assembly import build_pipeline, load_models
from edged.capture.video import VideoFile
from edged.config import CameraConfig, Config, DrowsinessConfig
from edged.config.source import parse_source
from edged.signals.mouth import LARGEST_REST, SHUT_BELOW, USUAL_DEVIATION, USUAL_REST, Lips, YawnFinder
from edged.types import Face, Frame, Landmarks, Track

RATES = pytest.mark.parametrize("fps", [5, 10, 15, 30])
PAST_S = 1.2
"""A yawn is sure half a second after the mouth has shut; smoothing and a frame of 5 fps add to that."""


def yawns(script: Script, fps: float, seed: int = 0, settings_: DrowsinessConfig | None = None) -> list[float]:
    """When yawns were told of, in seconds from the script's start."""
    finder = YawnFinder(settings_ or DrowsinessConfig())
    shown = ((time_s - 1000, faces[0].mouth_ratio) for time_s, faces in Camera(fps, seed=seed).film(script))
    return [time_s for time_s, ratio in shown if finder.follow(time_s, ratio)]


def play(ratios: list[float | None], fps: float = 10) -> list[int]:
    """The frames at which a yawn was told of."""
    finder = YawnFinder(DrowsinessConfig())
    return [k for k, ratio in enumerate(ratios) if finder.follow(k / fps, ratio)]


def at(level: float) -> float:
    """The ratio of a mouth so far on the way from rest (0) to a yawn's height (1)."""
    return USUAL_REST + level * (DrowsinessConfig().yawn_ratio - USUAL_REST)


REST = [at(0)] * 50
YAWN = [*map(at, (0, 0.4, 0.8, 1.1)), *[at(1.5)] * 30, *map(at, (1.1, 0.8, 0.4))]


@RATES
@pytest.mark.parametrize("seed", range(4))
def test_each_yawn_is_told_once_soon_after_it(fps, seed):
    spans = [(10, 13.2), (30, 35), (50, 56), (80, 88)]
    told = yawns(Script(100, yawns=spans), fps, seed)
    assert len(told) == len(spans)
    assert all(end < time_s < end + PAST_S for time_s, (_, end) in zip(told, spans, strict=True))


@RATES
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("what", ["talks", "laughs", "sings", "chews"])
def test_other_mouths_that_move_do_not_yawn(what, fps, seed):
    spans = [(2, 3), (8, 30), (40, 42), (44, 47), (50, 54), (60, 68), (72.3, 74), (80, 120)]
    assert yawns(Script(125, **{what: spans}), fps, seed) == []


@RATES
@pytest.mark.parametrize("what", ["talks", "laughs", "sings", "chews"])
def test_a_yawn_among_them_is_found(what, fps):
    told = yawns(Script(90, **{what: [(8, 30), (48, 70)]}, yawns=[(36, 41)]), fps)
    assert [round(time_s) for time_s in told] in ([41], [42])


@RATES
def test_short_and_endless_openings_are_none(fps):
    assert yawns(Script(60, yawns=[(10, 11.5), (20, 32), (40, 41.8)]), fps) == []


def test_a_mouth_that_rests_open_must_open_further():
    """What is usual for this person is learned: a yawn is measured from there."""
    parted, half, wide = [at(0.3)] * 80, [at(1.2)] * 30, [at(1.5)] * 30
    assert len(play([*REST, *half, *REST])) == 1
    assert play([*parted, *half, *parted]) == []
    assert len(play([*parted, *wide, *parted])) == 1


def test_nothing_is_learned_while_the_mouth_is_open():
    assert len(play([*REST, *[at(1.5)] * 80, *REST])) == 1


def test_who_shuts_the_mouth_half_way_and_opens_it_again_does_not_yawn():
    wide = [at(1.5)] * 12
    assert play([*REST, *wide, *[at(0.8)] * 4, *wide, *REST]) == []
    assert len(play([*REST, *wide, *[at(1.2)] * 4, *wide, *REST])) == 1


def test_a_mouth_that_moved_just_before_or_moves_just_after_does_not_yawn():
    word = [at(1.5)] * 4 + [at(0)] * 2
    assert play([*REST, *word, *YAWN, *REST]) == []
    assert play([*REST, *YAWN, *[at(0)] * 3, *word, *REST]) == []
    assert len(play([*REST, *word, *[at(0)] * 4, *YAWN, *[at(0)] * 8, *word, *REST])) == 1


def test_a_moment_that_could_not_be_read_does_not_break_a_yawn_and_a_longer_one_does():
    for gap, found in ((3, 1), (8, 0)):
        ratios: list[float | None] = [*REST, *YAWN, *REST]
        ratios[65 : 65 + gap] = [None] * gap
        assert len(play(ratios)) == found


def test_two_yawns_need_five_seconds_between_them():
    assert len(play([*REST, *YAWN, *[at(0)] * 10, *YAWN, *REST, *YAWN, *REST])) == 2


def test_a_yawn_is_on_from_its_height_to_its_end_and_no_longer_than_yawns_last():
    finder = YawnFinder(DrowsinessConfig())
    on = []
    for k, ratio in enumerate([*REST, *YAWN, *REST, *[at(1.5)] * 120]):
        finder.follow(k / 10, ratio)
        on.append(finder.is_on(k / 10))
    assert not any(on[:52])
    assert all(on[56:84])
    assert not any(on[90:137])
    assert on[145]
    assert not any(on[-25:])


def test_after_a_gap_nothing_of_a_yawn_is_left():
    finder = YawnFinder(DrowsinessConfig())
    for k, ratio in enumerate([*REST, *YAWN, at(0)]):
        finder.follow(k / 10, ratio)
    finder.forget()
    assert not any(finder.follow(9 + k / 10, at(0)) for k in range(30))


def test_the_usual_mouth_is_bounded_in_memory_and_value():
    finder = YawnFinder(DrowsinessConfig())
    assert finder.rest == USUAL_REST
    for k in range(20_000):
        finder.follow(k / 10, 0.9)
    assert finder.usual.count == 240
    assert finder.rest == LARGEST_REST


STEPS = st.sampled_from([0.03, 0.1, 0.2, 0.2, 1.0])
RATIOS = st.none() | st.floats(0, 1.5) | st.floats(0, 1e300) | st.sampled_from([0.1, 0.5, 0.5, 0.5])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(STEPS, RATIOS), max_size=120))
def test_whatever_a_mouth_does_two_yawns_are_never_close(frames):
    finder, now_s, told = YawnFinder(DrowsinessConfig()), 0.0, []
    for step, ratio in frames:
        now_s += step
        if finder.follow(now_s, ratio):
            told.append(now_s)
        assert math.isfinite(finder.rest)
    assert all(later - earlier >= 2.5 for earlier, later in pairwise(told))


# --- on drivers

DRIVERS = {
    "driver_1": [(135, 290)],
    "driver_2": [],
    "driver_3": [(155, 255)],
    "driver_4": [(366, 474)],
}
"""Frames in which the mouth yawns, as seen. The driver of the last clip talks before and laughs after."""


@needs_models
@pytest.mark.long
@pytest.mark.parametrize("clip", DRIVERS)
def test_drivers_yawns_are_found_and_nothing_else_is(shared: Path, clip):
    """As the daemon sees them: the driver's profile, every frame of the clip."""
    uri = (shared / "data" / "video" / f"{clip}.mp4").absolute().as_uri()
    camera = CameraConfig(source=uri, profile="driver", fps=30)
    video = VideoFile(parse_source(uri))
    pipeline = build_pipeline("cab", camera, Config(), load_models(Config().models, camera.tasks))
    frames, yawned = [], 0
    while (time_s := video.skip()) is not None:
        index = round(time_s * video.fps)
        outcome = pipeline.step(Frame("cab", index, time_s, video.picture()))
        assert not [event for event in outcome.events if event.kind == "drowsiness"]
        for one in outcome.signals.drowsiness:
            assert not one.nods
            if (one.yawns or 0) > yawned:
                yawned = one.yawns
                frames.append(index)
    video.close()
    assert len(frames) == len(DRIVERS[clip])
    assert all(start < frame < end + 45 for frame, (start, end) in zip(frames, DRIVERS[clip], strict=True))


# --- a hand before the mouth


def seen(ratios: list[float], covered: range, fps: float = 10) -> tuple[list[int], list[int]]:
    """The frames at which a yawn was told of, and those at which one was taken to be on; `covered` frames are not the mouth's."""
    finder, told, on = YawnFinder(DrowsinessConfig()), [], []
    for k, ratio in enumerate(ratios):
        if finder.follow(k / fps, at(0) if k in covered else ratio, k in covered):
            told.append(k)
        if finder.is_on(k / fps):
            on.append(k)
    return told, on


LONG_YAWN = [*map(at, (0, 0.4, 0.8, 1.1)), *[at(1.5)] * 60, *map(at, (1.1, 0.8, 0.4))]


@pytest.mark.parametrize(("first", "last"), [(60, 105), (60, 125), (56, 100)])
def test_what_lies_before_and_after_a_hand_is_one_yawn(first, last):
    told, on = seen(REST + LONG_YAWN + REST, range(first, last))
    assert len(told) == 1
    assert {*range(first, last)} <= {*on}


def test_shut_lips_are_believed_only_some_time_after_the_hand_has_gone():
    ratios = REST + LONG_YAWN + REST
    ratios[100:103] = [at(0)] * 3
    told, on = seen(ratios, range(60, 100))
    assert len(told) == 1
    assert {100, 101, 102, 103} <= {*on}


def test_a_hand_before_a_mouth_that_never_opened_is_no_yawn():
    assert seen(REST + REST + REST, range(50, 90)) == ([], [])


def test_a_hand_that_stays_is_no_yawn_for_ever():
    _, on = seen(REST + LONG_YAWN + [at(0)] * 200, range(60, 300))
    assert max(on) <= 52 + 90


def doubted(times: float) -> Face:
    """A face whose lips are so many times as doubtful as usual."""
    points = np.zeros((68, 2), np.float32)
    points[27, 1] = -100  # the bridge of the nose, above the chin: heights are in units of these 100 pixels
    deviations = np.full(68, times * USUAL_DEVIATION * 100, np.float32)
    detection = sighting(100)
    return Face(Track(1, detection.box, 0.0, 1.0, 9, detection), landmarks=Landmarks(points, deviations))


def test_a_hand_that_leaves_slowly_covers_the_mouth_until_it_has_gone():
    lips = Lips()

    def are_covered(times: float, mouth: float = 0.1) -> bool:
        return lips.are_covered(1.0, doubted(times), mouth, was_open=True)

    assert [are_covered(times) for times in (1.3, 1.5, 1.3, 1.25, 1.1, 1.3)] == [False, True, True, True, False, False]
    assert [are_covered(1.5), are_covered(1.3, SHUT_BELOW + 0.1), are_covered(1.3)] == [True, False, False], (
        "a mouth seen open"
    )


@pytest.mark.parametrize(("now_s", "covered"), [(2.9, True), (3.1, False), (-5.0, False)])
def test_a_mouth_that_is_hardly_doubtful_is_covered_for_a_moment_only(now_s: float, covered: bool):
    lips = Lips()
    assert lips.are_covered(1.0, doubted(1.5), 0.1, was_open=True)
    assert lips.are_covered(now_s, doubted(1.3), 0.1, was_open=True) is covered


def test_lips_that_are_always_hard_to_read_are_not_covered_for_ever():
    """What is usual for somebody is believed up to a limit only; between the two thresholds they would stay covered."""
    lips = Lips()
    covered = [lips.are_covered(k / 10, doubted(2.05), 0.1, was_open=False) for k in range(600)]
    assert covered[0]
    assert not any(covered[-100:])


@pytest.mark.parametrize("deviations", [[math.inf, -math.inf], [math.nan, 1.0], [math.inf, math.inf]])
def test_lips_of_which_nothing_is_known_are_not_called_covered_and_warn_of_nothing(deviations):
    """Of a mean of opposed infinities numpy warns."""
    landmarks = Landmarks(np.zeros((68, 2), np.float32), np.resize(np.array(deviations, np.float32), 68))
    detection = sighting(100)
    face = Face(Track(1, detection.box, 0.0, 1.0, 9, detection), landmarks=landmarks)
    lips = Lips()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not lips.are_covered(1.0, face, 0.02, was_open=False)
    assert lips.usual.count == 0, "nothing is learned of it"
