"""Level square crops: where they lie in the picture, what they show there, and what odd boxes give."""

import math

import cv2
import numpy as np
import pytest

from edged.analyse.align import (
    Square,
    aligned_crops,
    apply,
    crop_to_picture,
    eye_line_angle,
    inverse,
    square_around,
    square_around_landmarks,
)
from edged.render.mean_face import MEAN_FACE, five_points
from edged.types import Box

SIZE = 112


def dotted(places, width=300, height=240):
    """A dark picture with a bright soft dot of about six pixels at each place, in coordinates of outer corners."""
    y, x = np.mgrid[:height, :width] + 0.5
    light = sum(np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 3.0**2)) for px, py in places)
    return np.repeat((255 * np.clip(light, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)


def brightest(crop):
    """Centre of gravity of the light, in coordinates of outer corners."""
    light = crop[..., 0].astype(np.float64)
    y, x = np.mgrid[: crop.shape[0], : crop.shape[1]] + 0.5
    return np.array([(light * x).sum(), (light * y).sum()]) / light.sum()


@pytest.mark.parametrize("square", [Square(50, 40, 30, 0.0), Square(-5.5, 900, 700, 1.2), Square(3, 3, 1, -3.1)])
def test_the_way_there_and_back_is_the_identity(square):
    affine = crop_to_picture(square, SIZE)
    points = np.random.default_rng(0).uniform(-50, 160, (20, 2))
    np.testing.assert_allclose(apply(inverse(affine), apply(affine, points)), points, atol=1e-9)


def test_the_middle_of_the_crop_is_the_middle_of_the_square_and_its_side_is_the_squares():
    affine = crop_to_picture(Square(70, 30, 56, 0.5), SIZE)
    corners = apply(affine, np.array([[56.0, 56.0], [0, 0], [112, 0]]))
    assert corners[0] == pytest.approx([70, 30])
    assert np.linalg.norm(corners[2] - corners[1]) == pytest.approx(56)
    assert math.atan2(*(corners[2] - corners[1])[::-1]) == pytest.approx(0.5)


@pytest.mark.parametrize("side", [60.0, 111.0, 160.0, 220.0])
@pytest.mark.parametrize("angle", [0.0, 0.4, -1.0])
def test_what_is_seen_in_the_crop_lies_there_in_the_picture(side, angle):
    place = np.array([142.3, 118.8])
    square = Square(150, 110, side, angle)
    crops = aligned_crops(dotted([place]), [square], SIZE)
    seen = brightest(crops.pixels[0])
    error = np.linalg.norm(apply(crops.to_picture[0], seen[None])[0] - place)
    assert error < 0.15


def test_the_line_of_the_eyes_is_level_in_the_crop():
    turn = np.array([[math.cos(0.45), math.sin(0.45)], [-math.sin(0.45), math.cos(0.45)]])
    face = (MEAN_FACE * 60 @ turn + (150, 100)).astype(np.float32)
    five = five_points(face)
    assert eye_line_angle(five) == pytest.approx(0.45, abs=0.01)
    x1, y1, x2, y2 = *face.min(axis=0), *face.max(axis=0)
    for square in (square_around(Box(x1, y1, x2, y2), five, 1.3), square_around_landmarks(face, 1.3)):
        eyes = apply(inverse(crop_to_picture(square, SIZE)), five[:2])
        assert eyes[0, 1] == pytest.approx(eyes[1, 1], abs=1.0)
        assert eyes[0, 0] < eyes[1, 0]


def test_without_points_the_crop_is_upright():
    assert square_around(Box(10, 20, 50, 80), None, 1.3) == Square(30, 50, pytest.approx(78), 0)
    nowhere = np.full((5, 2), np.nan, np.float32)
    assert square_around(Box(10, 20, 50, 80), nowhere, 1.3).angle == 0


def test_landmarks_give_the_square_that_their_box_would():
    face = (MEAN_FACE * 50 + (150, 120)).astype(np.float32)
    x1, y1, x2, y2 = *face.min(axis=0), *face.max(axis=0)
    box = Box(x1, y1 - 0.22 * (y2 - y1), x2, y2)
    assert square_around_landmarks(face, 1.3) == pytest.approx(square_around(box, None, 1.3), abs=0.5)


def test_large_faces_are_averaged_not_sampled():
    """Black and white columns a pixel wide are grey from afar."""
    stripes = np.zeros((900, 900, 3), np.uint8)
    stripes[:, ::2] = 255
    for angle in (0.0, 0.3):
        crop = aligned_crops(stripes, [Square(450, 450, 600, angle)], SIZE).pixels[0]
        assert np.abs(crop.astype(int) - 127).max() < 25


@pytest.mark.parametrize("side", [139.0, 141.0, 279.0, 281.0, 560.0, 701.0, 1500.0])
def test_a_face_however_large_is_shown_as_it_looks_from_afar(side):
    """Averaged in steps, it is what averaging at once makes of it, at its place."""
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (1701, 1703, 3), dtype=np.uint8), (0, 0), side / 40)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    square = Square(851.5, 850.5, side, 0.0)
    crop = aligned_crops(image, [square], SIZE).pixels[0]
    low, count = round(851 - side / 2), round(side)
    expected = cv2.resize(image[low : low + count, low : low + count], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    inner = slice(2, -2)
    assert np.abs(crop.astype(int) - expected)[inner, inner].mean() < 4


def test_the_crops_are_written_into_the_buffer_that_is_given():
    out = np.zeros((4, SIZE, SIZE, 3), np.uint8)
    crops = aligned_crops(dotted([(50, 50)]), [Square(50, 50, 40, 0)] * 2, SIZE, out)
    assert crops.pixels.base is out
    assert crops.pixels.shape == (2, SIZE, SIZE, 3)
    assert out[1].any()
    assert not out[2:].any()


def test_outside_the_picture_the_edge_is_repeated():
    image = np.full((80, 80, 3), 90, np.uint8)
    image[:, 0] = 200
    crop = aligned_crops(image, [Square(0, 40, 60, 0)], SIZE).pixels[0]
    assert (crop[:, :50] == 200).all()
    assert (crop[:, 70:] == 90).all()


ODD_BOXES = [
    Box(10, 10, 10, 10),
    Box(50, 50, 20, 20),
    Box(math.nan, 0, math.inf, 40),
    Box(-math.inf, -math.inf, math.inf, math.inf),
    Box(-1e30, 5, 1e30, 8),
    Box(5000, 5000, 5100, 5100),
    Box(-500, -500, -400, -400),
    Box(-20, -20, 15, 15),
    Box(0, 0, 1e5, 1e5),
]


@pytest.mark.parametrize("box", ODD_BOXES)
@pytest.mark.parametrize("shape", [(60, 80, 3), (1, 1, 3), (2, 300, 3)])
def test_odd_boxes_give_some_crop_and_a_finite_way_back(box, shape):
    image = np.full(shape, 77, np.uint8)
    points = np.array([[0, 0], [1, 1], [math.nan] * 2, [0, 0], [0, 0]], np.float32)
    square = square_around(box, points, 1.3)
    assert all(map(math.isfinite, square))
    crops = aligned_crops(image, [square], SIZE)
    assert (crops.pixels == 77).all()
    assert np.isfinite(crops.to_picture).all()


def test_landmarks_that_are_no_face_give_a_finite_square():
    for points in (np.full((68, 2), value, np.float32) for value in (0.0, 1e9, 2e38)):
        square = square_around_landmarks(points, 1.3)
        assert all(map(math.isfinite, square))
        assert square.side >= 1


def test_an_empty_picture_gives_black():
    crops = aligned_crops(np.zeros((0, 5, 3), np.uint8), [Square(1, 1, 4, 0)], SIZE)
    assert not crops.pixels.any()


def test_no_face_gives_no_crop():
    assert aligned_crops(np.zeros((5, 5, 3), np.uint8), [], SIZE).pixels.shape == (0, SIZE, SIZE, 3)


@pytest.mark.parametrize("shape", [(40, 40_000), (40_000, 40)])
def test_very_large_pictures_are_cut_from_too(shape):
    """OpenCV itself refuses to warp from pictures with a side of 32,768 pixels or more."""
    image = np.full((*shape, 3), 60, np.uint8)
    middle = [value / 2 for value in shape[::-1]]
    for side in (30.0, 39_000.0):
        crop = aligned_crops(image, [Square(*middle, side, 0.2)], SIZE).pixels[0]
        assert (crop == 60).all()


def test_a_warp_is_what_opencv_makes_of_the_same_affine():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8), (0, 0), 3)
    square = Square(95, 105, 100, 0.3)
    affine = crop_to_picture(square, SIZE)
    grid = np.stack(np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5), axis=-1).reshape(-1, 2)
    places = (apply(affine, grid) - 0.5).reshape(SIZE, SIZE, 2).astype(np.float32)
    expected = cv2.remap(image, places[..., 0], places[..., 1], cv2.INTER_LINEAR)
    found = aligned_crops(image, [square], SIZE).pixels[0]
    assert np.abs(found.astype(int) - expected).max() <= 2
