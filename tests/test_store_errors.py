"""What an error of SQLite means where it has no name, as on Python 3.10: damage is set aside, nothing else is."""

import sqlite3

import pytest

from edged.store.recovery import _is_damage, _is_full


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
def test_an_error_without_a_name_is_told_by_its_kind(error: sqlite3.Error, damaged: bool, full: bool) -> None:
    assert getattr(error, "sqlite_errorname", None) is None
    assert (_is_damage(error), _is_full(error)) == (damaged, full)


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
