"""Draws a full beard on a face of which five points are known: bare faces that a classifier likes to take for masked ones."""

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.data.headwear import SUBPIXEL_BITS, Array, begin_drawing, ellipse
from edged.types import Image

ENLARGED = 4
"""Hairs are finer than pixels: they are drawn in a larger picture."""
HAIRS, LENGTH, THICKNESS = 4000, 0.07, 0.012
"""The latter two in units of the mean face's frame; see `convert.data.headwear`."""
OUTER = np.array([[0.76, 0.30], [0.74, 0.50], [0.64, 0.86], [0.36, 1.18], [0.0, 1.30]])
INNER = np.array([[0.66, 0.34], [0.58, 0.56], [0.46, 0.66], [0.26, 0.60], [0.05, 0.565]])
MIRRORED = np.array([-1, 1])
OUTLINE = np.concatenate([OUTER, (OUTER * MIRRORED)[-2::-1], INNER * MIRRORED, INNER[::-1]])


def draw_beard(image: Image, points5: NDArray[np.float32], colour: Array, rng: np.random.Generator) -> Image:
    """The picture with cheeks, chin and upper lip of one face under hair of about this colour (BGR); the lips are free."""
    height, width = image.shape[:2]
    large = np.asarray(cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC), np.uint8)
    drawing = begin_drawing(large, points5 * ENLARGED)
    if drawing is None:
        return image
    skin = np.zeros(drawing.patch.shape[:2], np.uint8)
    cv2.fillPoly(skin, [drawing.place(OUTLINE)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    cv2.fillPoly(skin, [drawing.place(ellipse(0.0, 0.765, 0.30, 0.10))], 0, cv2.LINE_AA, SUBPIXEL_BITS)
    density = np.asarray(cv2.GaussianBlur(skin, (0, 0), 0.06 * drawing.unit), np.uint8)
    drawing.lay(density, colour, 0.75)
    roots = rng.uniform(OUTLINE.min(axis=0), OUTLINE.max(axis=0), (HAIRS, 2))
    tips = roots + np.column_stack([roots[:, 0] * 0.06, np.full(HAIRS, LENGTH)]) + rng.normal(0, 0.015, (HAIRS, 2))
    thick = max(1, round(THICKNESS * drawing.unit))
    columns, rows = (drawing.place(roots) >> SUBPIXEL_BITS).clip(0, np.array(skin.shape[::-1]) - 1).T
    grows = density[rows, columns] > rng.uniform(60, 230, HAIRS)
    shades = (colour * rng.uniform(0.55, 1.6, (HAIRS, 1))).clip(0, 255)
    for root, tip, shade in zip(
        drawing.place(roots)[grows].tolist(), drawing.place(tips)[grows].tolist(), shades[grows].tolist(), strict=True
    ):
        cv2.line(drawing.patch, root, tip, shade, thick, cv2.LINE_AA, SUBPIXEL_BITS)
    return np.asarray(cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
