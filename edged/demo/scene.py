"""Makes the demo's recording: a portrait walks up to an entrance, time after time, wearing its mask in different ways."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edged.errors import Unavailable
from edged.render import STYLES, Wear, wear_mask
from edged.types import Image

WIDTH, HEIGHT, FPS = 960, 540, 15
PASSAGE_S, PAUSE_S = 3.6, 1.6

# scikit-image's astronaut (Eileen Collins, NASA, public domain): head and shoulders, and five points within that cut.
CUT = (slice(0, 330), slice(60, 390))
POINTS = np.array([[203.2, 100.1], [246.3, 103.1], [224.0, 128.2], [201.7, 138.3], [244.7, 140.9]], np.float32) - (
    60,
    0,
)


@dataclass(frozen=True, slots=True)
class Passage:
    """One walk up to the camera. `wear` None is a bare face; `style` is a mask's number from 1 to 7."""

    wear: Wear | None
    style: int = 1
    place: float = 0.5
    """Where the walk ends, from 0 at the left to 1 at the right."""


PASSAGES = (
    Passage(Wear.CORRECT, 1, 0.35),
    Passage(None, place=0.6),
    Passage(Wear.NOSE, 1, 0.4),
    Passage(Wear.CORRECT, 3, 0.65),
    Passage(None, place=0.3),
    Passage(Wear.NOSE, 5, 0.55),
)


def make_scene(path: Path, passages: tuple[Passage, ...] = PASSAGES) -> float:
    """Write the recording to `path` (MP4) and return its length in seconds. Raise Unavailable when it cannot be made."""
    portrait = make_portrait()
    hall = _hall()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise Unavailable(f"{path}: this OpenCV cannot write MP4; use `edged demo --source FILE`")
    frames = 0
    try:
        for number, passage in enumerate(passages):
            masked = _masked(portrait, passage, number)
            for step in range(round(PASSAGE_S * FPS)):
                writer.write(_walker(hall, masked, passage, step / (PASSAGE_S * FPS), frames))
                frames += 1
            for _ in range(round(PAUSE_S * FPS)):
                writer.write(hall)
                frames += 1
    finally:
        writer.release()
    return frames / FPS


def make_portrait() -> Image:
    """Head and shoulders of scikit-image's astronaut. Raise Unavailable without scikit-image."""
    try:
        from skimage import data
    except ImportError:
        raise Unavailable(
            "the demo's portrait comes with scikit-image; install edged[demo], or use --source FILE"
        ) from None
    picture: Image = data.astronaut()  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(picture[..., ::-1][CUT])


def _masked(portrait: Image, passage: Passage, seed: int) -> Image:
    if passage.wear is None:
        return portrait
    style = STYLES[passage.style - 1]
    return wear_mask(portrait, POINTS, style, passage.wear, np.random.default_rng(seed)).image


def _hall() -> Image:
    """A plain, softly lit wall and floor: nothing in it looks like a face."""
    rows = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None, None]
    columns = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :, None]
    wall = np.array([196, 202, 206], np.float32) * (1 - 0.25 * rows) * (1 - 0.15 * columns**2)
    floor = np.array([120, 128, 136], np.float32) * (1.2 - 0.4 * rows) * (1 - 0.1 * columns**2)
    return np.asarray(np.where(rows < 0.78, wall, floor).clip(0, 255), np.uint8)


def _walker(hall: Image, portrait: Image, passage: Passage, progress: float, frame: int) -> Image:
    """The hall with the portrait in it, `progress` from 0 (far) to 1 (near), swaying as walkers do."""
    scale = 0.45 + 0.85 * progress
    width, height = round(portrait.shape[1] * scale), round(portrait.shape[0] * scale)
    sway = 4 * np.sin(frame * 0.9)
    centre = WIDTH * (0.5 + (passage.place - 0.5) * (0.4 + 0.6 * progress)) + sway
    left, top = round(centre - width / 2), round(HEIGHT - height * (0.95 - 0.1 * progress))
    resized = cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return _blended(hall, np.asarray(resized, np.uint8), _shape(width, height), left, top)


def _shape(width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Head and shoulders as a soft-edged alpha map, so that no rectangle walks through the hall."""
    alpha = np.zeros((height, width), np.uint8)
    centre = round(width * 0.5)
    cv2.ellipse(alpha, (centre, round(height * 0.33)), (round(width * 0.3), round(height * 0.32)), 0, 0, 360, 255, -1)
    cv2.ellipse(alpha, (centre, height), (round(width * 0.48), round(height * 0.48)), 0, 180, 360, 255, -1)
    blur = max(3, width // 30) | 1
    return np.asarray(cv2.GaussianBlur(alpha, (blur, blur), 0)[..., None] / 255, np.float32)


def _blended(
    hall: Image, portrait: Image, alpha: np.ndarray[tuple[int, ...], np.dtype[np.float32]], left: int, top: int
) -> Image:
    """`portrait` laid over a copy of `hall` with its corner at (left, top), cut at the border."""
    picture = hall.copy()
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(WIDTH, left + portrait.shape[1]), min(HEIGHT, top + portrait.shape[0])
    if x0 >= x1 or y0 >= y1:
        return picture
    part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    under = picture[y0:y1, x0:x1].astype(np.float32)
    picture[y0:y1, x0:x1] = (under + (portrait[part] - under) * alpha[part]).astype(np.uint8)
    return picture


def portrait_crowd(faces: int = 5, width: int = 960, height: int = 506) -> Image:
    """A still of `faces` portraits side by side, some masked, for measuring speed without a camera."""
    portrait = make_portrait()
    picture = np.ascontiguousarray(cv2.resize(_hall(), (width, height)), np.uint8)
    side = min(width // max(faces, 1), height)
    for number in range(faces):
        passage = (Passage(Wear.CORRECT, number % 7 + 1), Passage(None), Passage(Wear.NOSE, 1))[number % 3]
        cut = cv2.resize(_masked(portrait, passage, number), (side, side), interpolation=cv2.INTER_AREA)
        picture[height - side :, number * side : (number + 1) * side] = cut
    return picture
