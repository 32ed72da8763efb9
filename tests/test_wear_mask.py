"""`edged wear-mask`, by running it: what is drawn where, and what wrong use gets."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.render import Wear, contact_sheet, face_crop
from edged.types import Box
from tests.test_cli import edged, one_line, portrait

__all__ = ["portrait"]

CHIN, NOSE, FOREHEAD = (
    (slice(150, 160), slice(215, 235)),
    (slice(120, 128), slice(218, 230)),
    (slice(70, 80), slice(210, 235)),
)


def changed(before: Path, after: Path, place: tuple[slice, slice]) -> float:
    return float(np.abs(cv2.imread(str(before))[place].astype(int) - cv2.imread(str(after))[place]).mean())


def test_a_correct_mask_covers_nose_and_chin_and_nothing_above(portrait: Path, tmp_path: Path) -> None:
    done = edged("wear-mask", portrait, "--mask", "5", "--out", tmp_path / "worn.png")
    assert done.returncode == 0, done.stderr
    assert changed(portrait, tmp_path / "worn.png", CHIN) > 30
    assert changed(portrait, tmp_path / "worn.png", NOSE) > 30
    assert changed(portrait, tmp_path / "worn.png", FOREHEAD) == 0


def test_below_the_nose_leaves_the_nose_bare(portrait: Path, tmp_path: Path) -> None:
    edged("wear-mask", portrait, "--mask", "5", "--wear", "nose", "--out", tmp_path / "worn.png")
    assert changed(portrait, tmp_path / "worn.png", CHIN) > 30
    assert changed(portrait, tmp_path / "worn.png", NOSE) < 5


def test_the_same_seed_draws_the_same_picture_and_another_one_does_not(portrait: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        edged("wear-mask", portrait, "--seed", seed, "--out", tmp_path / f"{name}.png")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_crop_keeps_the_face_only(portrait: Path, tmp_path: Path) -> None:
    edged("wear-mask", portrait, "--crop", "--out", tmp_path / "face.png")
    height, width = cv2.imread(str(tmp_path / "face.png")).shape[:2]
    assert height == width < 300


def test_the_list_names_and_draws_seven_masks(tmp_path: Path) -> None:
    done = edged("wear-mask", "--mask", "list", "--out", tmp_path / "masks.png")
    assert done.returncode == 0, done.stderr
    assert [line[0] for line in done.stdout.splitlines()[:7]] == list("1234567")
    assert cv2.imread(str(tmp_path / "masks.png")).std() > 20


def test_the_seven_look_different() -> None:
    sheet = contact_sheet(None, Wear.CORRECT, 0)
    tiles = [sheet[r : r + 216, c : c + 240].tobytes() for r in (0, 240) for c in range(0, 960, 240)][:7]
    assert len(set(tiles)) == 7


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "IMAGE is missing"),
        (("{portrait}", "--out", "/does/not/exist/x.png"), 1, "cannot be written"),
        (("{portrait}", "--out", "{tmp}/x.xyz"), 2, "not a kind of picture"),
        (("{blank}",), 1, "no face found"),
    ],
)
def test_wrong_use_gets_one_line(
    portrait: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((100, 100, 3), 128, np.uint8))
    done = edged("wear-mask", *(a.format(portrait=portrait, tmp=tmp_path, blank=blank) for a in arguments))
    assert done.returncode == code
    assert words in one_line(done)


@pytest.mark.parametrize("box", [Box(-50, -50, 20, 20), Box(90, 90, 300, 200), Box(10, 10, 10, 10)])
def test_a_crop_at_the_border_is_whole(box: Box) -> None:
    crop = face_crop(np.zeros((100, 100, 3), np.uint8), box)
    assert crop.shape[0] == crop.shape[1] >= 2


def test_a_seed_below_zero_is_refused_in_one_line() -> None:
    done = edged("wear-mask", "--mask", "list", "--seed", "-1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--seed" in done.stderr
