"""Where a mask lies on a face: its edge as a polygon, its ear loops, and its own (across, down) coordinates."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from edged.types import Points

Array = NDArray[np.float64]


class Wear(str, Enum):
    """How the drawn mask is worn. All but CORRECT are the state `incorrect`."""

    CORRECT = "correct"
    NOSE = "nose"
    """The nose is bare."""
    MOUTH = "mouth"
    """Nose and mouth are bare; the mask hangs on the chin."""
    CHIN = "chin"
    """The chin is bare; the mask ends at the mouth."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Fit:
    """Where the mask's edges run. Jaw places are fractional iBUG indices on the image-left side, mirrored on the right."""

    top: Array
    """The middle of the upper edge, in pixels."""
    bottom: Array
    """The middle of the lower edge, in pixels."""
    side_top: float
    side_bottom: float


@dataclass(frozen=True)
class Outline:
    """The drawn edge. `edge` is a closed polygon, `loops` are open lines, all N x 2 pixels; `unit` is the eye distance."""

    edge: Array
    loops: tuple[Array, ...]
    unit: float
    grid: Array
    """Rows of (x, y, across, down): matching picture and fabric coordinates, across in -1..1, down in 0..1."""


def face_axes(points: Array) -> tuple[Array, float]:
    """The unit vector pointing down the face, and the distance of the outer eye corners (at least 1 px)."""
    across = points[45] - points[36]
    # Seen from the side the eyes fall together; the height of the face then gives the scale.
    height = float(np.linalg.norm(points[8] - points[27]))
    unit = max(float(np.linalg.norm(across)), 0.55 * height, 1.0)
    along = points[8] - points[27]
    down = along / max(height, 1e-6)
    return down, unit


def fit_mask(points: Array, wear: Wear, rng: np.random.Generator) -> Fit:
    """Choose where the edges run for one way of wearing, with the spread seen on real people."""
    down, unit = face_axes(points)
    below_chin = points[8] + down * unit * rng.uniform(0.03, 0.14)
    on_bridge = _between(points[27], points[30], rng.uniform(0.30, 0.68))
    if wear is Wear.CORRECT:
        return Fit(on_bridge, below_chin, rng.uniform(1.3, 2.4), rng.uniform(3.6, 4.8))
    if wear is Wear.CHIN:
        bottom = _between(points[66], points[8], rng.uniform(0.0, 0.5))
        return Fit(on_bridge, bottom, rng.uniform(1.2, 2.2), rng.uniform(3.0, 3.8))
    if wear is Wear.NOSE:
        top = _between(_between(points[30], points[33], 0.5), points[51], rng.uniform(0.0, 0.85))
        return Fit(top, points[8] + down * unit * rng.uniform(0.05, 0.2), rng.uniform(2.4, 3.6), rng.uniform(4.2, 5.2))
    top = _between(points[57], points[8], rng.uniform(0.05, 0.6))
    return Fit(top, points[8] + down * unit * rng.uniform(0.16, 0.42), rng.uniform(4.0, 5.2), rng.uniform(5.2, 6.0))


def mask_outline(points68: Points, wear: Wear, straightness: float, rng: np.random.Generator) -> Outline:
    """The outline of one mask on one face.

    `points68` are iBUG points in pixels; `straightness` 0 follows the jaw (cloth), 1 spans it straight (surgical).
    """
    points = points68.astype(np.float64)
    fit = fit_mask(points, wear, rng)
    down, unit = face_axes(points)
    sides = [_jaw(points, side, fit.side_top, 0.03 * unit) for side in (False, True)]
    corners = [_jaw(points, side, fit.side_bottom, 0.05 * unit) for side in (False, True)]
    lift = -down * unit * rng.uniform(0.0, 0.05)
    top = [_curve(sides[0], fit.top, lift), _curve(fit.top, sides[1], lift)]
    bottom = _bottom_edge(points, fit, corners, straightness, unit)
    rails = [_rail(points, fit, side, straightness, unit) for side in (False, True)]
    edge = np.concatenate([*top, rails[1], bottom, rails[0][::-1]])
    return Outline(edge, _ear_loops(points, sides, corners, down, unit), unit, _grid(fit, sides, corners))


def _between(a: Array, b: Array, t: float) -> Array:
    return np.asarray(a + (b - a) * t)


def _jaw(points: Array, right: bool, place: float, outwards: float) -> Array:
    """The point at fractional index `place` of the jaw (0 at the ear, 8 at the chin), pushed `outwards` pixels."""
    jaw = points[16:7:-1] if right else points[0:9]
    low = min(int(place), 7)
    point = _between(jaw[low], jaw[low + 1], place - low)
    away = point - points[30]
    return np.asarray(point + away / max(float(np.linalg.norm(away)), 1e-6) * outwards)


def _curve(start: Array, end: Array, lift: Array, steps: int = 9) -> Array:
    """A quadratic Bezier from `start` to `end`, its middle moved by `lift`."""
    t = np.linspace(0, 1, steps)[:, None]
    middle = (start + end) / 2 + lift
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end)


def _rail(points: Array, fit: Fit, right: bool, straightness: float, unit: float) -> Array:
    """The side edge from its top to its bottom corner."""
    places = np.linspace(fit.side_top, fit.side_bottom, 6)
    along_jaw = np.array([_jaw(points, right, place, 0.045 * unit) for place in places])
    straight = np.linspace(along_jaw[0], along_jaw[-1], len(places))
    return along_jaw * (1 - straightness) + straight * straightness


def _bottom_edge(points: Array, fit: Fit, corners: list[Array], straightness: float, unit: float) -> Array:
    """The lower edge, from the image-right to the image-left corner, through the middle of the bottom."""
    t = np.linspace(0, 1, 17)[:, None]
    control = 2 * fit.bottom - (corners[0] + corners[1]) / 2
    smooth = (1 - t) ** 2 * corners[1] + 2 * t * (1 - t) * control + t**2 * corners[0]
    places = np.concatenate([np.linspace(fit.side_bottom, 8, 9), np.linspace(8, fit.side_bottom, 9)[1:]])
    jaw = np.array([_jaw(points, k < 8, place, 0.05 * unit) for k, place in enumerate(places)])
    shift = (fit.bottom - jaw[8]) * np.sin(np.pi * t)
    follow = 0.75 * (1 - straightness)
    return np.asarray(smooth * (1 - follow) + (jaw + shift) * follow)


def _ear_loops(points: Array, sides: list[Array], corners: list[Array], down: Array, unit: float) -> tuple[Array, ...]:
    """Two lines a side, from the mask's corners to the ear; the ear hidden by a turned head gets none."""
    loops: list[Array] = []
    widths = [float(np.linalg.norm(points[k] - points[30])) for k in (0, 16)]
    for side, (jaw, inner) in enumerate(((0, 1), (16, 15))):
        if widths[side] < 0.45 * max(widths):
            continue
        ear = points[jaw] + (points[jaw] - points[inner]) * 0.3 - down * 0.05 * unit
        outwards = (points[jaw] - points[27]) / max(widths[side], 1e-6) * 0.08 * unit
        loops.append(_curve(sides[side], ear + outwards, outwards * 0.5))
        loops.append(_curve(corners[side], ear + outwards + down * 0.3 * unit, outwards * 0.8))
    return tuple(loops)


def _grid(fit: Fit, sides: list[Array], corners: list[Array]) -> Array:
    """Sample the fabric coordinates: rows run from side to side through the middle line."""
    rows = []
    for down in np.linspace(0, 1, 6):
        left, middle, right = (
            _between(a, b, down) for a, b in ((sides[0], corners[0]), (fit.top, fit.bottom), (sides[1], corners[1]))
        )
        for across in np.linspace(-1, 1, 9):
            # Lagrange through the three, so that the row bends over the nose and foreshortens on the far cheek.
            place = left * across * (across - 1) / 2 + middle * (1 - across**2) + right * across * (across + 1) / 2
            rows.append((*place, across, down))
    return np.array(rows)
