"""Drawn masks: what they hide, what they leave, and that nothing upsets them."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.render import STYLES, Wear, random_style, wear_mask
from edged.render.mean_face import MEAN_FACE, MIRROR_68, five_points, sixty_eight_points
from edged.types import MaskState


def face(unit=80.0, centre=(150.0, 100.0)):
    return (MEAN_FACE * unit + np.array(centre)).astype(np.float32)


def picture():
    return np.full((300, 300, 3), (110, 140, 190), np.uint8)


def hidden(worn, points):
    return worn.coverage[points[:, 1].round().astype(int), points[:, 0].round().astype(int)] > 127


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("wear", list(Wear))
def test_each_way_of_wearing_hides_what_it_should(wear, seed):
    points = face()
    rng = np.random.default_rng(seed)
    worn = wear_mask(picture(), points, random_style(rng), wear, rng)
    nose, mouth, chin = hidden(worn, points[30:31])[0], hidden(worn, points[60:68]).all(), hidden(worn, points[8:9])[0]
    if wear is Wear.CORRECT:
        assert (nose, mouth, chin) == (True, True, True)
    elif wear is Wear.NOSE:
        assert (nose, mouth, chin) == (False, True, True)
    elif wear is Wear.MOUTH:
        assert (nose, mouth) == (False, False)
        assert not hidden(worn, points[48:68]).all()
    else:
        assert (nose, chin) == (True, False)
    assert worn.state is (MaskState.CORRECT if wear is Wear.CORRECT else MaskState.INCORRECT)
    assert worn.visible[:2].all()
    assert worn.visible[2] == (not nose)


def test_the_picture_given_is_left_alone_and_changed_only_near_the_mask():
    image = picture()
    before = image.copy()
    worn = wear_mask(image, face(), STYLES[0], Wear.CORRECT, np.random.default_rng(0))
    assert np.array_equal(image, before)
    assert (worn.image[worn.coverage > 250] != before[worn.coverage > 250]).any(axis=1).mean() > 0.9
    assert np.array_equal(worn.image[:60], before[:60])


def test_a_face_that_fills_a_large_photograph_looks_as_it_does_on_a_small_one():
    """Also in seconds and within a small device's memory: a wide blur is made of a smaller copy, the fabric in bands."""
    small, style = np.random.default_rng(0).integers(60, 200, (300, 300, 3), np.uint8), STYLES[4]
    large = np.kron(small, np.ones((10, 10, 1), np.uint8))
    tracemalloc.start()
    began = time.process_time()
    worn = wear_mask(large, face() * 10, style, Wear.CORRECT, np.random.default_rng(0))
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    expected = wear_mask(small, face(), style, Wear.CORRECT, np.random.default_rng(0))
    apart = worn.image.reshape(300, 10, 300, 10, 3).mean(axis=(1, 3)) - expected.image
    assert np.abs(apart).mean() < 3
    assert took < 20
    assert peak < 100 * large.shape[0] * large.shape[1]


def test_the_same_seed_draws_the_same_picture():
    first, second = (wear_mask(picture(), face(), STYLES[5], Wear.NOSE, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first.image, second.image)


def test_seven_styles_look_different():
    drawn = [wear_mask(picture(), face(), style, Wear.CORRECT, np.random.default_rng(0)).image for style in STYLES]
    assert len(drawn) == 7
    for k in range(7):
        for other in range(k):
            assert np.abs(drawn[k].astype(int) - drawn[other]).max() > 30


def test_grey_pictures_get_grey_masks():
    grey = np.full((300, 300, 3), 120, np.uint8)
    worn = wear_mask(grey, face(), STYLES[0], Wear.CORRECT, np.random.default_rng(0)).image.astype(int)
    inside = worn[150:180, 130:170]
    assert (inside.max(axis=2) - inside.min(axis=2)).mean() < 60


def test_masks_are_darker_in_the_dark():
    bright = wear_mask(picture(), face(), STYLES[1], Wear.CORRECT, np.random.default_rng(0)).image
    dark = wear_mask(picture() // 5, face(), STYLES[1], Wear.CORRECT, np.random.default_rng(0)).image
    assert dark[160, 150].mean() < 0.6 * bright[160, 150].mean()


def test_five_points_are_enough():
    five = five_points(face())
    assert np.abs(sixty_eight_points(five) - face()).max() < 1
    worn = wear_mask(picture(), five, STYLES[0], Wear.CORRECT, np.random.default_rng(0))
    assert worn.visible.tolist() == [True, True, False, False, False]


def test_the_mean_face_mirrors_onto_itself():
    mirrored = MEAN_FACE[list(MIRROR_68)] * np.array([-1, 1])
    assert np.abs(mirrored - MEAN_FACE).max() < 1e-6


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.1, 400),
    st.floats(-300, 600),
    st.floats(-300, 600),
    st.floats(0, 6.3),
    st.floats(0.01, 1),
)
def test_no_face_upsets_it(seed, unit, x, y, roll, squeeze):
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    points = ((MEAN_FACE * [squeeze, 1]) @ turn * unit + [x, y]).astype(np.float32)
    rng = np.random.default_rng(seed)
    worn = wear_mask(picture(), points, random_style(rng), list(Wear)[seed % 4], rng)
    assert worn.image.shape == (300, 300, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1e9])
def test_points_that_are_no_face_change_nothing_or_little(value):
    for count in (5, 68):
        points = np.full((count, 2), value, np.float32)
        worn = wear_mask(picture(), points, STYLES[0], Wear.CORRECT, np.random.default_rng(0))
        assert worn.image.shape == (300, 300, 3)
