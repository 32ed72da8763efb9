"""Small real recordings and picture folders, each picture of its own brightness."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from edged.capture import CameraWorker, FrameInbox
from edged.config import CameraConfig
from edged.types import Frame, Image

SHADE = 12


def shaded(number: int, height: int = 48, width: int = 64) -> Image:
    return np.full((height, width, 3), SHADE * number, np.uint8)


def number_of(image: Image) -> int:
    """Which picture this is, by its brightness; compression costs a little of it."""
    return round(float(image.mean()) / SHADE)


def write_video(path: Path, pictures: int = 20, fps: float = 25) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    for number in range(pictures):
        writer.write(shaded(number))
    writer.release()
    return path


def write_folder(path: Path, pictures: int = 5) -> Path:
    path.mkdir()
    for number in range(pictures):
        cv2.imwrite(str(path / f"{number:02}.png"), shaded(number))
    return path


class QuickCamera(CameraWorker):
    """Tries again after a moment instead of a second."""

    first_wait_s = 0.01
    longest_wait_s = 0.02


@contextmanager
def camera(source: str, **settings: object) -> Iterator[tuple[QuickCamera, FrameInbox]]:
    """A running camera called door and the inbox it fills; it must stop within a second."""
    inbox = FrameInbox(["door"])
    worker = QuickCamera("door", CameraConfig(source=source, **settings), inbox)
    worker.start()
    try:
        yield worker, inbox
    finally:
        assert worker.stop(1.0)
        assert worker.failure is None


def take_all(worker: CameraWorker, inbox: FrameInbox) -> list[Frame]:
    """Every frame until the recording has ended, or ten seconds."""
    frames: list[Frame] = []
    deadline = time.monotonic() + 10
    while not (worker.ended and inbox.is_empty()) and time.monotonic() < deadline:
        frame = inbox.take(0.05)
        frames += [frame] if frame else []
    return frames
