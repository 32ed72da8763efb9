"""Vectorised box geometry does what the obvious loops do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.baselines import mtcnn
from edged.detect import anchor_free
from edged.detect import boxes as geometry
from edged.inference import default_engines_dir, load_manifest, open_engine
from edged.readers import DetectionLimits, make_detector
from edged.selftest.golden import golden_pictures

# Whole numbers on a small field: overlaps, ties, shared edges and boxes without area are all likely.
coordinate = st.integers(0, 12)
box = st.tuples(coordinate, coordinate, coordinate, coordinate).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)
box_lists = st.lists(box, max_size=25)
kinds = st.sampled_from(["union", "min"])
thresholds = st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0])


def array(rows):
    return np.array(rows, float).reshape(-1, 4)


def slow_iou(a, b, kind):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = width * height if width > 0 and height > 0 else 0
    area_a, area_b = ((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    whole = area_a + area_b - common if kind == "union" else min(area_a, area_b)
    return common / whole if whole else 0.0


def slow_suppress(boxes, scores, threshold, kind, *, strictly):
    order = sorted(range(len(boxes)), key=lambda i: (-scores[i], -i))
    kept = []
    for rank, i in enumerate(order):
        rivals = order[:rank] if strictly else kept
        if all(slow_iou(boxes[i], boxes[j], kind) <= threshold for j in rivals):
            kept.append(i)
    return kept


@given(box_lists, box_lists, kinds)
def test_iou_is_the_slow_iou(a, b, kind):
    found = geometry.iou(array(a), array(b), kind)
    assert found.shape == (len(a), len(b))
    expected = [[slow_iou(p, q, kind) for q in b] for p in a]
    np.testing.assert_allclose(found, np.reshape(expected, found.shape), atol=1e-12)


@given(box_lists, st.data(), thresholds, kinds)
def test_strict_suppression_is_the_slow_suppression(rows, data, threshold, kind):
    scores = data.draw(st.lists(st.sampled_from([0.1, 0.5, 0.9, 1.0]), min_size=len(rows), max_size=len(rows)))
    boxes, values = array(rows), np.array(scores)
    strict = mtcnn.suppress_strictly(boxes, values, threshold, kind)
    assert strict.tolist() == slow_suppress(rows, scores, threshold, kind, strictly=True)


def test_suppression_of_many_boxes_crosses_block_borders():
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 100, (700, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 30, (700, 2))], axis=1)
    scores = rng.uniform(size=700)
    found = mtcnn.suppress_strictly(boxes, scores, 0.4)
    assert 20 < len(found) < 500
    assert found.tolist() == slow_suppress(boxes.tolist(), scores.tolist(), 0.4, "union", strictly=True)


def test_a_chain_of_overlaps_tells_the_two_suppressions_apart():
    chain = array([(0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10)])
    scores = np.array([0.9, 0.8, 0.7])
    assert geometry.suppress(chain, scores, 0.4).tolist() == [0, 2]
    assert mtcnn.suppress_strictly(chain, scores, 0.4).tolist() == [0]


@pytest.mark.parametrize("kind", ["union", "min"])
def test_boxes_without_area_overlap_nothing(kind):
    boxes = array([(5, 5, 5, 9), (5, 5, 5, 9), (0, 0, 10, 10)])
    assert geometry.iou(boxes, boxes, kind)[:2].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_min_sees_a_box_inside_another():
    boxes = array([(0, 0, 10, 10), (2, 2, 4, 4)])
    assert geometry.iou(boxes, boxes, "union")[0, 1] == pytest.approx(0.04)
    assert geometry.iou(boxes, boxes, "min")[0, 1] == 1


@given(box_lists)
def test_squares_keep_the_centre_and_the_longer_side(rows):
    boxes = array(rows)
    found = mtcnn.squared(boxes)
    np.testing.assert_allclose(found[:, :2] + found[:, 2:], boxes[:, :2] + boxes[:, 2:])
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    np.testing.assert_allclose(found[:, 2:] - found[:, :2], np.stack([sides, sides], axis=1))


def test_clip_moves_corners_to_the_edges():
    found = mtcnn.clip(array([(-3, 2, 50, 60), (60, 60, 70, 70)]), 40, 30)
    assert found.tolist() == [[0, 2, 40, 30], [40, 30, 40, 30]]


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 20))
def test_best_keeps_the_best_in_their_order(values, count):
    scores = np.array(values, float)
    found = mtcnn.best(scores, count)
    assert sorted(scores[found]) == sorted(values)[-count:]
    assert found.tolist() == sorted(set(found.tolist()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_kept_and_nothing_comes_of_nothing(dtype):
    none = np.empty((0, 4), dtype)
    some = np.array([[0, 0, 2, 4]], dtype)
    for function in (mtcnn.squared, geometry.areas, lambda b: mtcnn.clip(b, 3, 3), lambda b: geometry.iou(b, b)):
        assert function(none).dtype == function(some).dtype == dtype
        assert len(function(none)) == 0
    assert geometry.suppress(none, none[:, 0], 0.5).size == mtcnn.suppress_strictly(none, none[:, 0], 0.5).size == 0


def test_greedy_suppression_is_the_slow_suppression():
    rng = np.random.default_rng(7)
    for count in (1, 2, 10, 100, 300):
        corners = rng.uniform(0, 200, (count, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(1, 60, (count, 2))], axis=1).astype(np.float32)
        scores = rng.choice([0.3, 0.5, 0.9, 1.0], count).astype(np.float32)  # equal ones are common
        expected = slow_suppress(boxes.tolist(), scores.tolist(), 0.45, "union", strictly=False)
        assert geometry.suppress(boxes, scores, 0.45).tolist() == expected


def test_on_the_golden_pictures_the_same_faces_are_kept(monkeypatch):
    def both(boxes, scores, threshold):
        kept = geometry.suppress(boxes, scores, threshold)
        assert kept.tolist() == slow_suppress(boxes.tolist(), scores.tolist(), threshold, "union", strictly=False)
        dropped.append(len(boxes) - len(kept))
        return kept

    dropped: list[int] = []
    monkeypatch.setattr(anchor_free, "suppress", both)
    manifest = load_manifest(default_engines_dir())
    detector = make_detector("edged", lambda name: open_engine(manifest, name, 1), DetectionLimits(12, 0.05))
    for picture in golden_pictures():
        detector.detect(picture.image)
    assert sum(dropped) > 50
