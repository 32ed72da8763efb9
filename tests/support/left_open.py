"""Leaves a browser open before the console, and prints what grows and how old pictures are: `make measure-console MINUTES=120`.

Two tabs of a real chromium, a camera's page and the first page, beside a real daemon that plays a recording. A line for each
sample tells the memory of daemon, console and tabs, and the console's connections; the end tells by how much an hour each
grows, by least squares over all samples after the first sixth. A picture's age counts from the instant of its capture to that
of its drawing on the page, on this machine's one clock.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edged.host.device import resident_mb
from support.chromium import chromium, tab
from support.console import Console
from support.daemon import Daemon, looped, write_clip

FPS = 5
"""As many as a camera's page shows: more would only make the machine busy."""
MOST_SAMPLE_S = 60.0
LEAST_SAMPLES = 12
NOTE_AGES = """
  window.drawn = [];
  const asked = window.fetch;
  window.fetch = async (...what) => {
    const answer = await asked(...what);
    window.lastFrame = answer.headers.get("X-Frame-Id") || window.lastFrame;
    return answer;
  };
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...what) {
    draw.apply(this, what);
    window.drawn.push([Number(window.lastFrame), performance.timeOrigin + performance.now()]);
  };
"""
"""Notes the picture's number, its milliseconds on the daemon's monotonic clock, with the instant at which it was drawn."""


def main(minutes: float) -> None:
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        daemon = running.enter_context(Daemon(folder / "daemon", {"door": looped(write_clip(folder / "clip.mp4"))}))
        daemon.config.write_text(daemon.config.read_text().replace("fps = 10", f"fps = {FPS}"))
        console = running.enter_context(Console(folder, config=daemon.config))
        daemon.start()
        assert daemon.serves(), daemon.log
        cookie, address = console.start().claimed().cookie, f"http://127.0.0.1:{console.port}"
        browser = running.enter_context(chromium())
        pages = []
        for path in ("/camera/door", "/"):
            page = running.enter_context(tab(browser, address, cookie))
            page.add_init_script(NOTE_AGES)
            page.goto(path)
            pages.append(page)
        watch(60 * minutes, daemon, console, browser, pages)


def watch(seconds: float, daemon: Daemon, console: Console, browser: Any, pages: list[Any]) -> None:
    """Sample for so long; print each, then slopes and ages."""
    every_s = min(MOST_SAMPLE_S, seconds / LEAST_SAMPLES)
    ages, samples, began = list[float](), list[tuple[float, Mapping[str, float]]](), time.monotonic()
    while time.monotonic() - began < seconds:
        pages[0].wait_for_timeout(1000 * every_s)
        ages += taken(pages[0])
        sample = {
            "daemon MB": resident_mb(daemon.pid),
            "console MB": resident_mb(console.pid),
            "console's sockets": sockets(console.pid),
            "tabs MB": sum(resident_mb(pid) for pid in renderers(browser)),
            **dict(heaps(pages)),
        }
        samples.append(((time.monotonic() - began) / 3600, sample))
        told = ", ".join(f"{name} {value:.1f}" for name, value in sample.items())
        print(f"{samples[-1][0] * 60:.1f} min: {told}; {len(ages)} pictures", flush=True)
    later = samples[len(samples) // 6 :]
    hours = [at for at, _ in later]
    for name in samples[0][1]:
        values = [sample[name] for _, sample in later]
        slope = statistics.linear_regression(hours, values).slope
        print(f"{name}: {values[0]:.1f} → {values[-1]:.1f}, most {max(values):.1f}; slope {slope:+.2f} an hour")
    ages.sort()
    if ages:
        p50, p95 = (ages[min(len(ages) - 1, int(len(ages) * part))] for part in (0.5, 0.95))
        print(f"{len(ages)} pictures, age when drawn: p50 {p50:.0f} ms, p95 {p95:.0f} ms, most {ages[-1]:.0f} ms")


def taken(page: Any) -> list[float]:
    """The ages of the pictures drawn since, in milliseconds."""
    wall_ms = 1000 * (time.time() - time.monotonic())
    drawn = page.evaluate("() => window.drawn.splice(0)")
    return [at - (made + wall_ms) for made, at in drawn]


def sockets(pid: int) -> int:
    count = 0
    for one in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += str(one.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue  # closed meanwhile
    return count


def renderers(browser: Any) -> list[int]:
    session = browser.new_browser_cdp_session()
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return [process["id"] for process in found if process["type"] == "renderer"]


def heaps(pages: list[Any]) -> Iterator[tuple[str, float]]:
    """What each tab's scripts hold once the garbage is collected."""
    for number, page in enumerate(pages, 1):
        session = page.context.new_cdp_session(page)
        session.send("HeapProfiler.collectGarbage")
        session.send("Performance.enable")
        metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        session.detach()
        yield f"tab {number} heap MB", metrics["JSHeapUsedSize"] / 1e6
        yield f"tab {number} nodes", metrics["Nodes"]


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0)
