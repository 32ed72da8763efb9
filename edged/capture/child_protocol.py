"""What both ends of a capture process share: its settings, their messages, and how pictures are rotated and rate-limited.

No config library is needed to import this: the capture process starts without them.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, Protocol

import cv2
import numpy as np

from edged.errors import SourceLost
from edged.types import Image

MOST_PIXELS = int(os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"])
"""A header may claim any size; beyond this a picture is refused rather than allocated. Set in `edged/__init__.py`."""

# OpenCV reads this once, at its first use of FFmpeg; whoever uses it imports this module first.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # quiet: what fails is logged once, in words with a remedy

Flip = Literal["none", "horizontal", "vertical"]
Transport = Literal["auto", "tcp", "udp"]

USUAL_SIZE = (1280, 720)
"""What a CSI or Pi camera is asked for when its URI names no size."""
USUAL_FPS = 30
"""What such a camera is asked for when its URI names no rate: the sensors' own."""
MOST_LATE_S = 1.0


def capture_s(stamp_s: float, now_s: float) -> float:
    """When a picture was taken: by the driver's own stamp where that is monotonic time too, as most are; else now."""
    return stamp_s if now_s - MOST_LATE_S <= stamp_s <= now_s else now_s


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """One live camera to open, as plain values that cross to its capture process.

    `uri` may hold a password: it is never logged, and never stands on a command line. `name` is the same, fit for people.
    `path`, `options` and `scheme` are those of `edged.config.source.Source`. `fps` is the highest rate at which
    pictures are decoded; further ones are only counted.
    """

    name: str
    uri: str
    scheme: str
    path: str
    fps: float
    options: Mapping[str, int] = field(default_factory=dict)
    rotation: int = 0
    flip: Flip = "none"
    transport: Transport = "auto"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height to ask a CSI or Pi camera for."""
        return self.options.get("width", USUAL_SIZE[0]), self.options.get("height", USUAL_SIZE[1])

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "CaptureSettings":
        """Raise SourceLost when `text` holds no such settings."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise SourceLost(f"the capture process cannot read its settings ({error})") from None


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture that the camera gave. `image` is None when it was over the rate, or could not be decoded or stored."""

    time_s: float
    """Monotonic seconds at capture, as near to the sensor as the source tells."""
    image: Image | None
    broken: bool = False
    """Whether it could not be decoded."""


class Feed(Protocol):
    """Pictures of one live camera, taken in a process of their own."""

    def next(self, timeout_s: float) -> Shot | None:
        """The next picture, None when none comes in time. Raise SourceLost, naming the remedy, when none will."""

    def close(self) -> bool:
        """End the process; return False when it cannot be killed now. Ask `gone` of it from then on. Idempotent."""

    def gone(self) -> bool:
        """Whether the process has ended."""


ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
FLIPS = {"horizontal": 1, "vertical": 0}


class Orientation:
    """`rotation` degrees clockwise, then mirrored: "horizontal" swaps left and right, "vertical" top and bottom."""

    def __init__(self, rotation: int, flip: Flip) -> None:
        self._turn = ROTATIONS.get(rotation)
        self._flip = FLIPS.get(flip)
        self._between: Image | None = None

    @property
    def changes(self) -> bool:
        """Whether pictures need any work."""
        return self._turn is not None or self._flip is not None

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what becomes of such a picture."""
        return (height, width) if self._turn in (None, cv2.ROTATE_180) else (width, height)

    def apply(self, image: Image, into: Image | None = None) -> Image:
        """The picture turned and mirrored, written to `into` where given; the picture itself where nothing is to be done."""
        if self._turn is None and self._flip is None:
            if into is None:
                return image
            np.copyto(into, image)
            return into
        if self._turn is not None:
            last = self._flip is None
            turned = cv2.rotate(image, self._turn, dst=into if last else self._between)
            if last:
                return np.asarray(turned, dtype=np.uint8)
            image = self._between = np.asarray(turned, dtype=np.uint8)
        assert self._flip is not None  # noqa: S101  for the type checker
        return np.asarray(cv2.flip(image, self._flip, dst=into), dtype=np.uint8)


CREDIT = 0.98
"""Part of an interval after which the next picture is due: a camera's own jitter must not halve the rate."""


class RateLimiter:
    """Decides by their times which pictures of a stream to take, so that at most so many a second are."""

    def __init__(self, fps: float) -> None:
        self._interval_s = CREDIT / fps
        self._next_due_s: float | None = None

    def due(self, time_s: float) -> bool:
        """Whether the picture of this moment is to be taken; call once for each picture, times not falling."""
        if self._next_due_s is None:
            self._next_due_s = time_s + self._interval_s
            return True
        if time_s < self._next_due_s:
            return False
        # One interval of credit: streams come in bursts, and the late half of a pair must not cost a turn.
        self._next_due_s = max(self._next_due_s, time_s - self._interval_s) + self._interval_s
        return True
