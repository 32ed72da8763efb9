"""Drawing on pictures: the right colour, always on a copy, at any size and any place."""

import numpy as np
import pytest

from edged.draw import COLOURS, annotate
from edged.types import Box, MaskState

CORRECT, INCORRECT, NONE, UNCERTAIN = MaskState


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


@pytest.mark.parametrize("state", MaskState)
def test_a_face_is_framed_in_the_colour_of_its_state(state):
    drawn = annotate(grey(200, 300), [(Box(100, 100, 130, 130), state, "")])
    assert tuple(drawn[115, 100]) == tuple(drawn[115, 130]) == COLOURS[state]
    assert tuple(drawn[115, 115]) == (90, 90, 90)


def test_the_colours_are_green_blue_red_and_grey():
    strongest = {state: "bgr"[int(np.argmax(colour))] for state, colour in COLOURS.items()}
    assert (strongest[CORRECT], strongest[INCORRECT], strongest[NONE]) == ("g", "b", "r")
    assert len(set(COLOURS[UNCERTAIN])) == 1


def test_the_picture_itself_is_left_alone():
    picture = grey(200, 300)
    drawn = annotate(picture, [(Box(10, 60, 90, 140), NONE, "#1")])
    assert (picture == 90).all()
    assert not np.shares_memory(picture, drawn)


@pytest.mark.parametrize("top", [0, 5, 100, 190])
def test_words_lie_in_the_picture_wherever_the_face_is(top):
    drawn = annotate(grey(200, 400), [(Box(100, top, 300, 200), NONE, "")])
    assert (drawn > 200).all(axis=-1).sum() > 20


def test_small_faces_get_no_words():
    drawn = annotate(grey(200, 400), [(Box(100, 100, 112, 112), NONE, "#1")])
    assert not (drawn > 200).all(axis=-1).any()


@pytest.mark.parametrize("size", [(1, 1), (20, 10_000), (10_000, 20), (2, 2)])
@pytest.mark.parametrize(
    "box", [Box(-5, -5, 9_990, 15), Box(0, 0, 1, 1), Box(-1e9, -1e9, 1e9, 1e9), Box(5e8, 5e8, 6e8, 6e8)]
)
def test_any_picture_and_box_can_be_drawn(size, box):
    drawn = annotate(grey(*size), [(box, NONE, "#123456")])
    assert drawn.shape == (*size, 3)


def test_no_faces_give_the_picture():
    assert (annotate(grey(4, 4), []) == 90).all()
