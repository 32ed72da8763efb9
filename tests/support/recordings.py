"""Small real recordings and picture folders, each picture of its own brightness."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from edged.capture import CameraWorker, FrameInbox
from edged.config import CameraConfig
from edged.types import Frame, Image
from support.mosquitto import PATIENCE_S

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
        assert worker.stop(60.0)
        assert worker.failure is None


def take_all(worker: CameraWorker, inbox: FrameInbox) -> list[Frame]:
    """Every frame until the recording has ended."""
    frames: list[Frame] = []
    deadline = time.monotonic() + PATIENCE_S
    while not (worker.ended and inbox.is_empty()) and time.monotonic() < deadline:
        frame = inbox.take(0.05)
        frames += [frame] if frame else []
    return frames


CODERS = {"avi": "mpeg4", "webm": "libvpx", "mjpeg": "mjpeg", "gif": "gif", "wmv": "wmv2", "mpg": "mpeg2video"}
FORMATS = {
    "mkv": "matroska",
    "ts": "mpegts",
    "mts": "mpegts",
    "wmv": "asf",
    "mpg": "mpeg",
    "h265": "hevc",
    "m4v": "mp4",
}
PIXELS = {"mjpeg": "yuvj420p", "gif": "rgb8"}


def write_coded(
    path: Path, times: Sequence[float], *, fps: int = 25, turned: int = 0, mirrored: bool = False, size: int = 64
) -> Path:
    """A recording in the coding that its name's ending stands for, whose pictures have these times; MP4 has its index first.

    Each is `shaded`, with its upper left quarter white, so that its way up shows. `turned` degrees anticlockwise, and then
    `mirrored` from left to right, is noted in the file. Pictures are three quarters as high as `size`, and noisy where large.
    """
    kind = path.suffix.removeprefix(".")
    coder = "libx265" if kind == "h265" else CODERS.get(kind, "libx264")
    options = {"movflags": "faststart"} if kind in ("mp4", "mov", "3gp", "m4v") else {}
    with av.open(str(path), "w", format=FORMATS.get(kind, kind), options=options) as container:
        quiet = {"x265-params": "log-level=none", "bf": "0"} if coder.startswith("libx") else {}
        stream = container.add_stream(coder, rate=fps, options=quiet)
        height = size * 3 // 4
        stream.width, stream.height, stream.pix_fmt = size, height, PIXELS.get(coder, "yuv420p")
        stream.codec_context.time_base = Fraction(1, 1000 if coder in ("libx264", "libvpx") else fps)
        if turned or mirrored:
            stream.set_display_rotation(turned, hflip=mirrored)
        for number, time_s in enumerate(times):
            picture = shaded(number % 20, height, size)
            if size > 64:
                picture += np.random.default_rng(number).integers(0, 12, picture.shape, np.uint8)
            picture[: height // 2, : size // 2] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(time_s / frame.time_base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
