"""Writes H.264 in MP4, which browsers play, every picture at its own time."""

import os
from fractions import Fraction
from types import TracebackType
from typing import BinaryIO, Final

import av
import numpy as np
from av.error import FFmpegError
from av.video import VideoStream

from edged.errors import Failed
from edged.types import Image

MADE_BY: Final = "made by edged"
"""Stands in the file's comment, by which our own videos are known."""
TICK: Final = Fraction(1, 90_000)
OPTIONS = {"preset": "veryfast", "crf": "21", "bf": "0"}
"""Pictures far apart make a wrong length where they are coded in another order than shown, so none is."""
SLOWEST_FPS: Final = 0.1
"""The rate that a slower time lapse states in its header. Players go by the times of its pictures."""


class VideoWriter:
    """Writes to a file that can be read and sought; a context manager."""

    def __init__(self, file: BinaryIO, fps: float) -> None:
        """`fps` is the usual rate, for players that ask; what counts are the times of the pictures."""
        self._target = _Target(file)
        self._container = av.open(self._target, "w", format="mp4", options={"movflags": "faststart"})
        self._container.metadata["comment"] = MADE_BY
        self._rate = Fraction(max(fps, SLOWEST_FPS)).limit_denominator(1001)
        self._stream: VideoStream | None = None
        self._last_tick = -1

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._stream is not None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()
        if kind is None:
            self._target.check()

    def write(self, image: Image, time_s: float) -> None:
        """Add a picture, BGR, at `time_s`, later than the last. Raise Failed where it cannot be coded, OSError where not written.

        All pictures get the size of the first; H.264 wants even ones, so that an odd row or column at the border is left out.
        """
        stream = self._stream or self._begin(image)
        frame = av.VideoFrame.from_ndarray(_even(image), format="bgr24")
        self._last_tick = max(round(time_s / TICK), self._last_tick + 1)
        frame.pts, frame.time_base, frame.duration = self._last_tick, TICK, round(1 / self._rate / TICK)
        try:
            self._container.mux(stream.encode(frame))
        except (FFmpegError, ValueError) as error:
            raise Failed(f"the annotated video cannot be coded ({error})") from None
        self._target.check()

    def _begin(self, image: Image) -> VideoStream:
        stream = self._container.add_stream("libx264", rate=self._rate, options=OPTIONS)
        height, width = _even(image).shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = TICK
        self._stream = stream
        return stream


class _Target:
    """A file that keeps its first error until somebody asks: PyAV prints a traceback for each but the first that it meets."""

    def __init__(self, file: BinaryIO) -> None:
        self.name = file.name
        """FFmpeg opens it once more, to move the index to the front."""
        self._file = file
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the OSError of what could not be written."""
        if self._error is not None:
            raise self._error

    def write(self, data: bytes) -> int:
        try:
            return len(data) if self._error else self._file.write(data)
        except OSError as error:
            self._error = error
            return len(data)

    def read(self, size: int) -> bytes:
        try:
            return b"" if self._error else self._file.read(size)
        except OSError as error:
            self._error = error
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return 0 if self._error else self._file.seek(offset, whence)
        except OSError as error:
            self._error = error
            return 0

    def tell(self) -> int:
        return self.seek(0, os.SEEK_CUR)


def is_our_video(file: BinaryIO) -> bool:
    """Whether `VideoWriter` wrote it."""
    try:
        with av.open(file, "r", options={"format_whitelist": "mov"}) as container:
            return container.metadata.get("comment") == MADE_BY
    except (FFmpegError, OSError, ValueError):
        return False


def _even(image: Image) -> Image:
    """Without an odd last row or column; a single one is doubled."""
    image = np.repeat(image, 2, axis=0) if image.shape[0] == 1 else image
    image = np.repeat(image, 2, axis=1) if image.shape[1] == 1 else image
    return np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])
