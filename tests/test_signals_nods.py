"""Nods, head by head: what is one, what only looks like one, and that each is counted once."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from edged.config import DrowsinessConfig
from edged.signals.direction import Direction
from edged.signals.nods import NodFinder

FPS = 20
DOWN = -25.0

Course = Callable[[float], float]


def course(*points: tuple[float, float]) -> Course:
    """Straight lines through (second, degrees)."""

    def at(time_s: float) -> float:
        for (a, low), (b, high) in pairwise(points):
            if a <= time_s < b:
                return low + (high - low) * (time_s - a) / (b - a)
        return points[-1][1]

    return at


def dip(down_s: float, up_s: float, depth: float = DOWN, over: float = 0.4) -> Course:
    """A head that goes down at `down_s` and comes up at `up_s`, each within `over` seconds."""
    return course((0, 0.0), (down_s, 0.0), (down_s + over, depth), (up_s, depth), (up_s + over, 0.0))


def nods(
    pitch: Course,
    seconds: float = 12.0,
    *,
    eyes: Callable[[float], bool | None] = lambda _: False,
    yaw: Course = lambda _: 0.0,
    unseen: tuple[float, float] = (0.0, 0.0),
    usual_pitch: float = 0.0,
    degrees: float | None = None,
) -> list[float]:
    """When nods are counted, to a tenth of a second; `eyes` says whether they are open, `unseen` when no head is seen."""
    settings = DrowsinessConfig() if degrees is None else DrowsinessConfig(nod_degrees=degrees)
    finder, found = NodFinder(settings), []
    for frame in range(round(seconds * FPS)):
        now_s = frame / FPS
        head = None if unseen[0] <= now_s < unseen[1] else Direction(yaw(now_s), pitch(now_s))
        if finder.follow(now_s, head, eyes(now_s), usual_pitch):
            found.append(round(now_s, 1))
    return found


def test_a_head_that_drops_with_closed_eyes_and_comes_up_is_one_nod_counted_as_it_comes_up():
    assert nods(dip(3, 4)) == [pytest.approx(4.3, abs=0.15)]


@pytest.mark.parametrize("depth", [-9.0, 9.0, 25.0])
def test_what_is_too_shallow_or_goes_up_is_none(depth):
    assert nods(dip(3, 4, depth)) == []


def test_how_deep_it_must_be_is_the_setting():
    assert nods(dip(3, 4, -18), degrees=15) != []
    assert nods(dip(3, 4, -18), degrees=20) == []


def test_a_head_that_goes_down_slowly_is_none():
    assert nods(dip(3, 7, over=0.9)) != []
    assert nods(dip(3, 7, over=3.5), usual_pitch=-30) == []


@pytest.mark.parametrize(("open_until_s", "count"), [(2.3, 1), (2.95, 0)])
def test_who_had_open_eyes_just_before_looks_down_at_something(open_until_s, count):
    assert len(nods(dip(3, 4), eyes=lambda now_s: now_s < open_until_s)) == count


def test_eyes_that_open_as_the_head_goes_down_do_not_make_it_none():
    assert len(nods(dip(3, 4), eyes=lambda now_s: now_s >= 3.2)) == 1


@pytest.mark.parametrize("eyes", [True, None])
def test_eyes_that_were_open_or_not_seen_accuse_nobody(eyes):
    assert nods(dip(3, 4), eyes=lambda _: eyes) == []


def test_eyes_seen_closed_only_some_of_the_time_are_enough():
    assert len(nods(dip(3, 4), eyes=lambda now_s: False if 2.7 <= now_s < 2.8 else None)) == 1


def test_a_head_that_stays_down_is_counted_while_it_is_down_and_not_again_as_it_comes_up():
    assert nods(dip(3, 7)) == [pytest.approx(4.8, abs=0.2)]


@pytest.mark.parametrize(("usual_pitch", "count"), [(-9.5, 1), (-10.5, 0)])
def test_it_stays_down_where_it_is_far_below_its_usual_pitch(usual_pitch, count):
    assert len(nods(dip(3, 7), 6.5, usual_pitch=usual_pitch)) == count


def test_a_head_that_is_down_with_open_eyes_is_counted_only_if_it_comes_up_in_time():
    def opens(now_s: float) -> bool:
        return 3.8 <= now_s < 4

    assert nods(dip(3, 20), 15, eyes=opens) == []
    assert nods(dip(3, 7), eyes=opens) == [pytest.approx(7.3, abs=0.15)]


@pytest.mark.parametrize(("up_s", "count"), [(7.6, 1), (9.0, 0)])
def test_a_head_that_comes_up_late_has_not_nodded(up_s, count):
    assert len(nods(dip(3, up_s), usual_pitch=-20)) == count


@pytest.mark.parametrize(("again_s", "count"), [(8.0, 0), (16.0, 1)])
def test_a_head_that_stays_down_for_long_is_where_it_is_and_may_nod_from_there(again_s, count):
    deep_s = again_s + 0.4
    back = (deep_s, -55.0), (deep_s + 0.6, -55.0), (deep_s + 1, DOWN)
    deeper = course((0, 0.0), (3, 0.0), (3.4, DOWN), (again_s, DOWN), *back)
    assert len(nods(deeper, 20, usual_pitch=-50)) == count


def test_two_nods_are_two():
    twice = course((0, 0), (3, 0), (3.3, DOWN), (3.6, DOWN), (3.9, 0), (6, 0), (6.3, DOWN), (6.6, DOWN), (6.9, 0))
    assert len(nods(twice)) == 2


@pytest.mark.parametrize(("turned", "count"), [(8.0, 1), (40.0, 0), (-40.0, 0)])
@pytest.mark.parametrize("start_s", [3.0, 3.45])
def test_a_head_that_turns_aside_by_more_than_it_goes_down_looks_at_something(turned, count, start_s):
    aside = course((0, 0.0), (start_s, 0.0), (start_s + 0.3, turned))
    assert len(nods(dip(3, 4), yaw=aside)) == count


def test_turning_before_it_goes_down_is_no_turning_aside():
    assert len(nods(dip(3, 4), yaw=course((0, 0.0), (1, 0.0), (2, 40.0)))) == 1


@pytest.mark.parametrize(("lost_s", "count"), [(0.8, 1), (1.6, 0)])
def test_a_head_that_is_lost_while_it_is_down_is_forgotten_after_a_second(lost_s, count):
    assert len(nods(dip(3, 3.7 + lost_s), unseen=(3.6, 3.6 + lost_s))) == count


def test_a_forgotten_drop_is_not_counted():
    finder = NodFinder(DrowsinessConfig())
    pitch = dip(3, 4)
    for frame in range(round(12 * FPS)):
        now_s = frame / FPS
        if now_s == 3.6:
            finder.forget()
        assert not finder.follow(now_s, Direction(0.0, pitch(now_s)), False, 0.0)


def test_a_tremble_of_one_frame_is_none():
    def shaken(now_s: float) -> float:
        return DOWN if round(now_s * FPS) == 60 else 0.0

    assert nods(shaken) == []
