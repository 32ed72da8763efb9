"""Square crops: exact where it can be said, and sane for every box and picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.crops import square_crops
from edged.types import Box


def ramp(height: int, width: int) -> np.ndarray:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x * 255 / max(width - 1, 1), y * 255 / max(height - 1, 1), np.full_like(x, 77)], -1).astype(
        np.uint8
    )


def test_an_exact_square_is_copied():
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    crop = square_crops(picture, [Box(10, 8, 26, 24)], 16, 1.0)[0]
    assert np.array_equal(crop, picture[8:24, 10:26])


def test_shrinking_averages():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    crop = square_crops(picture, [Box(0, 0, 64, 64)], 16, 1.0)[0]
    expected = picture.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(crop - expected).max() <= 1


@pytest.mark.parametrize("side", [12, 48, 96, 200])
def test_the_box_centre_is_the_crop_centre(side):
    picture = ramp(600, 600)
    box = Box(300 - side / 2, 240 - side / 4, 300 + side / 2, 240 + side / 4)
    crop = square_crops(picture, [box], 96, 1.4)[0]
    middle = crop[47:49, 47:49].reshape(-1, 3).mean(axis=0)
    assert middle[:2] == pytest.approx([300 * 255 / 599, 240 * 255 / 599], abs=1.5)
    spread = float(crop[48, -1, 0]) - float(crop[48, 0, 0])
    assert spread == pytest.approx(1.4 * side * 255 / 599, abs=2.5)


def test_outside_the_picture_the_edge_is_repeated():
    picture = ramp(100, 100)
    for side in (20, 90):
        crop = square_crops(picture, [Box(-side / 2, 40, side / 2, 40 + side)], 32, 1.0)[0]
        assert (crop[:, :16, 0] <= 2).all()
        assert (crop[:, :15] == crop[:, :1]).all()


def test_out_is_used_and_may_be_longer():
    buffer = np.empty((8, 24, 24, 3), np.uint8)
    crops = square_crops(ramp(50, 50), [Box(0, 0, 10, 10)] * 3, 24, 1.4, buffer)
    assert crops.shape == (3, 24, 24, 3)
    assert np.shares_memory(crops, buffer)


def test_no_box_gives_no_crop():
    assert square_crops(ramp(5, 5), [], 96, 1.4).shape == (0, 96, 96, 3)


def test_an_empty_picture_gives_black():
    assert not square_crops(np.zeros((0, 7, 3), np.uint8), [Box(0, 0, 3, 3)], 8, 1.4).any()


def test_a_very_large_picture_is_no_obstacle():
    picture = np.zeros((4, 40_000, 3), np.uint8)
    picture[:, 39_000:] = 200
    crop = square_crops(picture, [Box(39_500, 0, 39_504, 4)], 16, 1.0)[0]
    assert (crop == 200).all()


numbers = st.one_of(
    st.floats(-1e9, 1e9), st.floats(-50, 200), st.sampled_from([float("nan"), float("inf"), -float("inf"), 0.0, 1e300])
)


@settings(max_examples=300, deadline=None)
@given(st.tuples(numbers, numbers, numbers, numbers), st.integers(1, 130), st.integers(1, 130), st.floats(0.1, 4))
def test_every_box_gives_pixels_of_the_picture(corners, height, width, margin):
    picture = np.random.default_rng(1).integers(90, 111, (height, width, 3), dtype=np.uint8)
    crop = square_crops(picture, [Box(*corners)], 24, margin)[0]
    assert crop.min() >= 90
    assert crop.max() <= 110
