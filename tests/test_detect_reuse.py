"""When a face's detection in the picture before still holds; what a schedule makes of it is in test_detect_schedule.py."""

import numpy as np
import pytest
from support.doubles import square

from edged.detect.changes import thumbnail
from edged.detect.reuse import DetectionReuse
from edged.types import Detection, Expected, Image

FOUND = Detection(square(150, 160, 100), 0.9)
THERE = Expected(FOUND.box, True, 1, FOUND)
CHECKED = np.random.default_rng(3).integers(0, 255, (23, 40, 3)).astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)


def holds(before: Image, now: Image) -> bool:
    """Whether what was found in the picture before is used again in this one, a fifteenth of a second later."""
    reuse = DetectionReuse()
    reuse.reusable(0.0, thumbnail(before), [], 0.3)
    return reuse.reusable(1 / 15, thumbnail(now), [THERE], 0.3) == [FOUND]


def test_a_face_is_where_it_was_while_the_picture_is_the_same():
    assert holds(CHECKED, CHECKED)


@pytest.mark.parametrize(("steps", "held"), [(3, True), (7, False)])
def test_a_shadow_over_half_of_a_face_is_movement_however_faint(steps: int, held: bool):
    dim = np.minimum(CHECKED, 200)
    shaded = dim.copy()
    shaded[112:208, 96:144] += np.uint8(steps)
    assert holds(dim, shaded) is held


@pytest.mark.parametrize("axis", [0, 1], ids=["upright", "level"])
def test_along_stripes_movement_does_not_show(axis: int):
    stripes = CHECKED.take([0], axis).repeat(CHECKED.shape[axis], axis)
    assert not holds(stripes, stripes)


@pytest.mark.parametrize("size", [(352, 640), (368, 624), (720, 1280)])
def test_a_picture_of_another_size_shows_nothing_of_it(size: tuple[int, int]):
    other = np.resize(CHECKED, (*size, 3))
    assert not holds(CHECKED, other)
