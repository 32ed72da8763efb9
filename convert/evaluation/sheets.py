"""Contact sheets of the worst cases, for a person to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from convert.data.coco import read_picture
from convert.evaluation.detection import AT, CLEAR_SIDE, Finds
from convert.evaluation.masks import Judged
from convert.evaluation.matching import Outcome
from convert.evaluation.sources import PORTRAITS, Truth
from edged.errors import Failed
from edged.render import face_crop
from edged.types import JUDGED_STATES, Box, Image

WORST = 40
COLUMNS = 8
TILE = 150
CAPTION = 30
"""Height of the two lines of words under each tile."""
WIDER = 1.6
"""How much wider than the face a tile looks, so that one sees where it is."""


@dataclass(frozen=True)
class Case:
    """One tile: a place in a picture, and two lines about it."""

    path: Path
    box: Box
    words: str
    more: str


def misses(truths: Sequence[Truth], outcomes: Sequence[Outcome]) -> list[Case]:
    """The labelled faces of at least CLEAR_SIDE that were found last or not at all; of these the largest first."""
    rows = [
        (outcome.found_at[face], -truth.sides[face], truth, face)
        for truth, outcome in zip(truths, outcomes, strict=True)
        for face in np.flatnonzero(outcome.wanted & (truth.sides >= CLEAR_SIDE) & (outcome.found_at < AT))
    ]
    rows.sort(key=lambda row: row[:2])
    return [
        Case(truth.path, Box(*truth.boxes[face].tolist()), f"{score:.2f}, {-side:.0f} px", _place(truth))
        for score, side, truth, face in rows[:WORST]
    ]


def false_alarms(truths: Sequence[Truth], outcomes: Sequence[Outcome], finds: Finds) -> list[Case]:
    """The surest finds that are no labelled face. Portraits, whose other faces nobody labelled, are left out."""
    rows = [
        (outcome.scores[row], truth, Box(*found[outcome.order[row], :4].tolist()))
        for truth, outcome, found in zip(truths, outcomes, finds, strict=True)
        if truth.group != PORTRAITS
        for row in np.flatnonzero((outcome.face < 0) & outcome.counts)
    ]
    rows.sort(key=lambda row: -row[0])
    return [
        Case(truth.path, box, f"{score:.2f}, {box.side:.0f} px", _place(truth)) for score, truth, box in rows[:WORST]
    ]


def mask_confusions(truths: Sequence[Truth], judged: Judged) -> list[Case]:
    """The faces whose state was told wrongly, the surest first; `judged.picture` are places in `truths`."""
    sure = judged.scores.max(axis=1, initial=0.0)
    wrong = np.flatnonzero(judged.answers != judged.states)
    cases = []
    for index in wrong[np.argsort(-sure[wrong], kind="stable")][:WORST]:
        truth, face = truths[judged.picture[index]], judged.face[index]
        told, right = JUDGED_STATES[judged.answers[index]], JUDGED_STATES[judged.states[index]]
        words = f"{told} {sure[index]:.2f} is {right}"
        cases.append(Case(truth.path, Box(*truth.boxes[face].tolist()), words, _place(truth)))
    return cases


def write_sheet(folder: Path, name: str, cases: Sequence[Case]) -> Path:
    """`NAME.jpg` in `folder`, which is made. Raise Failed when it cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jpg"
    if not cv2.imwrite(str(path), sheet(cases), [cv2.IMWRITE_JPEG_QUALITY, 85]):
        raise Failed(f"{path}: cannot be written; name another folder with --sheets")
    return path


def sheet(cases: Sequence[Case]) -> Image:
    """All tiles side by side, in their order; one empty tile where there is no case."""
    tiles = [_tile(case) for case in cases] or [np.full((TILE + CAPTION, TILE, 3), 255, np.uint8)]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % min(COLUMNS, len(tiles)))
    columns = min(COLUMNS, len(tiles))
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return np.asarray(np.vstack(rows), np.uint8)


def _tile(case: Case) -> Image:
    box = case.box
    (x, y), half = box.centre, max(box.width, box.height) * WIDER / 2
    around = face_crop(read_picture(case.path), Box(x - half, y - half, x + half, y + half))
    tile = np.full((TILE + CAPTION, TILE, 3), 40, np.uint8)
    tile[:TILE] = cv2.resize(around, (TILE, TILE), interpolation=cv2.INTER_AREA)
    scale, middle = TILE / len(around) / 2, TILE / 2
    low, high = ([round(middle + sign * side * scale) for side in (box.width, box.height)] for sign in (-1, 1))
    cv2.rectangle(tile, low, high, (0, 220, 255), 1)
    for row, words in enumerate((case.words, case.more)):
        where = (3, TILE + 12 + 14 * row)
        cv2.putText(tile, words[-26:], where, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 1, cv2.LINE_AA)
    return tile


def _place(truth: Truth) -> str:
    return f"{truth.source.split('/')[-1]}/{truth.path.stem}"
