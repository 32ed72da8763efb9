"""Writes the manifest that people open with Raspberry Pi Imager: `python manifest.py BASE_URL IMAGE.img.xz… OUT`.

OUT ends in .rpi-imager-manifest. The images, named as rpi-image-gen names them (edged-pi5.img.xz), will lie below BASE_URL.
"""

import hashlib
import json
import lzma
import re
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

CHUNK = 1 << 20
NAME = re.compile(r"edged-pi([45])\.img\.xz")
ENDING = ".rpi-imager-manifest"


def entry(base: str, image: Path) -> dict[str, Any]:
    """What Imager reads of one image. It writes nothing whose unpacked bytes have another SHA-256."""
    board = NAME.fullmatch(image.name)
    if board is None:
        sys.exit(f"manifest: {image.name} is not called edged-pi4.img.xz or edged-pi5.img.xz")
    digest, size = hashlib.sha256(), 0
    try:
        with lzma.open(image) as unpacked:
            while data := unpacked.read(CHUNK):
                digest.update(data)
                size += len(data)
    except (OSError, EOFError, lzma.LZMAError) as error:
        sys.exit(f"manifest: {image} cannot be unpacked ({error})")
    day = datetime.fromtimestamp(image.stat().st_mtime, timezone.utc).date()
    return {
        "name": f"edged for Raspberry Pi {board[1]}",
        "description": "Camera appliance for masks, attention and drowsiness; set up by one file on the card",
        "icon": "",
        "url": f"{base.rstrip('/')}/{image.name}",
        "extract_size": size,
        "extract_sha256": digest.hexdigest(),
        "image_download_size": image.stat().st_size,
        "release_date": day.isoformat(),
        "devices": [f"pi{board[1]}-64bit"],
        "init_format": "none",  # the file edged.toml sets it up, not Imager's own questions
    }


def main() -> None:
    if len(sys.argv) < 4:
        sys.exit("usage: manifest.py BASE_URL IMAGE.img.xz... OUT")
    base, *images, out = sys.argv[1:]
    if not out.endswith(ENDING):  # the name of an image, most likely, which must not be written over
        sys.exit(f"manifest: {out} is no name for the manifest; end it in {ENDING}")
    text = json.dumps({"os_list": [entry(base, Path(image)) for image in images]}, indent=1)
    part = Path(f"{out}.part")
    try:
        part.write_text(text + "\n")
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        sys.exit(f"manifest: {out} cannot be written ({error.strerror})")


if __name__ == "__main__":
    main()
