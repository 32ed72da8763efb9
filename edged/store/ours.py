"""Tells a database of ours from what a wrong `store.path` leads to, which must stay as it is."""

import glob
import sqlite3
import stat
from pathlib import Path

from edged.errors import NotOurs, StoreError

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
APPLICATION_ID = 0x65646764
"""Stands in the header of our databases, "edgd" in ASCII; those of earlier versions have 0."""
APPLICATION_ID_AT = slice(68, 72)
MIGRATIONS_TABLE = "_sqlite_migrations"

SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What asking a database may raise; the second when a name that is damaged stands in SQLite's own message."""


def backups(path: Path) -> list[Path]:
    """The finished backups of the database at `path`."""
    return list((path.parent / "backups").glob(f"{glob.escape(path.stem)}-*.db"))


def lock_of(path: Path) -> Path:
    """The file by which the one writer of the database at `path` is known; it stays when that ends."""
    return path.with_name(path.name + ".lock")


def require_database(path: Path) -> None:
    """Raise StoreError where nothing is at `path`, NotOurs where it leads to a folder, FIFO or device."""
    if not _is_file(path):
        raise StoreError(f"{path}: no database there yet; `edged run` makes it, store.path in the config names it")


def require_ours(path: Path) -> None:
    """Raise NotOurs where `path` leads to something that is no database of ours; nothing there is fine.

    Damage can take the beginning too: what begins with zeros, or lies where a database of ours was, by what we left
    beside it, is taken for one.
    """
    if not _is_file(path):
        return
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError as error:
        raise _no_answer(path, error) from None
    if header.startswith(MAGIC):
        ours = int.from_bytes(header[APPLICATION_ID_AT], "big") in (0, APPLICATION_ID)
    else:
        ours = not any(header) or lock_of(path).exists() or bool(backups(path))
    if not ours:
        raise _not_ours(path, "is no database of edged")


def refuse_foreign(path: Path, connection: sqlite3.Connection) -> None:
    """Raise NotOurs for the sound database of another program, sqlite3.DatabaseError for a damaged one of ours.

    `connection` is the one to `path`.
    """
    tables = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not tables or MIGRATIONS_TABLE in tables:
        return
    if connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID:
        raise sqlite3.DatabaseError(f"the table {MIGRATIONS_TABLE} is missing")
    raise _not_ours(path, "is another program's database")


def _is_file(path: Path) -> bool:
    """Whether a regular file is there, False for nothing. Raise NotOurs for anything else, StoreError without an answer."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _no_answer(path, error) from None
    if not stat.S_ISREG(mode):
        raise _not_ours(path, "is a folder" if stat.S_ISDIR(mode) else "is no regular file")
    return True


def _not_ours(path: Path, what: str) -> NotOurs:
    return NotOurs(f"{path}: {what}; set store.path to a file that edged may make")


def _no_answer(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path}: cannot be opened ({error.strerror}); run it as edged's user")
