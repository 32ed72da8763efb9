"""Plays recordings through OpenCV, in this process: video files and folders of pictures."""

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from edged.capture.opencv_settings import MOST_PIXELS
from edged.config.source import Source, parse_source
from edged.errors import SourceLost
from edged.types import Image

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
VIDEO_SUFFIXES = {".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mjpeg", ".mpg", ".mpeg", ".ts"}


class PictureSource(Protocol):
    """Pictures one after the other."""

    live: bool
    """True when the source itself sets the pace, and a picture not taken is lost."""

    def skip(self) -> float | None:
        """Move to the next picture without decoding it; return its time in seconds on the source's own time line.

        Return None at the end. Raise SourceLost when the source fails.
        """

    def picture(self) -> Image:
        """Decode the picture moved to. Raise SourceLost when it cannot be decoded."""

    def close(self) -> None:
        """Let the device or file go. Idempotent."""


def open_source(uri: str) -> PictureSource:
    """Open the recording called `uri`. Raise SourceLost, naming the remedy, when that fails now."""
    source = parse_source(uri)
    if source.scheme == "images":
        return PictureFolder(source)
    if source.scheme == "file":
        return VideoFile(source)
    raise ValueError(f"{source.scheme}: a camera is opened in a process of its own, by `edged.capture.feeds`")


class VideoFile:
    """A recording, once or again and again."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.live = bool(source.options.get("realtime", 0))
        self._loop = bool(source.options.get("loop", 0))
        self._capture = self._open()
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if np.isfinite(fps) and 1 <= fps <= 240 else 25.0
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frame_count = int(count) if np.isfinite(count) and 0 < count < 1e9 else None
        self._index = -1
        self._since_rewind = 0

    def skip(self) -> float | None:
        if not self._capture.grab():
            if self._since_rewind == 0:
                raise SourceLost(f"{self._source.path}: holds no picture that can be decoded; record it again")
            if not self._loop:
                return None
            self._rewind()
        self._index += 1
        self._since_rewind += 1
        return self._index / self.fps

    def picture(self) -> Image:
        return _retrieved(self._capture, self._source.path)

    def close(self) -> None:
        self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        path = Path(self._source.path)
        if not _is_text(self._source.path):  # OpenCV would end the process
            raise SourceLost(f"{str(path)!a}: its name is not UTF-8; rename it")
        if not path.is_file():
            raise SourceLost(f"{path}: no such file; check camera.<id>.source")
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise SourceLost(f"{path}: not a video that can be decoded; convert it to H.264 in MP4")
        return capture

    def _rewind(self) -> None:
        self._capture.release()
        self._capture = self._open()
        self._since_rewind = 0
        if not self._capture.grab():
            raise SourceLost(f"{self._source.path}: cannot be read again from the start")


class PictureFolder:
    """The pictures of a folder in the order of their names, `fps` of them a second."""

    live = False

    def __init__(self, source: Source) -> None:
        folder = Path(source.path)
        if not folder.is_dir():
            raise SourceLost(f"{folder}: no such folder; check camera.<id>.source")
        self._files = picture_files(folder)
        if not self._files:
            raise SourceLost(f"{folder}: holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))})")
        self._loop = bool(source.options.get("loop", 0))
        self._fps = source.options.get("fps", 5)
        self._index = -1

    def skip(self) -> float | None:
        if self._index + 1 >= len(self._files) and not self._loop:
            return None
        self._index += 1
        return self._index / self._fps

    def picture(self) -> Image:
        return read_picture(self._files[self._index % len(self._files)])

    def close(self) -> None:
        """Nothing is held."""


def picture_files(folder: Path) -> list[Path]:
    """The pictures directly in `folder`, by name."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES and file.is_file())


def read_picture(path: Path) -> Image:
    """Decode a picture file to BGR, whatever its depth and channels. Raise SourceLost when that is impossible."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceLost(f"{path}: cannot be read ({error.strerror})") from None
    return decode_picture(data, str(path))


def decode_picture(data: bytes, name: str) -> Image:
    """Decode a picture file's bytes as `read_picture` does; `name` is for the error."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        image = None
    if image is None or image.size == 0:
        raise SourceLost(
            f"{name}: not a picture that can be decoded, or larger than {MOST_PIXELS // 1_000_000} megapixels"
        )
    return np.asarray(image, dtype=np.uint8)


def _is_text(path: str) -> bool:
    """Whether a path is UTF-8: Linux allows any bytes in file names."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _retrieved(capture: cv2.VideoCapture, name: str) -> Image:
    good, image = capture.retrieve()
    if not good or image is None or image.ndim != 3 or image.size == 0:
        raise SourceLost(f"{name}: sent a picture that cannot be decoded")
    return np.asarray(image, dtype=np.uint8)
