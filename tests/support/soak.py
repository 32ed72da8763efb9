"""Runs the daemon for long among troubles, and prints what grows: `PYTHONPATH=tests python -m support.soak [MINUTES]`.

Three cameras (RTSP at an entrance, GStreamer in a classroom, a recording in a cab) and a real broker. Each minute one thing
goes wrong: the broker is killed, the RTSP server dies, a capture process is killed or hangs, the config is reloaded, or
holds a typo. A line a minute tells memory, descriptors, threads, processes and what waits; the end tells how late alerts
were while the broker was there, and whether every event was told. Exit code 1 when something was lost or grew.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edged.host.device import resident_mb
from support.cameras import RtspServer, children
from support.daemon import Daemon, looped, write_clip, write_pictures
from support.ledger import check_all_was_heard, check_books, deliver_the_rest
from support.mosquitto import Mosquitto, Subscriber, until

WARM_UP_MINUTES = 5
"""Arenas, caches and the database's pages fill in the first minutes."""

COMPARED_MINUTES = 6
"""Of the beginning and of the end: one of each trouble."""

CAMERAS = 3
OUTAGE_S = 15.0


class Reading(NamedTuple):
    """What there is of everything that could grow."""

    resident_mb: float
    of_children_mb: float
    descriptors: int
    threads: int
    processes: int
    database_mb: float
    waiting: int


MOST_GROWTH = Reading(15.0, 30.0, 3, 2, 1, 1000.0, 50)
"""By so much two readings may differ without anything growing; the database holds more every minute."""


class Site:
    """The daemon, its cameras and its broker."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        clip = write_clip(folder / "clip.mp4")
        pictures = write_pictures(folder / "pictures")
        self.rtsp = running.enter_context(RtspServer(pictures=pictures))
        self.broker = running.enter_context(Mosquitto(folder / "broker"))
        self.subscriber = running.enter_context(Subscriber(self.broker.port, "edged/dev1/events"))
        self.punctuality = running.enter_context(Punctuality(self.broker.port))
        shown = f"multifilesrc location={pictures}/%04d.jpg loop=true caps=image/jpeg,framerate=15/1 ! jpegdec"
        self._cameras = {
            "door": f"rtsp://{self.rtsp.address}",
            "room": f"gst:{shown} ! identity sync=true ! videoconvert",
            "cab": looped(clip),
        }
        self.daemon = running.enter_context(Daemon(folder, self._cameras, port=self.broker.port))
        self._write_config("")

    def _write_config(self, typo: str) -> None:
        self.daemon.write_config(self._cameras, port=self.broker.port, extra=typo)
        text = self.daemon.config.read_text()
        for camera, profile in (("room", "classroom"), ("cab", "driver")):
            text = text.replace(f"[camera.{camera}]\n", f'[camera.{camera}]\nprofile = "{profile}"\n')
        self.daemon.config.write_text(text)

    def read(self) -> Reading:
        pid = self.daemon.pid
        processes = children(pid)
        files = self.daemon.database.parent.glob(self.daemon.database.name + "*")
        return Reading(
            resident_mb(pid),
            sum(resident_mb(child) for child in processes),
            len(list(Path(f"/proc/{pid}/fd").iterdir())),
            len(list(Path(f"/proc/{pid}/task").iterdir())),
            len(processes),
            sum(file.stat().st_size for file in files if file.is_file()) / 1e6,
            self.daemon.status().get("outbox") or 0,
        )

    # --- what goes wrong

    def broker_dies(self) -> None:
        with self.punctuality.not_now():
            self.broker.kill()
            time.sleep(OUTAGE_S)
            self.broker.start()
            until(lambda: self.daemon.status().get("outbox") == 0, 30)

    def camera_dies(self) -> None:
        self.rtsp.kill()
        time.sleep(3)
        self.rtsp.start()

    def capture_is_killed(self) -> None:
        self._signal_a_child(signal.SIGKILL)

    def capture_hangs(self) -> None:
        self._signal_a_child(signal.SIGSTOP)

    def _signal_a_child(self, number: signal.Signals) -> None:
        if processes := children(self.daemon.pid):
            os.kill(random.choice(processes), number)

    def reload(self) -> None:
        with self.punctuality.not_now():
            self.daemon.signal(signal.SIGHUP)
            time.sleep(5)

    def typo(self) -> None:
        self._write_config("[mask]\nvote_secs = 3")
        self.daemon.signal(signal.SIGHUP)
        until(lambda: "was not reloaded" in str(self.daemon.status().get("errors")), 10)
        self._write_config("")
        self.daemon.signal(signal.SIGHUP)

    def troubles(self) -> list[Callable[[], None]]:
        return [
            self.broker_dies,
            self.camera_dies,
            self.capture_is_killed,
            self.capture_hangs,
            self.reload,
            self.typo,
        ]


class Punctuality:
    """How long alerts take from the picture that decided them to a subscriber, in milliseconds."""

    def __init__(self, port: int) -> None:
        self.late_ms: list[float] = []
        self._counts = threading.Event()
        self._counts.set()
        command = ["stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-q", "1"]
        topics = ["-t", "edged/dev1/camera/+/violation", "-F", "%U %p"]
        self._process = subprocess.Popen(
            [*command, *topics], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "Punctuality":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @contextmanager
    def not_now(self) -> Iterator[None]:
        """What comes meanwhile is held up on purpose."""
        self._counts.clear()
        yield
        time.sleep(1.0)
        self._counts.set()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                arrived, _, payload = line.partition(" ")
                decided = datetime.fromisoformat(json.loads(payload)["ts"].replace("Z", "+00:00")).timestamp()
                if self._counts.is_set():
                    self.late_ms.append((float(arrived) - decided) * 1000)

    def tell(self) -> None:
        """Print what was measured."""
        if self.late_ms:
            middle, most = np.percentile(self.late_ms, [50, 99])
            print(f"{len(self.late_ms)} alerts: median {middle:.0f} ms, 99 % {most:.0f} ms from picture to subscriber")


def grown(readings: list[Reading]) -> list[str]:
    """What is more at the end than after the warm-up, each told in a line."""
    if len(readings) < WARM_UP_MINUTES + 2 * COMPARED_MINUTES:
        return ["too short to tell what grows"]
    first, last = (
        np.median(np.array(part), axis=0)
        for part in (readings[WARM_UP_MINUTES:][:COMPARED_MINUTES], readings[-COMPARED_MINUTES:])
    )
    return [
        f"{name} grew from {before:.1f} to {after:.1f}"
        for name, before, after, most in zip(Reading._fields, first, last, MOST_GROWTH, strict=True)
        if after - before > most
    ]


def tell(minute: int, trouble: str, reading: Reading) -> None:
    """One line."""
    values = "  ".join(
        f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in reading._asdict().items()
    )
    print(f"{minute:4d} min  {trouble:<18} {values}", flush=True)


def soak(site: Site, minutes: int) -> list[Reading]:
    """One trouble a minute, each kind as often as the others."""
    site.daemon.start()
    assert until(lambda: len(site.daemon.status().get("cameras", {})) == CAMERAS, 30), site.daemon.log
    readings = []
    for minute in range(minutes):
        ends = time.monotonic() + 60
        trouble = site.troubles()[minute % len(site.troubles())]
        time.sleep(5)
        trouble()
        time.sleep(max(0.0, ends - time.monotonic()))
        assert site.daemon.is_running, site.daemon.log
        readings.append(site.read())
        tell(minute + 1, trouble.__name__, readings[-1])
    return readings


def main() -> None:
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with ExitStack() as running:
        site = Site(Path(running.enter_context(tempfile.TemporaryDirectory())), running)
        readings = soak(site, minutes)
        print(f"stopped with {site.daemon.stop()}")
        deliver_the_rest(site.daemon, site.broker.port)
        check_books(site.daemon)
        print(f"{check_all_was_heard(site.daemon, site.subscriber)} events, every step of each told in order")
        assert "Traceback" not in site.daemon.log, site.daemon.log
        site.punctuality.tell()
    problems = grown(readings)
    print("\n".join(problems) or "nothing grew")
    sys.exit(1 if any("grew" in problem for problem in problems) else 0)


if __name__ == "__main__":
    main()
