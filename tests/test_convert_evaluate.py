"""The evaluation: its figures against cases worked out by hand and the published script, intervals, groups, sheets, cards."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from convert.__main__ import main
from convert.data.held_out import is_kept_back, key_of, near_copies
from convert.evaluation import detection, masks, sheets
from convert.evaluation.bootstrap import Estimate, estimate, ratio
from convert.evaluation.groups import Faces, Skin, groups_of, rates, skin
from convert.evaluation.masks import Judged
from convert.evaluation.matching import match, rows_of
from convert.evaluation.sources import MASKS, Part, Truth, read_all
from convert.record import EVALUATION
from edged.errors import UsageError
from edged.inference import default_engines_dir, load_manifest
from edged.render.mean_face import MEAN_FACE
from edged.types import Box, Detection


def truth(boxes, states=None, ignored=None, name="a.jpg", group=MASKS):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    return Truth(
        path=Path(name),
        group=group,
        source="here",
        boxes=boxes,
        heights=boxes[:, 3] - boxes[:, 1],
        states=np.array([0] * len(boxes) if states is None else states, np.int64),
        ignored=np.zeros(len(boxes), bool) if ignored is None else np.array(ignored, bool),
    )


def find(box, score):
    return Detection(Box(*box), score)


def found(*finds):
    return rows_of(finds)


FACE, OTHER, FAR = (10, 10, 40, 50), (60, 10, 90, 50), (200, 200, 230, 230)


def test_an_ignored_face_counts_neither_way_and_a_second_find_of_one_face_is_false():
    there = truth([FACE, OTHER], ignored=[False, True])
    outcome = match(there, found(find(OTHER, 0.9), find(FACE, 0.8), find(FACE, 0.7), find(FAR, 0.65)), 0.4)
    assert outcome.counts.tolist() == [False, True, True, True]
    assert outcome.face.tolist() == [-1, 0, -1, -1]
    assert outcome.wanted.tolist() == [True, False]
    assert outcome.found_at.tolist() == [0.8, 0]


def test_average_precision_and_recall_of_a_case_worked_out_by_hand():
    pictures = [truth([FACE, OTHER]), truth([FACE])]
    finds = [found(find(FACE, 0.9), find(FAR, 0.8)), found(find(FAR, 0.5), find(FACE, 0.7))]
    figures = detection.score(pictures, finds)
    # Best first: right, false, right, false; recall 1/3 at precision 1, 2/3 at 2/3.
    assert figures.ap.value == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)
    assert figures.recall_at.value == pytest.approx(2 / 3)
    assert figures.false_finds.value == pytest.approx(0.5)
    assert figures.recall["20-40"].value == pytest.approx(2 / 3)
    assert (
        figures.ap_above[50].faces if hasattr(figures.ap_above[50], "faces") else np.isnan(figures.ap_above[50].value)
    )


def test_on_empty_scenes_only_false_finds_exist():
    figures = detection.score([truth([]), truth([])], [found(find(FACE, 0.7)), found()])
    assert figures.false_finds.value == 0.5
    assert np.isnan(figures.ap.value)
    assert np.isnan(figures.recall_at.value)


def test_macro_f1_and_calibration_of_a_case_worked_out_by_hand():
    scores = np.array([[0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
    judged = Judged(np.array([0, 0, 1, 1]), np.arange(4), np.array([0, 0, 2, 1]), np.full(4, 30.0), scores)
    figures = masks.score(judged, 2)
    assert figures.confusion.tolist() == [[2, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert figures.macro_f1.value == pytest.approx((4 / 5 + 0 + 1) / 3)
    assert figures.recall["incorrect"].value == 0
    # Bins 0.9: gap 0.1 of two; 0.7: 0.3 of one; 0.6: 0.6 of one.
    assert figures.calibration.value == pytest.approx((0.2 + 0.3 + 0.6) / 4)


def test_the_published_script_tells_the_same(shared, tmp_path):
    rng = np.random.default_rng(3)
    truths, finds = random_case(rng, 60)
    lines = [
        {"source": str(one.path), "faces": [as_line(row, rng) for row in rows]}
        for one, rows in zip(truths, finds, strict=True)
    ]
    (tmp_path / "found.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "truth.json").write_text(json.dumps(as_coco(truths)))

    def told(*options):
        command = [sys.executable, str(shared / "eval" / "detection.py"), "found.jsonl", "truth.json", *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    ours = detection.score(truths, finds)
    theirs = told()
    assert 0.2 < theirs["ap"] < 0.9
    assert ours.faces == theirs["faces"]
    assert ours.ap.value == pytest.approx(theirs["ap"], abs=6e-5)
    assert ours.recall_at.value == pytest.approx(theirs["recall_20px_at_0.6"], abs=6e-5)
    assert ours.false_finds.value == pytest.approx(theirs["false_finds_a_picture_at_0.6"], abs=6e-4)
    by_size = [value.value for value in ours.recall.values()]
    assert by_size == pytest.approx(list(theirs["recall_by_size"].values()), abs=6e-5)
    assert ours.ap_strict.value == pytest.approx(told("--iou", "0.5")["ap"], abs=6e-5)
    for height in detection.HEIGHTS:
        assert ours.ap_above[height].value == pytest.approx(told("--min-height", str(height))["ap"], abs=6e-5)

    rows = [
        (
            place,
            face,
            truths[place].states[face],
            truths[place].sides[face],
            lines[place]["faces"][row]["mask"]["scores"],
        )
        for place, pairs in enumerate(masks.wanted_finds(truths, finds))
        for row, face in pairs
    ]
    judged = Judged(
        *(np.array([row[column] for row in rows]) for column in range(4)),
        np.array([[*row[4].values()] for row in rows]),
    )
    figures = masks.score(judged, len(truths))
    assert figures.confusion.tolist() == theirs["confusion_rows_truth"]
    assert figures.macro_f1.value == pytest.approx(theirs["mask_macro_f1"], abs=6e-5)


def random_case(rng, pictures):
    """Faces, some ignored, some of no known state, and finds near them, beside them, twice, and anywhere."""
    truths, finds = [], []
    for number in range(pictures):
        count = int(rng.integers(0, 6))
        corner, size = rng.uniform(0, 300, (count, 2)).round(1), rng.uniform(8, 70, (count, 2)).round(1)
        boxes = np.concatenate([corner, corner + size], axis=1)
        one = truth(boxes, rng.integers(0, 3, count), rng.random(count) < 0.25, f"{number}.jpg")
        object.__setattr__(one, "heights", size[:, 1])
        near = np.repeat(boxes, 2, axis=0) + rng.normal(0, 6, (2 * count, 4))
        stray = rng.uniform(0, 300, (2, 2))
        boxes = [*near[rng.random(2 * count) < 0.6], *np.concatenate([stray, stray + 25], axis=1)]
        truths.append(one)
        finds.append(found(*(find(box, rng.uniform(0.02, 1)) for box in boxes if (box[2:] > box[:2]).all())))
    return truths, finds


def as_line(row, rng):
    scores = dict(zip(("correct", "incorrect", "none"), rng.dirichlet([1, 1, 1]).tolist(), strict=True))
    return {"box": row[:4].tolist(), "score": float(row[4]), "mask": {"scores": scores}}


def as_coco(truths):
    return {
        "categories": [{"id": k, "name": n} for k, n in enumerate(("correct", "incorrect", "none", "unknown"), 1)],
        "images": [{"id": number, "file_name": str(one.path)} for number, one in enumerate(truths)],
        "annotations": [
            {
                "image_id": number,
                "category_id": int(one.states[face]) + 1,
                "ignore": int(one.ignored[face]),
                "bbox": [*box[:2], box[2] - box[0], float(one.heights[face])],
            }
            for number, one in enumerate(truths)
            for face, box in enumerate(one.boxes.tolist())
        ],
    }


# --- intervals


def test_an_interval_holds_the_truth_as_often_as_it_says_and_is_the_same_each_time():
    rng = np.random.default_rng(5)
    held = []
    for _ in range(200):
        hits = (rng.random(80) < 0.7).astype(float)
        found = estimate(80, ratio(hits, np.ones(80)))
        held.append(found.low <= 0.7 <= found.high)
        assert found.low <= found.value <= found.high
    assert 0.89 <= np.mean(held) <= 0.99
    assert estimate(80, ratio(hits, np.ones(80))) == found


def test_pictures_are_drawn_not_faces():
    """Twenty pictures of fifty faces each, found together or not at all, tell as little as twenty faces."""
    hits = np.repeat([50.0, 0.0], 10)
    found = estimate(20, ratio(hits, np.full(20, 50.0)))
    assert found.high - found.low > 0.35


def test_what_does_not_exist_has_no_interval():
    assert str(estimate(4, ratio(np.zeros(4), np.zeros(4)))) == "–"
    assert estimate(0, ratio([], [])).record() == [None, None, None]
    assert str(Estimate(0.5, 0.4, 0.6)) == "0.500 (0.400–0.600)"


def test_the_interval_of_average_precision_is_that_of_pictures_repeated():
    """A draw's figure is the figure of a data set in which each picture stands as often as it was drawn."""
    rng = np.random.default_rng(8)
    truths, finds = random_case(rng, 12)
    outcomes = detection.match_all(truths, finds)
    drawn = rng.integers(0, 12, 12)
    weights = np.bincount(drawn, minlength=12)[None].astype(float)
    captured = []
    original = detection.estimate
    try:
        detection.estimate = lambda pictures, figure: captured.append(figure) or original(pictures, figure)
        detection.average_precision(outcomes)
        repeated = detection.average_precision([outcomes[place] for place in drawn]).value
    finally:
        detection.estimate = original
    assert captured[0](weights)[0] == pytest.approx(repeated, abs=1e-9)
    assert captured[0](np.ones((1, 12)))[0] == pytest.approx(original(12, captured[0]).value)


# --- groups


def test_skin_is_measured_on_cheeks_and_under_a_mask_above_the_brows():
    points = mean_points()
    picture = np.full((240, 240, 3), (150, 180, 220), np.uint8)
    picture[130:] = (40, 60, 90)
    forehead = skin(picture, points, bare=False)
    cheeks = skin(picture, points, bare=True)
    assert forehead.lightness > 70
    assert cheeks.lightness < 35
    assert forehead.tone > cheeks.tone
    assert skin(np.full((240, 240, 3), 128, np.uint8), points, bare=True).tone is None, "grey pictures tell no tone"
    assert skin(picture, points + 1000, bare=True) is None
    assert skin(picture, points - 1000, bare=True) is None


def mean_points():
    """68 points that fill a picture of 240 px: eyes above row 100, cheeks from 135 on."""
    low, high = MEAN_FACE.min(axis=0), MEAN_FACE.max(axis=0)
    return ((MEAN_FACE - low) / (high - low) * (140, 140) + (50, 85)).astype(np.float32)


def test_the_worst_group_is_told_over_the_best_and_small_groups_are_only_told():
    picture = np.arange(130) % 65
    names = np.array(["a"] * 60 + ["b"] * 60 + ["c"] * 10)
    badly = np.zeros(130, bool)
    badly[:12] = badly[60:63] = badly[120:] = True
    (grouping,) = rates(Faces(65, picture, {"kind": names}), badly)
    assert {group.name: (group.faces, round(group.rate.value, 3)) for group in grouping.groups} == {
        "a": (60, 0.2),
        "b": (60, 0.05),
        "c": (10, 1.0),
    }
    assert (grouping.worst, grouping.best) == ("a", "b")
    assert grouping.apart.value == pytest.approx(12.5 / 3.5)
    assert 1 < grouping.apart.low < grouping.apart.value < grouping.apart.high


def test_foreheads_are_not_compared_with_cheeks():
    skins, bare = [Skin(30, 5.0), Skin(60, None), None], np.array([True, False, True])
    seen = [{"glasses": "dark", "age": "child"}, {}, {"glasses": "none", "head cover": "scarf", "beard": "beard"}]
    groups = groups_of(skins, bare, np.array([25.0, 40, 90]), ["a", "b", "b"], seen)
    assert {kind: names.tolist() for kind, names in groups.items()} == {
        "brightness, L*, cheeks of bare faces": ["0–40", "", ""],
        "tone, cheeks of bare faces": ["dark", "", ""],
        "brightness, L*, forehead of masked faces": ["", "55–70", ""],
        "tone, forehead of masked faces": ["", "", ""],
        "landmarks": ["", "", ""],
        "brightness, L*, cheeks of bare faces with sure landmarks": ["", "", ""],
        "brightness, L*, cheeks of bare faces with doubtful landmarks": ["", "", ""],
        "shorter side, px": ["20–32", "32–64", "from 64"],
        "source": ["a", "b", "b"],
        "glasses": ["dark", "", "none"],
        "head cover": ["", "", "scarf"],
        "beard": ["", "", "beard"],
        "age": ["child", "", ""],
    }


def test_dark_faces_are_compared_with_light_ones_that_are_seen_as_well():
    skins = [Skin(30, 5.0, 0.02), Skin(30, 5.0, 0.09), Skin(60, None, 0.02), Skin(60, None, 0.09), Skin(60, None)]
    bare = np.array([True, True, True, False, True])
    groups = groups_of(skins, bare, np.full(5, 40.0), ["a"] * 5, [{}] * 5)
    assert groups["landmarks"].tolist() == ["sure", "doubtful", "sure", "doubtful", ""]
    sure, doubtful = (
        groups[f"brightness, L*, cheeks of bare faces with {name} landmarks"] for name in ("sure", "doubtful")
    )
    assert sure.tolist() == ["0–40", "", "55–70", "", ""]
    assert doubtful.tolist() == ["", "0–40", "", "", ""]


# --- which pictures


def test_a_picture_is_kept_back_by_its_folder_and_name(tmp_path):
    assert key_of(Path("people/flickr8k/0001.jpg")) == "flickr8k/0001.jpg"
    assert key_of(Path("mask_scenes3/ilc/images/ilc_0000.jpg")) == "ilc/ilc_0000.jpg"
    assert key_of(Path("masks853/images/maksssksksss0.jpg")) == "maksssksksss0.jpg"
    digits = int(hashlib.sha256(b"scenes/empty_0007.jpg").hexdigest()[:8], 16)
    assert is_kept_back(Path("empty/scenes/images/empty_0007.jpg")) == (digits % 100 < 15)
    kept = [is_kept_back(Path(f"people/x/{number:04}.jpg")) for number in range(2000)]
    assert 0.12 < np.mean(kept) < 0.18


def test_near_copies_are_recognised(tmp_path):
    rng = np.random.default_rng(0)
    one, other = (cv2.resize(rng.integers(0, 255, (12, 12, 3), np.uint8), (96, 96)) for _ in range(2))
    paths = [tmp_path / name for name in ("one.jpg", "darker.jpg", "other.jpg")]
    for path, picture in zip(paths, (one, (one * 0.8).astype(np.uint8), other), strict=True):
        cv2.imwrite(str(path), picture)
    assert near_copies(paths[:1], paths[1:]).tolist() == [True]
    assert near_copies(paths[:1], paths[2:]).tolist() == [False]
    assert near_copies(paths[:1], []).tolist() == [False]


# --- the command, on generated pictures, with the models that ship


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Scenes of one portrait (public domain) at several sizes, one of them ignored; plain pictures without anybody."""
    portrait = pytest.importorskip("skimage.data").astronaut()[..., ::-1]
    data = tmp_path_factory.mktemp("data")
    for source, category in (("masks853", "none"), ("people/here", "face"), ("mask_scenes3/there", "none")):
        folder = data / source
        pictures = folder if source.startswith("people") else folder / "images"
        pictures.mkdir(parents=True)
        images, faces = [], []
        for number, side in enumerate((160, 256, 360)):
            scene = np.full((380, 400, 3), 90 + 30 * number, np.uint8)
            scene[10 : 10 + side, 20 : 20 + side] = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA)
            x1, y1, x2, y2 = (np.array(FACE_OF_PORTRAIT) * side / 512 + (20, 10, 20, 10)).round(1).tolist()
            unknown = source == "mask_scenes3/there" and number == 0
            cv2.imwrite(str(pictures / f"{number}.jpg"), scene)
            images.append({"id": number, "file_name": f"{number}.jpg"})
            box = {"image_id": number, "category_id": 2 if unknown else 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            faces.append(box)
        names = [{"id": 1, "name": category}, {"id": 2, "name": "unknown"}]
        file = "boxes.json" if source.startswith("people") else "annotations.json"
        (folder / file).write_text(json.dumps({"images": images, "annotations": faces, "categories": names}))
    empty = data / "empty" / "scenes"
    (empty / "images").mkdir(parents=True)
    cv2.imwrite(str(empty / "images" / "0.jpg"), np.full((200, 300, 3), 120, np.uint8))
    (empty / "annotations.json").write_text(
        json.dumps({"images": [{"id": 0, "file_name": "0.jpg"}], "annotations": [], "categories": []})
    )
    return data


FACE_OF_PORTRAIT = (178, 72, 270, 192)
"""x1, y1, x2, y2 in the portrait of 512 px, by eye."""


def evaluated(*options):
    return CliRunner().invoke(main, ["evaluate", *map(str, options)], catch_exceptions=False)


def test_faces_are_found_judged_and_shown(generated, tmp_path):
    done = evaluated(
        "--data", generated, "--all", "--only", "detector", "--only", "mask", "--json", "--sheets", tmp_path / "sheets"
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["pictures"] == 10
    ours = told["detection: ordinary people"]["edged, 2x"]
    assert (ours["faces"], ours["ap_iou_0.4"][0]) == (3, 1.0)
    assert told["detection: mask photographs"]["edged, 2x"]["faces"] == 2, "unknown faces are ignored"
    assert told["detection: empty scenes"]["edged, 2x"]["false_finds_a_picture_at_0.6"][0] == 0
    assert told["mask"]["masked crowds"]["confusion_rows_truth"][2] == [0, 0, 3]
    assert told["mask"]["ordinary people"]["faces"] == 3, "who is known to wear none is judged too"
    assert told["fairness: missed faces"]["source"]["groups"].keys() == {
        "masks853",
        "people/here",
        "mask_scenes3/there",
    }
    assert {key.split(": ")[1] for key in told["curve"] if key.startswith("masked")} >= {"edged, 1x", "edged, 2x"}
    for name in ("misses", "false-alarms", "mask-confusions"):
        assert cv2.imread(str(tmp_path / "sheets" / f"{name}.jpg")) is not None, name


def test_by_default_only_what_no_training_saw_is_read_and_no_copies_of_the_rest(tmp_path):
    rng = np.random.default_rng(1)
    folder = tmp_path / "people" / "here"
    folder.mkdir(parents=True)
    names = [f"{number:04}.jpg" for number in range(60)]
    kept = [name for name in names if is_kept_back(folder / name)]
    rest = [name for name in names if name not in kept]
    assert len(kept) >= 3
    for name in names:
        cv2.imwrite(str(folder / name), cv2.resize(rng.integers(0, 255, (12, 12, 3), np.uint8), (90, 90)))
    (folder / kept[1]).write_bytes((folder / rest[0]).read_bytes())
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    (folder / "boxes.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    truths, copies = read_all(tmp_path, Part())
    assert [one.path.name for one in truths] == [kept[0], *kept[2:]]
    assert copies == 1
    assert [one.path.name for one in read_all(tmp_path, Part(everything=True))[0]] == names
    assert len(read_all(tmp_path, Part(everything=True, sample=7))[0]) == 7


def test_a_folder_without_data_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="--data names"):
        evaluated("--data", tmp_path, "--only", "mask")
    with pytest.raises(UsageError, match="landmarks68"):
        evaluated("--data", tmp_path, "--only", "landmarks")


def test_figures_are_written_into_the_marked_block_of_a_card(generated, tmp_path, monkeypatch):
    engines = tmp_path / "engines"
    shutil.copytree(default_engines_dir(), engines)
    monkeypatch.setenv("EDGED_ENGINES", str(engines))
    before = (engines / "mask.md").read_text()
    done = evaluated("--data", generated, "--all", "--only", "mask", "--write-cards")
    assert done.exit_code == 0, done.output
    after = (engines / "mask.md").read_text()
    begin, end = EVALUATION
    assert after.partition(begin)[0] == before.partition(begin)[0]
    assert after.partition(end)[2] == before.partition(end)[2]
    assert "| masked crowds | 0 / 0 / 3 |" in after
    assert load_manifest(engines).entry("mask").sha256[:12] in after


def test_the_sheet_shows_the_worst_first():
    there = [truth([FACE, OTHER], name="a.jpg"), truth([FAR], name="b.jpg")]
    finds = [found(find(FACE, 0.3), find((100, 100, 130, 130), 0.8)), found(find((0, 0, 20, 20), 0.9))]
    outcomes = detection.match_all(there, finds)
    assert [(case.path.name, case.words) for case in sheets.misses(there, outcomes)] == [
        ("a.jpg", "0.00, 30 px"),
        ("b.jpg", "0.00, 30 px"),
        ("a.jpg", "0.30, 30 px"),
    ]
    assert [case.words for case in sheets.false_alarms(there, outcomes, finds)] == ["0.90, 20 px", "0.80, 30 px"]
