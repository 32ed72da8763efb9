"""Looks at one camera for a few seconds, the way the daemon would, and says how good its pictures are."""

import os
import sys
import time
from dataclasses import dataclass

import cv2

from edged.capture.camera import FIRST_PICTURE_S
from edged.capture.feed import Feed
from edged.capture.feeds import is_recording, open_feed
from edged.capture.health import figures
from edged.config import CameraConfig
from edged.errors import SourceLost
from edged.processes.asking import ask
from edged.types import Image

LOOK_S = 3.0
SETTLE_S = 1.0
"""Exposure and rate of the first second say nothing about the later ones."""
LISTEN_S = 0.25
SHARPNESS_WIDTH = 320
DARK, BRIGHT = 25.0, 235.0
"""Mean brightness, 0 to 255, outside which faces are hard to see."""
BLURRED = 20.0
"""Variance of the Laplacian at 320 pixels' width, under which a scene is out of focus; a wall without marks is, too."""
FLAT_DEVIATION = 4.0
SLOW = 0.8
RECORDING = (sys.executable, "-m", "edged.capture.recording")
RECORDING_S = 10.0


@dataclass(frozen=True, slots=True)
class Look:
    """What a few seconds of one camera showed."""

    width: int
    height: int
    fps: float | None
    """Measured; None of a recording."""
    brightness: float
    deviation: float
    sharpness: float
    wanted_fps: float

    def line(self) -> str:
        """For people."""
        rate = "" if self.fps is None else f" at {self.fps:.1f} a second"
        return (
            f"gives pictures of {self.width}x{self.height}{rate}, brightness {self.brightness:.0f} of 255, "
            f"sharpness {self.sharpness:.0f}"
        )

    def advice(self) -> list[str]:
        """What could be better, with the remedy."""
        found = []
        if self.deviation < FLAT_DEVIATION:
            found.append("it shows nothing: take off the cap, and see what is in front of the lens")
        elif self.brightness < DARK:
            found.append("it is very dark: give it light, or a longer exposure")
        elif self.brightness > BRIGHT:
            found.append("it is too bright: turn it from the light, or give it a shorter exposure")
        elif self.sharpness < BLURRED:
            found.append("it is blurred: clean and focus the lens")
        if self.fps is not None and self.fps < SLOW * self.wanted_fps:
            found.append(f"fewer pictures than fps = {self.wanted_fps:g}: give it light, a smaller size, or mjpeg=1")
        return found


def look_at(config: CameraConfig) -> Look:
    """Open the camera and look at it; takes about twenty seconds at most. Raise SourceLost, naming the remedy."""
    if is_recording(config):
        return _look_at_recording(config)
    feed = open_feed(config.model_copy(update={"fps": max(config.fps, 60.0)}))
    try:
        return _look_at_feed(feed, config)
    finally:
        feed.close()


def _look_at_feed(feed: Feed, config: CameraConfig) -> Look:
    began = first = time.monotonic()
    deadline = began + FIRST_PICTURE_S
    times: list[float] = []
    image: Image | None = None
    while (now := time.monotonic()) < deadline:
        shot = feed.next(min(LISTEN_S, deadline - now))
        if shot is None:
            continue
        if image is None and shot.image is not None:
            first = time.monotonic()
            deadline = first + SETTLE_S + LOOK_S
        image = shot.image if shot.image is not None else image
        if image is not None and time.monotonic() >= first + SETTLE_S:
            times.append(shot.time_s)
    if image is None:
        raise SourceLost(f"opens, but gives no picture in {FIRST_PICTURE_S:.0f} s; check cable and power")
    rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0
    return judged(image, rate, config.fps)


def _look_at_recording(config: CameraConfig) -> Look:
    """In a process of its own: a file on a mount that does not answer hangs whoever opens it."""
    try:
        answer = ask([*RECORDING, str(os.getpid()), config.source, str(config.fps)], RECORDING_S)
    except OSError as error:
        raise SourceLost(f"no process can be started ({error.strerror})") from None
    if answer.told is None:
        raise SourceLost(
            f"does not open within {RECORDING_S:g} s; see whether its disk or network share answers, and mount it anew"
            if answer.late
            else f"cannot be opened ({answer.last_words})"
        )
    if "lost" in answer.told:
        raise SourceLost(str(answer.told["lost"]))
    return Look(**answer.told)


def judged(image: Image, fps: float | None, wanted_fps: float) -> Look:
    """What a picture shows; `fps` as measured."""
    height, width = image.shape[:2]
    seen = figures(image)
    scale = SHARPNESS_WIDTH / width
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    sharpness = float(cv2.Laplacian(small, cv2.CV_64F).var())
    return Look(width, height, fps, seen.mean, seen.deviation, sharpness, wanted_fps)
