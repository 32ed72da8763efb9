"""Neighbourhoods side by side on one canvas: where they lie, and that a face is found there as in the whole picture."""

from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.demo.scene import portrait_crowd
from edged.detect.anchor_free import MOST_PARTS
from edged.detect.boxes import iou
from edged.detect.mosaic import FACE, MARGIN, ROOM, STEP, UNIT, around, arrange, merged
from edged.inference import default_engines_dir, load_manifest, open_engine
from edged.readers import DetectionLimits, make_detector
from edged.types import Box

WIDTH, HEIGHT = 640, 480
boxes = st.builds(
    lambda x, y, width, tall: Box(x, y, x + width, y + width * tall),
    st.floats(-100, WIDTH),
    st.floats(-100, HEIGHT),
    st.floats(1, 500),
    st.floats(0.7, 1.6),
)


@given(box=boxes, largest=st.sampled_from([0.25, 2 / 3, 1.0, 2.0]))
def test_a_neighbourhood_holds_the_face_and_what_is_around_it(box: Box, largest: float):
    part = around(box, WIDTH, HEIGHT, largest)
    side = max(box.width, box.height)
    margin = max(MARGIN * side, ROOM / (part.scale if part else largest)) - 1
    if part is None:
        assert box.x1 - margin >= WIDTH or box.y1 - margin >= HEIGHT or box.x2 + margin <= 0 or box.y2 + margin <= 0
        return
    assert 0 <= part.left <= max(0, box.x1 - margin)
    assert 0 <= part.top <= max(0, box.y1 - margin)
    assert min(WIDTH, box.x2 + margin) <= part.right <= WIDTH
    assert min(HEIGHT, box.y2 + margin) <= part.bottom <= HEIGHT
    assert part.scale * side <= FACE + 1e-6
    assert part.scale == largest or part.scale * side > FACE / 2 - 1e-6


@given(st.lists(boxes, min_size=1, max_size=MOST_PARTS))
def test_no_part_lies_on_another_and_every_place_is_on_the_canvas(places: list[Box]):
    parts = [part for box in places if (part := around(box, WIDTH, HEIGHT, 1.0))]
    if not parts:
        return
    mosaic = arrange(merged(parts))
    assert mosaic.width % UNIT == mosaic.height % UNIT == 0
    for part in mosaic.parts:
        assert part.x % STEP == part.y % STEP == 0
        assert 0 <= part.x <= part.x + part.size[0] <= mosaic.width
        assert 0 <= part.y <= part.y + part.size[1] <= mosaic.height
    for a, b in combinations(mosaic.parts, 2):
        apart = a.x + a.size[0] <= b.x or b.x + b.size[0] <= a.x or a.y + a.size[1] <= b.y or b.y + b.size[1] <= a.y
        assert apart
    for part in parts:
        assert any(
            one.scale == part.scale
            and one.left <= part.left
            and one.top <= part.top
            and part.right <= one.right
            and part.bottom <= one.bottom
            for one in mosaic.parts
        )


def test_the_canvas_shows_each_part_at_its_place():
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    mosaic = arrange([part for x in (0, 300) if (part := around(Box(x, 200, x + 40, 250), WIDTH, HEIGHT, 1.0))])
    canvas = mosaic.draw(image)
    for part in mosaic.parts:
        width, height = part.size
        shown = image[part.top : part.bottom, part.left : part.right]
        np.testing.assert_array_equal(canvas[part.y : part.y + height, part.x : part.x + width], shown)


@pytest.fixture(scope="module")
def detector():
    manifest = load_manifest(default_engines_dir())
    return make_detector("edged", lambda name: open_engine(manifest, name, 1), DetectionLimits(24, 0.35))


@pytest.mark.parametrize("scale", [1, 2])
def test_a_face_is_found_in_its_neighbourhood_as_in_the_whole_picture(detector, scale):
    image = portrait_crowd().repeat(scale, axis=0).repeat(scale, axis=1)
    for face in (one for one in detector.detect(image) if one.score >= 0.6):
        shifted = Box(*(value + 0.2 * face.box.side for value in face.box))
        found = detector.detect_around(image, [shifted])
        overlaps = iou(np.array([face.box]), np.array([one.box for one in found]))[0]
        best = found[int(overlaps.argmax())]
        assert overlaps.max() > 0.85
        assert best.score > face.score - 0.15
        assert np.abs(best.points - face.points).max() < 0.1 * face.box.side


def test_a_small_face_alone_on_its_canvas_scores_as_in_the_whole_picture(detector):
    """With three quarters of its side around it a face of 20 pixels lost up to 0.23, and nobody became a person far away."""
    small = cv2.resize(portrait_crowd(), None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA)
    image = np.full((480, 640, 3), 128, np.uint8)
    image[100 : 100 + small.shape[0], 60 : 60 + small.shape[1]] = small
    whole = [one for one in detector.detect(image) if one.score >= 0.6]
    assert len(whole) >= 4
    assert all(one.box.side < 28 for one in whole)
    for face in whole:
        near = [one for one in detector.detect_around(image, [face.box]) if _same(one.box, face.box)]
        assert max(one.score for one in near) > face.score - 0.1


def test_each_face_is_told_once_however_many_neighbourhoods_show_it(detector):
    image = portrait_crowd()
    face = next(one for one in detector.detect(image) if one.score >= 0.6)
    places = [Box(*(value + step for value in face.box)) for step in (-10.0, 0.0, 10.0)]
    assert (
        len([one for one in detector.detect_around(image, places) if one.score >= 0.6 and _same(one.box, face.box)])
        == 1
    )


def test_what_a_border_cuts_off_is_left_out(detector):
    """A place beside a face, whose neighbourhood ends in the middle of it."""
    image = portrait_crowd()
    face = next(one.box for one in detector.detect(image) if one.score >= 0.6)
    middle = (face.x1 + face.x2) / 2
    beside = Box(middle - 50 * (1 + MARGIN), face.y1, middle - 50 * MARGIN, face.y1 + 50)
    part = around(beside, image.shape[1], image.shape[0], 1.0)
    assert part is not None
    assert part.right < face.x2
    assert not any(_same(one.box, face) for one in detector.detect_around(image, [beside]))


def test_too_many_or_too_large_neighbourhoods_are_no_gain(detector):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert detector.detect_around(image, []) == []
    assert detector.detect_around(image, [Box(9, 9, 40, 40)] * (MOST_PARTS + 1)) is None
    everywhere = [Box(x, y, x + 100, y + 100) for x in range(0, 640, 160) for y in range(0, 480, 160)]
    assert detector.detect_around(image, everywhere) is None
    assert detector.detect_around(np.zeros((0, 0, 3), np.uint8), [Box(9, 9, 40, 40)]) == []


def _same(a: Box, b: Box) -> bool:
    return float(iou(np.array([a]), np.array([b]))[0, 0]) > 0.3
