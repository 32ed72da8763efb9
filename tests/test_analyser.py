"""The analyser with a judge that is a list: who is looked at, how often, and in which order it is told."""

import pytest
from support.doubles import BARE, BLACK, ConstantJudge, track

from edged.analyse.analyser import Analyser, AnalyserSettings
from edged.types import Face


def looks(frames: list[list[Face]], number: int = 1) -> int:
    return sum(face.mask is not None for frame in frames for face in frame if face.track.id == number)


def watch(analyser: Analyser, times: list[float], *tracks) -> list[list[Face]]:
    return [analyser.analyse(t, BLACK, tracks) for t in times]


def test_a_new_face_is_looked_at_in_every_frame_until_it_settles():
    judge = ConstantJudge()
    faces = watch(Analyser(judge, AnalyserSettings(looks_until_settled=8)), [k / 10 for k in range(8)], track(1))
    assert [face.mask for (face,) in faces] == [BARE] * 8
    assert all(len(batch) == 1 for batch in judge.batches)


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_a_settled_face_is_looked_at_twice_a_second_at_every_frame_rate(fps):
    analyser = Analyser(ConstantJudge(), AnalyserSettings(looks_until_settled=3, settled_interval_s=0.5))
    watch(analyser, [k / fps for k in range(3)], track(1))
    later = watch(analyser, [3 / fps + k / fps for k in range(10 * fps)], track(1))
    assert 16 <= looks(later) <= 20
    assert {face.unjudged for (face,) in later} == {None, "not due"}


def test_faces_that_cannot_be_judged_say_why_and_the_judge_is_left_alone():
    judge = ConstantJudge()
    faces = Analyser(judge).analyse(0.0, BLACK, [track(1, side=23.9), track(2, seen=False)])
    assert [(face.mask, face.unjudged) for face in faces] == [(None, "small"), (None, "out of sight")]
    assert judge.batches == []


def test_a_face_of_exactly_the_smallest_side_is_judged():
    (face,) = Analyser(ConstantJudge(), AnalyserSettings(smallest_face=24)).analyse(0.0, BLACK, [track(1, side=24)])
    assert face.mask == BARE


def test_faces_come_in_the_order_of_their_tracks_with_their_own_scores():
    judge = ConstantJudge()
    tracks = [track(3, side=30, x=30), track(1, side=90, x=10), track(2, side=10), track(4, side=60, x=40)]
    faces = Analyser(judge, AnalyserSettings(most_faces=2)).analyse(0.0, BLACK, tracks)
    assert [face.track.id for face in faces] == [3, 1, 2, 4]
    assert [face.unjudged for face in faces] == ["not due", None, "small", None]
    assert judge.batches == [[tracks[1].box, tracks[3].box]]


@pytest.mark.parametrize("interval_s", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("fps", [1, 5, 30])
def test_in_a_crowd_beyond_the_cap_nobody_waits_for_ever(interval_s, fps):
    analyser = Analyser(ConstantJudge(), AnalyserSettings(most_faces=4, settled_interval_s=interval_s))
    crowd = [track(number, side=30 + number) for number in range(1, 11)]
    frames = watch(analyser, [k / fps for k in range(60)], *crowd)
    assert min(looks(frames, number) for number in range(1, 11)) >= 8


def test_no_frame_has_more_looks_than_the_cap():
    judge = ConstantJudge()
    watch(Analyser(judge, AnalyserSettings(most_faces=4)), [0.0, 0.1], *[track(n) for n in range(1, 10)])
    assert [len(batch) for batch in judge.batches] == [4, 4]


def test_a_track_that_was_gone_begins_anew_and_nothing_is_kept_of_it():
    analyser = Analyser(ConstantJudge(), AnalyserSettings(looks_until_settled=1, settled_interval_s=100))
    for number in range(1000):
        analyser.analyse(number / 10, BLACK, [track(number)])
    assert len(analyser._looks) == 1
    analyser.analyse(100.0, BLACK, [])
    assert analyser._looks == {}
