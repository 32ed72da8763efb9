"""Which files are pictures or videos, by their names and by how they begin."""

from pathlib import Path
from typing import Literal

from edged.errors import SourceLost
from edged.files import open_regular

PICTURE_SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".pgm"),
}
VIDEO_SUFFIXES = {
    *(".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".flv", ".wmv", ".asf", ".ogv", ".mxf", ".gif", ".mjpeg", ".mjpg", ".h264", ".264", ".h265", ".265", ".hevc"),
}
UNREADABLE_SUFFIXES = {
    *(".heic", ".heif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".psd", ".svg"),
    *(".exr", ".rm", ".rmvb", ".swf", ".m3u8"),
}
"""Pictures and recordings, for people, that no decoder here reads."""

Kind = Literal["picture", "video", "unreadable", "other"]

HEAD_BYTES = 12


def kind_of(path: Path) -> Kind:
    """What a file is by its name."""
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return "picture"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "unreadable" if suffix in UNREADABLE_SUFFIXES else "other"


def kind_by_content(path: Path) -> Kind:
    """What a file of any name is likely to be. Raise SourceLost when it cannot be read."""
    try:
        with open_regular(path) as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise SourceLost(f"{path}: cannot be read ({error.strerror}); see that edged's user may read it") from None
    pictures = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6", b"\0\0\0\x0cjP")
    is_picture = head.startswith(pictures) or head[8:12] == b"WEBP" or head[4:12] in (b"ftypavif", b"ftypmif1")
    return "picture" if is_picture else "unreadable" if is_heic(head) else "video"


def is_heic(data: bytes) -> bool:
    """Whether a file that begins so holds a picture in HEVC, as phones make it."""
    return data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"heim", b"heis")
