"""What the process keeps: a disk that is full at any moment of the start stops nothing but storing, and holds no lock."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from support.storing import HandClock

from edged.config import Config, StoreConfig
from edged.daemon.core import Core, open_core
from edged.daemon.pause import PAUSE, Pause, Pauses
from edged.host.clock import Reckoning
from edged.store import Store
from edged.store.recovery import StoreFull
from edged.store.upkeep import RECKONING


def test_a_disk_that_is_full_when_the_record_is_put_in_order_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "edged.db"
    Store(path).close()

    def full(_: Store) -> None:
        raise StoreFull(f"{path}: the disk is full; free some space")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "close_encounters", full)
        open_core(Config(store=StoreConfig(path=path)), HandClock())
    Store(path).close()  # nobody holds the lock


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from edged.store import Store

    store = Store(Path(sys.argv[1]))
    store.set_meta({"pause": sys.argv[2]})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def lose_power(path: Path, pause: str) -> None:
    """A last run that remembered `pause` and did not get to its end; the index of its log, which needs room, is gone."""
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(path), pause], check=False)
    assert killed.returncode == -signal.SIGKILL
    path.with_name(f"{path.name}-shm").unlink()


def fill_up(folder: Path) -> None:
    descriptor = os.open(folder / "other", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(descriptor, bytes(4096)):
            pass
    os.close(descriptor)


def start_on_the_full_disk(path: Path) -> Core:
    fill_up(path.parent)
    core = open_core(Config(store=StoreConfig(path=path)), HandClock())
    assert "the disk is full" in str(core.store.problem)
    return core


def paused(minutes: int) -> tuple[str, Pause]:
    """A pause as the store remembers it."""
    remembered: list[str] = []
    pause = Pauses(HandClock(), None, remembered.append).begin({"minutes": minutes, "who": "the board"}, Config())
    assert json.loads(remembered[0]) == asdict(pause)
    return remembered[0], pause


def test_a_pause_stands_when_the_daemon_starts_on_a_full_disk(small_disk: Path) -> None:
    path, (text, pause) = small_disk / "edged.db", paused(480)
    believed = Reckoning(HandClock().utc_ms())
    with Store(path) as store:
        store.set_meta({PAUSE: text, RECKONING: believed.text()})
    core = start_on_the_full_disk(path)
    assert core.pauses.stands == pause
    assert core.clock.reckoning().believed_ms == believed.believed_ms


def test_a_pause_of_the_moment_before_the_power_went_stands_on_a_full_disk(small_disk: Path) -> None:
    path, (text, pause) = small_disk / "edged.db", paused(480)
    Store(path).close()
    lose_power(path, text)
    assert start_on_the_full_disk(path).pauses.stands == pause


def test_a_pause_that_was_ended_before_the_power_went_stays_ended(small_disk: Path) -> None:
    path, (text, _) = small_disk / "edged.db", paused(480)
    with Store(path) as store:
        store.set_meta({PAUSE: text})
    lose_power(path, "null")
    assert start_on_the_full_disk(path).pauses.stands is None


@pytest.mark.parametrize("content", [None, b"", b"no database" * 1000])
def test_without_a_database_that_can_be_read_nothing_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    path = tmp_path / "edged.db"
    if content is not None:
        path.write_bytes(content)

    def full(path: Path) -> Store:
        raise StoreFull(f"{path}: the disk is full; free some space")

    monkeypatch.setattr("edged.daemon.database._first_opened", full)
    assert open_core(Config(store=StoreConfig(path=path)), HandClock()).pauses.stands is None
