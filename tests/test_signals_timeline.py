"""A track's own time only ever grows, and sums over its last seconds forget what is older."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.signals.timeline import SlidingSum, Step, Timeline


def steps(times):
    timeline = Timeline()
    return [timeline.advance(time_s) for time_s in times], timeline.now_s


def test_the_first_frame_connects_to_nothing():
    assert steps([50.0]) == ([Step(0.0, broken=True)], 0.0)


def test_frames_in_order_pass_the_time_between_them():
    (_, second, third), now_s = steps([50.0, 50.1, 50.35])
    assert (second.elapsed_s, third.elapsed_s, now_s) == pytest.approx((0.1, 0.25, 0.35))
    assert not second.broken


@pytest.mark.parametrize("late", [50.1, 50.05, 48.2, math.nan, math.inf, -math.inf])
def test_a_frame_that_is_doubled_late_or_has_no_time_is_not_used(late):
    told, now_s = steps([50.0, 50.1, late, 50.2])
    assert told[2] is None
    assert now_s == pytest.approx(0.2)


def test_a_gap_passes_its_time_but_says_nothing_of_it():
    told, now_s = steps([50.0, 55.0])
    assert told[1] == Step(0.0, broken=True)
    assert now_s == 5.0


def test_a_clock_that_is_set_back_goes_on_from_there():
    told, now_s = steps([5000.0, 10.0, 10.1])
    assert told[1] == Step(0.0, broken=True)
    assert told[2].elapsed_s == now_s == pytest.approx(0.1)


@pytest.mark.parametrize(
    "wrong", [[-3.0], [-50.0], [-3.0, -1.9], [-9.0, -7.2, -5.4, -3.6, -1.8], [-3.0, -0.3, -4.0, -2.1]]
)
def test_frames_whose_times_are_wrong_do_not_make_time_pass_twice(wrong):
    times = [50 + k / 10 + (wrong[k - 20] if 20 <= k < 20 + len(wrong) else 0.0) for k in range(60)]
    told, now_s = steps(times)
    assert sum(step.elapsed_s for step in told if step) <= 5.9
    assert now_s == pytest.approx(5.9, abs=2.6)
    assert [step.elapsed_s for step in told[-30:]] == pytest.approx([0.1] * 30)


@pytest.mark.parametrize("seconds", [2.5, 5.0, 60.0])
def test_a_clock_that_is_really_set_back_goes_on_at_once(seconds):
    told, now_s = steps([50 + k / 10 for k in range(20)] + [52 - seconds + k / 10 for k in range(600)])
    assert now_s == pytest.approx(61.8, abs=0.1)
    assert sum(step is None or step.broken for step in told) == 2


@pytest.mark.parametrize("apart_s", [0.7, 1.0, 1.9])
def test_however_far_apart_frames_are_the_doubt_of_a_clock_passes(apart_s):
    told, _ = steps([5000.0] + [10 + k * apart_s for k in range(30)])
    assert not any(step.broken for step in told[20:])


def test_a_clock_that_leaps_ahead_leaps_an_hour_at_most():
    assert steps([0.0, 1e300])[1] == 3600.0


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30))
def test_whatever_the_clock_says_time_grows_and_is_a_number(times):
    timeline, before = Timeline(), 0.0
    for time_s in times:
        step = timeline.advance(time_s)
        assert timeline.now_s >= before
        assert math.isfinite(timeline.now_s)
        assert step is None or 0 <= step.elapsed_s <= 2
        before = timeline.now_s


def test_a_sum_holds_what_was_added_within_its_window():
    total = SlidingSum(60.0)
    for second in range(100):
        total.add(float(second), 1.0)
    assert total.total(99.0) == 60
    assert total.total(129.0) == 30
    assert total.total(159.0) == 0
    total.add(160.0, 2.5)
    assert total.total(160.0) == 2.5
    total.clear()
    assert total.total(160.0) == 0


def test_a_sum_needs_no_more_memory_for_more_frames():
    total = SlidingSum(30.0)
    for frame in range(20_000):
        total.add(frame / 120, 1 / 120)
    assert total.total(20_000 / 120) == pytest.approx(30, abs=0.51)
    assert len(total._parts) <= 60
