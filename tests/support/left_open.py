"""Leaves a browser open before the console, and prints what grows and how old pictures are: `make measure-console MINUTES=120`.

A camera's page and the first one are left alone, each in a chromium of its own, before a real daemon that plays a recording.
Each minute prints the memory that daemon, console and tabs fill themselves, the resident set of the first two, and their
connections; every ten minutes how old the pictures were when they were drawn, from the instant of capture on, on this machine's
one clock, of what that was made, and by how much each grew an hour, by least squares over the last hour or all but the first
sixth.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from edged.host.device import resident_mb
from support.console import Console
from support.daemon import Daemon, looped, write_clip
from support.mosquitto import until
from support.unwatched import Unwatched, own_mb

AS_INSTALLED = {"MALLOC_ARENA_MAX": "2"}
"""As the units of systemd have it."""
Sample = tuple[float, Mapping[str, float]]
Drawn = Mapping[str, float]
"""What a picture's age was made of when it was drawn, in milliseconds."""
STAGES = {
    "analysis": "captured → analysed",
    "turn": "→ its turn, five a second",
    "making": "→ faces hidden, looked for, encoded",
    "asking": "→ asked for",
    "way": "→ in the browser",
    "drawing": "→ decoded and drawn",
    "age": "age: captured → drawn",
}
MOST_SAMPLE_S = 60.0
LEAST_SAMPLES = 12
WINDOW_S = 600.0
LAST_HOURS = 1.0
CLOCK_TRIES = 20
NOTE_AGES = """
  window.drawn = [];
  const asked = window.fetch, draw = CanvasRenderingContext2D.prototype.drawImage;
  let frame = 0, came = 0, spent = [];
  window.fetch = async (...what) => {
    const answer = await asked(...what);
    came = performance.now();
    frame = Number(answer.headers.get("X-Frame-Id")) || frame;
    spent = (answer.headers.get("Server-Timing") || "").split(", ").map((stage) => stage.split(";dur="));
    return answer;
  };
  CanvasRenderingContext2D.prototype.drawImage = function (...what) {
    draw.apply(this, what);
    if (frame) window.drawn.push([frame, came, performance.now(), spent]);
  };
"""
"""Notes the picture's number, its milliseconds on the daemon's monotonic clock, when the answer came, when the picture was drawn,
and what its age was made of before that."""


def main(minutes: float) -> None:
    os.environ |= AS_INSTALLED
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        clip = write_clip(folder / "clip.mp4")
        daemon = running.enter_context(Daemon(folder / "daemon", {"door": looped(clip)}))
        console = running.enter_context(Console(folder, config=daemon.config))
        daemon.start()
        assert daemon.serves(), daemon.log
        admin = console.start().claimed()
        admin.get("/access")
        page = admin.post("/access/token", {"name": "tab", "role": "viewer"}).text
        enter = f"http://127.0.0.1:{console.port}/enter?token={page.partition('<code>')[2].partition('<')[0]}"
        camera, today = (
            running.enter_context(Unwatched(folder / f"browser-{number}", f"{enter}&to={path}"))
            for number, path in enumerate(("/camera/door", "/"))
        )
        assert until(lambda: camera.evaluate("document.getElementById('live')?.dataset.state") == "live"), daemon.log
        watch(60 * minutes, daemon, console, Ages(camera), today)


class Ages:
    """How old the pictures of a camera's page were when they were drawn, and of what that was made."""

    def __init__(self, page: Unwatched) -> None:
        self.page = page
        page.evaluate(NOTE_AGES)
        tries = [self._clock() for _ in range(CLOCK_TRIES)]
        self._ahead_ms = min(tries)[1]

    def _clock(self) -> tuple[float, float]:
        """How far the clock of `monotonic` is ahead of the page's, as told within so many milliseconds."""
        began_ms = 1000 * time.monotonic()
        page_ms = float(self.page.evaluate("performance.now()"))
        took_ms = 1000 * time.monotonic() - began_ms
        return took_ms, began_ms + took_ms / 2 - page_ms

    def taken(self) -> list[Drawn]:
        """Those since it was asked last."""
        found = list[Drawn]()
        for frame, came, drawn, spent in self.page.evaluate("window.drawn.splice(0)"):
            stages = {stage: float(ms) for stage, ms in spent}
            stages["way"] = came + self._ahead_ms - frame - sum(stages.values())
            found.append({**stages, "drawing": drawn - came, "age": drawn + self._ahead_ms - frame})
        return found


def told(drawn: list[Drawn], when: str) -> None:
    print(f"{when}: {len(drawn)} pictures{'; milliseconds until drawn:' if drawn else ''}", flush=True)
    for stage, words in STAGES.items() if drawn else ():
        spent = sorted(one[stage] for one in drawn)
        p50, p95 = (spent[min(len(spent) - 1, int(len(spent) * part))] for part in (0.5, 0.95))
        print(f"  {words:36} p50 {p50:4.0f}  p95 {p95:4.0f}  most {spent[-1]:4.0f}", flush=True)


def watch(seconds: float, daemon: Daemon, console: Console, ages: Ages, today: Unwatched) -> None:
    """Sample for so long; print each, then the slopes."""
    every_s, samples, began = min(MOST_SAMPLE_S, seconds / LEAST_SAMPLES), list[Sample](), time.monotonic()
    window, window_from, drawn = list[Drawn](), 0.0, list[Drawn]()
    while (passed_s := time.monotonic() - began) < seconds:
        time.sleep(every_s)
        sample = {
            "daemon's own MB": own_mb(daemon.pid),
            "daemon resident MB": resident_mb(daemon.pid),
            "console's own MB": own_mb(console.pid),
            "console resident MB": resident_mb(console.pid),
            "camera's tab MB": ages.page.pages_mb(),
            "today's tab MB": today.pages_mb(),
            "daemon's sockets": sockets(daemon.pid),
            "console's sockets": sockets(console.pid),
        }
        passed_s = time.monotonic() - began
        samples.append((passed_s / 3600, sample))
        line = ", ".join(f"{name} {value:.1f}" for name, value in sample.items())
        print(f"{passed_s / 60:.1f} min: {line}; {daemon.status()['live']['encoded']} pictures", flush=True)
        window += ages.taken()
        if passed_s - window_from >= WINDOW_S or passed_s >= seconds:
            told(window, f"minutes {window_from / 60:.0f} to {passed_s / 60:.0f}")
            drawn += window
            window, window_from = [], passed_s
            slopes(samples)
    told(drawn + window, "in all")


def slopes(samples: list[Sample]) -> None:
    first_h = max(samples[len(samples) // 6][0], samples[-1][0] - LAST_HOURS)
    later = [sample for sample in samples if sample[0] >= first_h]
    print(f"over the last {60 * (later[-1][0] - later[0][0]):.0f} minutes:")
    for name in samples[0][1]:
        values = [sample[name] for _, sample in later]
        slope = statistics.linear_regression([at for at, _ in later], values).slope
        print(f"{name}: {values[0]:.1f} → {values[-1]:.1f}, most {max(values):.1f}; slope {slope:+.2f} an hour")


def sockets(pid: int) -> int:
    count = 0
    for one in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += str(one.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue  # closed meanwhile
    return count


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0)
