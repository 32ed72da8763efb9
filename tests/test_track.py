"""The tracker on plain boxes: who is who at any frame rate, and what it does with nonsense."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.doubles import sighting, square

from edged.track import Tracker, TrackerSettings, closeness, widened_iou
from edged.types import Box, Detection, Track

RATES = (5, 10, 15, 30)
AT_ONCE = TrackerSettings(birth_evidence=0)
"""Whoever is seen is told."""
BORN_S = 0.5
"""By then a face that scores 0.9 in every frame is told."""
Path = Callable[[float], tuple[float, float]]


def follow(tracker: Tracker, times: Iterable[float], *paths: Path, side: float = 24.0) -> list[list[Track]]:
    """Show one face on each path, at every time."""
    return [tracker.update(t, [sighting(*path(t), side=side) for path in paths]) for t in times]


def ids(frames: Iterable[Iterable[Track]]) -> set[int]:
    return {track.id for frame in frames for track in frame}


def every(seconds: float, until: float, start: float = 0.0) -> list[float]:
    return [start + k * seconds for k in range(round((until - start) / seconds))]


# --- one face, one id


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("sizes_a_second", [0, 3, 8, -8])
def test_a_small_face_keeps_its_id_however_fast_it_crosses(fps, sizes_a_second):
    frames = follow(Tracker(), every(1 / fps, 3), lambda t: (300 + 24 * sizes_a_second * t, 100))
    assert ids(frames) == {1}
    assert all(len(frame) == 1 for frame in frames[math.ceil(BORN_S * fps) :])


def test_what_is_expected_says_what_the_picture_before_showed():
    tracker, face, weak = Tracker(AT_ONCE), sighting(100), sighting(100, score=0.4)
    tracker.update(0.0, [face])
    (here,) = tracker.expected(0.1)
    assert (here.track, here.clear, here.found) == (1, True, face)
    tracker.update(0.1, [weak])
    (here,) = tracker.expected(0.2)
    assert (here.track, here.clear, here.found) == (1, False, weak)
    tracker.update(0.2, [])
    (here,) = tracker.expected(0.3)
    assert (here.track, here.clear, here.found) == (1, False, None)


def test_who_is_not_born_is_expected_without_a_number():
    tracker = Tracker()
    tracker.update(0.0, [sighting(100)])
    assert [one.track for one in tracker.expected(0.1)] == [0]


def test_a_fast_face_is_followed_although_its_boxes_do_not_touch():
    step = 1.6 * 24
    boxes = np.array([square(100, 100, 24), square(100 + step, 100, 24)])
    assert widened_iou(boxes[:1], boxes[1:], 1.0)[0, 0] == 0
    frames = follow(Tracker(), every(0.2, 2), lambda t: (100 + step * t * 5, 100))
    assert ids(frames) == {1}


@pytest.mark.parametrize("fps", RATES)
def test_a_diagonal_runner_keeps_its_id(fps):
    assert ids(follow(Tracker(), every(1 / fps, 2), lambda t: (100 + 110 * t, 50 + 110 * t))) == {1}


@pytest.mark.parametrize("seed", range(5))
def test_irregular_steps_and_jumpy_boxes_do_not_matter(seed):
    random = np.random.default_rng(seed)
    times = np.cumsum(random.choice([0.001, 0.01, 0.05, 0.1, 0.25], 60))
    frames = follow(Tracker(), times, lambda t: (100 + 60 * t + random.normal(0, 2), 80 + random.normal(0, 2)))
    assert ids(frames) == {1}


def test_two_faces_that_cross_keep_their_ids():
    frames = follow(Tracker(), every(0.1, 3), lambda t: (100 + 100 * t, 100), lambda t: (400 - 100 * t, 122), side=40.0)
    first, last = ({track.id: track.box.centre[0] for track in frame} for frame in (frames[5], frames[-1]))
    assert first.keys() == last.keys()
    assert [sorted(first, key=first.get), sorted(last, key=last.get)] == [[1, 2], [2, 1]]


@pytest.mark.parametrize("fps", RATES)
def test_the_same_scene_has_the_same_number_of_tracks_at_every_frame_rate(fps):
    def seen(t: float) -> list[Detection]:
        walkers = [(0.0, 60.0, 0), (0.4, -80.0, 1), (2.0, 100.0, 2)]
        return [sighting(400 + v * (t - t0), 80 + 100 * n, 32) for t0, v, n in walkers if t0 <= t < t0 + 1.6]

    tracker = Tracker()
    assert len(ids(tracker.update(t, seen(t)) for t in every(1 / fps, 6))) == 3


def test_a_crowd_standing_still_keeps_its_ids():
    random, tracker = np.random.default_rng(0), Tracker()
    places = [(60 + 45 * (k % 10), 60 + 45 * (k // 10)) for k in range(40)]
    frames = [
        tracker.update(k / 10, [sighting(x + random.normal(0, 1.5), y + random.normal(0, 1.5), 30) for x, y in places])
        for k in range(20)
    ]
    assert ids(frames) == set(range(1, 41))


# --- out of sight


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize(("gap_s", "people"), [(0.6, 1), (1.0, 2)])
def test_a_short_absence_keeps_the_id_and_a_long_one_does_not(fps, gap_s, people):
    tracker = Tracker(lost_seconds=0.8)
    times = every(1 / fps, 4)
    frames = [tracker.update(t, [] if 1 <= t < 1 + gap_s else [sighting(100)]) for t in times]
    assert len(ids(frames)) == people


def test_out_of_sight_a_face_is_told_at_its_predicted_place_without_a_detection():
    tracker = Tracker()
    follow(tracker, every(0.1, 1), lambda t: (100 + 50 * t, 100))
    (lost,) = tracker.update(1.1, [])
    assert lost.detection is None
    assert lost.last_seen_s == pytest.approx(0.9)
    assert lost.box.centre[0] == pytest.approx(155, abs=3)


def test_a_lost_face_coasts_for_a_while_and_then_stands():
    tracker = Tracker(lost_seconds=3)
    follow(tracker, every(0.1, 1), lambda t: (100 + 50 * t, 100))
    places = [tracker.update(t, [])[0].box.centre[0] for t in (1.4, 2.0, 3.0)]
    assert places == pytest.approx([places[0]] * 3)
    assert places[0] == pytest.approx(145 + 25, abs=4)


def test_a_detection_of_another_frame_at_the_same_time_is_not_told_again():
    tracker = Tracker(AT_ONCE)
    follow(tracker, [0.0, 0.1], lambda _: (100, 100))
    (lost,) = tracker.update(0.1, [])
    assert lost.detection is None


def test_after_a_blind_while_nobody_is_taken_for_who_was_there():
    tracker = Tracker(AT_ONCE)
    follow(tracker, [0.0, 0.1], lambda _: (100, 100))
    assert ids(follow(tracker, [3600.0, 3600.1], lambda _: (100, 100))) == {2}


@pytest.mark.parametrize("fps", [0.5, 1, 1.5, 2])
@pytest.mark.parametrize("sizes_a_frame", [0.05, 1.2, 1.8])
def test_at_one_frame_a_second_people_are_still_followed(fps, sizes_a_frame):
    frames = follow(Tracker(), every(1 / fps, 8 / fps), lambda t: (100 + 24 * sizes_a_frame * fps * t, 100))
    assert ids(frames) == {1}


def test_a_single_gap_does_not_send_anybody_on():
    tracker = Tracker(AT_ONCE, 10)
    follow(tracker, every(0.1, 1), lambda t: (100 + 50 * t, 100))
    (away,) = tracker.update(4.0, [])
    assert away.box.centre[0] == pytest.approx(145 + 50 * 0.5, abs=3)


def test_forget_follows_nobody_and_uses_no_id_twice():
    tracker = Tracker(AT_ONCE)
    follow(tracker, [0.0, 0.1], lambda _: (100, 100))
    tracker.forget()
    assert ids(follow(tracker, [0.2, 0.3], lambda _: (100, 100))) == {2}


# --- scores and false alarms


def test_a_weak_sighting_keeps_a_track():
    tracker = Tracker(AT_ONCE)
    follow(tracker, [0.0, 0.1], lambda _: (100, 100))
    frames = [tracker.update(0.2 + k / 10, [sighting(100, score=0.3)]) for k in range(20)]
    assert ids(frames) == {1}
    assert all(frame[0].detection for frame in frames)


@pytest.mark.parametrize("score", [0.3, 0.59])
def test_a_weak_sighting_starts_no_track(score):
    tracker = Tracker()
    assert not ids(tracker.update(k / 10, [sighting(100, score=score)]) for k in range(20))


@pytest.mark.parametrize("fps", RATES)
def test_a_false_alarm_of_one_frame_is_never_told(fps):
    tracker = Tracker()
    flashes = [sighting(100 + 90 * (k % 7), 100 + 200 * (k % 2)) if k % fps == 0 else None for k in range(10 * fps)]
    assert not ids(tracker.update(k / fps, [flash] if flash else []) for k, flash in enumerate(flashes))


def test_a_face_is_told_once_enough_speaks_for_it_and_from_its_first_sighting_on():
    frames = follow(Tracker(), every(0.1, 0.6), lambda _: (100, 100))
    born = next(k for k, frame in enumerate(frames) if frame)
    assert [len(frame) for frame in frames] == [0] * born + [1] * (6 - born)
    assert 0.15 <= born / 10 <= BORN_S
    assert (frames[born][0].first_seen_s, frames[born][0].hits) == (0.0, born + 1)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("mean", [0.41, 0.49, 0.53, 0.56])
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_never_told_however_long_it_lasts(fps, mean, seed):
    random, tracker = np.random.default_rng(seed), Tracker()
    scores = np.clip(random.normal(mean, 0.08, 20 * fps), 0.35, 0.8)
    # What makes a glove score more or less lasts for some frames.
    scores = np.convolve(scores, np.ones(3) / 3, "same")
    assert not ids(tracker.update(k / fps, [sighting(100, score=score)]) for k, score in enumerate(scores))


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize(("mean", "within_s"), [(0.64, 3.5), (0.69, 2.5), (0.8, 1.0), (0.95, 0.6)])
def test_a_face_that_scores_little_is_told_later_than_one_that_scores_much(fps, mean, within_s):
    random, tracker = np.random.default_rng(0), Tracker()
    scores = np.clip(random.normal(mean, 0.03, 4 * fps), 0, 1)
    frames = [tracker.update(k / fps, [sighting(100, score=score)]) for k, score in enumerate(scores)]
    assert next(k for k, frame in enumerate(frames) if frame) / fps <= within_s
    assert ids(frames) == {1}


@pytest.mark.parametrize("fps", RATES)
def test_one_peak_makes_nobody_of_noise(fps):
    tracker = Tracker()
    scores = [0.99 if k % (3 * fps) == 0 else 0.5 for k in range(20 * fps)]
    assert not ids(tracker.update(k / fps, [sighting(100, score=score)]) for k, score in enumerate(scores))


def test_a_second_box_on_a_tilted_face_is_nobody():
    tracker = Tracker()
    twice = [sighting(100, 100, 60), sighting(112, 118, 60, score=0.85)]
    assert ids(tracker.update(k / 15, twice) for k in range(60)) == {1}


def test_a_face_goes_on_as_what_was_begun_on_top_of_it():
    """A bowed face is found at the hair first, then at the face as well; then the first find vanishes."""
    tracker = Tracker()
    hair, face = sighting(100, 100, 60), sighting(108, 120, 60, score=0.8)
    frames = [tracker.update(k / 15, [hair]) for k in range(15)]
    frames += [tracker.update(1 + k / 15, [hair, face]) for k in range(15)]
    frames += [tracker.update(2 + k / 15, [face]) for k in range(30)]
    assert ids(frames) == {1}
    assert (frames[-1][0].box, frames[-1][0].first_seen_s) == (face.box, 0.0)
    assert frames[-1][0].detection is face


def test_a_face_found_twice_is_one_track():
    tracker = Tracker()
    twice = [sighting(100, 100), sighting(103, 102, score=0.8)]
    assert ids(tracker.update(k / 10, twice) for k in range(20)) == {1}


def test_two_faces_side_by_side_are_two_tracks():
    assert ids(follow(Tracker(), every(0.1, 2), lambda _: (100, 100), lambda _: (126, 100))) == {1, 2}


# --- nonsense


@pytest.mark.parametrize(
    "box",
    [
        Box(math.nan, 0, 10, 10),
        Box(0, 0, math.inf, 10),
        Box(5, 5, 5, 9),
        Box(9, 9, 5, 5),
        Box(-1e308, -1e308, 1e308, 1e308),
        Box(0, 0, 0.5, 90),
    ],
)
def test_a_box_that_is_none_is_passed_over(box):
    tracker = Tracker()
    assert not ids(tracker.update(k / 10, [Detection(box, 0.9)]) for k in range(5))
    assert ids(tracker.update(1 + k / 10, [Detection(box, 0.9), sighting(100)]) for k in range(5)) == {1}


def test_a_score_that_is_no_number_is_passed_over():
    tracker = Tracker()
    assert not ids(tracker.update(k / 10, [sighting(100, score=math.nan)]) for k in range(5))


def test_no_frame_shows_more_tracks_than_the_bound():
    tracker = Tracker(replace(AT_ONCE, most_tracks=256))
    crowd = [sighting(50 * (k % 20), 50 * (k // 20), 30) for k in range(300)]
    frames = [tracker.update(t / 10, crowd) for t in range(3)]
    assert len(frames[-1]) == 256


def test_the_surest_faces_have_the_first_right_to_a_place():
    tracker = Tracker(replace(AT_ONCE, most_tracks=1))
    frames = [tracker.update(k / 10, [sighting(100, score=0.7), sighting(300, score=0.9)]) for k in range(2)]
    assert frames[1][0].box.centre[0] == 300


def test_frames_without_faces_tell_nothing():
    tracker = Tracker()
    assert [tracker.update(t, []) for t in (0.0, 0.1, 50.0)] == [[], [], []]


def test_late_and_doubled_frames_do_not_split_a_track():
    times = [0.0, 0.1, 0.1, 0.3, 0.2, 0.4, 0.4, 0.35, 0.5]
    frames = follow(Tracker(AT_ONCE), times, lambda t: (100 + 40 * t, 100))
    assert ids(frames) == {1}
    assert [frame[0].last_seen_s for frame in frames[1:]] == [0.1, 0.1, 0.3, 0.3, 0.4, 0.4, 0.4, 0.5]


numbers = st.floats(-200, 2000) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1e300, -1e300, 1e-300])
boxes = st.tuples(numbers, numbers, numbers, numbers).map(lambda corners: Box(*corners)) | st.builds(
    square, st.floats(0, 400), st.floats(0, 400), st.floats(0.5, 300)
)
detections = st.lists(st.builds(Detection, boxes, st.floats(0, 1) | st.just(math.nan)), max_size=12)
frames_of_anything = st.lists(st.tuples(st.floats(-0.5, 1.0) | st.just(0.0) | st.just(7.0), detections), max_size=15)


@settings(max_examples=80, deadline=None)
@given(frames_of_anything)
def test_anything_at_all_gives_unique_ids_and_uses_each_detection_once(frames):
    tracker, time_s, highest = Tracker(), 0.0, 0
    for step, found in frames:
        time_s += step
        tracks = tracker.update(time_s, found)
        numbers = [track.id for track in tracks]
        assert len(set(numbers)) == len(numbers)
        assert all(number > 0 for number in numbers)
        used = [id(track.detection) for track in tracks if track.detection]
        assert len(set(used)) == len(used)
        assert set(used) <= {id(d) for d in found}
        assert all(math.isfinite(value) for track in tracks for value in track.box)
        assert max(numbers, default=0) <= highest + len(found)
        highest = max([highest, *numbers])


def test_closeness_falls_with_distance_and_is_nothing_for_unlike_sizes():
    here = np.array([square(0, 0, 20)])
    there = np.array([square(x, 0, side) for x, side in ((0, 20), (10, 20), (20, 20), (50, 20), (0, 40))])
    assert closeness(here, there, np.array([2.0]))[0] == pytest.approx([1, 0.75, 0.5, 0, 0])


def test_the_weakest_detections_keep_no_track_alive():
    tracker = Tracker(AT_ONCE, 0.5)
    for step in range(3):
        tracks = tracker.update(step * 0.1, [Detection(Box(10, 10, 50, 50), 0.9)])
    assert len(tracks) == 1
    for step in range(3, 12):
        tracks = tracker.update(step * 0.1, [Detection(Box(10, 10, 50, 50), 0.1)])
    assert tracks == []


@pytest.mark.parametrize("score", [0.58, 0.4], ids=["as sure as a face", "weak"])
@pytest.mark.parametrize("side", [100.0, 15.0], ids=["a body", "a hand"])
def test_what_is_much_larger_or_smaller_is_not_the_face_that_was_there(side, score):
    tracker = Tracker()
    follow(tracker, every(0.1, 1.0), lambda _: (100, 100), side=40)
    told = tracker.update(1.1, [sighting(100, side=side, score=score)])
    assert [(track.box.width, track.detection) for track in told] == [(40, None)]
    (back,) = tracker.update(1.2, [sighting(100, side=side, score=score), sighting(100, score=0.53)])
    assert back.id == told[0].id
    assert back.box.width == 40


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_a_face_that_is_half_hidden_or_seen_with_its_hair_is_the_same(factor):
    tracker = Tracker()
    follow(tracker, every(0.1, 1.0), lambda _: (100, 100), side=40)
    (track,) = tracker.update(1.1, [sighting(100, side=40 * factor)])
    assert track.detection is not None
