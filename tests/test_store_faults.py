"""The store's worker outlasts a full disk, an I/O error and bad data: nothing it holds is lost, and it says so once."""

import contextlib
import errno
import logging
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.mosquitto import until
from support.storing import ended, event_ids, message, minute, started

from edged.errors import StoreError
from edged.store import Change, EncounterRow, EventRecord, Store, StoreReader
from edged.store import worker as store_worker
from edged.store.disk_space import ReserveFile
from edged.store.recovery import copy_while_open, is_sound
from edged.store.worker import StoreWorker

FILLER = "x" * 3000
BACK_WITHIN_S = 15.0
"""Once there is room; the writer waits up to ten seconds between two tries."""


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


ROUNDS = pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.long)])


@ROUNDS
def test_a_full_database_is_said_once_loses_nothing_and_goes_on_when_there_is_room(
    path: Path, caplog: pytest.LogCaptureFixture, rounds: int
) -> None:
    caplog.set_level(logging.INFO)
    with Running(path) as running:
        submit_events(running.worker, 10)
        assert until(lambda: stored(path) == 10)
        for before in range(10, 10 + 40 * rounds, 40):
            limit = running.store._connection.execute("PRAGMA page_count").fetchone()[0]
            running.store._connection.execute(f"PRAGMA max_page_count = {limit}")
            submit_events(running.worker, 40, first=before, details=FILLER)
            assert until(lambda: running.worker.problem is not None)
            assert "the disk is full" in (running.worker.problem or "")
            time.sleep(0.7)
            assert stored(path) == before
            running.store._connection.execute("PRAGMA max_page_count = 1000000")
            assert until(lambda before=before: stored(path) == before + 40, BACK_WITHIN_S)
            assert until(lambda: running.worker.problem is None)
        assert running.worker.dropped == 0
        assert until(lambda: running.worker._waiting_count == 0), "what was retried must leave the books"
        assert StoreReader(path).coverage(0, 100_000)[0]["frames_seen"] == 10 * (10 + 40 * rounds)
    assert running.reopened == 0
    assert is_sound(path)
    said = [record.getMessage() for record in caplog.records]
    assert sum("nothing can be stored" in line for line in said) == rounds
    assert said.count("storing works again") == rounds


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "tiny", "size=4m") as folder:
        yield folder


@ROUNDS
def test_a_disk_that_is_really_full_loses_nothing_and_goes_on_when_there_is_room(tiny_disk: Path, rounds: int) -> None:
    path = tiny_disk / "edged.db"
    with Running(path) as running:
        for round_number in range(rounds):
            before = 30 * round_number
            (tiny_disk / "other").write_bytes(bytes(_free(tiny_disk)))
            submit_events(running.worker, 30, first=before, details=FILLER)
            assert until(lambda: running.worker.problem is not None)
            assert stored(path) == before
            (tiny_disk / "other").unlink()
            assert until(lambda before=before: stored(path) == before + 30, BACK_WITHIN_S)
            assert until(lambda: running.worker.problem is None)
        assert running.worker._waiting_count == 0
    assert is_sound(path)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def test_the_reserve_file_makes_room_at_once(tiny_disk: Path) -> None:
    path = tiny_disk / "edged.db"
    with Running(path) as running:
        (tiny_disk / "ballast").write_bytes(bytes(300_000))
        (tiny_disk / "other").write_bytes(bytes(_free(tiny_disk)))
        submit_events(running.worker, 20, details=FILLER)
        assert until(lambda: stored(path) == 20)
        assert not (tiny_disk / "ballast").exists()


def test_the_reserve_file_makes_room_for_the_last_messages(tiny_disk: Path) -> None:
    path = tiny_disk / "edged.db"
    running = Running(path)
    (tiny_disk / "ballast").write_bytes(bytes(300_000))
    (tiny_disk / "other").write_bytes(bytes(_free(tiny_disk)))
    submit_events(running.worker, 20, details=FILLER)
    running.worker.start()
    assert running.worker.stop(60)
    running.worker.close()
    assert stored(path) == 20


def test_a_full_disk_is_no_reason_not_to_start_while_there_is_a_reserve_file(tiny_disk: Path) -> None:
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


@ROUNDS
def test_an_io_error_opens_the_database_anew_and_loses_nothing(tmp_path: Path, rounds: int) -> None:
    """RLIMIT_FSIZE makes writing fail as a broken disk does; only a child process may be so limited."""
    program = textwrap.dedent(f"""
        import resource, sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_store_faults import BACK_WITHIN_S, FILLER, Running, stored, submit_events
        from support.mosquitto import until

        path = Path(sys.argv[1])
        with Running(path) as running:
            submit_events(running.worker, 5)
            assert until(lambda: stored(path) == 5)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            for before in range(5, 5 + 30 * {rounds}, 30):
                reopened = running.reopened
                resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
                submit_events(running.worker, 30, first=before, details=FILLER)
                assert until(lambda: running.worker.problem is not None)
                print(running.worker.problem)
                time.sleep(1.2)
                assert stored(path) == before
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
                assert until(lambda: stored(path) == before + 30, BACK_WITHIN_S)
                assert until(lambda: running.worker.problem is None)
                assert running.reopened > reopened
            assert running.worker._waiting_count == 0
    """)
    path = tmp_path / "edged.db"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == rounds
    assert "disk I/O error" in done.stdout
    assert "Traceback" not in done.stderr
    assert "was lost" not in done.stderr, "what is in the WAL is not lost"
    assert is_sound(path)
    assert stored(path) == 5 + 30 * rounds


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: apt install strace")
@pytest.mark.parametrize("operations", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_disk_on_which_every_hundredth_write_fails_loses_nothing(tmp_path: Path, operations: int) -> None:
    """strace makes the kernel refuse every hundredth write, and every hundredth flush, of a store of one event a commit."""
    program = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from edged.store import worker
        from test_store_faults import Running, submit_events
        from support.mosquitto import until

        worker.MOST_IN_ONE_COMMIT, worker.RETRY_FIRST_S = 1, 0.01
        with Running(Path(sys.argv[1])) as running:
            for first in range(0, {operations}, 100):
                submit_events(running.worker, 100, first=first)
                assert until(running.worker.is_idle, 600), running.worker.problem
            assert running.worker.dropped == 0
            print(running.commits, running.reopened)
    """)
    path = tmp_path / "edged.db"
    Store(path).close()
    calls = "pwrite64,fdatasync,fsync"
    failing = ["strace", "-f", "--seccomp-bpf", "-q", "-o", "/dev/null"]
    failing += ["-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO:when=50+100"]
    done = subprocess.run(
        [*failing, sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=3000, check=False
    )
    if "PTRACE" in done.stderr and not done.stdout:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()[:200]}")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    commits, reopened = map(int, done.stdout.split())
    assert commits == operations
    assert reopened >= operations // 100, "what could not be flushed is not flushed again: the database is opened anew"
    assert event_ids(path) == [f"E{number:06d}" for number in range(operations)]
    assert is_sound(path)


class Storing(Running):
    """Remembers how long each event took from its submission to its place on the disk, in seconds."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.submitted: dict[str, float] = {}
        self.took_s: list[float] = []
        write = self.store.write

        def timed(changes: Iterable[Change]) -> None:
            written = list(changes)
            write(written)
            now = time.monotonic()
            self.took_s += [now - self.submitted[one.event_id] for one in written if isinstance(one, EventRecord)]

        self.store.write = timed  # type: ignore[method-assign]

    def submit(self, number: int) -> None:
        event_id = f"E{number:06d}"
        self.submitted[event_id] = time.monotonic()
        self.worker.submit([started(event_id, number), message(event_id, 1)])


@pytest.mark.parametrize(
    ("count", "per_second"), [(100, 50), pytest.param(72_000, 200, marks=pytest.mark.long)], ids=["short", "long"]
)
def test_a_steady_load_and_a_burst_are_stored_whole_and_soon(path: Path, count: int, per_second: int) -> None:
    """Long: as many events as an hour of 20 a second has, ten times as fast, and then 500 at once."""
    with Storing(path) as running:
        for number in range(count):
            running.submit(number)
            time.sleep(1 / per_second)
        steady = sorted(running.took_s)
        for number in range(count, count + 500):
            running.submit(number)
        assert until(running.worker.is_idle, 60)
        assert running.worker.dropped == 0
    assert event_ids(path) == [f"E{number:06d}" for number in range(count + 500)]
    burst = sorted(running.took_s[-500:])
    for what, took_s in (("steady", steady), ("burst", burst)):
        print(
            f"{what}: 50 % within {took_s[len(took_s) // 2] * 1000:.0f} ms, 99 % {took_s[len(took_s) * 99 // 100] * 1000:.0f} ms"
        )
    assert steady[len(steady) // 2] < 5.0, "however busy the machine is"


@pytest.mark.parametrize("backups", [10, pytest.param(200, marks=pytest.mark.long)])
def test_every_backup_made_while_events_are_stored_can_be_restored(tmp_path: Path, backups: int) -> None:
    """By the store itself as every night, and by another process as `edged db backup` does, by turns."""
    path, made, slowest_s = tmp_path / "store" / "edged.db", [], 0.0
    ending = threading.Event()

    def back_up(store: Store) -> None:
        if asked.is_set():
            asked.clear()
            store.begin_backup(1, f"{len(made):04d}")
        if (done := store.ended_backup()) is not None:
            made.append(done)

    asked = threading.Event()
    with pytest.MonkeyPatch.context() as patch, Running(path, back_up) as running:
        patch.setattr(store_worker, "UPKEEP_INTERVAL_S", 0.0)

        def store_events() -> None:
            number = 0
            while not ending.is_set():
                submit_events(running.worker, 10, first=number, details=FILLER[:500])
                number += 10
                ending.wait(0.02)

        storing = threading.Thread(target=store_events)
        storing.start()
        try:
            for number in range(backups):
                copy, began = tmp_path / "copy.db", time.monotonic()
                if number % 2:
                    asked.set()
                    assert until(lambda number=number: len(made) == (number + 1) // 2, 60)
                    shutil.copy(made[-1], copy)
                else:
                    copy.touch()
                    copy_while_open(path, copy)
                slowest_s = max(slowest_s, time.monotonic() - began)
                assert is_sound(copy)
                found = event_ids(copy)
                assert found == [f"E{number:06d}" for number in range(len(found))]
                with Store(copy) as store:
                    assert store.restored is None
                    store.write([started("new")])
                for file in tmp_path.glob("copy.db*"):
                    file.unlink()
        finally:
            ending.set()
            storing.join(10)
        assert running.worker.dropped == 0
    print(f"{backups} backups, the slowest in {slowest_s:.2f} s, the last of {len(found)} events")


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


@pytest.mark.parametrize(
    "bad",
    [
        EncounterRow("X", "door", 1, 0, 1, "none", float("nan"), {}, 1.0, 1.0, False, True),
        replace(started("X"), details={"perclos": float("nan")}),
        replace(started("X"), details={"who": object()}),
        replace(started("X"), started_at=2**63),
        replace(started("X"), camera="half of a letter: \ud800"),
        replace(started("X"), track=[1]),  # type: ignore[arg-type]
    ],
    ids=["no number", "no number in JSON", "no JSON", "too large", "no text", "no column's type"],
)
def test_one_bad_change_keeps_nothing_else_out(path: Path, caplog: pytest.LogCaptureFixture, bad: Change) -> None:
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


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (StoreError("no room for a backup"), "no room for a backup"),
        (OSError(errno.EIO, "Input/output error", "backups"), "Input/output error"),
    ],
    ids=["told by the store", "a folder that cannot be read"],
)
def test_failing_upkeep_is_said_once_and_ends_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: Exception, words: str
) -> None:
    monkeypatch.setattr(store_worker, "UPKEEP_INTERVAL_S", 0.0)
    calls = []

    def failing(_: Store) -> None:
        calls.append(1)
        raise failure

    with Running(path, failing) as running:
        submit_events(running.worker, 1)
        assert until(lambda: len(calls) >= 3)
        assert running.worker.failure is None
    assert caplog.text.count(words) == 1


def test_the_reserve_file_is_made_only_where_there_is_plenty(tmp_path: Path, tiny_disk: Path) -> None:
    ReserveFile(tiny_disk).make()
    assert list(tiny_disk.iterdir()) == []
    reserve = ReserveFile(tmp_path)
    (tmp_path / "ballast").write_bytes(b"begun and never finished")
    reserve.make()
    assert (tmp_path / "ballast").stat().st_size == 16 * 1024 * 1024
    assert reserve.give_up()
    assert not reserve.give_up()


def test_a_disk_that_is_nearly_full_is_told_also_while_the_reserve_still_takes_what_is_written(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=100m,nr_inodes=200") as disk, Running(disk / "edged.db") as running:
        submit_events(running.worker, 1)
        assert until(lambda: ReserveFile(disk)._is_made())
        assert running.worker.shortage is None
        (disk / "other").write_bytes(bytes(_free(disk) - 1_000_000))
        assert until(lambda: "nearly full" in (running.worker.shortage or ""), BACK_WITHIN_S)
        assert running.worker.problem is None
        (disk / "other").unlink()
        assert until(lambda: running.worker.shortage is None, BACK_WITHIN_S)
        for number in range(160):
            (disk / f"{number}").touch()
        assert until(lambda: "hardly any more files" in (running.worker.shortage or ""), BACK_WITHIN_S)


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
