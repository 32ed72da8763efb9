"""Pictures of masks for people: the seven side by side, and one face cut out."""

import cv2
import numpy as np

from edged.render.fabric import STYLES
from edged.render.mean_face import MEAN_FACE
from edged.render.outline import Wear
from edged.render.wear import wear_mask
from edged.types import Box, Detection, Image, Points

TILE = 240
COLUMNS = 4
MARGIN = 0.6
"""How much of the face's longer side is kept around it in a cut."""


def contact_sheet(face: tuple[Image, Detection] | None, wear: Wear, seed: int) -> Image:
    """All masks with their numbers, on the given face or, without one, on a drawn head."""
    picture, points, box = _drawn_head() if face is None else (face[0], face[1].points, face[1].box)
    if points is None:
        picture, points, box = _drawn_head()
    tiles = [np.full((TILE, TILE, 3), 255, np.uint8)] * (-len(STYLES) % COLUMNS)
    for number, style in reversed(list(enumerate(STYLES, 1))):
        worn = wear_mask(picture, points, style, wear, np.random.default_rng(seed)).image
        tile = np.asarray(cv2.resize(face_crop(worn, box), (TILE, TILE), interpolation=cv2.INTER_AREA), np.uint8)
        tile[-24:] = 70
        where = (8, TILE - 8)
        cv2.putText(
            tile, f"{number}  {style.name}", where, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA
        )
        tiles.insert(0, tile)
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    return np.asarray(np.vstack(rows), np.uint8)


def face_crop(picture: Image, box: Box) -> Image:
    """The square around `box` with a margin, edge pixels repeated outside the picture."""
    half = max(box.width, box.height) * (0.5 + MARGIN / 2)
    x, y = box.centre
    left, top, side = round(x - half), round(y - half), max(2, round(2 * half))
    height, width = picture.shape[:2]
    border = max(0, -left, -top, left + side - width, top + side - height)
    if border:
        picture = np.asarray(
            cv2.copyMakeBorder(picture, border, border, border, border, cv2.BORDER_REPLICATE), np.uint8
        )
    return picture[top + border : top + border + side, left + border : left + border + side]


def _drawn_head() -> tuple[Image, Points, Box]:
    """A plain head with eyes, nose and mouth where the mean face has them."""
    picture = np.full((TILE, TILE, 3), 236, np.uint8)
    low, high = MEAN_FACE.min(axis=0), MEAN_FACE.max(axis=0)
    scale = 0.55 * TILE / float((high - low).max())
    points = ((MEAN_FACE - (low + high) / 2) * scale + (TILE / 2, TILE * 0.56)).astype(np.float32)
    centre = points[[0, 16]].mean(axis=0)
    width, height = float(points[16, 0] - points[0, 0]) / 2, float(points[8, 1] - centre[1])
    cv2.ellipse(
        picture,
        (round(float(centre[0])), round(float(centre[1]))),
        (round(width), round(height)),
        0,
        0,
        360,
        (178, 202, 226),
        -1,
        cv2.LINE_AA,
    )
    for line in ((17, 22), (22, 27), (27, 31), (31, 36)):
        cv2.polylines(picture, [points[slice(*line)].round().astype(np.int32)], False, (90, 110, 140), 2, cv2.LINE_AA)
    for loop in ((36, 42), (42, 48), (48, 60)):
        cv2.polylines(picture, [points[slice(*loop)].round().astype(np.int32)], True, (90, 110, 140), 2, cv2.LINE_AA)
    x1, y1 = points.min(axis=0)
    x2, y2 = points.max(axis=0)
    return picture, points, Box(float(x1), float(y1), float(x2), float(y2))
