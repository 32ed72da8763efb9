"""Names and writes annotated copies, so that nothing is lost: no original, no other copy, no file that is somebody else's."""

from collections.abc import Sequence
from pathlib import Path

import cv2

from edged.capture.file_kinds import kind_of
from edged.capture.video_writer import MADE_BY, is_our_video
from edged.errors import Failed, UsageError
from edged.files import identity, open_regular, write, written_over
from edged.types import Image

QUALITY = 92
LONGEST_SIDE = 65_500
"""Of a JPEG, as libjpeg makes them; the format ends at 65,535."""
APP0_END = 20
"""OpenCV's pictures begin with 2 bytes and a segment of 18."""
COMMENT = b"\xff\xfe" + (len(MADE_BY) + 2).to_bytes(2, "big") + MADE_BY.encode()
"""By which our own pictures are known."""


def copy_names(pictures: Sequence[Path], videos: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Where the copy of each source goes: below its own name, with a number where another source has the same.

    Makes the folder. Raise UsageError where it has a picture's or a video's name, or a copy would lie on an original or a file
    that we did not make, Failed where it cannot be made.
    """
    if not out.is_dir() and kind_of(out) != "other":
        raise UsageError(f"{out} is the name of a file: name a folder with --out, and the copies go into it")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"{out}: cannot be made ({error.strerror}); choose another --out") from None
    names = {}
    taken: set[str] = set()
    suffixes = {**dict.fromkeys(pictures, ".jpg"), **dict.fromkeys(videos, ".mp4")}
    for source, suffix in suffixes.items():
        name, number = source.stem + suffix, 2
        while name.casefold() in taken:  # some file systems, as of USB sticks, do not tell a from A
            name, number = f"{source.stem}-{number}{suffix}", number + 1
        taken.add(name.casefold())
        names[source] = out / name
    _refuse_others(names)
    return names


def _refuse_others(names: dict[Path, Path]) -> None:
    originals = {identity(source): source for source in names}
    for target in names.values():
        there = identity(target)
        if there is None:
            continue
        if there in originals:
            raise UsageError(f"{target}: {written_over(target, originals[there])}; choose another --out")
        if not _is_ours(target):
            raise UsageError(f"{target}: is there already, and was not made by `edged analyze`; choose another --out")


def _is_ours(path: Path) -> bool:
    """Whether a file that is there is an annotated copy, which may be made anew."""
    try:
        with open_regular(path) as file:
            if kind_of(path) == "video":
                return is_our_video(file)
            return COMMENT in file.read(APP0_END + len(COMMENT))
    except OSError:
        return False


def write_picture(target: Path, picture: Image, source: Path) -> None:
    """Write an annotated picture as JPEG. Raise Failed where JPEG cannot hold it, or nothing can be written."""
    height, width = picture.shape[:2]
    if max(height, width) > LONGEST_SIDE:
        raise Failed(
            f"{source}: its {width} x {height} pixels are too many for an annotated JPEG, which has {LONGEST_SIDE} a side"
            " at most; make it smaller, or leave --out away"
        )
    good, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not good:
        raise Failed(f"{source}: its annotated copy cannot be coded as JPEG; leave --out away")
    coded = data.tobytes()
    write(target, coded[:APP0_END] + COMMENT + coded[APP0_END:], [source])
