"""Drowsiness on synthetic people: what they do is found, timed and counted at every frame rate, and nothing else is."""

import math
from dataclasses import replace
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.doubles import track
from support.traces import Camera, Move, Script, every

from edged.config import DrowsinessConfig
from edged.signals.drowsiness import DrowsinessMonitor
from edged.signals.levels import Evidence, Judge, perclos_weight
from edged.types import Drowsiness, EyeReading, Face, HeadPose, Landmarks

RATES = pytest.mark.parametrize("fps", [5, 10, 15, 30])
BLINKS = every(4, 0.15, 1.5, 3600)


def watch(script: Script, fps: float, settings_: DrowsinessConfig | None = None, **camera: float) -> list[Drowsiness]:
    """One person's drowsiness, frame by frame; times from the script's start."""
    monitor = DrowsinessMonitor(settings_)
    return [
        replace(monitor.update(time_s, faces)[0], time_s=time_s - 1000)
        for time_s, faces in Camera(fps, **camera).film(script)
    ]


def closures(told: list[Drowsiness], least: float = 0.5) -> list[tuple[float, float]]:
    """The spans in which eyes were told to be closed, from the first closed frame to the first that is not."""
    spans, start = [], None
    for one in told:
        if one.closed and start is None:
            start = one.time_s
        elif not one.closed and start is not None:
            spans.append((start, one.time_s))
            start = None
    return [(start, end) for start, end in spans if end - start >= least]


def levels(told: list[Drowsiness]) -> list[str]:
    """The levels in their order, each once."""
    return [level for level, _ in groupby(one.level for one in told)]


def reasons(told: list[Drowsiness]) -> set[str]:
    return {reason for one in told for reason in one.reasons}


# --- closures


@RATES
@pytest.mark.parametrize("open_ratio", [0.2, 0.3, 0.4])
def test_a_closure_is_told_from_its_first_frame_to_the_first_open_one(fps, open_ratio):
    script = Script(30, shut=[*BLINKS[:4], (20, 22.4), (25, 25.7)], open_ratio=open_ratio)
    told = watch(script, fps)
    (start, end), (_, _) = closures(told, least=0.55)
    assert start == pytest.approx(20, abs=1.3 / fps)
    assert end == pytest.approx(22.4, abs=1.3 / fps)
    assert max(one.closure_s for one in told) == pytest.approx(2.4, abs=2.5 / fps)


@RATES
@pytest.mark.parametrize("cues", [{"classifier": False}, {"ratio": False}])
def test_either_cue_does_it_alone(fps, cues):
    told = watch(Script(30, shut=[*BLINKS[:4], (20, 22.4)], **cues), fps)
    ((start, end),) = closures(told, least=0.55)
    assert (start, end) == (pytest.approx(20, abs=1.3 / fps), pytest.approx(22.4, abs=1.3 / fps))


def test_one_odd_frame_does_not_split_a_closure():
    shut, open_ = EyeReading(0.02, 0.09), EyeReading(0.98, 0.3)
    looks = [open_] * 60 + [shut] * 30 + [open_] + [shut] * 30 + [open_] * 30
    monitor = DrowsinessMonitor()
    told = [monitor.update(k / 30, [Face(track(1, 100), eyes=look)])[0] for k, look in enumerate(looks)]
    assert max(one.closure_s for one in told) == pytest.approx(2.0)
    assert reasons(told) == {"microsleep"}


def test_nor_does_one_make_a_blink():
    shut, open_ = EyeReading(0.02, 0.09), EyeReading(0.98, 0.3)
    monitor = DrowsinessMonitor()
    for k in range(30 * 60):
        monitor.update(k / 30, [Face(track(1, 100), eyes=shut if k % 100 == 99 else open_)])
    (person,) = monitor._people._states.values()
    assert person.blinks.count.total(60.0) == 0


# --- the whole of what a person may do, at every frame rate


@RATES
def test_who_is_awake_is_told_to_be(fps):
    script = Script(
        240,
        shut=BLINKS,
        talks=[(30, 60), (150, 200)],
        moves=[
            *(Move(start, end, yaw=45) for start, end in every(20, 0.8, 5, 240)),
            *(Move(start, end, pitch=-35) for start, end in every(15, 2.5, 9, 240)),
            *(Move(start, end, pitch=-22) for start, end in every(33, 4.0, 13, 240)),
        ],
        lowered=[(70, 71.5), (110, 114)],
    )
    told = watch(script, fps)
    assert reasons(told) == set()
    assert levels(told) == ["unknown", "alert"]
    assert (told[-1].yawns, told[-1].nods) == (0, 0)
    assert max(one.closure_s for one in told) < 0.5
    assert max(one.perclos for one in told if one.perclos is not None) < 0.04


@RATES
def test_perclos_is_the_share_of_the_last_minute_in_slow_closures(fps):
    script = Script(150, shut=[*BLINKS[:10], *every(10, 0.8, 42, 150)])
    told = watch(script, fps)
    assert {one.perclos for one in told if one.time_s < 41} == {None}
    assert told[-1].perclos == pytest.approx(0.08, abs=0.02)


@RATES
def test_blinks_are_counted_where_frames_are_fast_enough_and_unknown_elsewhere(fps):
    monitor = DrowsinessMonitor()
    for time_s, faces in Camera(fps).film(Script(120, shut=every(4, 0.17, 1.5, 120))):
        monitor.update(time_s, faces)
    (person,) = monitor._people._states.values()
    assert person._sees_blinks() == (fps >= 15)
    if fps >= 15:
        assert person.blinks.count.total(119.9) == pytest.approx(15, abs=1.1)
        assert person.blinks.mean_s(119.9) == pytest.approx(0.17, abs=0.03)


@pytest.mark.parametrize("fps", [10, 15, 30])
@pytest.mark.parametrize("unread", [4, 5])
def test_perclos_counts_no_time_in_which_the_eyes_were_not_seen(fps, unread):
    """Every fourth or fifth frame says nothing: that makes nobody look more drowsy, nor less."""
    monitor = DrowsinessMonitor()
    for k in range(90 * fps):
        shut = k > 10 * fps and k % (10 * fps) < fps
        look = EyeReading(0.02, 0.09) if shut else EyeReading(0.98, 0.3)
        look = EyeReading(None, None, "hidden") if k % unread == 0 else look
        (told,) = monitor.update(k / fps, [Face(track(1, 100), eyes=look)])
    assert told.perclos == pytest.approx(0.1, abs=0.008)


@pytest.mark.parametrize("asked", ["microsleep", "sleep", "perclos", "yawning", "nodding"])
def test_a_reason_that_is_left_out_raises_no_level_and_no_score(asked):
    sleepy = Script(
        300,
        shut=[*BLINKS[:12], *every(10, 0.8, 60, 200), (210, 214)],
        yawns=[(225, 229), (240, 244), (255, 259)],
        moves=[Move(start, start + 1.0, pitch=-20) for start in (270, 280)],
    )
    told = watch(sleepy, 15, DrowsinessConfig(reasons=frozenset({asked})))
    assert reasons(told) <= {asked}
    assert all((one.level in ("unknown", "alert")) == (not one.reasons) for one in told)
    assert all(one.score is None or one.score < 0.27 for one in told if not one.reasons and asked != "perclos")
    if asked != "nodding":
        assert reasons(told) == {asked}


def test_who_sleeps_on_has_a_microsleep_where_sleep_is_left_out():
    settings_ = DrowsinessConfig(reasons=frozenset({"microsleep"}))
    told = watch(Script(60, shut=[*BLINKS[:4], (20, 40)]), 10, settings_)
    assert {one.reasons for one in told if 21.5 < one.time_s < 40} == {("microsleep",)}
    assert {one.level for one in told if 23 < one.time_s < 40} == {"alarm"}


@RATES
@pytest.mark.parametrize(
    ("length", "found", "risen"),
    [
        (0.8, set(), []),
        (1.5, {"microsleep"}, ["warning"]),
        (2.6, {"microsleep"}, ["warning", "alarm"]),
        (4.0, {"microsleep", "sleep"}, ["warning", "alarm"]),
    ],
)
def test_a_closure_is_a_microsleep_or_sleep_by_its_length(fps, length, found, risen):
    told = watch(Script(80, shut=[*BLINKS[:12], (50, 50 + length)]), fps)
    assert reasons(told) == found
    assert levels(told) == ["unknown", "alert", *risen, *(["alert"] if risen else [])]
    if risen:
        standing = [one.time_s for one in told if one.reasons]
        assert standing[0] == pytest.approx(51, abs=2.5 / fps)
        assert standing[-1] == pytest.approx(60 + length, abs=0.1 + 2.5 / fps)


@RATES
def test_slow_closures_that_add_up_are_told_by_perclos_after_their_dwell(fps):
    script = Script(300, shut=[*BLINKS[:15], *every(5, 0.8, 62, 180), *((s, e) for s, e in BLINKS if s > 181)])
    told = watch(script, fps)
    assert reasons(told) == {"perclos"}
    found = levels(told)
    assert found[:3] == ["unknown", "alert", "notice"]
    assert "warning" in found
    assert found[-1] == "alert"
    # The first closure comes at 62: PERCLOS must reach a level, and then keep it for the dwell time.
    changes = [one.time_s for before, one in pairwise(told) if before.level != one.level]
    assert changes[1] - 62 > 10
    scores = [one.score for one in told if one.score is not None]
    assert max(scores) > 0.5 > min(scores)


@RATES
def test_yawns_are_counted_and_three_are_a_reason(fps):
    script = Script(130, shut=BLINKS, yawns=[(20, 23.5), (50, 53), (80, 86)], talks=[(30, 45), (95, 125)])
    told = watch(script, fps)
    assert [next(one.yawns for one in told if one.time_s > t) for t in (6, 25, 54.5, 87.5)] == [0, 1, 2, 3]
    first, last = (f([one.time_s for one in told if "yawning" in one.reasons]) for f in (min, max))
    # Half a second after the mouth has shut it is sure.
    assert first == pytest.approx(86.5, abs=0.1 + 1.5 / fps)
    assert last == pytest.approx(130, abs=1)
    assert reasons(told) == {"yawning"}
    assert {one.level for one in told if one.reasons} == {"notice"}


@RATES
def test_eyes_that_shut_in_a_yawn_do_not_sleep_and_those_that_were_shut_before_do(fps):
    told = watch(Script(80, shut=[*BLINKS[:12], (50.4, 53)], yawns=[(50, 53)]), fps)
    assert reasons(told) == set()
    assert told[-1].yawns == 1
    assert any("eyes: yawning" in one.unavailable for one in told)
    asleep = watch(Script(80, shut=[*BLINKS[:12], (49, 53)], yawns=[(50, 53)]), fps)
    assert "sleep" in reasons(asleep)


def test_who_sleeps_with_the_mouth_open_is_found_a_yawns_length_later():
    told = watch(Script(80, shut=[*BLINKS[:12], (50.4, 70)], yawns=[(50, 70)]), 15)
    assert "sleep" in reasons(told)


def test_who_looks_down_from_the_beginning_is_not_asleep():
    """Lowered lids look shut to the classifier; where the head usually is cannot be learned while they are."""
    monitor = DrowsinessMonitor()
    for k in range(200):
        pitch, ratio = (-26, 0.3) if k < 100 else (-36, 0.09)
        pose = HeadPose(0, pitch, 0, 0, pitch, 5.0)
        (told,) = monitor.update(k / 10, [Face(track(1, 100), pose=pose, eyes=EyeReading(0.01, ratio))])
        assert (told.closed, told.reasons) == (None, ())
        assert "eyes: looking down" in told.unavailable


@pytest.mark.parametrize(
    ("yaw", "ratio", "found"), [(0, 0.55, 1), (45, 0.55, 0), (45, 0.75, 1), (-45, 0.55, 0), (60, 1.4, 0)]
)
def test_a_turned_mouth_is_as_high_as_ever_and_less_wide(yaw, ratio, found):
    monitor = DrowsinessMonitor()
    for k in range(120):
        mouth = ratio if 50 <= k < 80 else 0.05
        face = Face(track(1, 100), pose=HeadPose(yaw, 0, 0, yaw, 0, 3.0), eyes=EyeReading(0.97, 0.3), mouth_ratio=mouth)
        (told,) = monitor.update(k / 10, [face])
    assert (told.yawns or 0) == found
    assert (told.yawns is None) is (yaw == 60)


@RATES
def test_a_head_that_drops_with_shut_eyes_nods_off(fps):
    shut = [*BLINKS[:12], (60, 62.2), (70, 72.2)]
    nods = [Move(61, 61.9, pitch=-25, over=0.5), Move(71, 71.9, pitch=-25, over=0.5)]
    told = watch(Script(100, shut=shut, moves=nods), fps)
    assert [next(one.nods for one in told if one.time_s > t) for t in (6, 63.5, 73.5)] == [0, 1, 2]
    assert {one.level for one in told if "nodding" in one.reasons} <= {"warning", "alarm"}
    assert reasons(told) == {"microsleep", "nodding"}


@RATES
def test_a_head_that_turns_more_than_it_goes_down_looks_at_something(fps):
    """Many shut their eyes while they turn."""
    shut = [*BLINKS[:12], (60, 62.2), (70, 72.2)]
    turns = [Move(61, 61.9, yaw=40, pitch=-17, over=0.5), Move(71, 71.9, yaw=-40, pitch=-17, over=0.5)]
    assert watch(Script(100, shut=shut, moves=turns), fps)[-1].nods == 0
    nods = [replace(move, yaw=move.yaw / 5) for move in turns]
    assert max(one.nods or 0 for one in watch(Script(100, shut=shut, moves=nods), fps)) == 2


@RATES
def test_a_head_that_goes_down_with_open_eyes_looks_at_something(fps):
    phone = [Move(start, end, pitch=-30) for start, end in every(8, 2.0, 10, 120)]
    told = watch(Script(120, shut=BLINKS, moves=phone), fps)
    assert {one.nods for one in told if one.time_s > 8} == {0}
    assert reasons(told) == set()
    down = [one for one in told if 11 < one.time_s < 11.8]
    assert {(one.closed, one.openness) for one in down} == {(None, None)}
    assert all("eyes: looking down" in one.unavailable for one in down)


@RATES
def test_a_face_that_vanishes_in_a_nod_is_no_event(fps):
    script = Script(
        64, shut=[*BLINKS[:12], (60, 61.5)], moves=[Move(60.6, 70, pitch=-40, over=0.5)], unseen=[(61.0, 64)]
    )
    told = watch(script, fps)
    assert reasons(told) == set()
    assert told[-1].nods == 0


# --- what cannot be seen


@RATES
def test_eyes_that_are_hidden_are_unknown_and_never_open(fps):
    told = watch(Script(100, hidden=[(0, 100)]), fps)
    assert {(one.openness, one.closed, one.perclos, one.nods, one.level, one.score) for one in told} == {
        (None, None, None, None, "unknown", None)
    }
    assert "eyes: hidden" in told[-1].unavailable
    assert told[-1].yawns == 0


def test_under_a_mask_yawns_are_unknown_and_the_rest_is_told():
    told = watch(Script(100, masked=True, shut=[*BLINKS[:10], (60, 62.5)]), 15)
    assert {one.yawns for one in told} == {None}
    assert "mouth: mask" in told[-1].unavailable
    assert reasons(told) == {"microsleep"}
    assert levels(told)[:2] == ["unknown", "alert"]


def test_too_little_valid_time_leaves_perclos_unknown():
    told = watch(Script(120, hidden=every(10, 4, 0, 120)), 10)
    assert {one.perclos for one in told} == {None}
    assert watch(Script(120, hidden=every(10, 2, 0, 120)), 10)[-1].perclos == 0.0


@pytest.mark.parametrize("roll", [180, 90, -120])
def test_a_head_upside_down_tells_nothing(roll):
    told = watch(Script(80, roll=roll, shut=[(30, 50)]), 10)
    assert reasons(told) == set()
    assert {one.level for one in told} == {"unknown"}
    assert "eyes: tilted" in told[-1].unavailable


def test_lids_that_look_shut_at_the_border_are_doubted_when_the_head_may_be_down():
    """Of a face cut off by the picture's border the pose is a guess: enough to doubt, not to know."""
    for pitch, closed in ((-35.0, None), (0.0, True)):
        guess, monitor = HeadPose(0, pitch, 0, 0, pitch, 90.0), DrowsinessMonitor()
        face = Face(track(1, 100), pose=guess, eyes=EyeReading(0.02, 0.08), unread="cut off")
        for k in range(20):
            (told,) = monitor.update(k / 10, [face])
        assert told.closed is closed
        assert {"mouth: cut off", "head: cut off"} <= set(told.unavailable)


def test_small_faces_tell_nothing():
    monitor = DrowsinessMonitor()
    for k in range(100):
        (told,) = monitor.update(k / 10, [Face(track(1, 40), eyes=EyeReading(0.01, 0.05), mouth_ratio=0.9)])
    assert told.level == "unknown"
    assert told.unavailable[:3] == ("eyes: small", "mouth: small", "head: small")


@RATES
def test_a_sleeper_who_is_lost_from_sight_has_not_recovered(fps):
    told = watch(Script(100, shut=[*BLINKS[:10], (50, 54)], hidden=[(54, 80)]), fps)
    assert {one.level for one in told if 55 < one.time_s < 88} == {"alarm"}
    assert "sleep" in next(one.reasons for one in told if one.time_s > 89)
    assert "sleep" not in told[-1].reasons


def test_what_was_seen_long_ago_counts_no_more():
    told = watch(Script(140, shut=[*BLINKS[:10], (50, 54)], hidden=[(54, 140)]), 10)
    assert told[-1].level == "unknown"
    assert told[-1].reasons == ()


# --- one's own range


def test_the_usual_opening_is_learned_slowly_once_it_is_known():
    script = Script(60, shut=BLINKS[:14], ratio=True, classifier=False, open_ratio=0.3)
    monitor = DrowsinessMonitor()
    for time_s, faces in Camera(15).film(script):
        monitor.update(time_s, faces)
    (person,) = monitor._people._states.values()
    assert person.meter._open_ratio == pytest.approx(0.31, abs=0.02)
    for k in range(600):
        monitor.update(1060 + k / 15, [Face(track(1, 100), eyes=EyeReading(None, 0.15))])
    assert person.meter._open_ratio > 0.25


def test_who_begins_asleep_does_not_make_shut_eyes_the_usual_ones():
    told = watch(Script(40, shut=[(0, 30)]), 15)
    assert {one.closed for one in told if 1 < one.time_s < 29} == {True}
    assert {one.closed for one in told if one.time_s > 31} == {False}


# --- clocks and frames


def test_doubled_late_and_disordered_frames_tell_nothing_new():
    plain, odd = DrowsinessMonitor(), DrowsinessMonitor()
    awake = [Face(track(1, 100), eyes=EyeReading(0.98, 0.3), mouth_ratio=0.1)]
    script = Script(70, shut=[*BLINKS[:12], (60, 63.5)], yawns=[(20, 23)])
    for time_s, faces in Camera(15).film(script):
        expected = plain.update(time_s, faces)
        assert odd.update(time_s, faces) == expected
        assert odd.update(time_s, awake) == expected
        assert odd.update(time_s - 0.4, awake) == expected


@pytest.mark.parametrize("leap", [2.5, 60.0, 86_400.0, -3.0, -86_400.0])
def test_a_clock_that_leaps_makes_no_closure(leap):
    monitor, offset = DrowsinessMonitor(), 0.0
    for k in range(2000):
        offset += leap if k % 50 == 0 else 0.0
        shut = k % 50 in (0, 1, 2, 3, 47, 48, 49)
        pose = HeadPose(0, -30 if shut else 0, 0, 0, -30 if shut else 0, 3)
        look = EyeReading(0.02, 0.08) if shut else EyeReading(0.98, 0.3)
        (told,) = monitor.update(1e6 + offset + k / 10, [Face(track(1, 100), pose=pose, eyes=look, mouth_ratio=0.1)])
        assert told.reasons == ()
        assert told.closure_s < 0.5


def test_two_people_have_nothing_to_do_with_each_other():
    asleep, awake = Script(70, shut=[*BLINKS[:12], (60, 65)]), Script(70, shut=BLINKS)
    monitor = DrowsinessMonitor()
    told = [monitor.update(time_s, faces) for time_s, faces in Camera(10).film(asleep, awake)]
    assert [one.track for one in told[0]] == [1, 2]
    assert reasons([one for one, _ in told]) == {"microsleep", "sleep"}
    assert reasons([two for _, two in told]) == set()


def test_who_is_gone_is_forgotten():
    monitor = DrowsinessMonitor()
    monitor.update(0.0, [Face(track(1, 100), eyes=EyeReading(0.9, 0.3))])
    monitor.update(0.1, [])
    assert not monitor._people._states


def test_memory_is_bounded_however_long_somebody_sits_there():
    monitor = DrowsinessMonitor()
    for k in range(20_000):
        shut, angle = k % 40 < 5, 20 * math.sin(k / 9)
        look = EyeReading(0.02, 0.08) if shut else EyeReading(0.98, 0.3)
        pose = HeadPose(0, angle, 0, 0, angle, 3)
        monitor.update(k / 30, [Face(track(1, 100), pose=pose, eyes=look, mouth_ratio=0.9 * (k % 300 < 90))])
    (person,) = monitor._people._states.values()
    assert person.meter._ratios.count <= 300
    assert len(person.nod._moments) <= 256
    assert person.usual_pitch.count <= 240
    assert len(person.blinks.first) <= 30
    assert max(len(s._parts) for s in (person.valid, person.shut, person.yawns, person.blinks.count)) <= 60


def test_thresholds_are_those_of_the_settings():
    settings_ = DrowsinessConfig(microsleep_seconds=0.6, yawns=1)
    told = watch(Script(40, shut=[*BLINKS[:4], (20, 20.8)], yawns=[(30, 33)]), 15, settings_)
    assert reasons(told) == {"microsleep", "yawning"}


ANY = st.floats(allow_nan=True, allow_infinity=True)
SHARE = st.floats(0, 1)
LOOKS = st.none() | st.builds(
    EyeReading, st.none() | SHARE | ANY, st.none() | SHARE | ANY, st.none() | st.just("hidden")
) | st.sampled_from([EyeReading(0.02, 0.08), EyeReading(0.98, 0.3)])  # fmt: skip
POSES = st.none() | st.builds(HeadPose, *[st.floats(-60, 60)] * 5, st.just(3.0)) | st.builds(HeadPose, *[ANY] * 6)
STEPS = st.sampled_from([0.03, 0.1, 0.2, 0.2, 0.2, 1.0, 0.0, -0.1, 3.0, -50.0])
FRAMES = st.tuples(STEPS, LOOKS, POSES, st.none() | SHARE | ANY, st.booleans())


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAMES, max_size=80))
def test_any_readings_at_any_times_give_numbers_that_make_sense(frames):
    # With these limits even a few frames get as far as a score.
    monitor = DrowsinessMonitor(DrowsinessConfig(window_seconds=20).model_copy(update={"least_valid": 0.05}))
    time_s = 0.0
    for step, look, pose, mouth, seen in frames:
        time_s += step
        (told,) = monitor.update(time_s, [Face(track(1, 100, seen=seen), eyes=look, pose=pose, mouth_ratio=mouth)])
        shares = (told.openness, told.perclos, told.score)
        assert all(value is None or 0 <= value <= 1 for value in shares)
        assert math.isfinite(told.time_s)
        assert math.isfinite(told.closure_s)
        assert told.closure_s >= 0
        assert (told.level == "unknown") == (told.score is None)
        assert bool(told.reasons) == (told.level in ("notice", "warning", "alarm"))
        assert told.openness is not None or told.closed is None


# --- who is known


NARROW = EyeReading(0.1, 0.17)
"""Eyes of somebody who laughs: narrow, and shut to the classifier."""


def test_narrow_eyes_of_somebody_never_seen_otherwise_raise_no_alarm():
    monitor = DrowsinessMonitor()
    told = [monitor.update(k / 10, [Face(track(1, 100), eyes=NARROW)])[0] for k in range(90)]
    assert {reason for one in told for reason in one.reasons} == set()


def test_eyes_that_shut_once_they_were_seen_open_raise_it_at_once():
    monitor, open_eyes = DrowsinessMonitor(), EyeReading(0.98, 0.3)
    told = [monitor.update(k / 10, [Face(track(1, 100), eyes=open_eyes if k < 10 else NARROW)])[0] for k in range(50)]
    assert "sleep" in reasons(told)


def test_who_is_seen_asleep_from_the_first_is_found_after_some_time():
    assert "sleep" in reasons(watch(Script(30, shut=[(0, 30)]), 15))


@pytest.mark.parametrize(("glare", "whole"), [(0.45, True), (0.9, False)])
def test_a_weak_reopening_does_not_end_a_closure(glare, whole):
    """Glare on glasses, for a third of a second; eyes that open for as long do end it."""
    monitor, told = DrowsinessMonitor(), []
    for k in range(120):
        probability = 0.98 if not 30 <= k < 90 else glare if 42 <= k < 47 else 0.02
        told += monitor.update(k / 15, [Face(track(1, 100), eyes=EyeReading(probability, None))])
    assert (max(one.closure_s for one in told) > 3) is whole
    assert ("sleep" in reasons(told)) is whole


def test_after_a_blink_a_weak_reopening_is_one():
    monitor, told = DrowsinessMonitor(), []
    for k in range(150):
        probability = (0.02 if k % 10 < 3 else 0.45) if 30 <= k < 110 else 0.98
        told += monitor.update(k / 15, [Face(track(1, 100), eyes=EyeReading(probability, None))])
    assert max(one.closure_s for one in told) < 0.5


def test_after_a_first_look_with_the_chin_up_shut_eyes_are_no_look_down():
    monitor, told = DrowsinessMonitor(), []
    for k in range(120):
        pitch = 25 if k < 50 else 0
        look = EyeReading(0.02, 0.08) if k >= 80 else EyeReading(0.98, 0.3)
        told += monitor.update(k / 10, [Face(track(1, 100), pose=HeadPose(0, pitch, 0, 0, pitch, 3), eyes=look)])
    assert "sleep" in reasons(told)


# --- a hand before the mouth


def with_lips(mouth: float, doubt: float, eyes: EyeReading) -> Face:
    """A face 100 px high from the bridge of the nose to the chin, whose inner lips' landmarks are unsure by `doubt` of that."""
    points = np.zeros((68, 2), np.float32)
    points[8] = 0, 100
    deviations = np.full(68, doubt * 100, np.float32)
    pose = HeadPose(0, 0, 0, 0, 0, 3.0)
    return Face(track(1, 100), landmarks=Landmarks(points, deviations), pose=pose, eyes=eyes, mouth_ratio=mouth)


def test_a_yawn_behind_a_hand_is_one_yawn_and_no_sleep():
    monitor, told = DrowsinessMonitor(), []
    for k in range(200):
        yawning, hidden = 60 <= k < 130, 75 <= k < 115
        mouth, doubt = (0.08, 0.027) if hidden else (0.8, 0.02) if yawning else (0.05, 0.016)
        eyes = EyeReading(0.01, 0.12) if 65 <= k < 128 else EyeReading(0.98, 0.3)
        told += monitor.update(k / 10, [with_lips(mouth, doubt, eyes)])
    assert told[-1].yawns == 1
    assert reasons(told) == set()
    assert "mouth: covered" in told[90].unavailable


def test_perclos_counts_straight_between_its_steps() -> None:
    steps = (0.08, 0.11, 0.15)
    weights = [perclos_weight(perclos, steps) for perclos in (0.03, 0.04, 0.06, 0.08, 0.095, 0.13, 0.15, 0.9)]
    assert weights == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 4.0])
    assert perclos_weight(None, steps) == 0.0


def test_perclos_leaves_a_level_only_well_below_where_it_reached_it() -> None:
    judge = Judge(DrowsinessConfig(perclos_notice=0.08, perclos_warning=0.12, perclos_alarm=0.16, dwell_seconds=1))
    nothing_else = Evidence(
        perclos=None, eyes_seen=True, long_closures=0, slow_blinks=0, yawns=None, yawned_lately=False, nods=None
    )

    def last_level(perclos: float, *seconds: float) -> str:
        return [judge.judge(second, replace(nothing_else, perclos=perclos)).level for second in seconds][-1]

    assert last_level(0.09, 0.0, 0.5, 1.0) == "notice"
    assert last_level(0.06, 1.5, 5.0, 9.0) == "notice", "half a step below it stays"
    assert last_level(0.045, 9.5, 10.0, 10.5) == "alert"
