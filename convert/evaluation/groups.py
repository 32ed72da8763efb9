"""Whether some people are seen worse than others: rates by skin, size, source, and what was seen of a face; worst over best.

Nobody is named or told apart. Skin is measured in the picture: light and camera are in the number too. Glasses, head cover,
beard and age group are labels of `convert.data.attributes`, which says who gave them and how noisy they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.data.attributes import VALUES, Seen
from convert.evaluation.bootstrap import Estimate, Numbers, Weights, estimate, ratio
from edged.types import Image, Points

SMALLEST = 24
"""Shorter side, in pixels, of the faces whose skin is measured."""
FEWEST = 30
"""Groups of fewer faces are told, but are neither the worst nor the best."""
LEAST_COLOUR = 3.0
"""b* below this is a grey picture or a strange light: no tone is told then."""

JAW_LEFT, JAW_RIGHT, BRIDGE, CHIN = 0, 16, 27, 8
CHEEKS = ((2, 31), (14, 35))
"""A point of the jaw and a wing of the nose: between them is a cheek."""
BROWS = (19, 24)


class Skin(NamedTuple):
    """Median CIE L* (0 to 100) of a face's skin, and its individual typology angle in degrees (dark below 10, light above
    41), None in grey pictures.
    """

    lightness: float
    tone: float | None
    doubt: float | None = None
    """Mean deviation of the face's landmarks in units of its shorter side; None where they were labelled by people."""


SURE = 0.04
"""Landmarks that are more doubtful than this are of a face that is turned away, covered, blurred, or hardly to be seen."""


def skin(image: Image, points: Points, bare: bool, doubt: float | None = None) -> Skin | None:
    """The cheeks of a bare face, the forehead above the brows of a masked one; None where they lie outside the picture."""
    across = points[JAW_RIGHT] - points[JAW_LEFT]
    reach = max(1.0, 0.08 * float(np.linalg.norm(across)))
    if bare:
        centres = [points[list(pair)].mean(axis=0) for pair in CHEEKS]
    else:
        centres = [points[list(BROWS)].mean(axis=0) + 0.22 * (points[BRIDGE] - points[CHIN])]
    patches = [patch for centre in centres if (patch := _patch(image, centre, reach)).size]
    if not patches:
        return None
    pixels = np.concatenate([patch.reshape(-1, 3) for patch in patches]).astype(np.float32) / 255
    lightness, _, yellow = np.median(cv2.cvtColor(pixels[None], cv2.COLOR_BGR2Lab)[0], axis=0).tolist()
    tone = float(np.degrees(np.arctan((lightness - 50) / yellow))) if yellow >= LEAST_COLOUR else None
    return Skin(lightness, tone, doubt)


def _patch(image: Image, centre: NDArray[np.float32], reach: float) -> Image:
    left, top = np.maximum(np.floor(centre - reach), 0).astype(int).tolist()
    right, bottom = np.maximum(np.ceil(centre + reach), 0).astype(int).tolist()
    return image[top:bottom, left:right]


BRIGHTNESS = ((0.0, 40.0), (40.0, 55.0), (55.0, 70.0), (70.0, 101.0))
TONES = {"dark": (-90.0, 10.0), "medium": (10.0, 41.0), "light": (41.0, 91.0)}
SIDES = ((20.0, 32.0), (32.0, 64.0), (64.0, 10_000.0))


@dataclass(frozen=True)
class Faces:
    """M faces that are to be compared: which picture each is in, its groups by kind of grouping ("" where it has none)."""

    pictures: int
    picture: NDArray[np.intp]
    groups: Mapping[str, NDArray[np.str_]]


def groups_of(
    skins: Sequence[Skin | None],
    bare: NDArray[np.bool_],
    sides: NDArray[np.float64],
    sources: Sequence[str],
    seen: Sequence[Seen],
) -> dict[str, NDArray[np.str_]]:
    """The groups of each face. A forehead, often in a cap's shade, is not compared with the cheeks of a `bare` face.

    Of what was not `seen` of a face, which is everything where nobody looked, it is in no group.
    """
    groups = {}
    for place, mine in (("cheeks of bare faces", bare), ("forehead of masked faces", ~bare)):
        measured = [one if own else None for one, own in zip(skins, mine, strict=True)]
        groups[f"brightness, L*, {place}"] = np.array([_band(one and one.lightness, BRIGHTNESS) for one in measured])
        groups[f"tone, {place}"] = np.array([_tone(one and one.tone) for one in measured])
    # Landmarks are sure of fewer dark faces than of others, and darkness may be why: this explains no difference away.
    clear = np.array([_clarity(one) for one in skins], np.str_)
    groups["landmarks"] = clear
    cheeks = groups["brightness, L*, cheeks of bare faces"]
    for name in ("sure", "doubtful"):
        groups[f"brightness, L*, cheeks of bare faces with {name} landmarks"] = np.where(clear == name, cheeks, "")
    groups["shorter side, px"] = np.array([_band(side, SIDES) for side in sides])
    groups["source"] = np.array(sources, np.str_)
    for column in VALUES:
        groups[column] = np.array([face.get(column, "") for face in seen], np.str_)
    return groups


def _clarity(one: Skin | None) -> str:
    if one is None or one.doubt is None:
        return ""
    return "sure" if one.doubt < SURE else "doubtful"


def _band(value: float | None, bands: Sequence[tuple[float, float]]) -> str:
    for low, high in bands:
        if value is not None and low <= value < high:
            return f"from {low:g}" if high == bands[-1][1] else f"{low:g}–{high:g}"
    return ""


def _tone(value: float | None) -> str:
    return next((name for name, (low, high) in TONES.items() if value is not None and low <= value < high), "")


@dataclass(frozen=True)
class Group:
    """One group: how many faces, and the share of them that fared badly."""

    name: str
    faces: int
    rate: Estimate


@dataclass(frozen=True)
class Grouping:
    """All groups of one kind, and how many times the best one's rate the worst one's is."""

    kind: str
    groups: tuple[Group, ...]
    worst: str
    best: str
    apart: Estimate

    def record(self) -> dict[str, object]:
        """As JSON has it."""
        rows = {group.name: {"faces": group.faces, "rate": group.rate.record()} for group in self.groups}
        return {"groups": rows, "worst": self.worst, "best": self.best, "worst_over_best": self.apart.record()}


def rates(faces: Faces, badly: NDArray[np.bool_], counted: NDArray[np.bool_] | None = None) -> list[Grouping]:
    """The share of `badly` among the `counted` faces (all), by group. Rates for the comparison of the worst with the best
    have half a case added to both ways, so that a group without any case can be the best.
    """
    counted = np.ones(len(badly), bool) if counted is None else counted
    return [_grouping(faces, kind, names, badly, counted) for kind, names in faces.groups.items()]


def _grouping(
    faces: Faces, kind: str, names: NDArray[np.str_], badly: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> Grouping:
    def per_picture(chosen: NDArray[np.bool_]) -> Numbers:
        return np.bincount(faces.picture[chosen], minlength=faces.pictures).astype(np.float64)

    groups, smoothed = [], {}
    for name in (str(name) for name in np.unique(names[counted]) if name):
        mine = counted & (names == name)
        cases, all_faces = per_picture(mine & badly), per_picture(mine)
        groups.append(Group(name, int(mine.sum()), estimate(faces.pictures, ratio(cases, all_faces))))
        if mine.sum() >= FEWEST:
            smoothed[name] = (cases, all_faces)
    shares = {name: (cases.sum() + 0.5) / (number.sum() + 1) for name, (cases, number) in smoothed.items()}
    if len(shares) < 2:
        return Grouping(kind, tuple(groups), "", "", Estimate(float("nan"), float("nan"), float("nan")))
    worst, best = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)

    def apart(weights: Weights) -> Numbers:
        high, low = (
            (weights @ cases + 0.5) / (weights @ number + 1) for cases, number in (smoothed[worst], smoothed[best])
        )
        return np.asarray(high / low)

    return Grouping(kind, tuple(groups), worst, best, estimate(faces.pictures, apart))
