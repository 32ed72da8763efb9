"""Animals, fruit, tools and buildings, from two Debian packages of pictures for children: none of them is a face of a person.

Their terms are free ones (public domain, GPL, CC BY-SA), told picture by picture in the packages; none is kept here.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.errors import Failed
from edged.types import Image

Pixels = NDArray[np.uint8]
PACKAGES = ("tuxpaint-stamps-default", "gcompris-qt-data")
UNWANTED = re.compile(r"stamps/(people|symbols|seasonal)/|cartoon|astronaut")
"""Stamps that show people, or signs that are drawn like faces."""
BUNDLES = (
    "categorization",
    "explore_farm_animals",
    "explore_monuments",
    "explore_world_animals",
    "erase",
    "solar_system",
)
"""Collections of photographs without people."""
FACES_OF_STONE = ("explore_monuments",)
"""Here statues may stand: pictures in which `looks_like_a_face` sees one are left out."""
PICTURE = re.compile(rb"RIFF....WEBP|\xff\xd8\xff", re.DOTALL)
LEAST_SIDE, LONGEST_SIDE = 150, 640
LARGEST_FILE = 4_000_000


@dataclass(frozen=True, eq=False)
class Objects:
    """Pictures of things: `cutouts` on a transparent ground (BGRA), `photographs` (BGR)."""

    cutouts: tuple[Pixels, ...] = ()
    photographs: tuple[Image, ...] = ()


def fetch(folder: Path) -> None:
    """Download the packages with apt and unpack them in `folder`. Raise Failed where that cannot be done."""
    with TemporaryDirectory() as name:
        try:
            subprocess.run(["apt-get", "download", *PACKAGES], cwd=name, check=True, timeout=1800)
            for package in sorted(Path(name).glob("*.deb")):
                subprocess.run(["dpkg-deb", "-x", package, folder], check=True, timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            raise Failed(
                f"{', '.join(PACKAGES)}: cannot be fetched ({error}); run this on Debian, with its package lists"
            ) from None


def read_objects(folder: Path, looks_like_a_face: Callable[[Image], bool]) -> Objects:
    """What `fetch` unpacked in `folder`."""
    stamps = sorted(path for path in folder.rglob("stamps/**/*.png") if not UNWANTED.search(path.as_posix()))
    cutouts = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in stamps]
    bundles = [path for name in BUNDLES for path in sorted(folder.rglob(f"{name}.rcc"))]
    return Objects(
        tuple(
            _bounded(np.asarray(image, np.uint8))
            for image in cutouts
            if image is not None and image.ndim == 3 and image.shape[2] == 4
        ),
        tuple(
            image
            for path in bundles
            for image in _pictures_in(path)
            if path.stem not in FACES_OF_STONE or not looks_like_a_face(image)
        ),
    )


def _pictures_in(bundle: Path) -> Iterator[Image]:
    """The photographs in a Qt resource file, which keeps JPEG and WebP files as they are."""
    content = bundle.read_bytes()
    for found in PICTURE.finditer(content):
        data = np.frombuffer(content[found.start() : found.start() + LARGEST_FILE], np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if image is not None and min(image.shape[:2]) > LEAST_SIDE:
            yield _bounded(np.asarray(image, np.uint8))


def _bounded(image: Pixels) -> Pixels:
    """No longer than LONGEST_SIDE."""
    scale = LONGEST_SIDE / max(image.shape[:2])
    return (
        np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        if scale < 1
        else image
    )
