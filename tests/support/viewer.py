"""What somebody who looks costs analysis, in less than three minutes: `make measure-viewer`.

Plays a scene as fast as it can be analysed, then in its own time, in turns with one viewer and with none, and prints both
rates, what a picture takes, and its age when it has arrived.
"""

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from edged.daemon.client import request, socket_path
from edged.demo.scene import Passage, make_scene
from edged.live import live_path
from support.daemon import Daemon
from support.live_socket import look

TURNS, TURN_S = 8, 5.0


def main(fps: float, realtime: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.mp4"
        make_scene(scene, (Passage(None), Passage(1)))
        source = f"file://{scene}?loop=1" + ("&realtime=1" if realtime else "")
        with Daemon(Path(folder) / "daemon", {"door": source}) as daemon:
            text = daemon.config.read_text().replace("threads = 1", "threads = 0").replace("fps = 10", f"fps = {fps:g}")
            daemon.config.write_text(text)
            daemon.start()
            assert daemon.serves(), daemon.log
            measure(daemon)


def measure(daemon: Daemon) -> None:
    rates: dict[bool, list[float]] = {True: [], False: []}
    ages: list[float] = []
    memory: list[float] = []
    for turn in range(TURNS):
        with_viewer = turn % 2 == 1
        stop = threading.Event()
        viewer = threading.Thread(target=watch, args=(daemon, stop, ages))
        if with_viewer:
            viewer.start()
        time.sleep(1.0)
        rates[with_viewer].append(rate(daemon))
        memory.append(daemon.status()["resident_mb"])
        stop.set()
        if with_viewer:
            viewer.join()
            time.sleep(4.0)  # until nothing is kept for them any more
    found = request(socket_path(daemon.database), "metrics")
    none, one = statistics.mean(rates[False]), statistics.mean(rates[True])
    pairs = [b / a for a, b in zip(rates[False], rates[True], strict=True)]
    print(f"analysed a second: {none:.1f} with no viewer, {one:.1f} with one: {100 * one / none:.1f} %"
          f" (pairs of turns: {', '.join(f'{100 * pair:.0f}' for pair in pairs)} %)")  # fmt: skip
    print(f"pictures: {found['pictures_encoded']} encoded, {found['pictures_withheld']} withheld,"
          f" {daemon.status()['live']['picture_ms']} ms each, the second look included")  # fmt: skip
    ages.sort()
    if ages[0] > 0:  # a recording that is played faster than time has pictures of the future
        print(
            f"age when it has arrived: median {ages[len(ages) // 2]:.0f} ms, p95 {ages[int(len(ages) * 0.95)]:.0f} ms"
        )
    print(f"resident, turn by turn: {', '.join(f'{size:.0f}' for size in memory)} MB")


def rate(daemon: Daemon) -> float:
    began, before = time.monotonic(), analysed(daemon)
    time.sleep(TURN_S)
    return (analysed(daemon) - before) / (time.monotonic() - began)


def analysed(daemon: Daemon) -> int:
    return int(daemon.status()["cameras"]["door"]["frames_analysed"])


def watch(daemon: Daemon, stop: threading.Event, ages: list[float]) -> None:
    after = None
    while not stop.is_set():
        asked = time.monotonic()
        header, picture = look(live_path(daemon.database), "door", after=after, viewer="one")
        if picture:
            after = header["frame_id"]
            ages.append(1000 * time.monotonic() - after)
        assert time.monotonic() - asked < 10


if __name__ == "__main__":
    print("as fast as it can:")
    main(120, realtime=False)
    print("15 pictures a second, in their own time:")
    main(15, realtime=True)
