"""A database that is lost or spoilt under its writer is noticed, opened again, and delivery goes on."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.mosquitto import PATIENCE_S, until
from support.publishing import parcel
from support.storing import event_ids, message, started

from edged.errors import StoreError
from edged.files import is_first_byte_locked
from edged.publish.delivery import Delivery
from edged.publish.quarantine import Quarantine
from edged.store import Store, StoreReader, recovery
from edged.store import worker as store_worker
from edged.store.files import lock_of
from edged.store.recovery import is_sound
from edged.store.worker import FILES_INTERVAL_S, StoreWorker

BACKED_UP, MORE = 40, 30


class Writer:
    """A store's worker on a database with a backup of its first events, and what it tells."""

    def __init__(self, path: Path) -> None:
        self.path = path
        store = Store(path)
        self.losses: list[tuple[str, int | None]] = []
        self.restored: list[Path | None] = []
        self.worker = StoreWorker(
            store,
            committed=lambda: None,
            upkeep=lambda _: None,
            reopen=self._reopen,
            lost=lambda loss, gap_from: self.losses.append((loss.what, gap_from)),
        )
        store.write([change for number in range(BACKED_UP) for change in event(number)])
        store.back_up(3, "first")
        store.write([change for number in range(BACKED_UP, BACKED_UP + MORE) for change in event(number)])

    def _reopen(self) -> Store:
        store = Store(self.path)
        if store.restored:
            self.restored.append(store.restored.backup)
        return store

    @property
    def told(self) -> int:
        return len(self.losses) + len(self.restored)

    def writes(self, number: int) -> bool:
        """Whether something new gets into the file that is there."""
        self.worker.submit(event(number))
        return until(lambda: f"E{number:06d}" in ids(self.path))


def event(number: int) -> list:
    return [started(f"E{number:06d}", 1000 + number), message(f"E{number:06d}", 1)]


def ids(path: Path) -> list[str]:
    try:
        return event_ids(path)
    except Exception:  # noqa: BLE001  (while it is being put right)
        return []


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    monkeypatch.setattr(store_worker, "FILES_INTERVAL_S", 0.1)
    one = Writer(tmp_path / "edged.db")
    one.worker.start()
    yield one
    one.worker.stop(60)
    one.worker.close()
    assert one.worker.failure is None
    assert is_sound(one.path)


def test_the_files_are_looked_at_often_enough() -> None:
    assert FILES_INTERVAL_S < 30, "a loss is to be noticed within a minute"


def delete_all(path: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink()


def delete_only_it(path: Path) -> None:
    path.unlink()


def delete_its_wal(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


def put_text_in_its_place(path: Path) -> None:
    path.with_name("text").write_text("this is not a database\n" * 1000)
    path.with_name("text").replace(path)


@pytest.mark.parametrize("harm", [delete_all, delete_only_it, delete_its_wal, put_text_in_its_place])
def test_what_only_lost_its_name_is_put_back_whole(writer: Writer, harm: Callable[[Path], None]) -> None:
    harm(writer.path)
    assert until(lambda: writer.told)
    assert (writer.losses, writer.restored) == ([("replaced" if "text" in harm.__name__ else "deleted", None)], [])
    assert writer.writes(500)
    assert len(ids(writer.path)) == BACKED_UP + MORE + 1
    assert writer.worker.problem is None


def empty_the_wal(path: Path) -> None:
    """So that nothing in it can mend the file."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def truncate_to_nothing(path: Path) -> None:
    os.truncate(path, 0)


def truncate_to_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


def overwrite_the_beginning(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def overwrite_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))


def copy_text_over_it(path: Path) -> None:
    path.write_text("this is not a database\n" * 2000)


DAMAGE = [truncate_to_nothing, truncate_to_half, overwrite_the_beginning, overwrite_the_middle, copy_text_over_it]


@pytest.mark.parametrize("harm", DAMAGE)
def test_what_is_damaged_is_set_aside_and_a_backup_restored(writer: Writer, harm: Callable[[Path], None]) -> None:
    empty_the_wal(writer.path)
    harm(writer.path)
    assert until(lambda: writer.told)
    assert [backup and backup.name for backup in writer.restored] == ["edged-first.db"]
    assert writer.writes(500)
    assert len(ids(writer.path)) == BACKED_UP + 1
    assert list((writer.path.parent / "quarantine").iterdir())


def test_another_database_in_its_place_is_taken_and_the_old_one_kept(writer: Writer) -> None:
    shutil.copy(writer.path.parent / "backups" / "edged-first.db", writer.path.with_name("mine.db"))
    writer.path.with_name("mine.db").replace(writer.path)
    assert until(lambda: writer.told)
    assert writer.losses == [("replaced", 1000 + BACKED_UP - 1)]
    assert writer.writes(500)
    assert len(ids(writer.path)) == BACKED_UP + 1
    (kept,) = (writer.path.parent / "quarantine").iterdir()
    assert len(event_ids(kept)) == BACKED_UP + MORE


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another program's open database, with rows that are in its WAL only."""
    with closing(sqlite3.connect(tmp_path / "stranger.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE mine (a)")
        connection.executemany("INSERT INTO mine VALUES (?)", [(n,) for n in range(100)])
        connection.commit()
        yield connection


def test_another_programs_database_in_its_place_stays_with_its_wal(
    writer: Writer, stranger: sqlite3.Connection
) -> None:
    for suffix in ("-wal", "-shm", ""):
        other = writer.path.with_name("stranger.db" + suffix)
        shutil.copy(other, other.with_suffix(".copy"))
        other.with_suffix(".copy").replace(writer.path.with_name(writer.path.name + suffix))
    assert until(lambda: "another program's database" in (writer.worker.problem or ""), 60)
    with closing(sqlite3.connect(writer.path)) as connection:
        assert connection.execute("SELECT count(*) FROM mine").fetchone() == (100,)
        for (kept,) in [writer.path.parent.glob("quarantine/*")]:
            assert len(event_ids(kept)) == BACKED_UP + MORE
    for suffix in ("-wal", "-shm", ""):
        writer.path.with_name(writer.path.name + suffix).unlink(missing_ok=True)
    assert writer.writes(500), "once it is gone, storing works again"


def test_files_put_in_its_place_are_kept_for_good(writer: Writer) -> None:
    for number in range(7):
        told, text = writer.told, f"letter {number}"
        writer.path.with_name("text").write_text(text)
        writer.path.with_name("text").replace(writer.path)
        assert until(lambda told=told: writer.told > told, 60)
        assert writer.writes(500 + number)
    letters = [file.read_text() for file in sorted((writer.path.parent / "quarantine").iterdir())]
    assert letters == [f"letter {number}" for number in range(7)]
    assert len(ids(writer.path)) == BACKED_UP + MORE + 7


def test_a_fifo_put_in_its_place_stays(writer: Writer) -> None:
    os.mkfifo(writer.path.with_name("fifo"))
    writer.path.with_name("fifo").replace(writer.path)
    assert until(lambda: "is no regular file" in (writer.worker.problem or ""), 60)
    assert writer.path.is_fifo()
    writer.path.unlink()
    assert writer.writes(500)


def test_another_database_copied_over_it_is_noticed(writer: Writer) -> None:
    empty_the_wal(writer.path)
    writer.path.write_bytes((writer.path.parent / "backups" / "edged-first.db").read_bytes())
    assert until(lambda: writer.told)
    assert writer.writes(500)


def test_a_careful_stranger_is_no_loss(writer: Writer) -> None:
    with closing(sqlite3.connect(writer.path)) as other, other:
        other.execute("UPDATE events SET camera = 'gate'")
    empty_the_wal(writer.path)
    assert writer.writes(500)
    assert writer.writes(501)
    assert writer.told == 0


def test_delivery_goes_on_after_a_backup_was_restored(writer: Writer) -> None:
    """The publisher goes by message numbers: those of a restored outbox must not be ones it has dealt with."""
    delivery = Delivery(StoreReader(writer.path), Quarantine(10, 3600), parcel, poll_s=0.5, rescan_s=60.0)
    sent = []
    while len(sent) < BACKED_UP + MORE:
        taken = delivery.take(0.0)
        assert taken is not None
        sent.append(taken.seq)
        delivery.acknowledged(taken.seq)
    empty_the_wal(writer.path)
    os.truncate(writer.path, 0)
    assert until(lambda: writer.restored)
    assert writer.writes(500)
    payloads = []

    def comes() -> bool:
        delivery.wake()
        while (taken := delivery.take(1.0)) is not None:
            assert taken.seq > max(sent)
            payloads.append(taken)
            delivery.acknowledged(taken.seq)
        return StoreReader(writer.path).outbox_depth() == len(payloads)

    assert until(comes)
    assert payloads


def a_second_one(path: Path) -> str:
    """What another process says that opens the database to write."""
    code = f"from pathlib import Path; from edged.store import Store; Store(Path({str(path)!r})).close()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S)
    return done.stderr.strip().splitlines()[-1] if done.stderr else ""


def test_deleting_the_locks_file_lets_no_second_writer_in(tmp_path: Path) -> None:
    path = tmp_path / "edged.db"
    with Store(path):
        lock_of(path).unlink()
        assert "another edged is writing it" in a_second_one(path)
    assert a_second_one(path) == ""


def test_a_deleted_lock_is_made_anew(writer: Writer) -> None:
    lock = lock_of(writer.path)
    lock.unlink()
    assert until(lock.exists)
    assert writer.writes(500)
    assert writer.told == 0


def test_the_lock_is_on_the_database_that_was_put_back(writer: Writer) -> None:
    for file in writer.path.parent.iterdir():
        if file.is_file():
            file.unlink()
    assert until(lambda: writer.told)
    assert writer.writes(500)
    lock_of(writer.path).unlink()
    assert "another edged is writing it" in a_second_one(writer.path)


def test_a_disk_that_cannot_be_read_for_a_moment_ends_nothing(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    read, refused = os.pread, []

    def pread(*values: int) -> bytes:
        if len(refused) < 2:
            refused.append(values)
            raise OSError(errno.EIO, "Input/output error")
        return read(*values)

    monkeypatch.setattr(os, "pread", pread)
    assert until(lambda: len(refused) == 2)
    assert writer.writes(500)
    assert writer.worker.is_alive()
    assert (writer.losses, writer.restored) == ([], [])


def test_a_disk_that_cannot_be_read_when_the_database_is_opened_is_an_error_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bool:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(recovery, "_is_gone", refuse)
        with pytest.raises(StoreError, match="cannot be opened"):
            Store(tmp_path / "edged.db")
    Store(tmp_path / "edged.db").close()  # nobody holds the lock


def test_a_mark_that_could_not_be_written_makes_no_stranger_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "edged.db"
    with Store(path) as store:
        store._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreError):
            store.back_up(1, "b")
        store._connection.execute("PRAGMA query_only = OFF")
        os.utime(path, (1, 1))
        assert store.loss() is None


def test_who_has_come_to_write_meanwhile_keeps_its_database(tmp_path: Path) -> None:
    path = tmp_path / "edged.db"
    first = Store(path)
    first.write(event(1))
    for file in list(tmp_path.iterdir()):
        file.unlink()
    loss = first.loss()
    assert loss == (path, "deleted")
    with Store(path) as second:
        second.write(event(2))
        assert not first.abandon(loss)
        with pytest.raises(StoreError, match="another edged"):
            Store(path)
        assert second.loss() is None
        second.write(event(3))
        assert ids(path) == ["E000002", "E000003"]


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "edged.db"
    assert not is_first_byte_locked(path)
    code = (
        "import sys, time; from pathlib import Path; from edged.store import Store\n"
        "store = Store(Path(sys.argv[1])); print(1, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        locked = is_first_byte_locked(path)
        process.kill()
    assert locked
    assert not is_first_byte_locked(path)
    Store(path).close()
