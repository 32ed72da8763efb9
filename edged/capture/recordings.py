"""Recordings: how their files are played in this process, decoded by OpenCV or FFmpeg."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from edged.capture.child_protocol import MOST_PIXELS
from edged.capture.file_kinds import PICTURE_SUFFIXES, is_heic, kind_of
from edged.config.source import Source, parse_source
from edged.errors import SourceLost
from edged.files import read_regular
from edged.types import Image

MOST_BYTES = 512 * 1024 * 1024
"""Of a picture's file: more than the largest picture has, uncompressed."""


class PictureSource(Protocol):
    """Pictures one after the other."""

    live: bool
    """True when the source itself sets the pace, and a picture not taken is lost."""

    @property
    def assumption(self) -> str | None:
        """What the times rest on where the source holds none, for people."""

    @property
    def flaw(self) -> str | None:
        """What was found wrong with the source when it came to its end, for people."""

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
        from edged.capture.video import VideoFile  # loads FFmpeg, which live cameras do without here

        return VideoFile(source)
    raise ValueError(f"{source.scheme}: a camera is opened in a process of its own, by `edged.capture.feeds`")


class PictureFolder:
    """The pictures of a folder in the order of their names, `fps` of them a second."""

    live = False
    assumption = None

    def __init__(self, source: Source) -> None:
        """Raise SourceLost when the folder cannot be read, or holds none."""
        self._folder = folder = Path(source.path)
        try:
            self._files = picture_files(folder)
        except (FileNotFoundError, NotADirectoryError):
            raise SourceLost(f"{folder}: no such folder; check camera.<id>.source") from None
        except OSError as error:
            raise SourceLost(
                f"{folder}: cannot be read ({error.strerror}); see that edged's user may read it"
            ) from None
        if not self._files:
            raise SourceLost(f"{folder}: holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))})")
        self._broken: set[Path] = set()
        self._loop = bool(source.options.get("loop", 0))
        self._fps = source.options.get("fps", 5)
        self._index = -1

    @property
    def flaw(self) -> str | None:
        if not self._broken:
            return None
        what = f"{len(self._broken)} of {len(self._files)} pictures cannot be decoded"
        return f"{self._folder}: damaged: {what}, the first is {min(self._broken).name}; copy them again"

    def skip(self) -> float | None:
        if self._index + 1 >= len(self._files) and not self._loop:
            return None
        self._index += 1
        return self._index / self._fps

    def picture(self) -> Image:
        file = self._files[self._index % len(self._files)]
        try:
            return read_picture(file)
        except SourceLost:
            self._broken.add(file)
            raise

    def close(self) -> None:
        """Nothing is held."""


def picture_files(folder: Path) -> list[Path]:
    """The pictures directly in `folder`, by name. Raise OSError when it cannot be listed."""
    return sorted(file for file in folder.iterdir() if kind_of(file) == "picture" and file.is_file())


def read_picture(path: Path) -> Image:
    """Decode a picture file to BGR, whatever its depth and channels. Raise SourceLost when that is impossible."""
    try:
        data = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise SourceLost(f"{path}: cannot be read ({error.strerror}); see that edged's user may read it") from None
    except ValueError as error:
        raise SourceLost(f"{path}: no picture: it is {error}") from None
    return decode_picture(data, str(path))


def decode_picture(data: bytes, name: str) -> Image:
    """Decode a picture file's bytes as `read_picture` does; `name` is for the error."""
    if is_cut_jpeg(data):
        raise SourceLost(f"{name}: cut off; copy it again")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        image = None
    if image is None or image.size == 0:
        raise SourceLost(f"{name}: {_why(data)}")
    return upright_avif(np.asarray(image, dtype=np.uint8), data)


def _why(data: bytes) -> str:
    """Why a picture cannot be decoded, and the remedy."""
    if not data:
        return "is empty; copy it again"
    if is_heic(data):
        return "is HEIC, which cannot be decoded here; convert it to JPEG"
    return f"not a picture that can be decoded, or larger than {MOST_PIXELS // 1_000_000} megapixels"


def is_cut_jpeg(data: bytes) -> bool:
    """Whether the end of a JPEG file is missing, which some decoders fill with grey."""
    if not data.startswith(b"\xff\xd8\xff"):
        return False
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":  # segments before the first scan
        filler = data[at + 1 : at + 2] == b"\xff"
        at += 1 if filler else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.find(b"\xff\xd9", at) < 0


Properties = dict[bytes, int]


def upright_avif(image: Image, data: bytes) -> Image:
    """The picture turned and mirrored as the file's own properties say; `data` is the file. Others come back as they are."""
    if data[4:8] != b"ftyp":
        return image
    properties = _properties(data)
    turned = np.rot90(image, properties.get(b"irot", 0) & 3)  # quarters, anticlockwise
    if b"imir" in properties:
        turned = turned[:, ::-1] if properties[b"imir"] & 1 else turned[::-1]
    return np.ascontiguousarray(turned)


def _properties(data: bytes) -> Properties:
    """The first byte of each property: those of the picture, since of its other parts only transparency has any, the same."""
    for path in ((b"meta", 4), (b"iprp", 0), (b"ipco", 0)):
        name, skipped = path
        data = next((body[skipped:] for kind, body in _boxes(data) if kind == name), b"")
    return {kind: body[0] for kind, body in _boxes(data) if body}


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind and content of each box of ISO/IEC 14496-12, as far as they are whole."""
    at = 0
    while at + 8 <= len(data):
        length, begin = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, begin = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if length == 0 else at + length
        if (length and length < begin) or end > len(data):
            return
        yield data[at + 4 : at + 8], data[at + begin : end]
        at = end
