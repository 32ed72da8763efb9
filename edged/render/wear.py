"""Puts one mask on one face of a picture: fabric, light and shadow taken from the face, and what it leaves visible."""

import math
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.render.fabric import MaskStyle, shade
from edged.render.mean_face import five_points, sixty_eight_points
from edged.render.outline import Array, Outline, Wear, mask_outline
from edged.types import Image, MaskState, Points

_Number = TypeVar("_Number", np.uint8, np.float32)
_SUBPIXEL_BITS = 4
_FAR = 1e5
"""Points beyond this (or not finite) belong to no face in a picture."""
_MOST_BLUR = 64.0
"""Pixels. A wider blur is made of a smaller copy: its time grows with its width, to minutes on a photograph of a phone."""
_BAND = 1 << 18
"""Pixels whose fabric coordinates are worked out at once: each takes some 300 bytes meanwhile."""


@dataclass(frozen=True, eq=False)
class WornMask:
    """The picture with the mask on."""

    image: Image
    coverage: NDArray[np.uint8]
    """Height x width: 255 where the mask hides the face."""
    visible: NDArray[np.bool_]
    """For each of the five points: not hidden by the mask."""
    state: MaskState


@dataclass(frozen=True)
class _Window:
    """The part of the picture that the mask and its shadow can touch."""

    x: int
    y: int
    width: int
    height: int

    def of(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return picture[self.y : self.y + self.height, self.x : self.x + self.width]


def wear_mask(image: Image, points: Points, style: MaskStyle, wear: Wear, rng: np.random.Generator) -> WornMask:
    """Draw a mask of `style` on the face with `points` (68 x 2 iBUG, or 5 x 2) in pixels of `image`.

    `image` is left as it is. `rng` decides where exactly the mask sits; the same seed draws the same picture.
    A face wholly outside the picture, or with points that are not finite, changes nothing.
    """
    drawn = image.copy()
    coverage = np.zeros(image.shape[:2], np.uint8)
    state = MaskState.CORRECT if wear is Wear.CORRECT else MaskState.INCORRECT
    if not (np.abs(points) < _FAR).all():
        return WornMask(drawn, coverage, np.ones(5, np.bool_), state)
    points68 = points if len(points) == 68 else sixty_eight_points(points)
    outline = mask_outline(points68, wear, style.straightness, rng)
    window = _window(outline, image.shape[1], image.shape[0])
    if window is not None:
        _draw(window.of(drawn), window.of(coverage), outline, style, window, rng)
    visible = _visible(coverage, points if len(points) == 5 else five_points(points68))
    return WornMask(drawn, coverage, visible, state)


def _window(outline: Outline, width: int, height: int) -> _Window | None:
    """The picture's part around the outline; None when nothing of it is inside."""
    everything = np.concatenate([outline.edge, *outline.loops])
    margin = 0.25 * outline.unit + 3
    x1, y1 = np.maximum(np.floor(everything.min(axis=0) - margin), 0).astype(int)
    x2, y2 = np.minimum(np.ceil(everything.max(axis=0) + margin), (width, height)).astype(int)
    return _Window(int(x1), int(y1), int(x2 - x1), int(y2 - y1)) if x2 - x1 > 1 and y2 - y1 > 1 else None


def _draw(
    patch: NDArray[np.uint8],
    coverage: NDArray[np.uint8],
    outline: Outline,
    style: MaskStyle,
    window: _Window,
    rng: np.random.Generator,
) -> None:
    """Paint shadow, loops and fabric into `patch`, and the hidden area into `coverage`, both in place."""
    origin = np.array([window.x, window.y])
    alpha = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(alpha, [_fixed(outline.edge - origin)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    coverage[:] = alpha
    face = patch.astype(np.float32)
    light = _light(face, alpha, outline.unit)
    shaded = face * _shadow(alpha, outline.unit)[..., None]
    _draw_loops(shaded, outline, style, origin)
    across, down = _fabric_coordinates(outline, window)
    fabric = _as_colourful(shade(style, across, down), patch) * light
    fabric += rng.normal(0, 2.0, fabric.shape[:2]).astype(np.float32)[..., None]
    opacity = (cv2.GaussianBlur(alpha, (0, 0), max(0.4, 0.006 * outline.unit)).astype(np.float32) / 255)[..., None]
    patch[:] = np.clip(shaded * (1 - opacity) + fabric * opacity, 0, 255).astype(np.uint8)


def _fixed(line: Array) -> NDArray[np.int32]:
    return np.round(line * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _light(face: NDArray[np.float32], alpha: NDArray[np.uint8], unit: float) -> NDArray[np.float32]:
    """How bright the fabric is lit, by place and colour: the face's own light, smoothed over features."""
    under = face[alpha > 127]
    if not len(under):
        return np.ones((*face.shape[:2], 3), np.float32)
    mean = under.mean(axis=0)
    grey = face.mean(axis=2)
    smooth = _blurred(grey, max(1.0, unit / 3))
    local = np.clip(smooth / max(float(smooth[alpha > 127].mean()), 1.0), 0.4, 1.6) ** 0.7
    # Skin of middling brightness in good light averages about 130; darker pictures get darker masks, but less than
    # in proportion, since dark skin is not dim light.
    exposure = float(np.clip((mean.mean() / 130.0) ** 0.6, 0.25, 1.25))
    tint = np.clip((mean / max(float(mean.mean()), 1.0) / np.array([0.80, 0.96, 1.24])) ** 0.5, 0.7, 1.4)
    return np.asarray(local[..., None] * exposure * tint, np.float32)


def _as_colourful(fabric: NDArray[np.float32], patch: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The fabric in grey where the picture is grey (night cameras)."""
    spread = float((patch.max(axis=2).astype(np.int16) - patch.min(axis=2)).mean())
    colour = float(np.clip((spread - 4) / 16, 0, 1))
    return fabric if colour == 1.0 else fabric * colour + fabric.mean(axis=2, keepdims=True) * (1 - colour)


def _shadow(alpha: NDArray[np.uint8], unit: float) -> NDArray[np.float32]:
    """The factor by which the mask's soft shadow darkens the skin around it."""
    offset = max(1, round(0.03 * unit))
    moved = np.roll(alpha, offset, axis=0)
    moved[:offset] = 0
    soft = _blurred(moved, max(0.7, 0.03 * unit)).astype(np.float32) / 255
    return np.asarray(1 - 0.28 * soft, np.float32)


def _blurred(plane: NDArray[_Number], sigma: float) -> NDArray[_Number]:
    """A Gaussian blur, however wide it is."""
    if sigma <= _MOST_BLUR:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), plane.dtype)
    height, width = plane.shape
    times = 2 * sigma / _MOST_BLUR
    small = cv2.resize(plane, (math.ceil(width / times), math.ceil(height / times)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / times)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), plane.dtype)


def _draw_loops(face: NDArray[np.float32], outline: Outline, style: MaskStyle, origin: Array) -> None:
    """Ear loops, light for light masks; thinner than a pixel on small faces, so they are blended."""
    width = 0.022 * outline.unit
    tone = 60.0 if sum(style.colour) < 200 else 225.0
    line = np.zeros(face.shape[:2], np.uint8)
    for loop in outline.loops:
        cv2.polylines(line, [_fixed(loop - origin)], False, 255, max(1, round(width)), cv2.LINE_AA, _SUBPIXEL_BITS)
    opacity = (line.astype(np.float32) / 255 * min(1.0, width) * 0.85)[..., None]
    brightness = np.clip(face.mean() / 130.0, 0.3, 1.2)
    face[:] = face * (1 - opacity) + tone * brightness * opacity


def _fabric_coordinates(outline: Outline, window: _Window) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Across and down for every pixel of the window, by a cubic fitted to the outline's grid."""
    centre = outline.grid[:, :2].mean(axis=0)
    terms = _cubic((outline.grid[:, 0] - centre[0]) / outline.unit, (outline.grid[:, 1] - centre[1]) / outline.unit)
    # A little ridge keeps the fit tame where a turned head folds the grid.
    ridge = 1e-4 * np.eye(terms.shape[1])
    weights = np.linalg.solve(terms.T @ terms + ridge, terms.T @ outline.grid[:, 2:])
    x = (np.arange(window.width) + window.x - centre[0]) / outline.unit
    y = (np.arange(window.height) + window.y - centre[1]) / outline.unit
    across, down = (np.empty((window.height, window.width), np.float32) for _ in range(2))
    rows = max(1, _BAND // window.width)
    for top in range(0, window.height, rows):
        band = slice(top, top + rows)
        grid_x, grid_y = np.meshgrid(x, y[band])
        values = _cubic(grid_x.ravel(), grid_y.ravel()) @ weights
        across[band] = np.clip(values[:, 0], -1.3, 1.3).reshape(grid_x.shape)
        down[band] = np.clip(values[:, 1], -0.3, 1.3).reshape(grid_x.shape)
    return across, down


def _cubic(x: Array, y: Array) -> Array:
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3], axis=1)


def _visible(coverage: NDArray[np.uint8], points5: Points) -> NDArray[np.bool_]:
    height, width = coverage.shape
    finite = np.nan_to_num(points5, nan=-1.0, posinf=-1.0, neginf=-1.0)
    inside = (finite >= 0).all(axis=1) & (finite[:, 0] < width) & (finite[:, 1] < height)
    column = np.clip(finite[:, 0], 0, width - 1).astype(int)
    row = np.clip(finite[:, 1], 0, height - 1).astype(int)
    return np.asarray(~(inside & (coverage[row, column] > 127)))
