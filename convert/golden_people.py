"""Draws the pictures of people as they come, on which the tests hold the whole product: tests/golden_people.

Their faces are photographs in the public domain; glasses, beards and masks are drawn where no such photograph was at hand.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from convert.data.beard import draw_beard
from convert.data.coco import read_picture
from convert.data.headwear import begin_drawing, draw_sunglasses
from edged.demo.scene import POINTS, make_portrait
from edged.errors import Unavailable
from edged.render import STYLES, Wear, wear_mask
from edged.types import Image, Points

QUALITY = 90
CAP = "cap"
"""The one photograph that no package brings which edged depends on: it stays as it lies in the folder."""
CAP_POINTS = np.array([[95.5, 112.2], [141.5, 111.0], [119.0, 136.3], [100.6, 157.9], [139.4, 156.7]], np.float32)
CORNER = (45, 20)
SIDE = 240
BROWN, DARK, GREY = np.array([[40.0, 55.0, 80.0], [28.0, 34.0, 44.0], [120.0, 130.0, 145.0]])


def write_people(folder: Path) -> Iterator[str]:
    """Draw into `folder`, beside the photograph that lies there, all other pictures; a line on each."""
    cap = read_picture(folder / f"{CAP}.jpg")
    for name, image in draw(cap):
        path = folder / f"{name}.jpg"
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        path.write_bytes(data)
        yield f"{path}: {len(data)} bytes"


def draw(cap: Image) -> Iterator[tuple[str, Image]]:
    """Names and pictures, the same each time. `cap` is the photograph of an admiral in hers."""
    left, top = CORNER
    portrait = np.ascontiguousarray(make_portrait()[top : top + SIDE, left : left + SIDE])
    points = (POINTS - CORNER).astype(np.float32)
    yield "profile", _cameraman()
    yield "sunglasses", _with_sunglasses(portrait, points, 0)
    both = _with_sunglasses(cap, CAP_POINTS, 2)
    yield "sunglasses-cap", both
    yield "sunglasses-cap-small", np.asarray(cv2.resize(both, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    yield "beard", draw_beard(portrait, points, BROWN, np.random.default_rng(0))
    yield "beard-dark", draw_beard(cap, CAP_POINTS, DARK, np.random.default_rng(1))
    yield "beard-grey", draw_beard(portrait, points, GREY, np.random.default_rng(2))
    for name, base, its, style, wear in (
        ("nose-out", portrait, points, 0, Wear.NOSE),
        ("nose-out-black", cap, CAP_POINTS, 4, Wear.NOSE),
        ("chin-out", portrait, points, 4, Wear.CHIN),
        ("chin-out-cap", cap, CAP_POINTS, 0, Wear.CHIN),
        ("correct-cap", cap, CAP_POINTS, 4, Wear.CORRECT),
    ):
        yield name, wear_mask(base, its, STYLES[style], wear, np.random.default_rng(3)).image


def _with_sunglasses(image: Image, points5: Points, seed: int) -> Image:
    worn = image.copy()
    drawing = begin_drawing(worn, points5)
    if drawing is not None:
        draw_sunglasses(drawing, np.random.default_rng(seed))
    return worn


def _cameraman() -> Image:
    """A man seen from the side, from scikit-image (CC0). Raise Unavailable without it."""
    try:
        from skimage import data
    except ImportError:
        raise Unavailable("the man seen from the side comes with scikit-image; install edged[demo]") from None
    grey: Image = data.camera()  # type: ignore[no-untyped-call]
    return np.asarray(cv2.cvtColor(grey[40 : 40 + SIDE, 100 : 100 + SIDE], cv2.COLOR_GRAY2BGR), np.uint8)
