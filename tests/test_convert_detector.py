"""The detector's training: who must find whom, what it costs, and that samples keep faces and labels together."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from convert.data.clutter import draw_clutter  # noqa: E402
from convert.detector.assign import assign, lay_cells, pairwise_iou  # noqa: E402
from convert.detector.evaluate import average_precision  # noqa: E402
from convert.detector.losses import UNKNOWN, Faces, complete_iou_loss, detection_loss  # noqa: E402
from convert.detector.network import CHANNELS, DetectorModel, DetectorNetwork  # noqa: E402
from convert.detector.pictures import COLUMNS, IGNORED  # noqa: E402
from convert.detector.samples import SIZE, Sample, mirror, to_truth, window  # noqa: E402


def corners(rows):
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def test_cells_lie_in_the_middle_of_their_squares():
    cells = lay_cells(64, 96, torch.device("cpu"))
    assert len(cells.centres) == 8 * 12 + 4 * 6 + 2 * 3
    assert cells.centres[0].tolist() == [4, 4]
    assert cells.centres[1].tolist() == [12, 4]
    assert cells.centres[-1].tolist() == [80, 48]
    assert cells.strides[-1] == 32


def slow_assignment(cells, scores, boxes, faces):
    """The paper's rules, one cell and face at a time."""
    cost, overlap = {}, {}
    for a in range(len(cells.centres)):
        x, y = cells.centres[a].tolist()
        reach = 2.5 * float(cells.strides[a])
        near = []
        for x1, y1, x2, y2 in faces.tolist():
            inside = x1 < x < x2 and y1 < y < y2
            central = abs(x - (x1 + x2) / 2) < reach and abs(y - (y1 + y2) / 2) < reach
            near.append((inside, central))
        if not any(i or c for i, c in near):
            continue
        for g, (inside, central) in enumerate(near):
            overlap[a, g] = float(pairwise_iou(boxes[a : a + 1], faces[g : g + 1]))
            far = 0 if inside and central else 1e5
            cost[a, g] = -np.log(float(scores[a])) - 3 * np.log(overlap[a, g] + 1e-8) + far
    pairs = set()
    candidates = sorted({a for a, _ in cost})
    for g in range(len(faces)):
        best = sorted((overlap[a, g] for a in candidates), reverse=True)[:10]
        count = max(1, int(sum(best)))
        pairs |= {(a, g) for a in sorted(candidates, key=lambda a: cost[a, g])[:count]}
    return {(a, min((g for b, g in pairs if b == a), key=lambda g: cost[a, g])) for a, _ in pairs}


@pytest.mark.parametrize("seed", range(8))
def test_assignment_follows_the_slow_rules(seed):
    generator = torch.Generator().manual_seed(seed)
    cells = lay_cells(96, 96, torch.device("cpu"))
    count = len(cells.centres)
    scores = torch.rand(count, generator=generator) * 0.9 + 0.05
    middle = cells.centres + torch.randn(count, 2, generator=generator) * 5
    half = torch.rand(count, 2, generator=generator) * 15 + 3
    boxes = torch.cat([middle - half, middle + half], dim=1)
    faces = corners([[10, 12, 40, 50], [30, 20, 62, 58], [70, 70, 78, 79]])
    found = assign(cells, scores, boxes, faces)
    assert set(zip(found.cells.tolist(), found.faces.tolist(), strict=True)) == slow_assignment(
        cells, scores, boxes, faces
    )
    assert set(found.faces.tolist()) == {0, 1, 2}


def test_a_picture_without_faces_asks_no_cell():
    cells = lay_cells(64, 64, torch.device("cpu"))
    found = assign(cells, torch.rand(len(cells.centres)), torch.zeros(len(cells.centres), 4), corners([]))
    assert len(found.cells) == 0


def test_box_loss_is_zero_only_for_the_same_box():
    truth = corners([[10, 10, 30, 40]])
    assert float(complete_iou_loss(truth, truth)) == pytest.approx(0, abs=1e-6)
    apart = [float(complete_iou_loss(corners([[10 + d, 10, 30 + d, 40]]), truth)) for d in (1, 5, 25, 60)]
    assert apart == sorted(apart)
    assert apart[0] > 0


def truth_of(boxes, state=0):
    count = len(boxes)
    return Faces(
        corners(boxes),
        torch.zeros(count, 5, 2),
        torch.zeros(count, 5),
        torch.full((count, 5), float(UNKNOWN)),
        torch.full((count,), state),
        corners([]),
    )


def test_unknown_labels_cost_nothing():
    torch.manual_seed(0)
    levels = [torch.randn(1, CHANNELS, 64 // s, 64 // s, requires_grad=True) for s in (8, 16, 32)]
    parts = detection_loss(levels, [truth_of([[8, 8, 40, 40]], UNKNOWN)])
    assert [float(parts[name].detach()) for name in ("points", "visible", "mask")] == [0, 0, 0]
    sum(parts.values()).backward()
    assert all(torch.isfinite(level.grad).all() for level in levels)


def test_ignored_regions_are_not_asked_about():
    levels = [torch.zeros(1, CHANNELS, 64 // s, 64 // s) for s in (8, 16, 32)]
    whole = truth_of([])
    ignoring = Faces(**{**vars(whole), "ignored": corners([[0, 0, 64, 64]])})
    assert float(detection_loss(levels, [whole])["score"]) > 0
    assert float(detection_loss(levels, [ignoring])["score"]) == 0


def test_the_network_gives_one_map_a_stride_for_any_size():
    model = DetectorModel(DetectorNetwork()).eval()
    with torch.inference_mode():
        levels = model(torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8))
    assert [tuple(level.shape) for level in levels] == [(2, 23, 64 // s, 96 // s) for s in (8, 16, 32)]
    assert float(levels[0][:, 20:].sum(dim=1).mean()) == pytest.approx(1)
    assert (levels[0][:, 3:5] > 0).all()


def a_face(x1, y1, x2, y2, state=1.0):
    row = np.zeros(COLUMNS, np.float32)
    row[:4] = x1, y1, x2, y2
    width, height = x2 - x1, y2 - y1
    points = [(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)]
    row[4:14] = np.array([(x1 + u * width, y1 + v * height) for u, v in points]).reshape(-1)
    row[14:19], row[19:24], row[24] = 1, (1, 1, 0, 0, 0), state
    return row


def test_clutter_is_drawn_and_touches_no_face():
    faces = np.array([[100, 100, 200, 220], [20, 20, 60, 70]], np.float32)
    changed = 0
    for seed in range(30):
        picture = np.full((320, 320, 3), 90, np.uint8)
        draw_clutter(picture, faces, np.random.default_rng(seed))
        changed += bool((picture != 90).any())
        for x1, y1, x2, y2 in faces.astype(int):
            assert (picture[y1:y2, x1:x2] == 90).all()
    assert changed > 25


def test_windows_move_pixels_and_labels_together():
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[80:120, 150:190] = 255
    face = a_face(150, 80, 190, 120)[None]
    for seed in range(20):
        sample = window(picture, face, np.random.default_rng(seed))
        if not len(sample.faces):  # laid beside the face
            assert not (sample.image == 255).all(axis=2).any() or sample.image[0, 0].any()
            continue
        x1, y1, x2, y2 = sample.faces[0, :4]
        columns = np.flatnonzero((sample.image == 255).all(axis=2).any(axis=0))
        rows = np.flatnonzero((sample.image == 255).all(axis=2).any(axis=1))
        if sample.faces[0, 24] == IGNORED or not len(columns) or sample.image[0, 0].any():
            continue
        assert (columns[0], columns[-1] + 1) == pytest.approx((x1, x2), abs=2.5)
        assert (rows[0], rows[-1] + 1) == pytest.approx((y1, y2), abs=2.5)


def test_mirroring_twice_gives_the_sample_back():
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    sample = Sample(image, a_face(20, 30, 70, 90)[None])
    once = mirror(sample)
    assert once.faces[0, 4] < once.faces[0, 6], "the image-left eye is still named first"
    twice = mirror(once)
    assert np.array_equal(twice.image, image)
    np.testing.assert_allclose(twice.faces, sample.faces, atol=1e-4)


def test_ignored_rows_become_regions():
    rows = np.stack([a_face(0, 0, 50, 50), a_face(60, 60, 99, 99, IGNORED)])
    truth = to_truth(rows, torch.device("cpu"))
    assert truth.boxes.tolist() == [[0, 0, 50, 50]]
    assert truth.ignored.tolist() == [[60, 60, 99, 99]]


def test_average_precision_of_known_rankings():
    assert average_precision([(0.9, True), (0.8, True)], 2) == pytest.approx(1)
    assert average_precision([(0.9, False), (0.8, True)], 1) == pytest.approx(0.5)
    assert average_precision([(0.9, True), (0.8, False), (0.7, True)], 4) == pytest.approx(0.25 + 0.25 * 2 / 3)
    assert average_precision([], 3) == 0
