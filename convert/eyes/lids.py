"""Draws eyelids shut, or nearly shut, over open eyes: real pictures of shut eyes as cameras frame them are rare."""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

SKIN_ABOVE = 0.4
"""Height of the skin over the upper lid that is stretched down, in eye widths."""


def draw_lid(wide: Pixels, lids: NDArray[np.float64], left: float, rng: np.random.Generator) -> Pixels:
    """A copy of `wide` with the upper lid drawn down until `left` (0 to 1) of the opening is left.

    `lids`: six points in pixels of `wide`, from the left corner over the upper lid, to the right corner, and back along
    the lower lid; about level. The skin above is stretched, and the lashes' line goes with it.
    """
    size = len(wide)
    columns = np.arange(size, dtype=np.float64)
    upper, lower = _curve(lids[:4], columns), _curve(lids[[0, 5, 4, 3]], columns)
    lower = np.maximum(lower, upper)
    width = float(lids[3, 0] - lids[0, 0])
    # Cut a little outside the opening, so that none of the white is left of a shut eye.
    edge = upper - (1 - left) * 0.05 * width
    target = np.maximum(lower - left * (lower - upper) + (1 - left) * 0.05 * width, edge)
    top = upper - SKIN_ABOVE * width
    rows = columns[:, None]
    stretched = top + (rows - top) * ((edge - top) / np.maximum(target - top, 1e-3))
    inside = (rows > top) & (rows < target) & (columns > lids[0, 0]) & (columns < lids[3, 0])
    map_y = np.where(inside, stretched, rows).astype(np.float32)
    map_x = np.broadcast_to(columns.astype(np.float32), (size, size))
    drawn = cv2.remap(wide, map_x.copy(), map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return _lashes(np.asarray(drawn, np.uint8), target, lids, width, rng)


def _curve(points: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height of a smooth line through four points (least squares) at each column; level beyond its ends."""
    inside = columns.clip(points[:, 0].min(), points[:, 0].max())
    middle = points[:, 0].mean()
    return np.asarray(np.polyval(np.polyfit(points[:, 0] - middle, points[:, 1], 2), inside - middle), np.float64)


def _lashes(
    image: Pixels, target: NDArray[np.float64], lids: NDArray[np.float64], width: float, rng: np.random.Generator
) -> Pixels:
    """Darken the lid's new edge: from hardly at all to mascara."""
    columns = np.arange(max(0, int(lids[0, 0])), min(len(image), int(lids[3, 0]) + 1))
    line = np.column_stack([columns, target[columns]])
    shade = np.zeros(image.shape[:2], np.uint8)
    thick = max(1, round(width * rng.uniform(0.02, 0.09)))
    cv2.polylines(shade, [np.round(line * 16).astype(np.int32)], False, 255, thick, cv2.LINE_AA, shift=4)
    soft = cv2.GaussianBlur(shade, (0, 0), float(rng.uniform(0.5, 1.2))).astype(np.float32) / 255
    darkness = soft * np.float32(rng.uniform(0, 0.7))
    return np.asarray(image * (1 - darkness[..., None]), np.float32).astype(np.uint8)
