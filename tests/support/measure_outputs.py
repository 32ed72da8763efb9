"""Measures how soon lamps and sounds tell: `make measure-outputs` runs the daemon with three cameras and prints percentiles.

From the capture of the picture in which a rule comes true (the event's `started_at`) to the line's edge, and to the first sample
that ALSA takes. The lines are those of a chip made of files, whose edges carry their moment; ALSA writes into a pipe.
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from support.alsa import heard_in
from support.daemon import Daemon, looped, write_clip
from support.gpio import FileChip
from support.mosquitto import until

CAMERAS = ("one", "two", "three")
TOLERANCE_S = 0.002
"""Events are stored in whole milliseconds."""


def settings(folder: Path) -> str:
    tells = 'when = ["mask_none", "mask_incorrect"]\nshortest_seconds = 0\n'
    parts = [f'[output.{name}]\nkind = "gpio"\n{tells}cameras = ["{name}"]\nline = "{name}"' for name in CAMERAS]
    device = heard_in(folder / "heard", os.environ.__setitem__)
    parts.append(f'[output.voice]\nkind = "sound"\n{tells}cameras = ["one"]\nplay = "alarm"\ndevice = "{device}"')
    return "\n".join(parts)


def listen(pipe: Path, heard: list[float]) -> None:
    """The moment of the first samples of each clip."""
    descriptor = os.open(pipe, os.O_RDONLY)
    while True:
        if os.read(descriptor, 1 << 20):
            heard.append(time.monotonic())
            while os.read(descriptor, 1 << 20):
                pass
        else:
            time.sleep(0.0005)


def delays(edges: list[float], started: list[float]) -> list[float]:
    """Milliseconds from each picture to the first edge after it; only of pictures that have one before the next picture."""
    found = []
    for begin, end in zip(started, [*started[1:], float("inf")], strict=True):
        first = next((edge for edge in edges if begin - TOLERANCE_S <= edge < end), None)
        if first is not None:
            found.append((first - begin) * 1000)
    return sorted(found)


def told(name: str, found: list[float], goal_ms: float) -> None:
    if not found:
        print(f"{name}: nothing was told")
        return
    share = lambda part: found[min(len(found) - 1, int(len(found) * part))]  # noqa: E731
    print(f"{name}: median {share(0.5):.0f} ms, p99 {share(0.99):.0f} ms, of {len(found)} (goal: {goal_ms:.0f} ms)")


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        chip = FileChip(folder / "chips", lines=list(CAMERAS))
        os.mkfifo(folder / "heard")
        clip = write_clip(folder / "clip.mp4")
        heard: list[float] = []
        threading.Thread(target=listen, args=(folder / "heard", heard), daemon=True).start()
        cameras = dict.fromkeys(CAMERAS, looped(clip))
        with Daemon(folder, cameras, extra=settings(folder), environment=chip.environment) as daemon:
            daemon.start()
            if not until(lambda: daemon.count("SELECT count(*) FROM events WHERE kind = 'mask'") > 0):
                sys.exit(daemon.log)
            offset_s = time.time() - time.monotonic()
            time.sleep(seconds)
            status = daemon.status()
            daemon.stop()
            rows = daemon.rows("SELECT camera, started_at FROM events WHERE kind = 'mask' ORDER BY started_at")
        started = {name: [at / 1000 - offset_s for camera, at in rows if camera == name] for name in CAMERAS}
        edges = {name: [moment for moment, level in chip.edges(name) if level] for name in CAMERAS}
        ages = [round(camera["frame_age_ms"]) for camera in status["cameras"].values()]
        print(
            f"three cameras, {seconds:g} s, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, last pictures' age {ages} ms"
        )
        told("picture to line", sorted(ms for name in CAMERAS for ms in delays(edges[name], started[name])), 60)
        told("picture to first sample", delays(heard, started["one"]), 150)


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else 60.0)
