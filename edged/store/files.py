"""The database's files: which are edged's own, who may write them, and whether they are still what was opened."""

import glob
import os
import re
import sqlite3
import stat
from pathlib import Path
from typing import NamedTuple

from edged.errors import NotOurs, StoreError
from edged.files import identity, lock, lock_first_byte

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
APPLICATION_ID = 0x65646764
"""Stands in the header of our databases, "edgd" in ASCII; those of earlier versions have 0."""
APPLICATION_ID_AT = slice(68, 72)
MIGRATIONS_TABLE = "_sqlite_migrations"

SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What asking a database may raise; the second when a name that is damaged stands in SQLite's own message."""


_STAMPED = re.compile(r"(.+)-(?:[0-9]{8}-[0-9]{6}|before-[0-9]{4}_\w+)")
"""The name of a backup as edged makes it, without its ending; before the stamp stands whose it is."""
FORMER = ".db"
"""With this the backups of every database ended, whatever its own name ends in."""
PARTIAL = ".partial"


def backup_path(path: Path, stamp: str) -> Path:
    """Where a backup of the database at `path` is kept: its name ends as the database's, or x.db and x.sqlite shared them."""
    return path.parent / "backups" / f"{path.stem}-{stamp}{path.suffix}"


def backups(path: Path) -> list[Path]:
    """The finished backups of the database at `path`, those included that an earlier version made."""
    found = _of_backups(path, re.escape(path.suffix))
    if path.suffix != FORMER and not _shares_stem(path):
        found += _of_backups(path, re.escape(FORMER))
    return found


def unfinished_backups(path: Path) -> list[Path]:
    """What is there of backups of the database at `path` that were not finished."""
    of_before = "" if _shares_stem(path) else "?"
    return _of_backups(path, rf"(?:{re.escape(path.suffix)}){of_before}{re.escape(PARTIAL)}.*")


def _of_backups(path: Path, ending: str) -> list[Path]:
    """Those whose name ends as `ending`, a pattern, says.

    Without those of a database beside it whose name begins with this one's: edged.db, edged-2.db.
    """
    named = re.compile(rf"({re.escape(path.stem)}-[^.]*){ending}")
    found = (path.parent / "backups").glob(f"{glob.escape(path.stem)}-*")
    return [
        file
        for file in found
        if (match := named.fullmatch(file.name))
        and ((of := _STAMPED.fullmatch(match[1])) is None or of[1] == path.stem)
    ]


def _shares_stem(path: Path) -> bool:
    """Whether another database in the folder is called the same but for its ending: then nobody knows whose an old backup is."""
    locks = path.parent.glob(f"{glob.escape(path.stem)}*.lock")
    others = {path.with_name(lock.stem) for lock in locks} | {path.with_name(path.stem + FORMER)}
    return any(
        other != path and other.stem == path.stem and (other.exists() or lock_of(other).exists()) for other in others
    )


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


class WriterLock:
    """Held from its making until `release`: on a file of its own, which is there before the database is, and on the
    database itself, so that deleting the one lets nobody in.
    """

    def __init__(self, database: Path) -> None:
        """Make the folder if need be and take the lock. Raise StoreError when another holds it, or files cannot be made."""
        self._database = database
        self._held: int | None = None
        self._descriptor: int | None = self._take()
        try:
            self.hold()
        except BaseException:
            self.release()
            raise

    def hold(self) -> None:
        """Lock the database that is there now, if any. Raise StoreError when another holds it.

        Call again after SQLite or a backup has made the file.
        """
        if self._held is not None:
            # The same file must not be opened twice: closing it once more would let go of SQLite's locks.
            held = os.fstat(self._held)
            if identity(self._database) == (held.st_dev, held.st_ino):
                return
        try:
            descriptor = os.open(self._database, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return  # none there yet, or SQLite says why it cannot be opened
        if self._held is not None:
            os.close(self._held)
        self._held = descriptor
        if not lock_first_byte(descriptor):
            raise self._taken()

    def renew(self) -> bool:
        """Make the lock's file anew where it was deleted; return whether this process is still the one that writes."""
        own = None if self._descriptor is None else os.fstat(self._descriptor)
        if own and identity(lock_of(self._database)) == (own.st_dev, own.st_ino):
            return True
        try:
            taken = self._take()
        except StoreError:
            return False
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = taken
        return True

    def release(self) -> None:
        """Let the next one in; call after the connection is closed. Idempotent."""
        for descriptor in (self._held, self._descriptor):
            if descriptor is not None:
                os.close(descriptor)
        self._held = self._descriptor = None

    def _take(self) -> int:
        """A descriptor of the lock's file that holds its lock."""
        folder, path = self._database.parent, lock_of(self._database)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{folder}: cannot be made ({error.strerror}); set store.path to a folder edged may write"
            ) from None
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be opened ({error.strerror}); the folder must belong to the user edged runs as"
            ) from None
        if not lock(descriptor):
            os.close(descriptor)
            raise self._taken()
        return descriptor

    def _taken(self) -> StoreError:
        return StoreError(f"{self._database}: another edged is writing it; stop that one first")


Identity = tuple[int, int]
"""Device and inode."""


class Loss(NamedTuple):
    """What has become of which file: "deleted", "replaced", "truncated" or "overwritten"."""

    file: Path
    what: str

    def __str__(self) -> str:
        return f"{self.file} was {self.what} while it was in use"

    @property
    def is_intact(self) -> bool:
        """Whether the open connection still sees everything: its files live on without their names."""
        return self.what in ("deleted", "replaced")


class WatchedFiles:
    """The database at `path`, its WAL and its index, as a connection has just opened them.

    One descriptor of the database stays open: closing one would let go of the locks that SQLite holds in this process.
    """

    def __init__(self, path: Path) -> None:
        """Raise OSError when the database is not there."""
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        files = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]
        self._files = {file: found for file in files if (found := identity(file)) is not None}
        self._had_header = self._header()[: len(MAGIC)] == MAGIC
        self._written_ns, self._written_bytes = self._changed()
        self._is_touched = self._is_cut = False

    def close(self) -> None:
        """Call after the connection is closed."""
        os.close(self._descriptor)

    @property
    def identities(self) -> frozenset[Identity]:
        """Of the files that were opened."""
        return frozenset(self._files.values())

    def loss(self) -> Loss | None:
        """What has happened to the files, as far as names, lengths and the header tell."""
        for file, opened in self._files.items():
            now = identity(file)
            if now != opened:
                return Loss(file, "deleted" if now is None else "replaced")
        header, size = self._header(), os.fstat(self._descriptor).st_size
        if self._had_header and len(header) < HEADER_BYTES:
            return Loss(self._path, "truncated")
        if self._had_header and header[: len(MAGIC)] != MAGIC:
            return Loss(self._path, "overwritten")
        page_bytes, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
        # A full disk may keep the end of what the header promises in the WAL: then the file was never longer.
        is_cut = self._is_cut or size < self._written_bytes
        if is_cut and size < (65_536 if page_bytes == 1 else page_bytes) * pages:
            return Loss(self._path, "truncated")
        return None

    def writing(self) -> None:
        """The connection is about to write: whoever has changed the file until now was somebody else."""
        changed_ns, size = self._changed()
        self._is_touched = self._is_touched or changed_ns != self._written_ns
        self._is_cut = self._is_cut or size < self._written_bytes

    def written(self) -> None:
        """The connection has written."""
        self._written_ns, self._written_bytes = self._changed()

    def was_touched(self) -> bool:
        """Whether somebody else has written the database since this was asked last."""
        self.writing()
        self.written()
        touched, self._is_touched = self._is_touched, False
        return touched

    def _header(self) -> bytes:
        return os.pread(self._descriptor, HEADER_BYTES, 0)

    def _changed(self) -> tuple[int, int]:
        """When the database was written last, and its length."""
        found = os.fstat(self._descriptor)
        return found.st_mtime_ns, found.st_size
