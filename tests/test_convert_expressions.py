"""Mouths opened and heads turned in training pictures: the points go where the pixels go, and as a jaw and a head go."""

import cv2
import numpy as np
import pytest

from convert.data.expressions import WIDEST_JAW, Expression, change, random_expression
from edged.analyse.pose.shape import HEAD_SHAPE
from edged.analyse.ratios import mouth_ratio

SIZE = 260


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def frontal_points(scale=90.0):
    return (HEAD_SHAPE[:, :2] * scale + np.array([SIZE / 2, SIZE * 0.3])).astype(np.float32)


def dotted(points):
    """A grey picture with a spot on every point of the brows, nose and eyes."""
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    for x, y in points[17:48]:
        cv2.circle(image, (round(float(x)), round(float(y))), 2, (255, 255, 255), -1)
    return image


def test_nothing_to_change_changes_nothing(rng):
    points = frontal_points()
    image, moved = change(dotted(points), points, Expression(0.0, 0.0, 0.0), rng)
    np.testing.assert_allclose(moved, points, atol=0.01)
    assert np.abs(image.astype(int) - dotted(points)).mean() < 0.5


def test_an_opened_jaw_lowers_chin_and_lower_lip_and_leaves_the_rest(rng):
    points = frontal_points()
    _, moved = change(dotted(points), points, Expression(WIDEST_JAW, 0.0, 0.0), rng)
    down = moved[:, 1] - points[:, 1]
    assert down[8] > 10
    assert down[66] > 10
    np.testing.assert_allclose(moved[17:48], points[17:48], atol=0.01)
    assert abs(down[62]) < 1


def test_the_wider_the_jaw_the_higher_the_mouths_ratio_up_to_a_yawns(rng):
    points = frontal_points()
    ratios = [
        mouth_ratio(change(dotted(points), points, Expression(jaw, 0.0, 0.0), rng)[1])
        for jaw in np.linspace(0, WIDEST_JAW, 5)
    ]
    assert ratios == sorted(ratios)
    assert ratios[0] < 0.3
    assert ratios[-1] > 0.8


def test_a_turn_moves_the_nose_against_the_eyes_and_narrows_the_far_side(rng):
    points = frontal_points()
    _, moved = change(dotted(points), points, Expression(0.0, 0.35, 0.0), rng)
    nose = moved[30, 0] - moved[[36, 45], 0].mean()
    assert abs(nose) > 5
    near, far = sorted((moved[39, 0] - moved[36, 0], moved[45, 0] - moved[42, 0]), reverse=True)
    assert near > 1.1 * far


@pytest.mark.parametrize(
    "expression", [Expression(0.5, 0.0, 0.0), Expression(0.3, 0.3, -0.1), Expression(0.0, -0.3, 0.1)]
)
def test_pixels_go_where_the_points_go(expression, rng):
    points = frontal_points()
    image, moved = change(dotted(points), points, expression, rng)
    for x, y in moved[[17, 26, 27, 30, 36, 45]]:
        around = image[round(float(y)) - 2 : round(float(y)) + 3, round(float(x)) - 2 : round(float(x)) + 3]
        assert around.max() > 180, (x, y)


def test_the_inside_of_an_opened_mouth_is_painted(rng):
    points = frontal_points()
    image, moved = change(np.full((SIZE, SIZE, 3), 150, np.uint8), points, Expression(WIDEST_JAW, 0.0, 0.0), rng)
    x, y = moved[[62, 66]].mean(axis=0)
    assert tuple(image[round(float(y)), round(float(x))]) != (150, 150, 150)


def test_the_generator_alone_decides():
    one, other = (random_expression(np.random.default_rng(3)) for _ in range(2))
    assert one == other
