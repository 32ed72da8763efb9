"""Drawing on pictures: the right colour, always on a copy, at any size and any place."""

import numpy as np
import pytest

from edged.draw import COLOURS, NOSE, POINT, SHUT, Portrait, annotate
from edged.types import Box, HeadPose, Image, MaskState

CORRECT, INCORRECT, NONE, UNCERTAIN = MaskState
FACE = Box(100, 100, 300, 300)
LINES = ("away 3.2 s, distracted", "warning: microsleep")
FAR_POINTS = np.array([[1e9, -1e9], [np.nan, np.inf]] * 34, np.float32)


def pose(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> HeadPose:
    return HeadPose(yaw, pitch, roll, yaw, pitch, 3.0)


def where(drawn: Image, colour: tuple[int, int, int]) -> np.ndarray:
    """Pixels (x, y) of exactly that colour."""
    return np.argwhere((drawn == colour).all(axis=-1))[:, ::-1]


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


@pytest.mark.parametrize("state", MaskState)
def test_a_face_is_framed_in_the_colour_of_its_state(state):
    drawn = annotate(grey(200, 300), [Portrait(Box(100, 100, 130, 130), state, "")])
    assert tuple(drawn[115, 100]) == tuple(drawn[115, 130]) == COLOURS[state]
    assert tuple(drawn[115, 115]) == (90, 90, 90)


def test_the_colours_are_green_blue_red_and_grey():
    strongest = {state: "bgr"[int(np.argmax(colour))] for state, colour in COLOURS.items()}
    assert (strongest[CORRECT], strongest[INCORRECT], strongest[NONE]) == ("g", "b", "r")
    assert len(set(COLOURS[UNCERTAIN])) == 1


def test_the_picture_itself_is_left_alone():
    picture = grey(200, 300)
    drawn = annotate(picture, [Portrait(Box(10, 60, 90, 140), NONE, "#1")])
    assert (picture == 90).all()
    assert not np.shares_memory(picture, drawn)


@pytest.mark.parametrize("top", [0, 5, 100, 190])
def test_words_lie_in_the_picture_wherever_the_face_is(top):
    drawn = annotate(grey(200, 400), [Portrait(Box(100, top, 300, 200), NONE, "")])
    assert (drawn > 200).all(axis=-1).sum() > 20


def test_small_faces_get_no_words():
    drawn = annotate(grey(200, 400), [Portrait(Box(100, 100, 112, 112), NONE, "#1")])
    assert not (drawn > 200).all(axis=-1).any()


@pytest.mark.parametrize("size", [(1, 1), (20, 10_000), (10_000, 20), (2, 2)])
@pytest.mark.parametrize(
    "box", [Box(-5, -5, 9_990, 15), Box(0, 0, 1, 1), Box(-1e9, -1e9, 1e9, 1e9), Box(5e8, 5e8, 6e8, 6e8)]
)
def test_any_picture_and_box_can_be_drawn(size, box):
    drawn = annotate(grey(*size), [Portrait(box, NONE, "#123456", LINES, FAR_POINTS, pose(40, -20), eyes_shut=True)])
    assert drawn.shape == (*size, 3)


def test_no_faces_give_the_picture():
    assert (annotate(grey(4, 4), []) == 90).all()


# --- points, axes, eyes, words


def test_landmarks_are_small_dots_where_they_are_and_nowhere_else():
    points = np.array([[120 + 2.5 * k, 150 + k] for k in range(68)], np.float32)
    drawn = annotate(grey(400, 400), [Portrait(FACE, NONE, points=points)])
    found = where(drawn, POINT)
    nearest = np.linalg.norm(found[:, None] - points[None], axis=-1).min(axis=1)
    assert nearest.max() <= 3
    assert all(np.linalg.norm(found - point, axis=1).min() <= 1 for point in points)
    assert len(found) < 68 * 16


def test_small_faces_are_not_hidden_behind_their_points():
    box = Box(100, 100, 130, 130)
    points = np.full((68, 2), 115, np.float32)
    assert len(where(annotate(grey(200, 300), [Portrait(box, NONE, points=points)]), POINT)) == 0


@pytest.mark.parametrize(
    ("head", "direction"),
    [(pose(yaw=40), (-1, 0)), (pose(yaw=-40), (1, 0)), (pose(pitch=40), (0, -1)), (pose(pitch=-40), (0, 1))],
    ids=["to the image's left", "to its right", "up", "down"],
)
def test_the_nose_points_where_the_head_does(head, direction):
    """By the signs that `HeadPose` states."""
    drawn = annotate(grey(400, 400), [Portrait(FACE, NONE, pose=head)])
    way = where(drawn, NOSE).mean(axis=0) - (200, 200)
    assert np.dot(way, direction) > 0.95 * np.linalg.norm(way)
    assert np.linalg.norm(way) > 20


def test_a_tilted_heads_nose_moves_with_it():
    """Rolled clockwise by a right angle, what was up is to the image's right."""
    drawn = annotate(grey(400, 400), [Portrait(FACE, NONE, pose=pose(pitch=40, roll=90))])
    way = where(drawn, NOSE).mean(axis=0) - (200, 200)
    assert way[0] > 0.95 * np.linalg.norm(way)


@pytest.mark.parametrize("shut", [True, False])
def test_eyes_that_are_shut_are_outlined(shut):
    points = np.random.default_rng(1).uniform(120, 280, (68, 2)).astype(np.float32)
    drawn = annotate(grey(400, 400), [Portrait(FACE, NONE, points=points, eyes_shut=shut)])
    assert (len(where(drawn, SHUT)) > 20) is shut


@pytest.mark.parametrize("top", [0, 5, 150, 380])
def test_every_line_of_words_is_in_the_picture(top):
    face = Box(100, top, 300, 400)
    bare = annotate(grey(400, 600), [Portrait(face, NONE)])
    drawn = annotate(grey(400, 600), [Portrait(face, NONE, lines=LINES)])
    white = lambda picture: (picture > 200).all(axis=-1).sum()  # noqa: E731
    one = annotate(grey(400, 600), [Portrait(face, NONE, lines=LINES[:1])])
    assert white(bare) < white(one) < white(drawn)
