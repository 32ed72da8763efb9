"""A picture's coarse look tells the smallest new face from a camera's noise."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.data.coco import read_coco, read_picture
from edged.detect.changes import CELL, changed, thumbnail
from edged.types import Box, Image

HALL = np.random.default_rng(1).integers(40, 200, (23, 40, 3)).astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)


def seen(image: Image, noise: float, seed: int) -> Image:
    """As a camera would give it."""
    return np.clip(image + np.random.default_rng(seed).normal(0, noise, image.shape), 0, 255).astype(np.uint8)


def differs(image: Image, before: Image) -> bool:
    return bool(changed(thumbnail(image), thumbnail(before)).any())


def test_a_cameras_noise_changes_nothing():
    assert not any(differs(seen(HALL, 3, seed), seen(HALL, 3, 0)) for seed in range(1, 30))


@given(x=st.integers(0, 640 - 24), y=st.integers(0, 368 - 24), step=st.sampled_from([-30, 30]))
def test_the_smallest_face_anywhere_is_a_change(x: int, y: int, step: int):
    there = HALL.copy()
    there[y : y + 24, x : x + 24] += np.uint8(step % 256)
    cells = changed(thumbnail(there), thumbnail(HALL))
    rows, columns = np.nonzero(cells)
    assert rows.size
    assert y // CELL <= rows.min() <= rows.max() <= (y + 23) // CELL
    assert x // CELL <= columns.min() <= columns.max() <= (x + 23) // CELL


@pytest.mark.parametrize("size", [(0, 0), (0, 9), (1, 1), (15, 17), (1080, 1920)])
def test_pictures_of_any_size_have_a_thumbnail(size: tuple[int, int]):
    picture = np.full((*size, 3), 77, np.uint8)
    small = thumbnail(picture)
    assert small.colours.shape == (-(-size[0] // CELL) if size[1] else 0, -(-size[1] // CELL) if size[0] else 0, 3)
    assert (small.colours == 77).all()
    assert changed(small, small).shape == small.colours.shape[:2]
    assert not changed(small, small).any()


def boxes(draw: st.DrawFn) -> Box:
    x, y = draw(st.floats(-200, 2000)), draw(st.floats(-200, 1200))
    return Box(x, y, x + draw(st.floats(1, 600)), y + draw(st.floats(1, 600)))


@given(
    st.sampled_from([(360, 640), (372, 538), (1080, 1920), (721, 33), (15, 17)]), st.composite(boxes)(), st.floats(0, 1)
)
def test_cells_lie_where_their_pixels_do(size: tuple[int, int], box: Box, margin: float):
    """Cells are a little smaller than CELL where the picture is no multiple of it."""
    height, width = size
    small = thumbnail(np.zeros((height, width, 3), np.uint8))
    rows, columns = small.colours.shape[:2]
    room = margin * max(box.width, box.height)
    across = np.arange(columns + 1) * width / columns
    down = np.arange(rows + 1) * height / rows
    for cells, whole in ((small.touched(box, margin), False), (small.within(box, margin), True)):
        mask = np.zeros((rows, columns), np.bool_)
        cells.of(mask)[:] = True
        x1, x2 = (across[:-1], across[1:]) if whole else (across[1:], across[:-1])
        y1, y2 = (down[:-1], down[1:]) if whole else (down[1:], down[:-1])
        inside_x = (x1 > box.x1 - room + 1e-6) & (x2 < box.x2 + room - 1e-6)
        inside_y = (y1 > box.y1 - room + 1e-6) & (y2 < box.y2 + room - 1e-6)
        assert mask[np.ix_(inside_y, inside_x)].all()
        outside_x = (x1 < box.x1 - room - 1e-6) | (x2 > box.x2 + room + 1e-6)
        outside_y = (y1 < box.y1 - room - 1e-6) | (y2 > box.y2 + room + 1e-6)
        assert not mask[outside_y].any()
        assert not mask[:, outside_x].any()


def test_real_faces_of_the_smallest_size_do_not_appear_unseen(shared):
    """Cut out, made 24 pixels small, and put somewhere into a hall."""
    rng = np.random.default_rng(0)
    before = seen(HALL, 2, 0)
    unseen, faces = 0, 0
    for labelled in read_coco(shared / "data" / "masks853")[::3]:
        picture = read_picture(labelled.path)
        for x1, y1, x2, y2 in labelled.boxes.round().astype(int):
            if min(x2 - x1, y2 - y1) < 40:
                continue
            face = cv2.resize(picture[max(y1, 0) : y2, max(x1, 0) : x2], (24, 24), interpolation=cv2.INTER_AREA)
            oval = cv2.ellipse(np.zeros((24, 24, 1), np.uint8), (12, 12), (11, 11), 0, 0, 360, 1, -1).astype(np.bool_)
            x, y = rng.integers(0, HALL.shape[1] - 24), rng.integers(0, HALL.shape[0] - 24)
            there = HALL.copy()
            there[y : y + 24, x : x + 24] = np.where(oval, face, there[y : y + 24, x : x + 24])
            unseen += not differs(seen(there, 2, faces + 1), before)
            faces += 1
    assert faces > 150
    assert unseen <= faces / 200
