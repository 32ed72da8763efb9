"""Makes README's picture: what edged sees of the demo's scene, drawn on its own pictures, beside the report of a made-up day.

`make readme-picture` writes it anew; it needs a browser (apt-get install chromium).
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edged.assembly import MASK_ONLY, load_models
from edged.config import Config
from edged.demo.play import make_week
from edged.demo.scene import make_scene
from edged.offline import Recording
from edged.types import Image

SHOWN_S = (2.9, 8.1, 13.3, 18.5)
"""Moments of the scene: masked, bare, the nose bare, masked."""
TILE, PAGE_WIDTH, GAP, PAPER = (480, 320), 780, 12, 244
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def seen(work: Path) -> Iterator[Image]:
    """The scene's pictures at SHOWN_S with what is drawn on them, the sides cut away."""
    config = Config()
    make_scene(work / "scene.mp4")
    left = list(SHOWN_S)
    for analysed in Recording(work / "scene.mp4", config, load_models(config.models, MASK_ONLY)).frames():
        if left and analysed.time_s >= left[0]:
            left.pop(0)
            height, width = analysed.image.shape[:2]
            aside = (width - height * TILE[0] // TILE[1]) // 2
            shown = analysed.annotated(MASK_ONLY)[:, aside : width - aside]
            yield np.asarray(cv2.resize(shown, TILE, interpolation=cv2.INTER_AREA), np.uint8)
        if not left:
            return


def report_page(work: Path, height: int) -> Image:
    """The first report of the made-up week as a browser shows it, `height` pixels of it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit("a browser is needed: apt-get install chromium")
    page, picture = make_week(work / "week", lambda line, _: print(line)).absolute(), work / "page.png"
    size = f"--window-size={PAGE_WIDTH},{round(height * PAGE_WIDTH / page_width(height))}"
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", size]
    command += [f"--user-data-dir={work / 'browser'}", f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    image = cv2.imread(str(picture))
    assert image is not None
    return np.asarray(cv2.resize(image, (page_width(height), height), interpolation=cv2.INTER_AREA), np.uint8)


def page_width(height: int) -> int:
    """In the picture: as narrow as can still be read."""
    return round(height * 0.75)


def main(target: Path) -> None:
    """Write the picture to `target`."""
    with tempfile.TemporaryDirectory(prefix="edged-readme-") as folder:
        work = Path(folder)
        a, b, c, d = seen(work)
        left = np.vstack([np.hstack([a, b]), np.hstack([c, d])])
        right = report_page(work, left.shape[0])
    gap = np.full((left.shape[0], GAP, 3), PAPER, np.uint8)
    picture = np.hstack([left, gap, right])
    framed = cv2.copyMakeBorder(picture, GAP, GAP, GAP, GAP, cv2.BORDER_CONSTANT, value=(PAPER,) * 3)
    cv2.imwrite(str(target), framed, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
