"""Drawing on pictures: the right colour, always on a copy, at any size and any place."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.render.annotate import BAR, COLOURS, CROWD, LEVEL_COLOURS, NOSE, OPEN, POINT, SHUT, Portrait, annotate
from edged.render.labels import Places
from edged.report.words import STATE_WORDS
from edged.types import MASK_WORDS, Box, HeadPose, Image, MaskState

CORRECT, INCORRECT, NONE, UNCERTAIN = MaskState
FACE = Box(100, 100, 300, 300)
LINES = ("away 3.2 s, distracted", "warning: microsleep")
FAR_POINTS = np.array([[1e9, -1e9], [np.nan, np.inf]] * 34, np.float32)


def pose(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> HeadPose:
    return HeadPose(yaw, pitch, roll, yaw, pitch, 3.0)


def where(drawn: Image, colour: tuple[int, int, int]) -> np.ndarray:
    """Pixels (x, y) of exactly that colour."""
    return np.argwhere((drawn == colour).all(axis=-1))[:, ::-1]


def white(picture: Image) -> int:
    """How many pixels the letters have."""
    return int((picture > 200).all(axis=-1).sum())


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


@pytest.mark.parametrize(("shut", "colours"), [(True, {SHUT}), (False, {OPEN}), (None, set())])
def test_eyes_are_outlined_by_what_is_known_of_them(shut, colours):
    points = np.random.default_rng(1).uniform(120, 280, (68, 2)).astype(np.float32)
    drawn = annotate(grey(400, 400), [Portrait(FACE, NONE, points=points, eyes_shut=shut)])
    assert {colour for colour in (SHUT, OPEN) if len(where(drawn, colour)) > 20} == colours


@pytest.mark.parametrize("top", [0, 5, 150, 380])
def test_every_line_of_words_is_in_the_picture(top):
    face = Box(100, top, 300, 400)
    bare = annotate(grey(400, 600), [Portrait(face, NONE)])
    drawn = annotate(grey(400, 600), [Portrait(face, NONE, lines=LINES)])
    one = annotate(grey(400, 600), [Portrait(face, NONE, lines=LINES[:1])])
    assert white(bare) < white(one) < white(drawn)


# --- what nobody asked for


def test_where_nobody_asked_for_masks_no_state_is_drawn():
    drawn = annotate(grey(400, 400), [Portrait(FACE, None, "#1", LINES)])
    assert all(len(where(drawn, colour)) == 0 for colour in (COLOURS[CORRECT], COLOURS[INCORRECT], COLOURS[NONE]))
    assert tuple(drawn[200, 100]) == LEVEL_COLOURS["unknown"]
    assert white(annotate(grey(400, 400), [Portrait(FACE, None)])) == 0


def test_green_means_a_mask_worn_correctly_and_nothing_else():
    assert COLOURS[CORRECT] not in LEVEL_COLOURS.values()


@pytest.mark.parametrize("level", LEVEL_COLOURS)
def test_the_level_colours_the_frame_of_a_face_without_a_mask_state(level):
    assert tuple(annotate(grey(400, 400), [Portrait(FACE, None, level=level)])[200, 100]) == LEVEL_COLOURS[level]


@pytest.mark.parametrize("level", LEVEL_COLOURS)
def test_what_is_grave_colours_the_words_below_a_face(level):
    drawn = annotate(grey(400, 400), [Portrait(FACE, CORRECT, lines=LINES, level=level)])
    colour = LEVEL_COLOURS[level] if level in ("warning", "alarm") else BAR
    assert (drawn[304:] == colour).all(axis=-1).sum() > 100
    assert tuple(drawn[200, 100]) == COLOURS[CORRECT]


# --- crowds


def test_words_of_neighbours_do_not_lie_on_each_other():
    """Every letter of both is there."""
    left, right = Portrait(Box(60, 100, 140, 180), CORRECT, "#1"), Portrait(Box(150, 100, 230, 180), NONE, "#2")
    alone = [white(annotate(grey(300, 400), [face])) for face in (left, right)]
    assert min(alone) > 50
    assert white(annotate(grey(300, 400), [left, right])) == sum(alone)


def test_words_do_not_hide_another_face():
    """The lower face's words would stand on the upper one's chin."""
    upper, lower = Box(100, 40, 180, 120), Box(105, 122, 185, 202)
    drawn = annotate(grey(300, 400), [Portrait(upper, CORRECT, "#1"), Portrait(lower, NONE, "#2")])
    assert (drawn[43:118, 103:178] == 90).all()
    assert (drawn[125:200, 108:183] == 90).all()
    assert white(drawn) > 100


def crowd(count: int) -> list[Portrait]:
    states = (CORRECT, NONE, INCORRECT)
    return [
        Portrait(Box(x := 30 + 90 * (n % 6), y := 40 + 80 * (n // 6), x + 60, y + 60), states[n % 3], f"#{n}")
        for n in range(count)
    ]


def test_a_crowd_carries_badges_in_its_colours_and_one_line_that_explains_them():
    faces = crowd(CROWD + 1)
    drawn = annotate(grey(400, 600), faces)
    for face in faces:
        around = drawn[int(face.box.y1) - 22 : int(face.box.y1) - 2, int(face.box.x1) : int(face.box.x2)]
        disc = (around == COLOURS[face.state]).all(axis=-1)
        assert 100 < disc.sum() < 400, "a badge, and no bar of words"
        assert (
            drawn[int(face.box.y1) + 4 : int(face.box.y2) - 4, int(face.box.x1) + 4 : int(face.box.x2) - 4] == 90
        ).all()
    assert len(where(drawn, BAR)) > 1000


def test_uncertain_faces_of_a_crowd_have_their_frame_alone():
    drawn = annotate(grey(400, 600), [Portrait(face.box, UNCERTAIN) for face in crowd(CROWD + 1)])
    assert white(drawn[:220]) == 0


boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h),
    st.integers(-50, 400), st.integers(-50, 300), st.integers(1, 200), st.integers(1, 200),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(boxes, st.integers(1, 150), st.integers(1, 40), st.booleans(), st.booleans()), max_size=25))
def test_no_words_lie_on_others_or_outside_the_picture_or_on_another_face(wanted):
    faces = [face for face, *_ in wanted]
    places = Places(400, 300, faces)
    for face, width, height, below, over_faces in wanted:
        spot = places.beside(face, width, height, below=below, over_faces=over_faces)
        if spot is not None:
            own = Box(*spot, spot[0] + width, spot[1] + height)
            assert own.x1 >= 0
            assert own.y1 >= 0
            assert own.x2 <= 400
            assert own.y2 <= 300
            assert over_faces or not any(overlap(own, other) for other in faces if other is not face)
    assert not any(overlap(one, other) for one, other in combinations(places.taken, 2))


def overlap(one: Box, other: Box) -> bool:
    return min(one.x2, other.x2) > max(one.x1, other.x1) and min(one.y2, other.y2) > max(one.y1, other.y1)


def test_pictures_report_and_commands_say_the_same_of_a_mask():
    """One set of words for people; the values for machines stay."""
    assert {state.value: state.words for state in MaskState} == MASK_WORDS
    assert set(STATE_WORDS.items()) == {(state.value, state.words.capitalize()) for state in MaskState}
    for state in MaskState:
        portrait = Portrait(Box(0, 0, 90, 90), state, note="#3")
        assert portrait.headline == f"{STATE_WORDS[state.value]} #3"
