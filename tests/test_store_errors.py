"""What an error of SQLite means where it has no name, as on Python 3.10: damage is set aside, nothing else is."""

import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from edged.store.recovery import WAL_INDEX_BYTES, _is_damage, is_full


@pytest.mark.parametrize(
    ("error", "damaged", "full"),
    [
        (sqlite3.OperationalError("database is locked"), False, False),
        (sqlite3.OperationalError("database or disk is full"), False, True),
        (sqlite3.OperationalError("unable to open database file"), False, False),
        (sqlite3.OperationalError("attempt to write a readonly database"), False, False),
        (sqlite3.DatabaseError("database disk image is malformed"), True, False),
        (sqlite3.DatabaseError("file is not a database"), True, False),
    ],
    ids=lambda value: str(value),
)
def test_an_error_without_a_name_is_told_by_its_kind(
    tmp_path: Path, error: sqlite3.Error, damaged: bool, full: bool
) -> None:
    assert getattr(error, "sqlite_errorname", None) is None
    assert (_is_damage(error), is_full(error, tmp_path / "edged.db")) == (damaged, full)


@pytest.mark.parametrize(("free", "full"), [(0, True), (WAL_INDEX_BYTES - 1, True), (WAL_INDEX_BYTES, False)])
def test_an_input_output_error_without_a_name_is_a_full_disk_where_no_index_of_the_wal_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, full: bool
) -> None:
    monkeypatch.setattr("edged.store.recovery.shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    assert is_full(sqlite3.OperationalError("disk I/O error"), tmp_path / "edged.db") == full


def test_an_input_output_error_of_a_disk_that_cannot_be_asked_is_none_of_a_full_one(tmp_path: Path) -> None:
    assert not is_full(sqlite3.OperationalError("disk I/O error"), tmp_path / "gone" / "edged.db")


def test_a_database_that_is_only_locked_is_not_set_aside(tmp_path, monkeypatch):
    from edged.errors import StoreError
    from edged.store import Store, recovery

    Store(tmp_path / "edged.db").close()

    def locked(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(recovery, "_connect", locked)
    with pytest.raises(StoreError):
        Store(tmp_path / "edged.db")
    assert not (tmp_path / "quarantine").exists()
    assert (tmp_path / "edged.db").stat().st_size > 0
