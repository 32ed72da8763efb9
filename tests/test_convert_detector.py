"""The detector's training: who must find whom, what it costs, and that samples keep faces and labels together."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import cv2  # noqa: E402

from convert.augment import infrared, low_light  # noqa: E402
from convert.data.clutter import draw_clutter  # noqa: E402
from convert.data.coco import CORRECT, NONE, LabelledPicture, read_coco  # noqa: E402
from convert.data.coco import UNKNOWN as UNKNOWN_STATE  # noqa: E402
from convert.data.headwear import draw_headwear  # noqa: E402
from convert.data.held_out import held_out_part, training_part  # noqa: E402
from convert.data.objects import read_objects  # noqa: E402
from convert.detector import train  # noqa: E402
from convert.detector.assign import assign, lay_cells, pairwise_iou  # noqa: E402
from convert.detector.errors import erred, errs  # noqa: E402
from convert.detector.evaluate import average_precision, score  # noqa: E402
from convert.detector.losses import UNKNOWN, Faces, complete_iou_loss, detection_loss  # noqa: E402
from convert.detector.network import CHANNELS, DetectorModel, DetectorNetwork  # noqa: E402
from convert.detector.pictures import COLUMNS, IGNORED, STATE, SURE, TrainingPicture, face_row, from_boxes, from_empty  # noqa: E402  # noqa: E402
from convert.detector.samples import DARKENED, OFTEN, Sample, Samples, _dress_up, mirror, to_truth, window  # noqa: E402
from convert.detector.store import open_store, write_store  # noqa: E402
from convert.training.batches import Course  # noqa: E402
from edged.types import Box, Detection  # noqa: E402

SIDE = 320


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
        torch.ones(count),
        corners([]),
    )


def test_unknown_labels_cost_nothing():
    torch.manual_seed(0)
    levels = [torch.randn(1, CHANNELS, 64 // s, 64 // s, requires_grad=True) for s in (8, 16, 32)]
    parts = detection_loss(levels, [truth_of([[8, 8, 40, 40]], UNKNOWN)])
    assert [float(parts[name].detach()) for name in ("points", "visible", "mask")] == [0, 0, 0]
    sum(parts.values()).backward()
    assert all(torch.isfinite(level.grad).all() for level in levels)


def test_a_doubtful_face_is_learned_with_its_teachers_score():
    """The least score loss is where the network is as sure as the teachers were, and its box counts by as much."""
    levels = [torch.full((1, CHANNELS, 64 // s, 64 // s), -6.0) for s in (8, 16, 32)]
    sure = truth_of([[8, 8, 40, 40]])
    doubtful = Faces(**{**vars(sure), "sure": torch.tensor([0.4])})
    parts, whole = detection_loss(levels, [doubtful]), detection_loss(levels, [sure])
    assert float(parts["score"]) < float(whole["score"])
    assert float(parts["box"]) == pytest.approx(0.4 * float(whole["box"]))
    assert float(parts["mask"]) == pytest.approx(0.4 * float(whole["mask"]))


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
    row[14:19], row[19:24], row[STATE], row[SURE] = 1, (1, 1, 0, 0, 0), state, 1
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


def test_things_are_drawn_where_they_are_opaque_and_touch_no_face():
    thing = np.zeros((60, 80, 4), np.uint8)
    thing[10:50, 10:70] = (0, 0, 255, 255)
    faces = np.array([[100, 100, 200, 220]], np.float32)
    red = 0
    for seed in range(30):
        picture = np.full((320, 320, 3), 90, np.uint8)
        draw_clutter(picture, faces, np.random.default_rng(seed), [thing])
        red += bool((picture[..., 2].astype(int) - picture[..., 0] > 100).any())
        assert (picture[100:220, 100:200] == 90).all()
    assert red > 10


def test_pictures_of_things_leave_out_people_and_statues(tmp_path):
    stamps, bundles = tmp_path / "usr/share/tuxpaint/stamps", tmp_path / "usr/share/gcompris-qt/rcc"
    for name in ("animals/dog.png", "people/girl.png", "food/cartoon/bun.png"):
        (stamps / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(stamps / name), np.zeros((900, 700, 4), np.uint8))
    bundles.mkdir(parents=True)
    grey = cv2.imencode(".jpg", np.full((300, 400, 3), 128, np.uint8))[1].tobytes()
    for name in ("erase", "explore_monuments", "paintings"):
        (bundles / f"{name}.rcc").write_bytes(b"qres" + grey + b"rest" + grey[: len(grey) // 4])
    things = read_objects(tmp_path, lambda image: image.mean() > 100)
    assert [cutout.shape for cutout in things.cutouts] == [(640, 498, 4)]
    assert [photograph.shape for photograph in things.photographs] == [(300, 400, 3)]


@pytest.mark.parametrize("side", [320, 640])
def test_windows_move_pixels_and_labels_together(side):
    """A head is round: its box after any turn is the box round the turned ellipse."""
    picture = np.zeros((200, 300, 3), np.uint8)
    cv2.ellipse(picture, (170, 100), (15, 20), 0, 0, 360, (255, 255, 255), -1)
    face = a_face(155, 80, 185, 120)[None]
    checked = turned = 0
    for seed in range(60):
        sample = window(picture, face, side, np.random.default_rng(seed))
        assert sample.image.shape == (side, side, 3)
        if (
            not len(sample.faces)
            or sample.faces[0, STATE] == IGNORED
            or sample.image[[0, 0, -1, -1], [0, -1, 0, -1]].any()
        ):
            continue
        x1, y1, x2, y2 = sample.faces[0, :4]
        if min(x1, y1) <= 0 or max(x2, y2) >= side:
            continue
        white = (sample.image > 100).all(axis=2)
        columns, rows = np.flatnonzero(white.any(axis=0)), np.flatnonzero(white.any(axis=1))
        near = 2.5 + 0.06 * float(x2 - x1)
        assert (columns[0], columns[-1] + 1) == pytest.approx((x1, x2), abs=near)
        assert (rows[0], rows[-1] + 1) == pytest.approx((y1, y2), abs=near)
        points = sample.faces[0, 4:14].reshape(5, 2).astype(int)
        assert white[points[:, 1], points[:, 0]].all()
        checked, turned = checked + 1, turned + (points[0, 1] - points[1, 1]) ** 2 > 25
    assert checked > 10
    assert turned


def test_things_drawn_on_faces_stay_on_them_and_hide_what_they_hide():
    hidden = 0
    for seed in range(60):
        picture = np.full((200, 200, 3), 120, np.uint8)
        points = a_face(70, 60, 130, 140)[4:14].reshape(5, 2)
        visible = draw_headwear(picture, points, np.random.default_rng(seed))
        changed = (picture != 120).any(axis=2)
        assert changed.any()
        rows, columns = np.nonzero(changed)
        assert rows.min() > 0
        assert columns.min() > 0
        assert max(rows.max(), columns.max()) < 199
        for point, seen in zip(points.astype(int), visible, strict=True):
            assert seen or changed[point[1], point[0]]
        hidden += (visible == 0).any()
    assert 10 < hidden < 50


@pytest.mark.parametrize(("state", "share"), [(NONE, DARKENED), (CORRECT, DARKENED), (IGNORED, 0.0)])
def test_some_faces_are_darkened_and_what_is_ignored_stays(state, share):
    """The face has no points, so nothing is drawn on it."""
    rng, count = np.random.default_rng(0), 2000
    row = face_row(np.array([30, 30, 66, 66], np.float32), state, None)
    darker = 0
    for _ in range(count):
        sample = Sample(np.full((96, 96, 3), 150, np.uint8), row[None].copy())
        _dress_up(sample, rng)
        assert (sample.image[:8] == 150).all()
        darker += int(sample.image[40:56, 40:56].mean() < 140)
    assert darker / count == pytest.approx(share, abs=0.02)


def test_a_face_too_small_or_outside_is_left_alone():
    picture = np.full((50, 50, 3), 120, np.uint8)
    for box in ((10, 10, 14, 15), (900, 900, 960, 980)):
        draw_headwear(picture, a_face(*box)[4:14].reshape(5, 2), np.random.default_rng(0))
    assert (picture == 120).all()


def test_night_pictures_are_grey_or_dark():
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    night = infrared(picture, np.random.default_rng(1)).astype(int)
    assert night.shape == picture.shape
    assert np.abs(night[..., 0] - night[..., 2]).mean() < 20
    assert low_light(picture, np.random.default_rng(1)).mean() < 0.6 * picture.mean()


class _Teacher:
    """Finds what it was told, at every scale."""

    def __init__(self, *rows):
        self.rows = np.array([[*box, score, *np.zeros(10)] for box, score in rows], np.float32).reshape(-1, 15)

    def find(self, image, scale=1.0, threshold=0.5):
        return self.rows[self.rows[:, 4] >= threshold]


def a_labelled_picture(path, rows):
    """Rows of box, state, whether ignored, and score."""
    cv2.imwrite(str(path), np.full((100, 100, 3), 90, np.uint8))
    boxes, states, ignored, scores = zip(*rows, strict=True)
    return LabelledPicture(
        path, np.array(boxes, np.float32), np.array(states), np.array(ignored, np.bool_), np.array(scores, np.float32)
    )


def test_labels_become_faces_doubtful_faces_and_regions(tmp_path):
    """What only a teacher sees is not asked about; what teachers doubt is learned as surely as they said."""
    picture = a_labelled_picture(
        tmp_path / "scene.png",
        [
            ((5, 5, 15, 17), CORRECT, False, 1.0),
            ((30, 5, 42, 18), NONE, True, 0.55),
            ((50, 5, 60, 15), NONE, True, 0.2),
            ((70, 5, 80, 16), UNKNOWN_STATE, False, 1.0),
            ((5, 50, 16, 62), UNKNOWN_STATE, False, 1.0),
        ],
    )
    teacher = _Teacher(((70, 5, 80, 16), 0.45), ((50, 50, 60, 60), 0.9))
    (made,) = from_boxes([picture], teacher, "people", np.random.default_rng(0))
    assert made.group == "people"
    states, sure = made.faces[:, STATE].tolist(), made.faces[:, SURE].tolist()
    assert states == [CORRECT, NONE, IGNORED, UNKNOWN_STATE, IGNORED, IGNORED]
    assert sure[0] == 1
    assert sure[1] == pytest.approx(0.55)
    assert sure[3] == pytest.approx(0.75)
    assert made.faces[5, :4].tolist() == [50, 50, 60, 60]


def test_scenes_without_faces_have_none_whatever_a_teacher_sees(tmp_path):
    cv2.imwrite(str(tmp_path / "hall.png"), np.zeros((20, 20, 3), np.uint8))
    picture = LabelledPicture(tmp_path / "hall.png", np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    (made,) = from_empty([picture])
    assert (len(made.faces), made.group) == (0, "empty")


def test_coco_files_tell_states_by_name_and_what_does_not_count(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "boxes.json").write_text(
        """{"categories": [{"id": 1, "name": "face"}, {"id": 4, "name": "unknown"}],
            "images": [{"id": 7, "file_name": "0002.jpg"}, {"id": 3, "file_name": "0001.jpg"}],
            "annotations": [
                {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]},
                {"image_id": 7, "category_id": 1, "bbox": [9, 2, 3, 4], "ignore": 1, "score": 0.5},
                {"image_id": 7, "category_id": 4, "bbox": [20, 2, 3, 4]}]}"""
    )
    first, second = read_coco(tmp_path / "set", "boxes.json", ".")
    assert (first.path, len(first.boxes)) == (tmp_path / "set" / "0001.jpg", 0)
    assert second.boxes[0].tolist() == [1, 2, 4, 6]
    assert second.states.tolist() == [NONE, NONE, UNKNOWN_STATE]
    assert second.ignored.tolist() == [False, True, False]
    assert second.scores.tolist() == [1, 0.5, 1]


def test_what_does_not_count_is_neither_missed_nor_a_false_find(tmp_path):
    picture = a_labelled_picture(
        tmp_path / "scene.png",
        [
            ((5, 5, 25, 25), NONE, False, 1.0),
            ((40, 5, 60, 25), NONE, True, 0.5),
            ((70, 5, 90, 25), UNKNOWN_STATE, False, 1.0),
        ],
    )

    class Finds:
        def detect(self, image):
            return [Detection(Box(*box), 0.9) for box in ((5, 5, 25, 25), (40, 5, 60, 25), (70, 5, 90, 25))]

    class FindsNothing:
        def detect(self, image):
            return []

    class FindsAWall(Finds):
        def detect(self, image):
            return [Detection(Box(40, 70, 60, 90), 0.95), *super().detect(image)]

    assert score(Finds(), [picture]).ap == 1
    assert score(FindsNothing(), [picture]).ap == 0
    assert score(FindsAWall(), [picture]).ap == pytest.approx(0.5)


def test_no_picture_is_both_trained_on_and_held_out(tmp_path):
    pictures = [
        LabelledPicture(tmp_path / "ilc" / "images" / f"{k}.jpg", np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
        for k in range(300)
    ]
    trained, held_out = training_part(pictures), held_out_part(pictures)
    assert [*sorted(p.path for p in [*trained, *held_out])] == sorted(p.path for p in pictures)
    assert 0.78 < len(trained) / 300 < 0.92


def test_a_training_leaves_near_copies_of_scored_pictures_out_of_added_folders(tmp_path, monkeypatch):
    """Both pictures of nobody would be learned from; one looks like a scene that scores."""
    rng = np.random.default_rng(0)
    one, other = (cv2.resize(rng.integers(0, 255, (6, 6, 3)).astype(np.uint8), (64, 48)) for _ in range(2))
    scored, added = tmp_path / "data/empty/scenes/images", tmp_path / "added"
    for folder in (scored, added, tmp_path / "data/masks853", tmp_path / "data/peers"):
        folder.mkdir(parents=True)
    for number in range(20):
        cv2.imwrite(str(scored / f"{number}.png"), one)
        cv2.imwrite(str(added / f"one-{number}.png"), one)
        cv2.imwrite(str(added / f"other-{number}.png"), other)
    empty = json.dumps({"categories": [], "annotations": [], "images": []})
    for folder in (scored.parent, tmp_path / "data/masks853"):
        (folder / "annotations.json").write_text(empty)
    seen = []

    def pictures(data, training, seed, more):
        seen.extend(more.nobody)
        yield TrainingPicture(one, np.zeros((0, COLUMNS), np.float32), "empty")

    monkeypatch.setattr(train, "Teacher", lambda model: None)
    monkeypatch.setattr(train, "training_pictures", pictures)
    monkeypatch.setattr(train, "fit_from", lambda *asked, **more: None)
    choice = train.DetectorTraining(
        data=tmp_path / "data", out=tmp_path / "out", nobody=(added,), steps=1, seed=0, resume=False, threads=1
    )
    train.train(choice)
    assert len(seen) > 10
    assert {picture.path.name.split("-")[0] for picture in seen} == {"other"}


def test_mirroring_twice_gives_the_sample_back():
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
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


FACE_BOX = (20.0, 20.0, 50.0, 60.0)


def labels(*boxes, state=NONE, sure=1.0):
    rows = [face_row(np.array(box, np.float32), state, None, sure=sure) for box in boxes]
    return np.array(rows, np.float32).reshape(-1, COLUMNS)


@pytest.mark.parametrize(
    ("faces", "boxes", "wrong"),
    [
        (labels(FACE_BOX), [FACE_BOX], False),
        (labels(FACE_BOX), [], True),
        (labels(FACE_BOX), [FACE_BOX, (80, 80, 99, 99)], True),
        (labels((20, 20, 33, 60)), [], False),
        (labels(FACE_BOX, sure=0.5), [], False),
        (labels(FACE_BOX, state=IGNORED), [], False),
        (labels(FACE_BOX, state=IGNORED), [FACE_BOX], False),
        (labels(), [FACE_BOX], True),
        (labels(), [], False),
    ],
)
def test_a_missed_face_and_a_false_detection_are_errors_and_doubtful_faces_are_none(faces, boxes, wrong):
    assert errs(faces, np.array(boxes, float).reshape(-1, 4)) is wrong


class Blind:
    """Finds nobody."""

    def detect(self, image):
        return []


def test_pictures_in_which_a_detector_errs_are_drawn_more_often(tmp_path):
    grey = np.full((64, 96, 3), 127, np.uint8)
    groups = ("people", "people", "people", "single")
    rows = (labels(FACE_BOX), labels(), labels(), labels(FACE_BOX))
    pictures = [TrainingPicture(grey, faces, group) for faces, group in zip(rows, groups, strict=True)]
    write_store(tmp_path, pictures)
    store = open_store(tmp_path)
    often = erred(store, Blind())
    assert often.tolist() == [True, False, False, False]
    weights = Samples(store, Course(4, 0, 0, 1), often=often)._weights["people"]
    assert weights == pytest.approx([OFTEN / (OFTEN + 2), 1 / (OFTEN + 2), 1 / (OFTEN + 2)])
