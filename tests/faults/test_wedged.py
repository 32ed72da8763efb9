"""A worker that makes no progress, or a process that stands still, is ended and started afresh; a busy machine is no reason."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.mosquitto import Mosquitto, needs_mosquitto, until

TESTS = Path(__file__).parents[1]
WORKERS = ["store", "status", "thermal", "reporter", "analysis", "publisher"]
UNIT_WATCHDOG_S, UNIT_RESTART_S = 30.0, 5.0
"""What the unit says."""
KILLED_WITHIN_S = 32.0
"""In the long form, with the unit's own limits."""
pytestmark = [needs_models, needs_mosquitto]


class Manager:
    """Does with a daemon what systemd does with `Type=notify`: hears signs of life, and ends it when they do not come."""

    def __init__(self, folder: Path, watchdog_s: float, prefix: list[str]) -> None:
        self._watchdog_s = watchdog_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        environment = {
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": str(round(watchdog_s * 1e6)),
            "PYTHONPATH": str(TESTS),
        }
        clip = looped(write_clip(folder / "clip.mp4"))
        self._broker = Mosquitto(folder / "broker")
        self.daemon = Daemon(folder, {"door": clip}, port=self._broker.port, environment=environment, prefix=prefix)

    def __enter__(self) -> "Manager":
        self._broker.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.daemon.is_running:
                self.daemon.kill()
        self._broker.kill()
        self._socket.close()

    def start(self) -> None:
        self.daemon.start()
        assert self._hears("READY=1", 120), self.daemon.log

    def watch(self, seconds: float) -> float | None:
        """Hear signs of life; how long it took until there was reason to end the daemon, None if there was none."""
        began = last = time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            self._socket.settimeout(max(0.01, min(last + self._watchdog_s, began + seconds) - now))
            try:
                line = self._socket.recv(4096).decode()
            except TimeoutError:
                if time.monotonic() - last >= self._watchdog_s:
                    return time.monotonic() - began
            else:
                if line == "WATCHDOG=trigger":
                    return time.monotonic() - began
                last = time.monotonic() if line == "WATCHDOG=1" else last
        return None

    def _hears(self, word: str, seconds: float) -> bool:
        self._socket.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            while self._socket.recv(4096).decode() != word:
                pass
            return True
        return False


def prefix(file: Path, worker: str, how: str, limit_s: float) -> list[str]:
    return [sys.executable, "-m", "support.wedge", str(file), worker, how, str(limit_s)]


QUICK = [("analysis", "deadlock"), ("publisher", "spin"), ("store", "hold")]


@pytest.mark.parametrize(("worker", "how"), QUICK)
def test_a_wedged_worker_is_no_secret(tmp_path: Path, worker: str, how: str) -> None:
    be_wedged(tmp_path, worker, how, limit_s=2.0, watchdog_s=6.0, within_s=60.0)


@pytest.mark.long
@pytest.mark.parametrize("how", ["deadlock", "spin", "hold"])
@pytest.mark.parametrize("worker", WORKERS)
def test_every_worker_that_is_wedged_in_any_way_is_ended_in_half_a_minute(
    tmp_path: Path, worker: str, how: str
) -> None:
    be_wedged(tmp_path, worker, how, limit_s=0.0, watchdog_s=UNIT_WATCHDOG_S, within_s=KILLED_WITHIN_S)


def be_wedged(folder: Path, worker: str, how: str, *, limit_s: float, watchdog_s: float, within_s: float) -> None:
    file = folder / "now"
    with Manager(folder, watchdog_s, prefix(file, worker, how, limit_s)) as manager:
        manager.start()
        assert manager.daemon.serves(60), manager.daemon.log
        assert until(lambda: manager.daemon.status()["broker"]["connected"], 60), manager.daemon.log
        file.touch()
        took_s = manager.watch(within_s)
        assert took_s is not None, manager.daemon.log
        said = "" if how == "hold" else f"no progress in: {worker}"  # who is held cannot say so
        assert said in manager.daemon.log
        file.unlink()
        came_back_s = started_afresh(manager, signal.SIGABRT)
    print(f"{worker} {how}: ended after {took_s:.1f} s, serving {took_s + UNIT_RESTART_S + came_back_s:.1f} s after")


def started_afresh(manager: Manager, number: signal.Signals) -> float:
    """End it as systemd does, start it again; how long it took to serve."""
    daemon = manager.daemon
    daemon.signal(number)
    assert daemon.wait(30) == -number
    began = time.monotonic()
    manager.start()
    assert daemon.serves(60), daemon.log
    came_back_s = time.monotonic() - began
    assert daemon.rows("PRAGMA integrity_check") == [("ok",)]
    assert daemon.stop(30) == 0
    return came_back_s


def test_a_daemon_that_stands_still_is_ended_and_one_that_goes_on_is_not(tmp_path: Path) -> None:
    with Manager(tmp_path, 10.0, []) as manager:
        manager.start()
        assert manager.daemon.serves(60), manager.daemon.log
        os.kill(manager.daemon.pid, signal.SIGSTOP)
        assert manager.watch(60.0) is not None
        os.kill(manager.daemon.pid, signal.SIGCONT)
        assert until(lambda: manager.daemon.status(), 30)
        assert "no progress" not in manager.daemon.log, "who stood still as a whole has nobody wedged"


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """Four times as many programs in circles as there are processors."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * (os.cpu_count() or 1))]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


@pytest.mark.long
@pytest.mark.usefixtures("busy_machine")
def test_a_busy_machine_is_no_wedged_daemon(tmp_path: Path) -> None:
    with Manager(tmp_path, UNIT_WATCHDOG_S, []) as manager:
        manager.start()
        assert manager.watch(300.0) is None, manager.daemon.log
        assert "no progress" not in manager.daemon.log
