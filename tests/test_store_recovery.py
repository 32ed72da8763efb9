"""Whatever has become of the database, the store opens within seconds, restores the newest good backup, and says so."""

import errno
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.storing import event_ids, fill, message, started

from edged.errors import NotOurs, StoreError
from edged.store import Store, StoreReader, recovery
from edged.store.recovery import MOST_QUARANTINED, StoreFull, backups, is_sound

OPENS_WITHIN_S = 5.0


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def shm_of(path: Path) -> Path:
    return path.with_name(path.name + "-shm")


def as_after_a_power_cut(path: Path, count: int, first: int = 0) -> None:
    """Write `count` commits and leave database, WAL and index as they stand, not folded together."""
    kept = path.parent / "kept"
    kept.mkdir()
    with Store(path) as store:
        for number in range(first, first + count):
            store.write([started(f"E{number:06d}", number), message(f"E{number:06d}", 1)])
        for file in (path, wal_of(path), shm_of(path)):
            shutil.copy(file, kept)
    for file in kept.iterdir():
        file.replace(path.parent / file.name)
    kept.rmdir()


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def zero_the_header(path: Path) -> None:
    overwrite(path, 0, bytes(100))


def put_text_in_its_place(path: Path) -> None:
    path.write_text("this is not a database\n" * 1000)


def truncate_to_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


def truncate_within_a_page(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 5000)


def flip_pages(path: Path) -> None:
    for page in range(1, path.stat().st_size // 4096, 2):
        overwrite(path, page * 4096, bytes(byte ^ 0xA5 for byte in range(256)) * 16)


def zero_the_schema(path: Path) -> None:
    overwrite(path, 100, bytes(3996))


def empty_it(path: Path) -> None:
    path.write_bytes(b"")


def claim_another_page_size(path: Path) -> None:
    overwrite(path, 16, b"\x00\x07")


def break_the_root_of_events(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()[0]
    connection.close()
    overwrite(path, (root - 1) * 4096, b"\xff" * 64)


def spoil_a_word_of_the_schema(path: Path) -> None:
    """SQLite's own message then holds what is no text."""
    overwrite(path, path.read_bytes().index(b"CREATE TABLE"), b"CREATE T\xa0BLE")


def spoil_the_name_of_the_migrations(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"_sqlite_migrations", b"_sqlite_migratjons"))


def lose_the_migrations(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM _sqlite_migrations")


def spoil_a_migrations_name(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE _sqlite_migrations SET name = name || 'x' WHERE rowid = 1")


DAMAGE = [
    zero_the_header,
    put_text_in_its_place,
    truncate_to_half,
    truncate_within_a_page,
    flip_pages,
    zero_the_schema,
    empty_it,
    claim_another_page_size,
    break_the_root_of_events,
    spoil_a_word_of_the_schema,
    spoil_the_name_of_the_migrations,
    lose_the_migrations,
    spoil_a_migrations_name,
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with 200 events, of which the newer of two backups has 100."""
    path = tmp_path / "edged.db"
    with Store(path) as store:
        for number, stamp in ((50, "older"), (100, "newer")):
            store.write([started(f"E{n:06d}", n) for n in range(number - 50, number)])
            store.back_up(3, stamp)
        store.write([started(f"E{n:06d}", n) for n in range(100, 200)])
    return path


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_database_is_set_aside_and_the_newest_backup_restored(
    path: Path, damage: Callable[[Path], None]
) -> None:
    damage(path)
    began = time.process_time()
    with Store(path) as store:
        assert time.process_time() - began < OPENS_WITHIN_S
        lost = store.restored
        assert lost is not None
        assert lost.quarantined.exists()
        assert lost.backup == path.parent / "backups" / "edged-newer.db"
        assert lost.gap_from == 99, "the last that the backup knows of"
        assert len(event_ids(path)) == 100
        store.write([started("new")])
    assert is_sound(path)
    with Store(path) as store:
        assert store.restored is None
    assert len(event_ids(path)) == 101


@pytest.mark.parametrize("damages", [5, pytest.param(50, marks=pytest.mark.long)])
def test_damage_of_any_kind_anywhere_is_survived(path: Path, tmp_path: Path, damages: int) -> None:
    """What SQLite's quick check finds costs what came after the backup; with what it does not find, as a digit, it goes on."""
    chance, restored = random.Random(damages), 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number in range(damages):
        copy = tmp_path / str(number)
        shutil.copytree(path.parent, copy, ignore=shutil.ignore_patterns(str(number), *map(str, range(number))))
        database = copy / path.name
        database.write_bytes(_damaged(path.read_bytes(), number, chance))
        began = time.process_time()
        with Store(database) as store:
            assert time.process_time() - began < OPENS_WITHIN_S
            store.write([started("new")])
            found = store.restored
        restored += found is not None
        assert found is None or (found.quarantined.exists() and found.gap_from == 99)
        assert "new" in event_ids(database)
        assert found is None or len(event_ids(database)) == 101
        shutil.rmtree(copy)
    assert restored > damages / 2


def _damaged(data: bytes, number: int, chance: random.Random) -> bytes:
    """Zeros, noise, the end cut off, single bits, two pages in each other's place."""
    at, length = chance.randrange(len(data)), chance.randrange(1, 20_000)
    if number % 5 == 0:
        return data[:at] + bytes(length) + data[at + length :]
    if number % 5 == 1:
        return data[:at] + chance.randbytes(length) + data[at + length :]
    if number % 5 == 2:
        return data[:at]
    changed = bytearray(data)
    if number % 5 == 3:
        for _ in range(chance.randrange(1, 200)):
            changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return bytes(changed)
    first, second = (chance.randrange(len(data) // 4096) * 4096 for _ in range(2))
    changed[first : first + 4096], changed[second : second + 4096] = (
        data[second : second + 4096],
        data[first : first + 4096],
    )
    return bytes(changed)


def test_a_damaged_backup_is_passed_over(path: Path) -> None:
    flip_pages(path)
    put_text_in_its_place(path.parent / "backups" / "edged-newer.db")
    with Store(path) as store:
        assert store.restored is not None
        assert store.restored.backup == path.parent / "backups" / "edged-older.db"
    assert len(event_ids(path)) == 50


def test_without_a_good_backup_an_empty_record_begins(path: Path) -> None:
    for backup in backups(path):
        put_text_in_its_place(backup)
    put_text_in_its_place(path)
    with Store(path) as store:
        assert store.restored is not None
        assert store.restored.backup is None
        assert store.restored.gap_from is None
        store.write([started("first")])
    assert event_ids(path) == ["first"]


def test_a_file_just_made_and_empty_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "edged.db"
    path.touch()
    with Store(path) as store:
        assert store.restored is None


def test_a_wal_without_its_database_is_set_aside_with_it(tmp_path: Path) -> None:
    path = tmp_path / "edged.db"
    as_after_a_power_cut(path, 20)
    empty_it(path)
    with Store(path) as store:
        assert store.restored is not None
        quarantined = store.restored.quarantined
        assert quarantined.with_name(quarantined.name + "-wal").stat().st_size > 0


def test_a_missing_index_of_the_wal_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "edged.db"
    as_after_a_power_cut(path, 20)
    shm_of(path).unlink()
    with Store(path) as store:
        assert store.restored is None
    assert len(event_ids(path)) == 20


def test_a_damaged_index_of_the_wal_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "edged.db"
    as_after_a_power_cut(path, 20)
    shm_of(path).write_bytes(random.Random(1).randbytes(32_768))
    with Store(path) as store:
        assert store.restored is None
    assert len(event_ids(path)) == 20


@pytest.mark.parametrize("mutations", [100, pytest.param(2000, marks=pytest.mark.long)])
def test_a_torn_or_flipped_wal_leaves_a_prefix_of_the_commits(tmp_path: Path, mutations: int) -> None:
    chance = random.Random(20)
    original = tmp_path / "original" / "edged.db"
    original.parent.mkdir()
    fill(original, 10)
    as_after_a_power_cut(original, 30, first=10)
    whole = wal_of(original).read_bytes()
    every = [f"E{number:06d}" for number in range(40)]
    lengths = set()
    for number in range(mutations):
        path = tmp_path / str(number) / "edged.db"
        path.parent.mkdir()
        shutil.copy(original, path)
        wal_of(path).write_bytes(_mutated(whole, number, chance))
        with Store(path) as store:
            assert store.restored is None
            assert store._connection.execute("SELECT count(*) FROM outbox").fetchone()[0] == len(event_ids(path))
        found = event_ids(path)
        assert found == every[: len(found)]
        assert len(found) >= 10
        assert is_sound(path)
        lengths.add(len(found))
        shutil.rmtree(path.parent)
    assert len(lengths) > 10, "the mutations must reach all parts of the WAL"


def _mutated(wal: bytes, number: int, chance: random.Random) -> bytes:
    at = chance.randrange(len(wal))
    if number % 3 == 0:
        return wal[:at]
    if number % 3 == 1:
        return wal[:at] + bytes([wal[at] ^ 1 << chance.randrange(8)]) + wal[at + 1 :]
    return wal[:at] + chance.randbytes(64) + wal[at + 64 :]


def test_old_quarantines_go(path: Path) -> None:
    for _ in range(MOST_QUARANTINED + 3):
        put_text_in_its_place(path)
        Store(path).close()
        time.sleep(0.002)
    quarantined = list((path.parent / "quarantine").iterdir())
    assert len(quarantined) == MOST_QUARANTINED


def test_a_restoring_cut_short_is_done_again(path: Path) -> None:
    """Power went after the damaged file was set aside, while the backup was being copied."""
    (path.parent / "edged.db.restoring").write_bytes(b"half a backup")
    path.unlink()
    with Store(path) as store:
        assert store.restored is not None
    assert len(event_ids(path)) == 100


def test_a_restoring_for_which_there_is_no_room_leaves_none_of_it_and_is_done_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(source: Path, target: Path) -> None:
        target.write_bytes(b"half a backup")
        raise OSError(errno.ENOSPC, "No space left on device")

    put_text_in_its_place(path)
    with monkeypatch.context() as full:
        full.setattr(recovery.shutil, "copyfile", fill_up)
        with pytest.raises(StoreFull, match="free some space"):
            Store(path)
    assert not path.with_name("edged.db.restoring").exists()
    with Store(path) as store:
        assert store.restored is not None
    assert len(event_ids(path)) == 100


# --- what store.path must never touch


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "something").write_text("mine")


def a_text(path: Path) -> None:
    path.write_text("mine\n" * 1000)


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE events (mine)")
        connection.execute("INSERT INTO events VALUES (1)")
        connection.commit()


def a_foreign_database_with_a_damage(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 252006673")  # Fossil's
        connection.execute("CREATE TABLE mine (a)")
        connection.commit()
    overwrite(path, 4096, b"\xff" * 64)


FOREIGN = [a_folder, a_text, a_fifo, a_foreign_database, a_foreign_database_with_a_damage]


@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: make.__name__)
def test_what_is_no_database_of_ours_is_left_as_it_is(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "store" / "mine.db"
    path.parent.mkdir()
    make(path)
    before = (path.lstat().st_ino, path.read_bytes() if path.is_file() else None)
    for _ in range(2):
        with pytest.raises(NotOurs, match=r"mine\.db: is .*; set store\.path to a file") as refused:
            Store(path)
        assert refused.value.exit_code == 78, "a person must edit the config"
    assert (path.lstat().st_ino, path.read_bytes() if path.is_file() else None) == before
    assert [file for file in path.parent.iterdir() if file != path] in ([], [path.with_name("mine.db.lock")])


@pytest.mark.parametrize("make", [a_folder, a_fifo], ids=lambda make: make.__name__)
def test_readers_do_not_wait_for_what_is_no_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "mine.db"
    make(path)
    with pytest.raises(NotOurs, match="set store"):
        StoreReader(path).reports()
    assert not is_sound(path)


def test_a_database_is_restored_behind_a_symbolic_link(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link" / "edged.db"
    link.parent.mkdir()
    link.symlink_to(path)
    flip_pages(path)
    with Store(link) as store:
        assert store.restored is not None
        assert store.restored.backup == path.parent / "backups" / "edged-newer.db"
    assert link.is_symlink(), "only what is ours is moved"
    assert len(event_ids(path)) == 100


def test_only_our_own_quarantines_go(path: Path) -> None:
    others = path.parent / "quarantine" / "a letter.txt"
    others.parent.mkdir()
    others.write_text("mine")
    for _ in range(MOST_QUARANTINED + 1):
        put_text_in_its_place(path)
        Store(path).close()
        time.sleep(0.002)
    assert others.read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/below: cannot be made .* set store\.path"):
        Store(tmp_path / "file" / "below" / "edged.db")
