"""Pictures as they come: on their side, cut off, far too large, without end, of kinds that nobody reads."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from support.peak import PEAK_MB

from edged.capture.recordings import decode_picture, is_cut_jpeg, read_picture
from edged.errors import SourceLost
from edged.types import Image

PIL = pytest.importorskip("PIL.Image")
ORIENTATION = 0x112


def quarters() -> Image:
    """A picture whose four quarters differ, so that its way up shows."""
    picture = np.full((40, 64, 3), 60, np.uint8)
    picture[:20, :32] = 255
    picture[:20, 32:, 2] = 200
    return picture


def saved(path: Path, orientation: int) -> Path:
    exif = PIL.Exif()
    exif[ORIENTATION] = orientation
    PIL.fromarray(quarters()[..., ::-1]).save(path, exif=exif, quality=95)
    return path


def look(picture: Image) -> tuple[list[list[int]], tuple[int, ...]]:
    """The colours of the four quarters, roughly, and the size."""
    height, width = picture.shape[:2]
    points = [(y, x) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    return [(picture[point] // 64).tolist() for point in points], picture.shape


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "webp", "tif", "avif"])
def test_a_picture_is_seen_upright_as_its_jpeg_twin_is(tmp_path: Path, kind: str, orientation: int) -> None:
    twin = read_picture(saved(tmp_path / "a.jpg", orientation))
    assert look(read_picture(saved(tmp_path / f"a.{kind}", orientation))) == look(twin)


def test_the_avif_picture_that_was_seen_upside_down(shared: Path) -> None:
    path = shared / "cases" / "exif3.avif"
    if not path.exists():
        pytest.skip(f"no {path}: it is not part of this repository")
    data = path.read_bytes()
    as_stored = data.replace(b"irot\x02", b"irot\x00")
    assert as_stored != data
    assert np.array_equal(read_picture(path), decode_picture(as_stored, "as stored")[::-1, ::-1])


# --- too large, cut off, without end


def bomb(width: int, height: int) -> bytes:
    """A PNG of one bit a pixel, all black: a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    coder = zlib.compressobj(9)
    rows = b"".join(coder.compress(bytes(1 + width // 8)) for _ in range(height)) + coder.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "first", ["edged.capture.recordings", "edged.offline", "edged.cli.analyze", "convert.pose.heads"]
)
def test_a_picture_beyond_a_hundred_megapixels_is_refused_before_it_takes_memory(tmp_path: Path, first: str) -> None:
    """Whatever module is imported first: OpenCV reads its limit once."""
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(16_000, 12_000))
    code = (
        f"import {first}, sys, edged; from pathlib import Path; from edged.capture.recordings import read_picture\n"
        "try: read_picture(Path(sys.argv[1]))\n"
        "except edged.errors.SourceLost as error: print(error)\n"
        f"print({PEAK_MB})"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    told, megabytes = done.stdout.splitlines()
    assert "larger than 100 megapixels" in told
    assert int(megabytes) < 400


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("part", [0.4, 0.9, 0.999])
def test_a_jpeg_that_was_cut_off_is_told(tmp_path: Path, part: float, progressive: bool) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 300, 3), np.uint8)
    thumbnail = PIL.Exif()
    thumbnail[ORIENTATION] = 1
    PIL.fromarray(noise).save(tmp_path / "a.jpg", progressive=progressive, exif=thumbnail, comment=b"\xff\xd9\xff\xda")
    data = (tmp_path / "a.jpg").read_bytes()
    assert not is_cut_jpeg(data)
    assert not is_cut_jpeg(data + b"a film after it \xff\xda")
    (tmp_path / "a.jpg").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(SourceLost, match=r"a\.jpg: cut off; copy it again"):
        read_picture(tmp_path / "a.jpg")


def test_a_picture_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "endless.jpg").touch()
    os.truncate(tmp_path / "endless.jpg", 1024**4)
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    for name, why in (("endless", "larger than 536870912 bytes"), ("fifo", "not a regular"), ("zero", "not a regular")):
        with pytest.raises(SourceLost, match=why):
            read_picture(tmp_path / f"{name}.jpg")


def test_a_phones_picture_by_another_name_is_refused_with_the_true_reason(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(SourceLost, match="is HEIC, which cannot be decoded here; convert it to JPEG"):
        read_picture(tmp_path / "a.jpg")
