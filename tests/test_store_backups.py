"""Backups: how often they are made, what a kill or a wrong clock leaves of them, and that a slow one is no fault."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.mosquitto import until
from support.storing import HandClock, backup_is_over, event_ids, fill, started

from edged.config import StoreConfig
from edged.errors import StoreError
from edged.host.clock import WatchedClock
from edged.store import Change, Store, backup
from edged.store import worker as store_worker
from edged.store.backup import Backup
from edged.store.disk_space import LEAST_FREE_BYTES
from edged.store.files import backups
from edged.store.recovery import StoreFull, is_sound
from edged.store.upkeep import Upkeep
from edged.store.worker import StoreWorker

MINUTES_TO_THE_FIRST = 6
DAY_S = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edged.db"


class Slow:
    """A store whose worker counts as stuck almost at once, and which takes its time where `way` says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.was_stuck: list[bool] = []
        self.upkeep: Callable[[Store], None] = lambda _: None
        self.worker = StoreWorker(
            Store(path),
            committed=lambda: None,
            upkeep=lambda store: self.upkeep(store),
            reopen=lambda: self.reopen(),
        )
        self.worker.stuck_after_s = 0.1

    def take_time(self, *_: object) -> None:
        time.sleep(0.3)
        self.was_stuck.append(self.worker.is_stuck())

    def reopen(self) -> Store:
        self.take_time()
        return Store(self.path)


def in_upkeep(slow: Slow, patch: pytest.MonkeyPatch) -> None:
    slow.upkeep = slow.take_time


def in_the_files(slow: Slow, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "loss", slow.take_time)


def in_opening_lost_files(slow: Slow, patch: pytest.MonkeyPatch) -> None:
    slow.path.unlink()


def in_opening_after_an_error(slow: Slow, patch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        patch.undo()
        raise StoreError("disk I/O error")

    patch.setattr(Store, "write", write)
    slow.worker.submit([started("A")])


@pytest.mark.parametrize("way", [in_upkeep, in_the_files, in_opening_lost_files, in_opening_after_an_error])
def test_what_takes_long_with_the_whole_database_is_not_taken_for_wedged(
    path: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[[Slow, pytest.MonkeyPatch], None]
) -> None:
    slow = Slow(path)
    way(slow, monkeypatch)
    slow.worker.start()
    assert until(lambda: slow.was_stuck)
    assert slow.worker.stop(60)
    slow.worker.close()
    assert slow.worker.failure is None
    assert not any(slow.was_stuck)


def test_what_takes_long_is_given_no_time_for_ever(path: Path) -> None:
    slow = Slow(path)
    with slow.worker._taking_long():
        assert slow.worker._beat_s - time.monotonic() <= store_worker.LONG_S
    assert slow.worker._beat_s <= time.monotonic()
    slow.worker.close()


class Runs:
    """One database through several runs of the daemon, by a clock set by hand."""

    def __init__(self, path: Path, keep: int = 3) -> None:
        self.path, self.keep = path, keep
        self.clock = HandClock()

    def run(self, minutes: int = MINUTES_TO_THE_FIRST, step: int = 1) -> None:
        """A run of so many minutes that begins now, with a look at what is due every `step` of them."""
        upkeep = Upkeep(WatchedClock(self.clock), StoreConfig(backups=self.keep), record=lambda *_: None)
        with Store(self.path) as store:
            for _ in range(0, minutes, step):
                self.clock.pass_s(60 * step)
                upkeep(store)
                assert backup_is_over(store)

    @property
    def names(self) -> list[str]:
        return sorted(backup.name for backup in backups(self.path))


def test_starts_in_a_row_make_one_backup_and_the_next_day_another(path: Path) -> None:
    runs = Runs(path)
    for _ in range(4):
        runs.run()
    assert len(runs.names) == 1
    runs.clock.pass_s(DAY_S - 3600)
    runs.run()
    assert len(runs.names) == 1
    runs.run(60, step=5)
    assert len(runs.names) == 2


def test_a_run_of_days_makes_a_backup_each_day(path: Path) -> None:
    runs = Runs(path, keep=9)
    runs.run(3 * 1440 + 120, step=30)
    assert len(runs.names) == 4


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from edged.store import Store, backup

    backup.sync = lambda path: os.kill(os.getpid(), signal.SIGKILL)
    with Store(Path(sys.argv[1])) as store:
        store.back_up(3, sys.argv[2])
"""


def test_a_kill_during_a_backup_leaves_nothing_after_the_next(path: Path) -> None:
    Store(path).close()
    folder = path.parent / "backups"
    for stamp in ("one", "two"):
        killed = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(path), stamp], check=False)
        assert killed.returncode == -signal.SIGKILL
    (left,) = folder.glob("*.partial*")
    left.with_name(f"{left.name}-journal").touch()
    (folder / "a letter.partial").touch()
    with Store(path) as store:
        made = store.back_up(3, "three")
    assert sorted(file.name for file in folder.iterdir()) == ["a letter.partial", made.name]


def test_a_backup_made_while_the_clock_was_ahead_does_not_stay_the_newest(path: Path) -> None:
    ahead_s = 2_100_000_000
    with Store(path) as store:
        store.write([started("kept")])
        made = [store.back_up(3, "20360718-130640")]
        os.utime(made[0], (ahead_s, ahead_s))
        for day in range(1, 7):
            store.write([started(f"E{day}", day * 1_000_000)])
            made.append(store.back_up(3, f"2026110{day}-120000"))
        assert sorted(backups(path)) == made[-3:]
        store.write([started("lost", 7_000_000)])
    path.write_bytes(b"damaged" * 1000)
    with Store(path) as store:
        assert store.restored is not None
        assert store.restored.backup == made[-1]
        assert store.restored.gap_from == 6_000_000
    assert is_sound(path)


def test_a_restored_backup_without_anything_in_it_knows_of_no_instant(path: Path) -> None:
    with Store(path) as store:
        store.back_up(3, "empty")
    path.write_bytes(b"damaged" * 1000)
    with Store(path) as store:
        assert store.restored is not None
        assert (store.restored.backup is not None, store.restored.gap_from) == (True, None)


def test_two_databases_in_one_folder_keep_their_backups_apart(path: Path) -> None:
    other = path.with_name("edged-front.db")
    for database in (path, other):
        with Store(database) as store:
            store.write([started(database.stem)])
            store.back_up(1, "20261101-120000")
    half = path.parent / "backups" / "edged-front-20261102-120000.partial"
    migrated = half.with_name("edged-front-before-0006_channels.db")
    half.touch()
    migrated.touch()
    with Store(path) as store:
        made = store.back_up(1, "20261103-120000")
    assert backups(path) == [made]
    assert half.exists()
    assert sorted(file.name for file in backups(other)) == ["edged-front-20261101-120000.db", migrated.name]
    made.unlink()
    path.write_bytes(b"damaged" * 1000)
    with Store(path) as store:
        assert store.restored is not None
        assert store.restored.backup is None


@pytest.mark.parametrize("names", [("x.db", "x.sqlite"), ("x", "x.db"), ("x.sqlite", "x.sqlite.db"), ("x.1", "x")])
def test_two_databases_that_differ_in_their_ending_keep_their_backups_apart(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    paths = [tmp_path / name for name in names]
    for path in paths:
        with Store(path) as store:
            store.write([started(path.name)])
            store.back_up(1, "20261101-120000")
    halves = []
    for path in paths:
        (made,) = backups(path)
        halves.append(made.with_name(f"{made.name}.partial-journal"))
        halves[-1].touch()
    for number, path in enumerate(paths):
        with Store(path) as store:
            store.back_up(1, f"2026110{number + 2}-120000")
        assert not halves[number].exists()
        assert all(half.exists() for half in halves[number + 1 :])
    for path in paths:
        path.write_bytes(b"damaged" * 1000)
        with Store(path) as store:
            assert [event.event_id for event in store.open_events()] == [path.name]


def test_a_backup_with_the_name_of_before_still_serves_where_it_can_only_be_this_ones(tmp_path: Path) -> None:
    path, folder = tmp_path / "x.sqlite", tmp_path / "backups"
    with Store(path) as store:
        store.write([started("kept")])
        made = store.back_up(3, "20261101-120000")
    made = made.rename(folder / "x-20261101-120000.db")
    (folder / "x-20261102-120000.partial").touch()
    assert backups(path) == [made]
    path.write_bytes(b"damaged" * 1000)
    with Store(path) as store:
        assert store.restored is not None
        assert store.restored.backup == made
        later = store.back_up(1, "20261103-120000")
    assert list(folder.iterdir()) == [later]
    made.touch()
    (tmp_path / "x.db").touch()
    assert backups(path) == [later], "it may be the other one's"


def test_a_backup_that_failed_is_tried_again_within_two_hours(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    upkeep = Upkeep(WatchedClock(clock), StoreConfig(), record=lambda *_: None)
    clock.pass_s(60 * MINUTES_TO_THE_FIRST)
    with Store(path) as store:
        with monkeypatch.context() as full:
            full.setattr(Store, "begin_backup", failing)
            with pytest.raises(StoreError, match="no room"):
                upkeep(store)
            clock.pass_s(60)
            upkeep(store)  # not at once: each try copies the whole database
        clock.pass_s(2 * 3600)
        upkeep(store)
        assert until(lambda: len(backups(path)) == 1)


def failing(*_: object) -> None:
    raise StoreError("no room")


# --- beside the writing of events


@pytest.fixture
def slow_copy(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A disk that takes a step of a backup only once this is set."""
    goes_on = threading.Event()

    def rest(self: Backup, descriptor: int) -> None:
        while not goes_on.wait(0.01):
            self._check()

    monkeypatch.setattr(Backup, "_rest", rest)
    return goes_on


def test_events_are_written_while_a_backup_is_made_which_holds_what_was_there_when_it_was_begun(
    path: Path, slow_copy: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_worker, "UPKEEP_INTERVAL_S", 0.0)
    clock = HandClock()
    daily = Upkeep(WatchedClock(clock), StoreConfig(), record=lambda *_: None)
    with Store(path) as store:
        store.write([started("before")])
    clock.pass_s(60 * MINUTES_TO_THE_FIRST)
    worker = StoreWorker(Store(path), committed=lambda: None, upkeep=daily, reopen=lambda: Store(path))
    worker.start()
    assert until(lambda: list(path.parent.glob("backups/*.partial")))
    for number in range(5):
        worker.submit([started(f"E{number}")])
        assert until(worker.is_idle)
    assert backups(path) == []
    slow_copy.set()
    assert until(lambda: backups(path))
    assert event_ids(backups(path)[0]) == ["before"]
    assert until(lambda: not worker._store.is_backing_up())
    assert daily._next_backup_s == clock.monotonic_s() + DAY_S
    assert worker.stop(60)
    worker.close()
    assert len(event_ids(path)) == 6
    assert is_sound(path)


def test_a_backup_of_many_steps_rests_and_is_not_begun_anew_by_what_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "STEP_PAGES", 1)
    fill(path, 200)
    with Store(path) as store:
        pages = path.stat().st_size // 4096
        rested, rest = [], Backup._rest

        def write_and_rest(self: Backup, descriptor: int) -> None:
            rested.append(1)
            rest(self, descriptor)
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("INSERT INTO meta VALUES (?, '')", (f"key {len(rested)}",))

        monkeypatch.setattr(Backup, "_rest", write_and_rest)
        made = store.back_up(3, "made")
    assert pages - 5 <= len(rested) <= pages + 5
    assert is_sound(made)
    with closing(sqlite3.connect(made)) as copy:
        assert "key 1" not in [key for (key,) in copy.execute("SELECT key FROM meta")]


@pytest.mark.usefixtures("slow_copy")
def test_a_backup_ends_with_the_store_and_leaves_nothing(path: Path) -> None:
    began = time.monotonic()
    with Store(path) as store:
        store.begin_backup(3, "begun")
        assert until(lambda: list(path.parent.glob("backups/*.partial")))
    assert time.monotonic() - began < 60
    assert list((path.parent / "backups").iterdir()) == []
    assert not path.with_name("edged.db-wal").exists()
    assert "backup" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.usefixtures("slow_copy")
def test_a_full_disk_is_given_what_the_backup_has_taken_before_the_reserve(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path, 10)
    worker = StoreWorker(Store(path), committed=lambda: None, upkeep=lambda _: None, reopen=lambda: Store(path))
    worker._reserve.make()
    worker._store.begin_backup(3, "begun")
    assert until(lambda: list(path.parent.glob("backups/*.partial")))
    write, refused = Store.write, [StoreFull("no room")]

    def full_once(store: Store, changes: Iterable[Change]) -> None:
        if refused:
            raise refused.pop()
        write(store, changes)

    monkeypatch.setattr(Store, "write", full_once)
    worker.submit([started("A")])
    worker.start()
    assert until(worker.is_idle)
    assert list((path.parent / "backups").iterdir()) == []
    assert worker._reserve.held()
    assert worker.stop(60)
    worker.close()


def test_a_backup_for_which_there_is_no_room_is_put_off_with_one_line_until_there_is(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    free = [LEAST_FREE_BYTES]
    monkeypatch.setattr(backup.shutil, "disk_usage", lambda _: SimpleNamespace(free=free[0]))
    runs = Runs(path)
    runs.run(6 * 60)
    assert runs.names == []
    assert not list(path.parent.glob("backups/*"))
    said = [record.message for record in caplog.records if "put off" in record.message]
    assert len(said) == 1
    assert "no room for a backup of 0 MB, with 67 MB free; free some space" in said[0]
    free[0] = 2 * LEAST_FREE_BYTES
    runs.run(70)
    assert len(runs.names) == 1


def test_a_disk_that_fills_up_meanwhile_ends_a_backup(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [2 * LEAST_FREE_BYTES, 1_000_000]
    monkeypatch.setattr(
        backup.shutil, "disk_usage", lambda _: SimpleNamespace(free=free.pop(0) if len(free) > 1 else free[0])
    )
    with Store(path) as store, pytest.raises(StoreFull, match="with 1 MB free"):
        store.back_up(3, "made")
    assert list((path.parent / "backups").iterdir()) == []


@pytest.mark.parametrize("limit", ["LONGEST_S", "MOST_LOG_BYTES"])
def test_a_backup_that_takes_too_long_or_holds_up_too_much_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(backup, limit, 0)
    with Store(path) as store:
        with pytest.raises(StoreError, match="the backup"):
            store.back_up(3, "made")
        store.write([started("A")])
    assert list((path.parent / "backups").iterdir()) == []


def test_no_good_backup_is_given_up_for_copies_of_a_database_that_was_damaged_meanwhile(path: Path) -> None:
    """A page that nobody reads is damaged in silence, and would be copied until all backups are."""
    fill(path, 300)
    with Store(path) as store:
        good = store.back_up(1, "good")
    with Store(path) as store:
        with path.open("r+b") as file:
            file.seek(path.stat().st_size - 4096)
            file.write(b"\xff" * 4096)
        store._connection.execute("PRAGMA shrink_memory")
        for stamp in ("a", "b"):
            with pytest.raises(StoreError, match="damaged"):
                store.back_up(1, stamp)
    assert list(good.parent.iterdir()) == [good]
    assert is_sound(good)
