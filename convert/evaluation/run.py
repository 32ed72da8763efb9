"""Runs what is to be scored over the data, once, and hands the finds to whoever makes figures of them."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from convert.contestants import Choice, Contestant, contestants, own_at, own_for_pictures
from convert.data.coco import read_picture
from convert.evaluation.groups import SMALLEST, Skin, skin
from convert.evaluation.masks import Judged, wanted_finds
from convert.evaluation.matching import Rows, rows_of
from convert.evaluation.sources import BARE, CROWDS, PEOPLE, PORTRAITS, UNTOLD, Truth
from edged.analyse.landmarks import LandmarkRegressor
from edged.analyse.mask import MaskClassifier
from edged.config import ModelsConfig
from edged.inference import Manifest, open_engine
from edged.readers import CLEAR_FACE
from edged.types import Box, Detection, Image, Points

OWN = (1.0, 1.25, 1.5, 2.0)
"""Working sizes of our detector, in units of the picture's: the points of its curve."""
OFFLINE = "edged, pictures"
"""What `edged analyze` looks with: the mask state is scored on its finds."""
TIMED = 60
"""Pictures of a set on which detectors are timed."""
TIMED_SETS = (CROWDS, PEOPLE)


@dataclass(frozen=True, eq=False)
class Run:
    """Everything found in the pictures. `finds` by detector and picture; of portraits only our own detector's.

    `milliseconds` are the processor's for a picture, decoding of answers included, by detector and set. `skins` are by
    picture and face, None where it was too small.
    """

    truths: Sequence[Truth]
    finds: dict[str, list[Rows]]
    milliseconds: dict[tuple[str, str], float]
    live: str
    skins: list[list[Skin | None]] = field(default_factory=list)
    judged: Judged | None = None

    def chosen(self, group: str, source: str | None = None) -> list[int]:
        """The places of one set's pictures, or of one source's."""
        return [
            place
            for place, truth in enumerate(self.truths)
            if truth.group == group and (source is None or truth.source == source)
        ]

    def sources(self, group: str) -> list[str]:
        """The sources of one set."""
        return sorted({truth.source for truth in self.truths if truth.group == group})

    def of(self, name: str, places: Sequence[int]) -> tuple[list[Truth], list[Rows]]:
        """Truths and one detector's finds of some pictures."""
        return [self.truths[place] for place in places], [self.finds[name][place] for place in places]

    def judged_in(self, places: Sequence[int]) -> Judged:
        """The judged faces of some pictures, numbered as `places` are."""
        assert self.judged is not None  # noqa: S101 - asked only where masks were judged
        number = {place: index for index, place in enumerate(places)}
        mine = np.isin(self.judged.picture, list(places))
        only = self.judged.only(mine)
        picture = np.array([number[int(place)] for place in only.picture], np.intp)
        return Judged(picture, only.face, only.states, only.sides, only.scores)


def live_name() -> str:
    """The working size of a live camera's detector with the default config."""
    return f"edged, {min(OWN[-1], CLEAR_FACE / ModelsConfig().smallest_face):.3g}x"


def detectors(data: Path, manifest: Manifest, peers: bool) -> list[Contestant]:
    """Ours at several working sizes, the live one among them; with `peers` also everybody else whose files are there."""
    live = CLEAR_FACE / ModelsConfig().smallest_face
    sizes = sorted({*(OWN if peers else ()), round(min(live, OWN[-1]), 6)})
    rows = [*own_at(sizes, manifest=manifest), own_for_pictures(manifest)]
    others = [one for one in contestants(data, Choice(), manifest) if one.name != "edged"] if peers else []
    return [*rows, *others]


def run(truths: Sequence[Truth], rows: Sequence[Contestant], manifest: Manifest, *, masks: bool) -> Run:
    """Every detector on every picture, one picture after the other; then, with `masks`, the state of the faces found."""
    mine = {live_name(), OFFLINE}
    finds: dict[str, list[Rows]] = {row.name: [] for row in rows}
    spent: dict[tuple[str, str], list[float]] = {}
    timed = _timed(truths)
    landmarks = LandmarkRegressor(open_engine(manifest, "landmarks", 1))
    judge = MaskClassifier(open_engine(manifest, "mask", 1)) if masks else None
    skins: list[list[Skin | None]] = []
    judged: list[tuple[int, int, int, float, tuple[float, ...]]] = []
    with click.progressbar(truths, label="looking", file=sys.stderr) as shown:
        for place, truth in enumerate(shown):
            image = read_picture(truth.path)
            for row in rows:
                asked = truth.group != PORTRAITS or row.name in mine
                finds[row.name].append(rows_of(row.scored.detect(image) if asked else []))
                if place in timed:
                    spent.setdefault((row.name, truth.group), []).append(_timed_look(row, image))
            skins.append(_skins(image, truth, landmarks))
            if judge is not None:
                found = finds[OFFLINE][place]
                pairs = wanted_finds([truth], [found])[0]
                scores = judge.judge(image, [Box(*found[find, :4].tolist()) for find, _ in pairs])
                judged += [
                    (place, face, int(truth.states[face]), float(truth.sides[face]), tuple(score))
                    for (_, face), score in zip(pairs, scores, strict=True)
                ]
    milliseconds = {key: float(np.mean(values)) * 1000 for key, values in spent.items()}
    return Run(truths, finds, milliseconds, live_name(), skins, _judged(judged) if masks else None)


def _timed(truths: Sequence[Truth]) -> set[int]:
    """The places of the pictures on which detectors are timed, from all over each set."""
    timed: set[int] = set()
    for group in TIMED_SETS:
        places = [place for place, truth in enumerate(truths) if truth.group == group]
        timed |= set(places[:: max(1, -(-len(places) // TIMED))])
    return timed


def _timed_look(row: Contestant, image: Image) -> float:
    """Seconds of the processor's time: what else the machine does is not in it."""
    start = time.process_time()
    row.served.detect(image)
    return time.process_time() - start


def _skins(image: Image, truth: Truth, landmarks: LandmarkRegressor) -> list[Skin | None]:
    """The skin of every face that is large enough and not ignored, by its labelled points or by ours in its box."""
    skins: list[Skin | None] = [None] * len(truth.boxes)
    faces = np.flatnonzero(~truth.ignored & (truth.sides >= SMALLEST))
    if not len(faces):
        return skins
    if truth.points is not None:
        marked: list[tuple[Points, float | None]] = [(truth.points, None)]
    else:
        found = [Detection(Box(*truth.boxes[face].tolist()), 1.0) for face in faces]
        read = zip(landmarks.read(image, found), truth.sides[faces], strict=True)
        marked = [(one.points, float(one.deviations.mean() / side)) for one, side in read]
    for face, (points, doubt) in zip(faces, marked, strict=True):
        skins[face] = skin(image, points, truth.states[face] in (BARE, UNTOLD), doubt)
    return skins


def _judged(rows: Sequence[tuple[int, int, int, float, tuple[float, ...]]]) -> Judged:
    return Judged(
        np.array([row[0] for row in rows], np.intp),
        np.array([row[1] for row in rows], np.intp),
        np.array([row[2] for row in rows], np.int64),
        np.array([row[3] for row in rows], np.float64),
        np.array([row[4] for row in rows], np.float64).reshape(-1, 3),
    )
