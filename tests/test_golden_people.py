"""People as they come, with sunglasses, caps, beards and badly worn masks: what `edged analyze` must say of each."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from convert.golden_people import CAP, draw
from edged.detect.boxes import iou
from edged.readers import SURE_SCORES
from edged.toml import load_toml

FOLDER = Path(__file__).parent / "golden_people"
PEOPLE = load_toml(FOLDER / "people.toml")
SAME_FACE = 0.6
"""Intersection over union with a box that a person drew."""
SURE_STATE = 0.6
MOST_BYTES = 260_000


def asked(of):
    """Each picture, those of which edged gets this wrong today marked: the day that one passes, the mark must go."""
    known = {name: person.get("fails", {}).get(of) for name, person in PEOPLE.items()}
    return [
        pytest.param(name, marks=pytest.mark.xfail(strict=True, reason=why)) if why else name
        for name, why in known.items()
    ]


@pytest.fixture(scope="module")
def told():
    """What the product says of every picture: the faces that it is sure of, by name."""
    command = [sys.executable, "-m", "edged", "analyze", str(FOLDER), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        Path(line["source"]).stem: [face for face in line["faces"] if face["score"] >= SURE_SCORES["edged"]]
        for line in lines
    }


@pytest.mark.parametrize("name", asked("found"))
def test_the_face_is_found_and_nothing_else(told, name):
    (face,) = told[name]
    assert iou(np.array([face["box"]], np.float64), np.array([PEOPLE[name]["box"]], np.float64))[0, 0] >= SAME_FACE


@pytest.mark.parametrize("name", asked("mask"))
def test_how_the_mask_is_worn_is_told_and_surely(told, name):
    mask = told[name][0]["mask"]
    assert (mask["state"], mask["scores"][mask["state"]] >= SURE_STATE) == (PEOPLE[name]["state"], True)


@pytest.mark.parametrize("name", PEOPLE)
def test_eyes_are_read_only_where_they_can_be_seen_and_nobody_is_asleep(told, name):
    eyes = told[name][0]["eyes"]
    if PEOPLE[name]["eyes"] == "unread":
        assert eyes is None or eyes["openness"] is None
    else:
        assert eyes["closed"] is False


@pytest.mark.parametrize("name", PEOPLE)
def test_where_the_head_points_is_told(told, name):
    yaw = abs(told[name][0]["pose"]["yaw"])
    assert yaw >= PEOPLE[name]["yaw"] if "yaw" in PEOPLE[name] else yaw < 15


def test_the_set_shows_what_an_entrance_meets_and_says_where_it_is_from():
    words = " ".join(person["shows"] for person in PEOPLE.values())
    for thing in ("sunglasses", "cap", "side", "beard", "under the nostrils", "chin bare", "worn correctly"):
        assert thing in words
    for name, person in PEOPLE.items():
        assert hashlib.sha256((FOLDER / f"{name}.jpg").read_bytes()).hexdigest() == person["sha256"], name
        assert person["licence"].startswith(("public domain", "CC0")), name
        assert person["source"]
    assert {path.stem for path in FOLDER.glob("*.jpg")} == set(PEOPLE)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES


def test_all_but_the_photograph_are_drawn_the_same_again():
    pytest.importorskip("skimage", reason="two of the photographs come with scikit-image")
    drawn = dict(draw(cv2.imread(str(FOLDER / f"{CAP}.jpg"))))
    assert {CAP, *drawn} == set(PEOPLE)
    for name, image in drawn.items():
        shipped = cv2.imread(str(FOLDER / f"{name}.jpg"))
        assert np.abs(image.astype(int) - shipped).mean() < 4, f"{name}: but for the JPEG"
