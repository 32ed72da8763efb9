"""Makes README's pictures: what edged sees of the demo's scene, drawn on its own pictures, beside the report of a made-up day;
and the console's page of a camera while that scene plays.

`make readme-picture` writes them anew; it needs a browser (apt-get install chromium).
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
from edged.toml import dump_toml
from edged.types import Image
from support.chromium import chromium, tab
from support.console import Console
from support.daemon import Daemon

SHOWN_S = (2.9, 8.1, 13.3, 18.5)
"""Moments of the scene: masked, bare, the nose bare, masked."""
TILE, PAGE_WIDTH, GAP, PAPER = (480, 320), 780, 12, 244
CONSOLE_SIZE = 1240, 700
BEST = """() => document.querySelector('.face.incorrect') && parseInt(document.getElementById('t-width').textContent) > 90
  && document.getElementById('judged').textContent.includes('could be judged')"""
"""Somebody stands near with the nose bare, and others have passed before."""
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


def console_page(work: Path, target: Path) -> None:
    """The console's page of a camera beside the demo's scene, as a browser shows it, into `target`."""
    scene, folder = work / "scene.mp4", work / "console"
    daemon = Daemon(folder, {"entrance": f"file://{scene}?realtime=1&loop=1"})
    daemon.config.write_text(daemon.config.read_text() + dump_toml({"report": {"site": "Town hall, east entrance"}}))
    with Console(folder, config=daemon.config) as console, daemon, chromium() as browser:
        daemon.start()
        assert daemon.serves()
        visitor, size = console.start().claimed(), {"width": CONSOLE_SIZE[0], "height": CONSOLE_SIZE[1]}
        with tab(browser, f"http://127.0.0.1:{console.port}", visitor.cookie, viewport=size) as page:
            page.goto("/camera/entrance")
            page.wait_for_timeout(15_000)  # until somebody has passed
            page.reload()
            page.wait_for_function(BEST)
            page.screenshot(path=target)


def main(target: Path, console_target: Path) -> None:
    """Write the pictures to `target` and `console_target`."""
    with tempfile.TemporaryDirectory(prefix="edged-readme-") as folder:
        work = Path(folder)
        a, b, c, d = seen(work)
        left = np.vstack([np.hstack([a, b]), np.hstack([c, d])])
        right = report_page(work, left.shape[0])
        console_page(work, console_target)
    gap = np.full((left.shape[0], GAP, 3), PAPER, np.uint8)
    picture = np.hstack([left, gap, right])
    framed = cv2.copyMakeBorder(picture, GAP, GAP, GAP, GAP, cv2.BORDER_CONSTANT, value=(PAPER,) * 3)
    cv2.imwrite(str(target), framed, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
