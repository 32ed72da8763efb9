"""Reads eyes as open or closed, with an eye-crop classifier behind an `Engine`."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.analyse.ratios import eye_aspect_ratios, eye_widths
from edged.crops import probabilities
from edged.ports import Engine
from edged.types import EyeReading, HeadPose, Image, Landmarks

MODEL = "eyes"
"""The classifier's name in the manifest."""

EYE_SIZE = 32
"""Side of the classifier's input, in pixels."""

EYE_MARGIN = 1.5
"""Side of the square cut from the picture, in units of the distance between the eye's corners."""

EYE_STATES = ("open", "closed", "hidden")
"""What the classifier tells apart, in the order of its output."""

MAX_BATCH = 32
"""More eyes than this are read in several runs, so that a crowd cannot grow the memory."""

SMALLEST_EYE = 12.0
"""Corner to corner, in pixels of the picture; engines/eyes.md has the accuracy by width that this was chosen from."""

FADE_YAW, NEARER_YAW, LARGEST_YAW, LARGEST_PITCH = 10.0, 20.0, 40.0, 40.0
"""Degrees between the face and the line of sight: where the farther eye begins to count less, where it counts no more,
and where neither eye can be read."""

UNSURE_RATIO = 0.15
"""The lids' expected error, in eye widths, beyond which the aspect ratio is left out: half of an open eye's opening
away, the error alone would close it."""

LOST_EYE = 0.25
"""The corners' expected error, in eye widths, beyond which the crop may show anything: the eye counts as hidden."""

DOUBTFUL = 60.0
"""Degrees: a head whose direction is expected to be this wrong is hardly one, and its eyes are hidden."""

_MOST_OVERSAMPLING = 8


class EyeFrame(NamedTuple):
    """Where one eye lies: the middle between its corners, and the way from the outer to the inner corner, in pixels.

    `mirrored`: the eye is the image-right one; it is cut mirrored, so that both look alike.
    """

    x: float
    y: float
    across_x: float
    across_y: float
    mirrored: bool

    @classmethod
    def of(cls, landmarks: NDArray[np.float32], mirrored: bool) -> "EyeFrame":
        """The image-left (or, `mirrored`, the image-right) eye of 68 x 2 finite landmarks."""
        outer, inner = landmarks[45:41:-3].tolist() if mirrored else landmarks[36:40:3].tolist()
        x, y = (outer[0] + inner[0]) / 2, (outer[1] + inner[1]) / 2
        return cls(x, y, inner[0] - outer[0], inner[1] - outer[1], mirrored)

    def matrix(self, size: int, margin: float) -> NDArray[np.float64]:
        """2 x 3: from pixels of a crop of side `size`, `margin` eye widths wide, to pixels of the picture."""
        step = margin / size
        right_x, right_y = self.across_x * step, self.across_y * step
        down_x, down_y = (right_y, -right_x) if self.mirrored else (-right_y, right_x)
        middle = (size - 1) / 2
        left, top = self.x - middle * (right_x + down_x), self.y - middle * (right_y + down_y)
        return np.array([[right_x, down_x, left], [right_y, down_y, top]])


def eye_crops(
    image: Image,
    frames: Sequence[EyeFrame],
    out: NDArray[np.uint8] | None = None,
    size: int = EYE_SIZE,
    margin: float = EYE_MARGIN,
) -> NDArray[np.uint8]:
    """Cut one levelled square for each frame: N x size x size x 3 BGR, `out[:N]` where `out` is given.

    Averaged when shrunk, linearly interpolated when grown; outside the picture the nearest edge pixel is repeated.
    `image` must not be empty. The same function in training and in service.
    """
    if out is None:
        out = np.empty((len(frames), size, size, 3), np.uint8)
    for crop, frame in zip(out, frames, strict=False):
        # Pixels of the picture that fall on one pixel of the crop, along one axis.
        coarse = margin * math.hypot(frame.across_x, frame.across_y) / size
        finer = min(max(math.ceil(coarse), 1), _MOST_OVERSAMPLING)
        if finer == 1:
            _warp(image, frame.matrix(size, margin), crop)
        else:
            fine = np.empty((size * finer, size * finer, 3), np.uint8)
            _warp(image, frame.matrix(size * finer, margin), fine)
            cv2.resize(fine, (size, size), crop, interpolation=cv2.INTER_AREA)
    return out[: len(frames)]


def _warp(image: Image, matrix: NDArray[np.float64], crop: NDArray[np.uint8]) -> None:
    """Fill `crop` through `matrix`, from the part of the picture it can touch: OpenCV refuses very large pictures."""
    size, (height, width) = len(crop), image.shape[:2]
    (right_x, down_x, x), (right_y, down_y, y) = matrix.tolist()
    left, right = _reach(x, right_x * size, down_x * size, width)
    top, bottom = _reach(y, right_y * size, down_y * size, height)
    matrix[:, 2] = x - left, y - top
    patch = image[top:bottom, left:right]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cv2.warpAffine(patch, matrix, (size, size), crop, flags, cv2.BORDER_REPLICATE)


def _reach(start: float, right: float, down: float, length: int) -> tuple[int, int]:
    """The part of one axis of the picture that interpolation can touch; at least one pixel, the nearest."""
    low, high = start + min(right, 0.0) + min(down, 0.0), start + max(right, 0.0) + max(down, 0.0)
    first = min(max(math.floor(low) - 2, 0), length - 1)
    return first, min(max(math.ceil(high) + 3, first + 1), length)


class _Sight(NamedTuple):
    """One eye worth reading: where, how much it counts, and its aspect ratio if that can be trusted."""

    frame: EyeFrame
    weight: float
    ratio: float | None


class EyeClassifier:
    """Implements `edged.ports.EyeReader`.

    The engine takes `eyes` uint8 [batch, 32, 32, 3] (BGR, rows first) and gives `probabilities` float32 [batch, 3]
    in the order of `EYE_STATES`; normalisation and calibration are inside the graph.
    """

    def __init__(self, engine: Engine, smallest_eye: float = SMALLEST_EYE) -> None:
        self._engine = engine
        self._smallest_eye = smallest_eye
        self._crops = np.empty((MAX_BATCH, EYE_SIZE, EYE_SIZE, 3), np.uint8)

    def read(self, image: Image, landmarks: Sequence[Landmarks], poses: Sequence[HeadPose | None]) -> list[EyeReading]:
        """One EyeReading for each face, in order. Raise ModelError for a wrong model."""
        faces = [
            eyes_worth_reading(image, face, pose, self._smallest_eye)
            for face, pose in zip(landmarks, poses, strict=True)
        ]
        frames = [sight.frame for sights in faces if not isinstance(sights, str) for sight in sights]
        outputs = iter(self._classify(image, frames))
        return [
            EyeReading(None, None, sights)
            if isinstance(sights, str)
            else _reading(sights, [next(outputs) for _ in sights])
            for sights in faces
        ]

    def _classify(self, image: Image, frames: Sequence[EyeFrame]) -> list[list[float]]:
        """Probabilities of `EYE_STATES` for each frame."""
        outputs: list[list[float]] = []
        for start in range(0, len(frames), MAX_BATCH):
            crops = eye_crops(image, frames[start : start + MAX_BATCH], self._crops)
            outputs += probabilities(self._engine, {"eyes": crops}, "an eye classifier")
        return outputs


def eyes_worth_reading(image: Image, face: Landmarks, pose: HeadPose | None, smallest_eye: float) -> list[_Sight] | str:
    """The eyes of one face that can be read, or why there is none: "small", "turned away" or "hidden"."""
    if pose is not None and (abs(pose.facing_yaw) > LARGEST_YAW or abs(pose.facing_pitch) > LARGEST_PITCH):
        return "turned away"
    if pose is not None and pose.deviation > DOUBTFUL:
        return "hidden"
    ratios, widths = eye_aspect_ratios(face.points), eye_widths(face.points)
    nearness = _nearness(pose.facing_yaw if pose is not None else 0.0)
    sights, reason = [], "hidden"
    for side, (ratio, width, near) in enumerate(zip(ratios, widths, nearness, strict=True)):
        if width is None or near <= 0:
            continue
        if width < smallest_eye:
            reason = "small"
            continue
        frame = EyeFrame.of(face.points, mirrored=side == 1)
        corners, lids = _deviations(face.deviations[36 + 6 * side : 42 + 6 * side].tolist())
        if corners > LOST_EYE * width or not _inside(frame, image):
            continue
        sights.append(_Sight(frame, near * width / (1 + corners), ratio if lids <= UNSURE_RATIO * width else None))
    return sights or reason


def _nearness(yaw: float) -> tuple[float, float]:
    """How much the image-left and the image-right eye count: the farther one fades. yaw > 0: nose to the image's left."""
    farther = min(max((NEARER_YAW - abs(yaw)) / (NEARER_YAW - FADE_YAW), 0.0), 1.0)
    return (farther, 1.0) if yaw > 0 else (1.0, farther)


def _deviations(of_eye: list[float]) -> tuple[float, float]:
    """The mean expected error of an eye's corners, and of its lids; infinite when one is not a number."""
    corners, lids = (of_eye[0] + of_eye[3]) / 2, (of_eye[1] + of_eye[2] + of_eye[4] + of_eye[5]) / 4
    return (corners if corners >= 0 else math.inf), (lids if lids >= 0 else math.inf)


def _inside(frame: EyeFrame, image: Image) -> bool:
    """Whether both corners lie in the picture."""
    height, width = image.shape[:2]
    half_x, half_y = abs(frame.across_x) / 2, abs(frame.across_y) / 2
    return bool(half_x <= frame.x <= width - half_x and half_y <= frame.y <= height - half_y)


def _reading(sights: Sequence[_Sight], outputs: Sequence[Sequence[float]]) -> EyeReading:
    """What the readable eyes of one face say together; an eye that is most likely hidden says nothing."""
    total = opened = ratio_total = ratios = 0.0
    for sight, (is_open, is_closed, is_hidden) in zip(sights, outputs, strict=True):
        if is_hidden >= max(is_open, is_closed):
            continue
        total += sight.weight
        opened += sight.weight * is_open / (is_open + is_closed)
        if sight.ratio is not None:
            ratio_total += sight.weight
            ratios += sight.weight * sight.ratio
    if not total:
        return EyeReading(None, None, "hidden")
    return EyeReading(opened / total, ratios / ratio_total if ratio_total else None)
