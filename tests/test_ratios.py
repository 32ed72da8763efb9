"""Ratios of eyes and lips: the published formulas on hand-made points, and None rather than nonsense."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edged.analyse.ratios import eye_aspect_ratios, eye_widths, mouth_ratio


def face(left_opening=6.0, right_opening=6.0, lips=0.0):
    """68 points of which eyes (20 px wide) and inner lips (40 px wide) are where they belong."""
    points = np.zeros((68, 2), np.float32)
    for first, x, opening in ((36, 100, left_opening), (42, 160, right_opening)):
        half = opening / 2
        points[first : first + 6] = [
            (x, 100), (x + 6, 100 - half), (x + 14, 100 - half), (x + 20, 100), (x + 14, 100 + half), (x + 6, 100 + half),
        ]  # fmt: skip
    half = lips / 2
    points[60:68] = [
        (120, 160), (130, 160 - half), (140, 160 - half), (150, 160 - half),
        (160, 160), (150, 160 + half), (140, 160 + half), (130, 160 + half),
    ]  # fmt: skip
    return points


def turned(points, degrees, scale):
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (points @ turn.T * scale + 37).astype(np.float32)


def test_an_eye_is_as_open_as_its_lids_are_apart():
    ratios = eye_aspect_ratios(face(left_opening=6, right_opening=1))
    assert ratios.image_left == pytest.approx(0.30)
    assert ratios.image_right == pytest.approx(0.05)
    assert eye_widths(face()) == pytest.approx((20, 20))


def test_the_mouth_ratio_is_the_mean_distance_of_the_inner_lips_over_their_width():
    assert mouth_ratio(face(lips=0)) == 0
    assert mouth_ratio(face(lips=20)) == pytest.approx(3 * 20 / (2 * 40))


@given(st.floats(-180, 180), st.floats(0.2, 20))
def test_turning_and_scaling_change_nothing(degrees, scale):
    points = turned(face(5, 2, 12), degrees, scale)
    assert eye_aspect_ratios(points) == pytest.approx(eye_aspect_ratios(face(5, 2, 12)), rel=0.02)
    assert mouth_ratio(points) == pytest.approx(mouth_ratio(face(5, 2, 12)), rel=0.02)


def test_corners_that_fall_together_give_no_ratio():
    points = face()
    points[39] = points[36]
    points[64] = points[60]
    assert eye_aspect_ratios(points).image_left is None
    assert eye_aspect_ratios(points).image_right == pytest.approx(0.3)
    assert mouth_ratio(points) is None


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize("point", [36, 37, 40])
def test_one_bad_point_spoils_its_own_eye_only(nonsense, point):
    points = face()
    points[point, 1] = nonsense
    assert eye_aspect_ratios(points).image_left is None
    assert eye_widths(points).image_left is None
    assert eye_aspect_ratios(points).image_right == pytest.approx(0.3)


ANY_POINTS = hnp.arrays(np.float32, (68, 2), elements=st.floats(width=32, allow_nan=True, allow_infinity=True))


@pytest.mark.parametrize("examples", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_whatever_the_points_no_answer_is_nan_infinite_or_negative(examples):
    settings(max_examples=examples)(given(ANY_POINTS)(answer_makes_sense))()


def answer_makes_sense(points):
    answers = [*eye_aspect_ratios(points), *eye_widths(points), mouth_ratio(points)]
    assert all(answer is None or (math.isfinite(answer) and answer >= 0) for answer in answers)
