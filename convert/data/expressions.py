"""Opens mouths and turns heads in pictures whose 68 landmarks are known: what the face sets show too rarely.

The points are lifted into space by our own head's shape, the jaw is turned about its hinge and the head about its neck,
and the picture is warped along by a thin-plate spline (Bookstein 1989). Good for training only: what was hidden stays so.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.analyse.pose.shape import HEAD_SHAPE
from edged.types import Image, Points

Floats = NDArray[np.float64]

HINGE = np.array([0.0, 0.35, 0.5])
NECK = np.array([0.0, 0.6, 0.75])
"""In the head shape's frame: the jaw turns about the one, the head about the other."""

FOREHEAD = np.array(
    [(-0.75, -0.55, 0.55), (-0.4, -0.85, 0.2), (0.0, -0.95, 0.1), (0.4, -0.85, 0.2), (0.75, -0.55, 0.55)]
)
"""Where the head goes on above the landmarks."""

WIDEST_JAW = 0.5
"""Radians between a shut mouth and a yawn's height."""
GLIDE = 0.15
"""How far the jaw also glides down until then, in outer-eye distances: the hinge is no bolt."""
NARROWER = 0.25
"""How much of its width a mouth loses when it is opened all the way."""

INNER = slice(60, 68)
UPPER, LOWER = (60, 61, 62, 63, 64), (60, 67, 66, 65, 64)
LIPS = slice(48, 68)
OPEN_ALREADY = 0.2
"""Mouths whose inner lips are so far apart, in widths, have an inside that can be seen."""


@dataclass(frozen=True)
class MouthPart:
    """Something seen in an open mouth along one lip. Heights are parts of the gap between the lips; colours are BGR."""

    share: float
    """How often it is seen."""
    below: bool
    behind: float
    height: tuple[float, float]
    colour: tuple[int, int, int]
    lit: tuple[float, float]


PARTS = (
    MouthPart(0.55, True, 0.05, (0.2, 0.5), (85, 80, 165), (0.6, 1.1)),  # the tongue
    MouthPart(0.6, False, 0.0, (0.1, 0.25), (185, 200, 210), (0.6, 1.1)),  # upper teeth
    MouthPart(0.25, True, 0.0, (0.05, 0.15), (175, 190, 200), (0.5, 1.0)),  # lower teeth
)

GRID = 4
"""Pixels between the places at which the warp is calculated; between them it is linear."""


@dataclass(frozen=True)
class Expression:
    """How a face is changed: the jaw's angle, and the head's turns to the side and up, in radians."""

    jaw: float
    yaw: float
    pitch: float


def random_expression(rng: np.random.Generator) -> Expression:
    """Three of four mouths opened, evenly up to a yawn; three of four heads turned, seldom far."""
    jaw = rng.uniform(0.08, WIDEST_JAW) if rng.random() < 0.75 else 0.0
    turned = rng.random() < 0.75
    yaw = float(np.clip(rng.normal(0, 0.25), -0.5, 0.5)) if turned else 0.0
    pitch = float(np.clip(rng.normal(0, 0.1), -0.2, 0.2)) if turned else 0.0
    return Expression(float(jaw), yaw, pitch)


def change(image: Image, points: Points, expression: Expression, rng: np.random.Generator) -> tuple[Image, Points]:
    """A copy of the picture with the face changed, and its points (68 x 2, pixels, iBUG order)."""
    moved, forehead, forehead_moved = _moved(points.astype(np.float64), expression)
    height, width = image.shape[:2]
    frame = _frame(width, height)
    target = np.vstack([moved, forehead_moved, frame])
    source = np.vstack([points, forehead, frame])
    warped = _warp(image, target, source)
    if expression.jaw > 0 and _openness(points) < OPEN_ALREADY:
        warped = _paint_inside(warped, moved, rng)
    return warped, moved.astype(np.float32)


def _moved(points: Floats, expression: Expression) -> tuple[Floats, Floats, Floats]:
    """The points after the change, and the forehead's before and after it."""
    scale, rotation, offset = _orthographic_fit(points)
    depths = ((HEAD_SHAPE @ rotation.T) * scale)[:, 2]
    flat = np.column_stack([points - offset, depths])
    head = (flat / scale) @ rotation  # into the head's own frame, with this face's own features
    head = _open_jaw(head, expression.jaw)
    turn = _rotation(expression.yaw, expression.pitch)

    def project(body: Floats) -> Floats:
        seen = ((body - NECK) @ turn.T + NECK) @ rotation.T
        projected: Floats = seen[:, :2] * scale + offset
        return projected

    forehead: Floats = (FOREHEAD @ rotation.T)[:, :2] * scale + offset
    return project(head), forehead, project(FOREHEAD)


def _orthographic_fit(points: Floats) -> tuple[float, Floats, Floats]:
    """Scale, rotation (3 x 3) and offset with which the head's shape comes nearest to the points, seen from afar."""
    centre = HEAD_SHAPE.mean(axis=0)
    solved, *_ = np.linalg.lstsq(HEAD_SHAPE - centre, points - points.mean(axis=0), rcond=None)
    left, sizes, right = np.linalg.svd(solved.T, full_matrices=False)
    rows, scale = left @ right, float(sizes.mean())
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])])
    offset: Floats = points.mean(axis=0) - scale * (rotation @ centre)[:2]
    return scale, rotation, offset


def _open_jaw(head: Floats, angle: float) -> Floats:
    """Points in the head's frame with the jaw turned about its hinge; the mouth's corners follow half way."""
    share = np.zeros(68)
    share[:17] = np.interp(np.abs(np.arange(17) - 8), [0, 3, 6, 8], [1.0, 0.95, 0.45, 0.0])
    share[[55, 56, 57, 58, 59, 65, 66, 67]] = 1.0
    share[[48, 54, 60, 64]] = 0.45
    low, cos, sin = head - HINGE, np.cos(share * angle), np.sin(share * angle)
    # The chin is before the hinge (Z < 0): it goes down, and then back.
    turned = [low[:, 0], cos * low[:, 1] - sin * low[:, 2], sin * low[:, 1] + cos * low[:, 2]]
    opened: Floats = np.column_stack(turned) + HINGE
    opened[:, 1] += GLIDE * share * angle / WIDEST_JAW
    middle = head[LIPS, 0].mean()
    opened[LIPS, 0] = middle + (opened[LIPS, 0] - middle) * (1 - NARROWER * angle / WIDEST_JAW)
    return opened


def _rotation(yaw: float, pitch: float) -> Floats:
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return np.asarray(about_y @ about_x)


def _frame(width: int, height: int) -> Floats:
    """Places round the picture that stay where they are."""
    x, y = np.linspace(0, width - 1, 4), np.linspace(0, height - 1, 4)
    top, bottom = np.column_stack([x, np.zeros(4)]), np.column_stack([x, np.full(4, height - 1)])
    left, right = np.column_stack([np.zeros(2), y[1:3]]), np.column_stack([np.full(2, width - 1), y[1:3]])
    return np.vstack([top, bottom, left, right])


def _warp(image: Image, target: Floats, source: Floats) -> Image:
    """The picture moved so that what was at `source` is at `target`."""
    height, width = image.shape[:2]
    rows, columns = (-(-size // GRID) + 1 for size in (height, width))
    y, x = np.mgrid[:rows, :columns] * float(GRID)
    places = np.column_stack([x.ravel(), y.ravel()])
    size = float(max(height, width))
    shifts = _spline(target / size, (source - target) / size, places / size) * size
    grid = (places + shifts).astype(np.float32).reshape(rows, columns, 2)
    full_y, full_x = np.mgrid[:height, :width].astype(np.float32) / GRID
    found = cv2.remap(grid, full_x, full_y, cv2.INTER_LINEAR)
    moved = cv2.remap(image, found[..., 0], found[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _spline(knots: Floats, values: Floats, places: Floats, stiffness: float = 1e-5) -> Floats:
    """The thin-plate spline through `values` at `knots`, at `places`; a little stiff, so that near knots may disagree."""
    count = len(knots)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(knots, knots) + stiffness * np.eye(count)
    system[:count, count:] = np.column_stack([np.ones(count), knots])
    system[count:, :count] = system[:count, count:].T
    weights = np.linalg.lstsq(system, np.vstack([values, np.zeros((3, 2))]), rcond=None)[0]
    answer: Floats = (
        _kernel(places, knots) @ weights[:count] + np.column_stack([np.ones(len(places)), places]) @ weights[count:]
    )
    return answer


def _kernel(one: Floats, other: Floats) -> Floats:
    squares = ((one[:, None] - other[None]) ** 2).sum(axis=2)
    return np.asarray(0.5 * squares * np.log(squares + 1e-12))


def _openness(points: Points) -> float:
    """The inner lips' middle distance over their width."""
    gap, width = (float(np.linalg.norm(points[one] - points[other])) for one, other in ((62, 66), (60, 64)))
    return gap / max(width, 1e-6)


def _paint_inside(image: Image, points: Floats, rng: np.random.Generator) -> Image:
    """The inside of a mouth between the inner lips: dark, with teeth and tongue at times, in the light of the face."""
    unit = max(float(np.linalg.norm(points[45] - points[36])), 8.0)
    light = float(np.clip(_brightness(image, points) / 140.0, 0.2, 1.5))
    layer = image.astype(np.float32)
    dark = np.array([rng.uniform(8, 45), rng.uniform(8, 40), rng.uniform(20, 100)]) * light
    _fill(layer, points[INNER], dark)
    upper, lower = points[list(UPPER)], points[list(LOWER)]
    for part in PARTS:
        if rng.random() < part.share:
            lip, gap = (lower, upper - lower) if part.below else (upper, lower - upper)
            strip = _strip(lip + part.behind * gap, rng.uniform(*part.height) * gap)
            _fill(layer, strip, np.array(part.colour) * light * rng.uniform(*part.lit))
    cover = np.zeros(image.shape[:2], np.float32)
    _fill(cover, points[INNER], np.array([1.0]))
    soft = max(0.4, unit * float(rng.uniform(0.008, 0.02)))
    opacity = np.asarray(cv2.GaussianBlur(cover, (0, 0), soft))[..., None]
    softened = np.asarray(cv2.GaussianBlur(layer, (0, 0), soft))
    return np.asarray(np.clip(softened * opacity + image * (1 - opacity), 0, 255), np.uint8)


def _brightness(image: Image, points: Floats) -> float:
    """The mean of the face's pixels."""
    inside = np.zeros(image.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(np.round(points[:36]).astype(np.int32)), 1)
    return float(cv2.mean(image, inside)[1]) if inside.any() else 128.0


def _strip(along: Floats, across: Floats) -> Floats:
    return np.vstack([along, (along + across)[::-1]])


def _fill(layer: NDArray[np.float32], outline: Floats, colour: Floats) -> None:
    corners = np.round(outline * 16).astype(np.int32)
    cv2.fillPoly(layer, [corners], colour.tolist(), cv2.LINE_AA, 4)
