"""Plays video files through FFmpeg (PyAV), in this process: every picture upright, at the time that the file itself gives it."""

import os
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import SideDataContainer
from av.video import VideoStream
from av.video.reformatter import VideoReformatter

from edged.capture.child_protocol import MOST_PIXELS
from edged.capture.file_kinds import kind_of
from edged.config.source import Source
from edged.errors import SourceLost
from edged.files import open_regular
from edged.types import Image

USUAL_FPS = 25.0
SLOWEST_FPS, FASTEST_FPS = 1 / 3600, 1000.0
MOST_BYTES_A_PICTURE = 48 * 1024 * 1024
"""Read without a picture in it before a file is given up, or an endless one would take all memory."""
MOST_BYTES_OF_AN_INDEX = 128 * 1024 * 1024
"""MP4 has an index, of some 50 MB for a day."""
LONGEST_GAP_S = 86_400.0
"""A longer gap between two pictures is a broken time stamp."""
LEAST_STEP_S = 0.001
MOST_BEHIND_S = 1.0
MISSING_S = 0.5
"""A file that ends so much before the length that it states was cut off; ends differ a little where there is sound."""
NO_TIME_STAMPS: Final = 0x80
"""FFmpeg's AVFMT_NOTIMESTAMPS: raw streams."""
CONTAINERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,mjpeg,flv,asf,gif,ogg,ivf,obu,mxf,dv,yuv4mpegpipe,wtv"
)
"""What FFmpeg may take a file for. Playlists are none of them: they name other files and addresses to read."""
OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}

av.logging.set_level(None)  # what fails is reported once, with a remedy


class VideoFile:
    """A recording, once or again and again; a `PictureSource`."""

    def __init__(self, source: Source, fps: float | None = None) -> None:
        """`fps`, as the source's own option, goes before what the file says. Raise SourceLost when it cannot be opened."""
        self._path = Path(source.path)
        self._loop = bool(source.options.get("loop", 0))
        self.live = bool(source.options.get("realtime", 0))
        self._given_fps = fps or source.options.get("fps")
        self._pass = _Pass(self._path)
        self.fps = self._given_fps or self._pass.fps
        self.frame_count = self._pass.stated_count
        self._timeline = Timeline(self.fps)
        self._picture: av.VideoFrame | None = None
        self._reformatter = VideoReformatter()  # one for all: making it takes longer than converting a picture
        self.flaw: str | None = None

    @property
    def assumption(self) -> str | None:
        """What its times rest on where the file holds none, for people."""
        if self._given_fps or not self._pass.is_raw:
            return None
        return (
            f"{self._path}: holds no time stamps; {self.fps:g} pictures a second are assumed, unless fps says otherwise"
        )

    def skip(self) -> float | None:
        self._picture = self._pass.next()
        if self._picture is None:
            if not self._pass.count:
                raise SourceLost(f"{self._path}: holds no picture that can be decoded; record it again")
            self.flaw = self._pass.flaw()
            if not self._loop:
                return None
            self._rewind()
        stamp = None if self._given_fps or self._pass.is_raw or self._picture is None else self._picture.time
        return self._timeline.place(stamp)

    def picture(self) -> Image:
        if self._picture is None:
            raise SourceLost(f"{self._path}: has no such picture")
        try:
            converted = self._reformatter.reformat(self._picture, format="bgr24")
            return upright(np.asarray(converted.to_ndarray(), np.uint8), self._picture)
        except (FFmpegError, ValueError, MemoryError) as error:
            raise SourceLost(f"{self._path}: holds a picture that cannot be decoded ({error})") from None

    def close(self) -> None:
        self._picture = None
        self._pass.close()

    def _rewind(self) -> None:
        self._pass.close()
        self._pass = _Pass(self._path)
        self._timeline.restart()
        self._picture = self._pass.next()
        if self._picture is None:
            raise SourceLost(f"{self._path}: cannot be read again from the start")


class Timeline:
    """Seconds since the first picture, never backwards, from time stamps that may be missing, broken or begin anywhere."""

    def __init__(self, fps: float) -> None:
        """`fps` spaces pictures without a time stamp of their own."""
        self._step_s = 1 / fps
        self._last_s: float | None = None
        self._last_stamp_s: float | None = None
        self._offset_s: float | None = None

    def place(self, stamp_s: float | None) -> float:
        """The time of the next picture, later than the last one's. A stamp that repeats counts for its first picture alone."""
        usual_s = 0.0 if self._last_s is None else self._last_s + self._step_s
        if stamp_s is None or stamp_s == self._last_stamp_s:
            self._last_s = usual_s
            return usual_s
        if self._offset_s is None or not self._is_next(stamp_s, stamp_s - self._offset_s):
            self._offset_s = stamp_s - usual_s
        self._last_stamp_s = stamp_s
        time_s = stamp_s - self._offset_s
        self._last_s = time_s if self._last_s is None else max(time_s, self._last_s + LEAST_STEP_S)
        return self._last_s

    def restart(self) -> None:
        """The stamps begin anew; the times go on."""
        self._offset_s = self._last_stamp_s = None

    def _is_next(self, stamp_s: float, time_s: float) -> bool:
        """Pictures without a stamp of their own may have been given a little more time than they had."""
        if self._last_s is None or self._last_stamp_s is None:
            return True
        return stamp_s > self._last_stamp_s and -MOST_BEHIND_S <= time_s - self._last_s <= LONGEST_GAP_S


class _Pass:
    """One reading of a file from its start to its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.count = 0
        """Pictures so far."""
        self._packets = 0
        self._broken = 0
        self._end_s = 0.0
        self._torn = False
        self._file = _Bounded(path)
        try:
            self._container = self._open()
        except BaseException:
            self._file.close()
            raise
        self._file.found()
        self._file.most_bytes = MOST_BYTES_A_PICTURE
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        self.is_raw = bool(self._container.format.flags & NO_TIME_STAMPS)
        rate = self._stream.guessed_rate or self._stream.average_rate
        self.fps: float = float(rate) if rate and SLOWEST_FPS <= rate <= FASTEST_FPS else USUAL_FPS
        self.stated_count: int | None = self._stream.frames or None
        self._pictures = self._decoded()

    def next(self) -> av.VideoFrame | None:
        """The next picture that can be decoded; None at the end."""
        return next(self._pictures, None)

    def flaw(self) -> str | None:
        """What was wrong with the file, for people; to be asked at its end."""
        of = f" of {self.stated_count}" if self.stated_count else ""
        if self._is_cut():
            return f"{self._path}: cut off: {self.count}{of} pictures can be read; copy or record it again"
        if self._broken:
            return f"{self._path}: damaged: {self._broken}{of} pictures cannot be decoded; copy or record it again"
        return None

    def close(self) -> None:
        # A generator that has not ended holds this object, and this object holds it. Only Python's collector would part them,
        # and that counts objects of Python, not the decoder's threads and pictures: it may not run for hours.
        self._pictures.close()
        self._container.close()
        self._file.close()

    def _open(self) -> InputContainer:
        # FFmpeg takes a row of JPEGs for a series of picture files, which have no times and may be named by others.
        kind = "mjpeg" if self._file.is_jpeg else None
        try:
            container = av.open(self._file, "r", kind, options=OPTIONS, container_options=OPTIONS)
        except (FFmpegError, OSError, ValueError, MemoryError) as error:
            raise SourceLost(f"{self._path}: {_why(self._path, error)}") from None
        streams = container.streams.video
        if not streams or streams[0].codec_context is None:
            container.close()
            what = "in a coding that cannot be decoded" if streams else "without pictures"
            raise SourceLost(f"{self._path}: {what}; convert it to H.264 in MP4")
        return container

    def _decoded(self) -> Generator[av.VideoFrame, None, None]:
        for packet in self._demuxed():
            try:
                pictures = packet.decode()
            except (FFmpegError, MemoryError):
                # A stream that was joined in the middle begins with what cannot be decoded yet.
                self._broken += self.count > 0
                self._torn = self.count > 0
                continue
            self._torn = packet.is_corrupt if packet.size else self._torn
            for picture in pictures:
                assert isinstance(picture, av.VideoFrame)  # noqa: S101  it is a stream of video
                self.count += 1
                self._file.found()
                yield picture

    def _demuxed(self) -> "Iterator[av.Packet[VideoStream]]":
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:
                    self._packets += 1
                    self._note_end(packet)
                yield packet
        except (FFmpegError, OSError, ValueError, MemoryError):
            self._torn = True

    def _note_end(self, packet: "av.Packet[VideoStream]") -> None:
        if packet.pts is not None and packet.time_base is not None:
            self._end_s = max(self._end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))

    def _is_cut(self) -> bool:
        if self._torn or self._file.gave_up:
            return True
        if self.stated_count is not None and self._packets >= self.stated_count:
            return False
        stated_s = self._stated_s()
        return stated_s is not None and self._end_s - self._start_s() < stated_s - MISSING_S

    def _start_s(self) -> float:
        start, base = self._stream.start_time, self._stream.time_base
        return 0.0 if start is None or base is None else float(start * base)

    def _stated_s(self) -> float | None:
        """How long the file says that its pictures last; None where it does not, or speaks of sound too."""
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        if len(self._container.streams) == 1 and self._container.duration is not None:
            return self._container.duration / av.time_base
        return None


class _Bounded:
    """A file that ends where too much was read without a picture in it."""

    def __init__(self, path: Path) -> None:
        """Raise SourceLost when it cannot be opened, or not be read."""
        self._descriptor: int | None = None
        with _opened(path) as file:
            head = file.read(8)
            self._descriptor = os.dup(file.fileno())  # a file object would warn if it were never closed
        self._since_found = 0
        self.is_jpeg = head.startswith(b"\xff\xd8\xff")
        self.most_bytes = MOST_BYTES_OF_AN_INDEX if head.endswith(b"ftyp") else MOST_BYTES_A_PICTURE
        self.seek(0)

    @property
    def gave_up(self) -> bool:
        """Whether it ended before its end."""
        return self._since_found > self.most_bytes

    def found(self) -> None:
        """A picture was in what was read."""
        self._since_found = 0

    def read(self, size: int) -> bytes:
        if self._descriptor is None or self.gave_up:
            return b""
        data = os.read(self._descriptor, size)
        self._since_found += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return 0 if self._descriptor is None else os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        return self.seek(0, os.SEEK_CUR)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.close()


def upright(image: Image, picture: av.VideoFrame) -> Image:
    """The picture turned and mirrored as its display matrix says: phones film on their side."""
    # Not `picture.side_data`: PyAV keeps that in the picture, which it holds; see `_Pass.close`.
    matrix: Any = SideDataContainer(picture).get("DISPLAYMATRIX")  # type: ignore[call-arg]  # its stub knows no argument
    if matrix is None:
        return image
    # Column, row → across * column + over * row, down * column + along * row; see FFmpeg's display.h.
    across, down, _, over, along, *_ = struct.unpack("=9i", bytes(matrix))
    if abs(over) > abs(across):
        image, across, along = image.transpose(1, 0, 2), over, down
    image = image[:, ::-1] if across < 0 else image
    return np.ascontiguousarray(image[::-1] if along < 0 else image)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file. What is raised while it is read, as of a disk that fails, becomes SourceLost too."""
    try:
        with open_regular(path) as file:
            yield file
    except FileNotFoundError:
        raise SourceLost(f"{path}: no such file; check camera.<id>.source") from None
    except OSError as error:
        raise SourceLost(f"{path}: cannot be read ({error.strerror}); see that edged's user may read it") from None


def _why(path: Path, error: Exception) -> str:
    """Why a file cannot be opened as a video, and the remedy."""
    with _opened(path) as file:
        head = file.read(12)
    if not head:
        return "is empty; record it again"
    if head[4:8] in (b"ftyp", b"mdat") and isinstance(error, av.InvalidDataError):
        return "its index is missing: it was cut off, or never finished; copy or record it again"
    if kind_of(path) == "other":
        return "neither a picture nor a video that can be decoded; convert it to JPEG or MP4"
    return "not a video that can be decoded; convert it to H.264 in MP4"
