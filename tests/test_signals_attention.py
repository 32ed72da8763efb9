"""Attention on synthetic heads: looks away are found with their length at every frame rate, and nothing else is."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.doubles import track
from support.traces import Camera, Move, Script, every

from edged.config import AttentionConfig
from edged.signals.attention import AttentionMonitor
from edged.types import Attention, Face, HeadPose

AHEAD = AttentionConfig(target_yaw=0, target_pitch=0)
RATES = pytest.mark.parametrize("fps", [5, 10, 15, 30])


def watch(script: Script, fps: float, settings_: AttentionConfig = AHEAD, **camera: float) -> list[Attention]:
    """One person's attention, frame by frame; times from the script's start."""
    monitor = AttentionMonitor(settings_)
    return [
        replace(monitor.update(time_s, faces)[0], time_s=time_s - 1000)
        for time_s, faces in Camera(fps, **camera).film(script)
    ]


def distractions(told: list[Attention]) -> list[tuple[str, float, float]]:
    """Each distraction that stood: which, from when, until when."""
    spans, last = [], None
    for one in told:
        if one.distraction != last:
            if last is not None:
                spans[-1] = (last, spans[-1][1], one.time_s)
            if one.distraction is not None:
                spans.append((one.distraction, one.time_s, math.inf))
            last = one.distraction
    return spans


def face(yaw: float, pitch: float, *, deviation: float = 3.0, roll: float = 0.0, side: float = 100.0) -> Face:
    return Face(track(1, side), pose=HeadPose(yaw, pitch, roll, yaw, pitch, deviation))


def look(faces: list[Face], fps: float = 10, settings_: AttentionConfig = AHEAD) -> list[Attention]:
    monitor = AttentionMonitor(settings_)
    return [monitor.update(k / fps, [one])[0] for k, one in enumerate(faces)]


# --- the cone


@pytest.mark.parametrize(
    ("yaw", "pitch", "attentive"),
    [
        (0, 0, True), (22, 0, True), (-22, 0, True), (0, 24, True), (0, -17, True),
        (24, 0, False), (-24, 0, False), (0, 26, False), (0, -19, False),
    ],
)  # fmt: skip
def test_a_look_within_the_cone_is_attentive(yaw, pitch, attentive):
    assert look([face(yaw, pitch)])[0].attentive is attentive


def test_the_cone_stands_around_the_target():
    settings_ = AttentionConfig(target_yaw=-40, target_pitch=10)
    assert look([face(-50, 0)], settings_=settings_)[0].attentive is True
    assert look([face(0, 0)], settings_=settings_)[0].attentive is False


def test_a_head_on_the_border_does_not_flicker():
    told = look([face(24 if k % 2 else 22, 0) for k in range(40)])
    assert sum(a.attentive != b.attentive for a, b in pairwise(told)) <= 1


def test_one_odd_reading_is_no_look_away():
    told = look([face(0, 0)] * 10 + [face(60, 0)] + [face(0, 0)] * 10, fps=30)
    assert {one.attentive for one in told} == {True}
    assert told[-1].away_total_s == 0


def test_a_look_away_counts_from_its_first_frame():
    told = look([face(0, 0)] * 10 + [face(60, 0)] * 11, fps=10)
    assert told[-1].away_s == pytest.approx(1.0)
    assert told[-1].attentive_s == pytest.approx(1.0)


# --- what is not known


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (Face(track(1, seen=False), unread="out of sight"), "out of sight"),
        (Face(track(1), unread="not due"), "not due"),
        (Face(track(1), unread="hidden"), "hidden"),
        (Face(track(1)), "not read"),
        (face(0, 0, deviation=30), "unsure"),
        (face(0, 0, deviation=math.nan), "unsure"),
        (face(math.nan, 0), "unsure"),
        (face(0, math.inf), "unsure"),
        (face(0, 0, roll=math.nan), "tilted"),
        (face(0, 0, roll=180), "tilted"),
        (face(0, 0, roll=-90), "tilted"),
        (face(0, 0, side=20), "small"),
    ],
)
def test_a_head_that_cannot_be_read_is_neither_attentive_nor_away(one, reason):
    told = look([one] * 50)[-1]
    assert (told.attentive, told.unavailable) == (None, reason)
    assert (told.attentive_s, told.away_total_s, told.distraction) == (0, 0, None)


def test_a_moment_without_a_reading_changes_nothing():
    lost = Face(track(1), unread="hidden")
    told = look([face(40, 0)] * 20 + [lost] * 4 + [face(40, 0)] * 8)
    assert {one.attentive for one in told} == {False}
    assert told[-1].away_s == pytest.approx(3.1)


def test_more_than_a_moment_without_one_begins_anew():
    lost = Face(track(1), unread="hidden")
    told = look([face(40, 0)] * 20 + [lost] * 20 + [face(40, 0)] * 20)
    assert told[30].attentive is None
    assert told[-1].away_s == pytest.approx(1.9)
    assert {one.distraction for one in told} == {None}


def test_frames_in_which_nobody_looked_cost_no_attention():
    not_due = Face(track(1), unread="not due")
    told = look([face(0, 0), *[not_due] * 5] * 10)
    assert {one.attentive for one in told} == {True}
    assert told[-1].attentive_s == pytest.approx(5.4)


def test_a_distraction_stands_until_attention_is_seen_to_return():
    lost = Face(track(1), unread="hidden")
    told = look([face(40, 0)] * 40 + [lost] * 30 + [face(0, 0)] * 20)
    assert told[69].distraction == "long"
    assert told[-1].distraction is None


# --- distractions, at every frame rate


@RATES
def test_a_look_away_of_three_seconds_is_a_long_distraction(fps):
    script = Script(20, moves=[Move(5, 9, yaw=50)])
    ((kind, start, end),) = distractions(watch(script, fps))
    assert kind == "long"
    # Outside the cone from 23 / 50 of the turn of 0.3 s on, back inside it when 20 / 50 are left.
    assert start == pytest.approx(5 + 0.14 + 3, abs=2.5 / fps)
    assert end == pytest.approx(9 + 0.18 + 1.1, abs=0.1 + 2 / fps)


@RATES
@pytest.mark.parametrize("move", [Move(5, 7.3, yaw=-60), Move(5, 7.3, pitch=-40), Move(5, 7.3, pitch=45)])
def test_a_shorter_look_is_none(fps, move):
    told = watch(Script(12, moves=[move]), fps)
    assert distractions(told) == []
    assert told[-1].away_total_s == pytest.approx(2.4, abs=0.1 + 2 / fps)
    assert told[-1].attentive_s == pytest.approx(9.6, abs=0.1 + 3 / fps)


@RATES
def test_looks_away_that_add_up_are_a_repeated_distraction(fps):
    glances = [Move(start, start + 1.8, yaw=45) for start in (5, 8, 11, 14, 17, 20)]
    ((kind, start, end),) = distractions(watch(Script(40, moves=glances), fps))
    # Each is 1.8 s outside the cone: the sixth brings the sum to ten.
    assert (kind, start) == ("repeated", pytest.approx(20.15 + 1.0, abs=0.3 + 2 / fps))
    assert end == pytest.approx(21.95 + 2, abs=0.2 + 2 / fps)


@RATES
def test_two_seconds_ahead_make_good_for_them(fps):
    glances = [Move(start, start + 2, yaw=45) for start in (5, 9.8, 14.6, 19.4, 24.2, 29)]
    assert distractions(watch(Script(40, moves=glances), fps)) == []


@RATES
def test_an_hour_of_looks_into_the_mirror_is_no_distraction(fps):
    glances = [Move(start, end, yaw=40) for start, end in every(12, 0.8, 5, 600)]
    assert distractions(watch(Script(600, moves=glances), fps)) == []


def test_away_almost_all_the_time_is_a_long_distraction_too():
    told = look(([face(50, 0)] * 25 + [face(0, 0)] * 2) * 3)
    assert distractions(told)[0][0] == "long"


@RATES
def test_a_head_that_drops_out_of_sight_has_not_left(fps):
    drop = Move(5, 30, pitch=-45, over=0.6)
    told = watch(Script(12, moves=[drop], unseen=[(5.5, 12)]), fps)
    assert {one.attentive for one in told if 7 < one.time_s < 8.2} == {False}
    assert told[-1].attentive is None
    assert distractions(told) == [], "nobody has seen it to be one"
    gone = watch(Script(12, unseen=[(5.5, 12)]), fps)
    assert {one.attentive for one in gone if 7 < one.time_s < 8.2} == {None}
    assert gone[-1].away_total_s == 0


@RATES
def test_a_head_that_is_still_down_when_it_comes_back_in_sight_was_away_meanwhile(fps):
    drop = Move(5, 30, pitch=-45, over=0.6)
    ((kind, start, _),) = distractions(watch(Script(12, moves=[drop], unseen=[(5.6, 7.4)]), fps))
    assert (kind, start) == ("long", pytest.approx(8.4, abs=0.2 + 2 / fps))


# --- learning where straight ahead is


@RATES
def test_straight_ahead_is_learned_and_unknown_before(fps):
    script = Script(60, usual=(28.0, -12.0), moves=[Move(30, 34, yaw=-40)])
    told = watch(script, fps, AttentionConfig())
    assert {one.unavailable for one in told if one.time_s < 4} == {"learning"}
    assert {one.attentive for one in told if 6 < one.time_s < 29} == {True}
    ((kind, start, _),) = distractions(told)
    assert (kind, start) == ("long", pytest.approx(33.2, abs=0.1 + 2 / fps))


def test_who_comes_later_is_measured_by_those_before():
    monitor = AttentionMonitor()
    for k in range(100):
        monitor.update(k / 10, [face(30, 0)])
    (told,) = monitor.update(10.0, [replace(face(0, 0), track=track(2, 100))])
    assert told.attentive is False


def test_after_a_minute_each_has_an_own_straight_ahead():
    monitor = AttentionMonitor()
    for k in range(1300):
        told = monitor.update(k / 10, [face(0, 0), replace(face(20, 0), track=track(2, 100))])
    assert [one.attentive for one in told] == [True, True]
    turned = [monitor.update(130 + k / 10, [face(30, 0), replace(face(30, 0), track=track(2, 100))]) for k in range(10)]
    assert [one.attentive for one in turned[-1]] == [False, True]


def test_what_is_learned_is_not_learned_from_the_distracted():
    told = look([face(0, 0)] * 100 + [face(60, 0)] * 6000, settings_=AttentionConfig())
    assert told[-1].distraction == "long"
    assert told[-1].attentive is False


# --- clocks and frames


def test_doubled_late_and_disordered_frames_tell_nothing_new():
    plain, odd = AttentionMonitor(AHEAD), AttentionMonitor(AHEAD)
    for k in range(100):
        one = face(50 if 30 <= k < 70 else 0, 0)
        expected = plain.update(k / 10, [one])
        assert odd.update(k / 10, [one]) == expected
        assert odd.update(k / 10, [face(50, 0)]) == expected
        assert odd.update(k / 10 - 0.5, [face(-50, 0)]) == expected


@pytest.mark.parametrize("leap", [2.5, 60.0, 86_400.0, -3.0, -86_400.0])
def test_a_clock_that_leaps_makes_no_distraction(leap):
    monitor, offset = AttentionMonitor(AHEAD), 0.0
    for k in range(1, 400):
        offset += leap if k % 50 == 0 else 0.0
        (told,) = monitor.update(1e6 + offset + k / 10, [face(50 if 25 <= (k + 25) % 50 < 50 or k % 50 < 20 else 0, 0)])
        assert told.distraction is None
        assert told.away_s <= 2.5


def test_two_people_have_nothing_to_do_with_each_other():
    away, ahead = Script(12, moves=[Move(2, 8, yaw=60)]), Script(12)
    monitor = AttentionMonitor(AHEAD)
    told = [monitor.update(time_s, faces) for time_s, faces in Camera(15).film(away, ahead)]
    assert [one.track for one in told[0]] == [1, 2]
    assert {first.distraction for first, _ in told} == {None, "long"}
    assert {second.distraction for _, second in told} == {None}
    assert told[-1][1].away_total_s == 0


def test_who_is_gone_is_forgotten():
    monitor = AttentionMonitor(AHEAD)
    for k in range(50):
        monitor.update(k / 10, [face(50, 0)])
    monitor.update(5.0, [])
    assert not monitor._people._states
    (told,) = monitor.update(5.1, [face(50, 0)])
    assert (told.away_s, told.distraction) == (0, None)


def test_memory_is_bounded_however_long_somebody_sits_there():
    monitor = AttentionMonitor()
    for k in range(20_000):
        monitor.update(k / 30, [face(math.sin(k) * 40, 0)])
    (person,) = monitor._people._states.values()
    assert len(person.learned._yaw._samples) <= 600
    assert len(person.camera._yaw._samples) <= 600
    assert len(person.pitches) <= 64
    assert len(person.recent._parts) <= 60


ANY = st.floats(allow_nan=True, allow_infinity=True)
NEAR = st.floats(-90, 90)
POSES = st.none() | st.builds(HeadPose, *[NEAR | ANY] * 6) | st.builds(HeadPose, *[NEAR] * 5, st.just(3.0))
FRAMES = st.tuples(st.sampled_from([0.03, 0.2, 0.2, 1.0, 0.0, -0.1, 3.0, -50.0]), POSES, st.booleans())


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAMES, max_size=60), st.booleans())
def test_any_heads_at_any_times_give_numbers_that_make_sense(frames, learned):
    monitor = AttentionMonitor(AttentionConfig() if learned else AHEAD)
    time_s = 0.0
    for step, pose, seen in frames:
        time_s += step
        (told,) = monitor.update(time_s, [Face(track(1, seen=seen), pose=pose)])
        values = (told.time_s, told.away_s, told.away_recent_s, told.attentive_s, told.away_total_s)
        assert all(math.isfinite(value) for value in values)
        assert min(values[1:]) >= 0
        assert (told.attentive is None) == (told.unavailable is not None)
        assert told.away_s == 0 or told.attentive is False


# --- a first look elsewhere


@pytest.mark.parametrize("pitch", [-20, 20])
def test_a_first_look_with_the_chin_up_or_down_is_not_taken_for_usual(pitch):
    told = look([face(0, pitch)] * 60 + [face(0, 0)] * 100, settings_=AttentionConfig())
    assert {one.attentive for one in told[60:]} <= {True, None}
    assert told[-1].attentive is True


@pytest.mark.parametrize(("yaw", "pitch"), [(40, 0), (-40, -12), (0, -16), (25, 16)])
def test_a_camera_at_the_side_or_above_is_no_look_away(yaw, pitch):
    told = look([face(yaw, pitch)] * 600, settings_=AttentionConfig())
    assert {one.attentive for one in told} <= {True, None}
