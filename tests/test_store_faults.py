"""The store's worker outlasts a full disk, an I/O error and bad data: nothing it holds is lost, and it says so once."""

import contextlib
import logging
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.mosquitto import until
from support.storing import ended, event_ids, message, minute, started

from edged.errors import StoreError
from edged.store import EncounterRow, Store, StoreReader
from edged.store import worker as store_worker
from edged.store.ballast import Ballast
from edged.store.recovery import is_sound
from edged.store.worker import StoreWorker

FILLER = "x" * 3000


class Running:
    """A store worker on a database, and what it called."""

    def __init__(self, path: Path, upkeep: Callable[[Store], None] = lambda _: None) -> None:
        self.path = path
        self.commits = 0
        self.reopened = 0
        self.store = Store(path)
        self.worker = StoreWorker(self.store, committed=self._committed, upkeep=upkeep, reopen=self._reopen)

    def _committed(self) -> None:
        self.commits += 1

    def _reopen(self) -> Store:
        self.reopened += 1
        self.store = Store(self.path)
        return self.store

    def __enter__(self) -> "Running":
        self.worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.worker.stop(60)
        self.worker.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edged.db"


def stored(path: Path) -> int:
    return len(event_ids(path))


def submit_events(worker: StoreWorker, count: int, first: int = 0, details: str = "") -> None:
    for number in range(first, first + count):
        worker.submit(
            [started(f"E{number:06d}", number, details={"d": details}), message(f"E{number:06d}", 1), minute()]
        )


def test_what_is_submitted_is_written_in_order_few_commits_for_many_changes(path: Path) -> None:
    with Running(path) as running:
        submit_events(running.worker, 500)
        assert until(lambda: stored(path) == 500)
        assert running.commits < 50
        assert running.worker._waiting_count == 0
    assert event_ids(path) == [f"E{number:06d}" for number in range(500)]


def test_stopping_writes_what_still_waits(path: Path) -> None:
    running = Running(path)
    submit_events(running.worker, 5000)
    running.worker.start()
    assert running.worker.stop(60)
    running.worker.close()
    assert stored(path) == 5000


def test_stopping_an_idle_worker_is_quick(path: Path) -> None:
    running = Running(path)
    running.worker.start()
    time.sleep(0.2)
    began = time.monotonic()
    assert running.worker.stop(60)
    assert time.monotonic() - began < 20
    running.worker.close()


def test_a_full_database_is_said_once_loses_nothing_and_goes_on_when_there_is_room(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Running(path) as running:
        submit_events(running.worker, 10)
        assert until(lambda: stored(path) == 10)
        limit = running.store._connection.execute("PRAGMA page_count").fetchone()[0]
        running.store._connection.execute(f"PRAGMA max_page_count = {limit}")
        submit_events(running.worker, 40, first=10, details=FILLER)
        assert until(lambda: running.worker.problem is not None)
        assert "the disk is full" in (running.worker.problem or "")
        time.sleep(0.7)
        assert stored(path) == 10
        running.store._connection.execute("PRAGMA max_page_count = 1000000")
        assert until(lambda: stored(path) == 50)
        assert until(lambda: running.worker.problem is None)
        assert running.worker.dropped == 0
        assert until(lambda: running.worker._waiting_count == 0), "what was retried must leave the books"
        assert StoreReader(path).coverage(0, 100_000)[0]["frames_seen"] == 500
    assert running.reopened == 0
    said = [record.getMessage() for record in caplog.records]
    assert sum("nothing can be stored" in line for line in said) == 1
    assert said.count("storing works again") == 1


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_really_full_loses_nothing_and_goes_on_when_there_is_room(tiny_disk: Path) -> None:
    path = tiny_disk / "edged.db"
    with Running(path) as running:
        for round_number in range(3):
            before = 30 * round_number
            (tiny_disk / "other").write_bytes(bytes(_free(tiny_disk)))
            submit_events(running.worker, 30, first=before, details=FILLER)
            assert until(lambda: running.worker.problem is not None)
            assert stored(path) == before
            (tiny_disk / "other").unlink()
            assert until(lambda before=before: stored(path) == before + 30)
            assert until(lambda: running.worker.problem is None)
        assert running.worker._waiting_count == 0
    assert is_sound(path)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def test_the_ballast_makes_room_at_once(tiny_disk: Path) -> None:
    path = tiny_disk / "edged.db"
    with Running(path) as running:
        (tiny_disk / "ballast").write_bytes(bytes(300_000))
        (tiny_disk / "other").write_bytes(bytes(_free(tiny_disk)))
        submit_events(running.worker, 20, details=FILLER)
        assert until(lambda: stored(path) == 20)
        assert not (tiny_disk / "ballast").exists()


def test_the_ballast_makes_room_for_the_last_words(tiny_disk: Path) -> None:
    path = tiny_disk / "edged.db"
    running = Running(path)
    (tiny_disk / "ballast").write_bytes(bytes(300_000))
    (tiny_disk / "other").write_bytes(bytes(_free(tiny_disk)))
    submit_events(running.worker, 20, details=FILLER)
    running.worker.start()
    assert running.worker.stop(60)
    running.worker.close()
    assert stored(path) == 20


def test_a_full_disk_is_no_reason_not_to_start_while_there_is_ballast(tiny_disk: Path) -> None:
    path = tiny_disk / "edged.db"
    Store(path).close()
    (tiny_disk / "ballast").write_bytes(bytes(300_000))
    (tiny_disk / "other").write_bytes(bytes(_free(tiny_disk)))
    with Store(path) as store:
        store.write([started("A")])
    (tiny_disk / "more").write_bytes(bytes(_free(tiny_disk)))
    with pytest.raises(StoreError, match="the disk is full"):
        Store(path)


def test_stopping_with_a_full_disk_tells_how_much_is_lost(tiny_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    running = Running(tiny_disk / "edged.db")
    (tiny_disk / "other").write_bytes(bytes(_free(tiny_disk)))
    submit_events(running.worker, 900, details=FILLER)
    running.worker.start()
    assert until(lambda: running.worker.problem is not None)
    assert running.worker.stop(60)
    with contextlib.suppress(StoreError):
        running.worker.close()
    assert "stopped with 2700 changes that could not be written" in caplog.text


def test_an_io_error_opens_the_database_anew_and_loses_nothing(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes writing fail as a broken disk does; only a child process may be so limited."""
    program = textwrap.dedent(f"""
        import resource, sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_store_faults import FILLER, Running, stored, submit_events
        from support.mosquitto import until

        path = Path(sys.argv[1])
        with Running(path) as running:
            submit_events(running.worker, 5)
            assert until(lambda: stored(path) == 5)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
            submit_events(running.worker, 30, first=5, details=FILLER)
            assert until(lambda: running.worker.problem is not None)
            print(running.worker.problem)
            time.sleep(1.2)
            assert stored(path) == 5
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            assert until(lambda: stored(path) == 35)
            assert until(lambda: running.worker.problem is None)
            assert running.reopened >= 1
            assert running.worker._waiting_count == 0
    """)
    path = tmp_path / "edged.db"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "disk I/O error" in done.stdout
    assert done.stderr.count("Traceback") == 0
    assert is_sound(path)
    assert stored(path) == 35


def test_a_database_damaged_while_it_is_written_is_restored_and_the_gap_told(path: Path) -> None:
    with Store(path) as store:
        store.write([started("kept")])
        store.back_up(1, "b")
    running = Running(path)
    running.store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with running:
        with path.open("r+b") as file:
            file.write(b"\xff" * path.stat().st_size)
        running.store._connection.execute("PRAGMA shrink_memory")
        submit_events(running.worker, 300, details=FILLER)
        assert until(lambda: running.reopened == 1)
        assert until(lambda: running.worker.problem is None and running.worker._waiting_count == 0)
        assert running.store.restored is not None
    assert stored(path) == 301
    assert is_sound(path)


def test_one_bad_change_keeps_nothing_else_out(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = EncounterRow("X", "door", 1, 0, 1, "none", float("nan"), {}, 1.0, 1.0, False, True)
    running = Running(path)
    running.worker.submit([started("A")])
    running.worker.submit([started("B"), bad])
    running.worker.submit([started("C")])
    with running:
        assert until(lambda: stored(path) == 2)
        assert event_ids(path) == ["A", "C"]
        assert running.worker.dropped == 2
        assert running.worker._waiting_count == 0
        assert running.worker.problem is None
    assert caplog.text.count("left out") == 1


def test_an_end_whose_start_was_dropped_does_no_harm(path: Path) -> None:
    with Running(path) as running:
        running.worker.submit([ended("lost"), message("lost", 2)])
        running.worker.submit([started("A")])
        assert until(lambda: stored(path) == 1)
        assert running.worker.failure is None


def test_too_much_waiting_is_dropped_and_counted(path: Path) -> None:
    running = Running(path)
    for number in range(store_worker.MOST_WAITING // 2):
        running.worker.submit([started(f"E{number:06d}"), message()])
    assert running.worker.dropped == 0
    running.worker.submit([started("too"), message(), message()])
    running.worker.acknowledge(1)
    assert running.worker.dropped == 4
    with running:
        assert until(lambda: running.worker._waiting_count == 0)
        running.worker.submit([started("again")])
        assert until(lambda: "again" in event_ids(path))
    assert stored(path) == store_worker.MOST_WAITING // 2 + 1


def test_submitting_from_many_threads_loses_nothing(path: Path) -> None:
    with Running(path) as running:
        threads = [
            threading.Thread(target=submit_events, args=(running.worker, 200, 1000 * number)) for number in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert until(lambda: running.worker._waiting_count == 0)
        assert stored(path) == 1000


def test_failing_upkeep_is_said_once_and_ends_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store_worker, "UPKEEP_INTERVAL_S", 0.0)
    calls = []

    def failing(_: Store) -> None:
        calls.append(1)
        raise StoreError("no room for a backup")

    with Running(path, failing) as running:
        submit_events(running.worker, 1)
        assert until(lambda: len(calls) >= 3)
        assert running.worker.failure is None
    assert caplog.text.count("no room for a backup") == 1


def test_the_ballast_is_laid_only_where_there_is_plenty(tmp_path: Path, tiny_disk: Path) -> None:
    Ballast(tiny_disk).lay()
    assert list(tiny_disk.iterdir()) == []
    ballast = Ballast(tmp_path)
    (tmp_path / "ballast").write_bytes(b"begun and never finished")
    ballast.lay()
    assert (tmp_path / "ballast").stat().st_size == 16 * 1024 * 1024
    assert ballast.throw()
    assert not ballast.throw()


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "readonly"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        folder.chmod(0o555)
    try:
        with pytest.raises(StoreError, match=r"cannot be opened .* the folder must belong to the user") as refusal:
            Store(folder / "edged.db")
        assert "\n" not in str(refusal.value)
    finally:
        folder.chmod(0o755) if mounted.returncode else subprocess.run(["umount", "-l", str(folder)], check=True)
