"""Leaves a browser open before the console, and prints what grows and how old pictures are: `make measure-console MINUTES=120`.

First 200 pictures are seen on a camera's page: their age counts from the instant of capture to that of drawing, on this
machine's one clock. Then that page and the first one are left alone, each in a chromium of its own, before a real daemon that
plays a recording; nothing looks into them, since the tools that do keep what a page has loaded. A line for each sample tells
the memory of daemon, console and tabs, and the console's connections; the end by how much each grows an hour, by least squares
over all samples after the first sixth.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from edged.host.device import resident_mb
from support.chromium import PROGRAM, chromium, tab
from support.console import Console
from support.daemon import Daemon, looped, write_clip

PICTURES = 200
AS_INSTALLED = {"MALLOC_ARENA_MAX": "2"}
"""As the units of systemd have it."""
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run")
Sample = tuple[float, Mapping[str, float]]
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
        clip = write_clip(folder / "clip.mp4")
        daemon = running.enter_context(Daemon(folder / "daemon", {"door": looped(clip)}, environment=AS_INSTALLED))
        console = running.enter_context(Console(folder, config=daemon.config))
        daemon.start()
        assert daemon.serves(), daemon.log
        admin = console.start().claimed()
        told(seen(console, admin.cookie))
        admin.get("/access")
        page = admin.post("/access/token", {"name": "tab", "role": "viewer"}).text
        enter = f"http://127.0.0.1:{console.port}/enter?token={page.partition('<code>')[2].partition('<')[0]}"
        browsers = list[int]()
        for number, path in enumerate(("/camera/door", "/")):
            command = [PROGRAM or "chromium", *OPTIONS, f"--user-data-dir={folder / f'browser-{number}'}"]
            browser = running.enter_context(
                subprocess.Popen([*command, f"{enter}&to={path}"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            )
            running.callback(browser.terminate)
            browsers.append(browser.pid)
        watch(60 * minutes, daemon, console, browsers)


def seen(console: Console, cookie: str) -> list[float]:
    """The ages of pictures as they were drawn, in milliseconds."""
    ages = list[float]()
    with chromium() as browser, tab(browser, f"http://127.0.0.1:{console.port}", cookie) as page:
        page.add_init_script(NOTE_AGES)
        page.goto("/camera/door")
        while len(ages) < PICTURES:
            page.wait_for_timeout(1000)
            wall_ms = 1000 * (time.time() - time.monotonic())
            ages += [at - (made + wall_ms) for made, at in page.evaluate("() => window.drawn.splice(0)")]
    return sorted(ages)


def told(ages: list[float]) -> None:
    p50, p95 = (ages[min(len(ages) - 1, int(len(ages) * part))] for part in (0.5, 0.95))
    print(
        f"{len(ages)} pictures, age when drawn: p50 {p50:.0f} ms, p95 {p95:.0f} ms, most {ages[-1]:.0f} ms", flush=True
    )


def watch(seconds: float, daemon: Daemon, console: Console, browsers: list[int]) -> None:
    """Sample for so long; print each, then the slopes."""
    every_s, samples, began = min(MOST_SAMPLE_S, seconds / LEAST_SAMPLES), list[Sample](), time.monotonic()
    while time.monotonic() - began < seconds:
        time.sleep(every_s)
        sample = {
            "daemon MB": resident_mb(daemon.pid),
            "console MB": resident_mb(console.pid),
            "console's sockets": sockets(console.pid),
            "tabs MB": sum(resident_mb(pid) for browser in browsers for pid in renderers(browser)),
        }
        samples.append(((time.monotonic() - began) / 3600, sample))
        line = ", ".join(f"{name} {value:.1f}" for name, value in sample.items())
        print(f"{samples[-1][0] * 60:.1f} min: {line}; {daemon.status()['live']['encoded']} pictures", flush=True)
    later = samples[len(samples) // 6 :]
    hours = [at for at, _ in later]
    for name in samples[0][1]:
        values = [sample[name] for _, sample in later]
        slope = statistics.linear_regression(hours, values).slope
        print(f"{name}: {values[0]:.1f} → {values[-1]:.1f}, most {max(values):.1f}; slope {slope:+.2f} an hour")


def sockets(pid: int) -> int:
    count = 0
    for one in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += str(one.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue  # closed meanwhile
    return count


def renderers(browser: int) -> list[int]:
    """The processes of this browser that show pages."""
    found, parents = list[int](), dict[int, int]()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if b"--type=renderer" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue  # ended meanwhile

    def is_ours(pid: int) -> bool:
        while pid > 1 and pid != browser:
            pid = parents.get(pid, 0)
        return pid == browser

    return [pid for pid in found if is_ours(pid)]


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0)
