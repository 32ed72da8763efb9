"""Looks at one camera for a few seconds, the way the daemon would, and says how good its pictures are.

A recording is examined in a process of its own, `python -m edged.capture.examine PARENT_PID URI FPS`: whoever opens a file on a
disk or mount that does not answer hangs; this process may. It prints one line of JSON: an `Examination`, or `{"lost": reason}`.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass

import cv2

from edged.capture.camera import FIRST_PICTURE_S
from edged.capture.child_protocol import Feed
from edged.capture.feeds import is_recording, open_feed
from edged.capture.recordings import open_source
from edged.capture.state import FLAT_DEVIATION, figures
from edged.config import CameraConfig
from edged.errors import SourceLost
from edged.processes.child import ask
from edged.processes.launch import die_with
from edged.types import Image

WATCH_S = 3.0
SETTLE_S = 1.0
"""Exposure and rate of the first second say nothing about the later ones."""
LISTEN_S = 0.25
SHARPNESS_WIDTH = 320
DARK, BRIGHT = 25.0, 235.0
"""Mean brightness, 0 to 255, outside which faces are hard to see."""
BLURRED = 20.0
"""Variance of the Laplacian at 320 pixels' width, under which a scene is out of focus; a wall without marks is, too."""
SLOW = 0.8
EXAMINE = (sys.executable, "-m", "edged.capture.examine")
RECORDING_S = 10.0


@dataclass(frozen=True, slots=True)
class Examination:
    """What a few seconds of one camera showed."""

    width: int
    height: int
    fps: float | None
    """Measured; None of a recording."""
    brightness: float
    deviation: float
    sharpness: float
    requested_fps: float

    def line(self) -> str:
        """For people."""
        rate = "" if self.fps is None else f" at {self.fps:.1f} a second"
        return (
            f"gives pictures of {self.width}x{self.height}{rate}, brightness {self.brightness:.0f} of 255, "
            f"sharpness {self.sharpness:.0f} (blurred under {BLURRED:.0f})"
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
        if self.fps is not None and self.fps < SLOW * self.requested_fps:
            found.append(f"fewer pictures than fps = {self.requested_fps:g}: give it light, a smaller size, or mjpeg=1")
        return found


def examine_camera(config: CameraConfig) -> Examination:
    """Open the camera and examine its pictures; takes about twenty seconds at most. Raise SourceLost, naming the remedy."""
    if is_recording(config):
        return _examine_recording(config)
    feed = open_feed(config.model_copy(update={"fps": max(config.fps, 60.0)}))
    try:
        return _examine_feed(feed, config)
    finally:
        feed.close()


def _examine_feed(feed: Feed, config: CameraConfig) -> Examination:
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
            deadline = first + SETTLE_S + WATCH_S
        image = shot.image if shot.image is not None else image
        if image is not None and time.monotonic() >= first + SETTLE_S:
            times.append(shot.time_s)
    if image is None:
        raise SourceLost(f"opens, but gives no picture in {FIRST_PICTURE_S:.0f} s; check cable and power")
    rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0
    return judged(image, rate, config.fps)


def _examine_recording(config: CameraConfig) -> Examination:
    """In a process of its own: a file on a mount that does not answer hangs whoever opens it."""
    try:
        answer = ask([*EXAMINE, str(os.getpid()), config.source, str(config.fps)], RECORDING_S)
    except OSError as error:
        raise SourceLost(f"no process can be started ({error.strerror}); free memory, or restart edged") from None
    if answer.content is None:
        raise SourceLost(
            f"does not open within {RECORDING_S:g} s; check whether its disk or network share answers, and mount it again"
            if answer.timed_out
            else f"cannot be opened ({answer.last_line})"
        )
    if "lost" in answer.content:
        raise SourceLost(str(answer.content["lost"]))
    return Examination(**answer.content)


def judged(image: Image, fps: float | None, requested_fps: float) -> Examination:
    """What a picture shows; `fps` as measured."""
    height, width = image.shape[:2]
    seen = figures(image)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    size = SHARPNESS_WIDTH, max(1, round(height * SHARPNESS_WIDTH / width))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA) if width > SHARPNESS_WIDTH else grey
    sharpness = float(cv2.Laplacian(small, cv2.CV_64F).var())
    return Examination(width, height, fps, seen.mean, seen.deviation, sharpness, requested_fps)


def main(uri: str, requested_fps: float) -> None:
    """Open, judge the first picture, and print the result."""
    try:
        source = open_source(uri)
        if source.skip() is None:
            raise SourceLost("opens, but holds no picture; record it again")
        result: dict[str, object] = asdict(judged(source.picture(), None, requested_fps))
    except SourceLost as error:
        result = {"lost": str(error)}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    main(sys.argv[2], float(sys.argv[3]))
