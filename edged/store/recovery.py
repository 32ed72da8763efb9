"""Opens the database whatever state it is in: sets a damaged file aside, restores the newest good backup."""

import errno
import glob
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from edged.errors import StoreError
from edged.files import identity, sync
from edged.shared_remedies import DISK
from edged.store.disk_space import ReserveFile
from edged.store.files import (
    APPLICATION_ID,
    MIGRATIONS_TABLE,
    SQLITE_ERRORS,
    Identity,
    backups,
    refuse_foreign,
    require_database,
    require_ours,
)
from edged.store.reader import readable_text
from edged.store.schema import MIGRATION_NAMES

# WAL with FULL: a commit is on the disk when it returns, and a power cut leaves a whole prefix of commits.
# The WAL is kept under 4 MiB, and mmap stays off: a truncated file would kill the process.
PRAGMAS = (
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA wal_autocheckpoint = 1000",
    "PRAGMA journal_size_limit = 4194304",
    "PRAGMA cell_size_check = ON",
    "PRAGMA trusted_schema = OFF",
)
MOST_QUARANTINED = 5
WAL_INDEX_BYTES = 32_768
"""The least that the WAL's index takes on the disk."""


class StoreFull(StoreError):
    """The disk has no room; what was asked was rolled back and may be tried again."""


class StoreRefused(StoreError):
    """SQLite will never take what was asked, however often it is tried; it was rolled back."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What happened to a damaged database: where it was put, what replaced it, and since when the record has a gap."""

    quarantined: Path
    backup: Path | None
    gap_from: int | None = None
    """UTC milliseconds of the last that the backup knows of, None when there was no backup, or nothing in it."""


def open_checked(path: Path) -> tuple[sqlite3.Connection, Restored | None]:
    """A writing connection to a sound database at `path`, whose folder exists, and which `require_ours` let pass.

    Raise StoreError when it cannot be used.
    """
    try:
        if not _is_gone(path):
            return _connect(path), None
    except sqlite3.Error as error:
        if is_full(error, path) and ReserveFile(path.parent).give_up():
            return open_checked(path)
        if not _is_damage(error):
            raise _cannot_open(path, error) from None
    except OSError as error:
        raise _cannot_open(path, error) from None
    try:
        return _restore(path)
    except (sqlite3.Error, OSError) as error:
        raise _cannot_open(path, error) from None


def by_age(path: Path) -> list[Path]:
    """The backups of the database at `path` in the order in which they were made, whatever the clock said then."""
    return sorted(backups(path), key=lambda file: file.stat().st_mtime)


def copy_while_open(path: Path, target: Path) -> None:
    """Copy the database at `path`, which another process may be writing, to the empty file `target`.

    Raise StoreError on failure.
    """
    require_database(path)
    require_ours(path)
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=5)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
            stand_alone(copy)
    except SQLITE_ERRORS as error:
        raise StoreError(f"{path}: cannot be copied ({error}); free some space") from None


def rescue(connection: sqlite3.Connection, path: Path) -> Path:
    """Copy what a connection sees whose files have lost their names to a file beside `path`. Raise StoreError on failure."""
    partial = path.with_name(path.name + ".rescued")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        with closing(sqlite3.connect(partial)) as copy:
            connection.backup(copy)
            stand_alone(copy)
        sync(partial)
    except (sqlite3.Error, OSError) as error:
        partial.unlink(missing_ok=True)
        raise StoreError(
            f"{partial}: what the lost database held could not be saved ({error}); free some space, and see who owns its folder"
        ) from None
    return partial


def put_back(rescued: Path, path: Path, own: frozenset[Identity], *, keep_present: bool) -> bool:
    """Give what was rescued its place again; with `keep_present` only if no sound database has taken it.

    Return whether it has its place; otherwise it lies in quarantine. Files that are not `own`, those that the lost database
    had, are never deleted: what has taken the place is set aside for good, and what is no regular file stays.
    Raise OSError when files cannot be moved.
    """
    beside = [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")]
    for file in beside:
        if identity(file) in own:  # no longer anybody's, and not this file's
            file.unlink()
    name = f"{path.name}.{time.time_ns() // 1_000_000}"
    is_taken = identity(path) not in (None, *own)
    if is_taken and (not path.is_file() or (keep_present and is_sound(path))):
        rescued.replace(_quarantine_folder(path) / name)
        return False
    for file in [*beside, path] if is_taken else beside:
        if identity(file) is not None:
            file.replace(_quarantine_folder(path) / f"{name}{file.name.removeprefix(path.name)}.not-ours")
    rescued.replace(path)
    sync(path.parent)
    return True


def is_sound(path: Path, quick: bool = False) -> bool:
    """Whether the database file opens and passes SQLite's own check, or its quick one, which leaves the indexes out."""
    if not path.is_file():  # a FIFO would be waited for
        return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            check = "quick_check" if quick else "integrity_check"
            return str(connection.execute(f"PRAGMA {check}").fetchone()[0]) == "ok"
    except SQLITE_ERRORS:
        return False


def _connect(path: Path) -> sqlite3.Connection:
    # The store's worker thread uses what the main thread opened, one after the other, never at once.
    connection = sqlite3.connect(path, timeout=5, check_same_thread=False)
    connection.text_factory = readable_text
    try:
        refuse_foreign(path, connection)
        _require_history(connection)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        result = str(connection.execute("PRAGMA quick_check").fetchone()[0])
        if result != "ok":
            raise sqlite3.DatabaseError(f"quick_check: {result}")
        # A folder or disk that cannot be written must be noticed now, not at the first event.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA user_version = {_user_version(connection)}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.commit()
    except UnicodeDecodeError:
        connection.close()
        raise sqlite3.DatabaseError("a damaged name in the schema") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _require_history(connection: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError where what was applied is neither the first of our migrations nor all and newer ones."""
    tables = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if MIGRATIONS_TABLE not in tables:
        return
    applied = {str(name) for (name,) in connection.execute(f"SELECT name FROM {MIGRATIONS_TABLE}")}  # noqa: S608
    ours = MIGRATION_NAMES
    if (applied != set(ours[: len(applied)]) and not applied >= set(ours)) or ("events" in tables and not applied):
        raise sqlite3.DatabaseError(f"{MIGRATIONS_TABLE} is damaged")


def stand_alone(copy: sqlite3.Connection) -> None:
    """A copy is one file: in WAL mode even reading it would lay two more beside it."""
    copy.execute("PRAGMA journal_mode = DELETE")


def _user_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _is_gone(path: Path) -> bool:
    """Whether what was there has been lost: no file, or one without content, beside backups or a WAL.

    Power can go between setting a damaged file aside and restoring a backup.
    """
    if not path.exists():
        return bool(backups(path))
    wal = path.with_name(path.name + "-wal")
    return path.stat().st_size == 0 and (bool(backups(path)) or (wal.exists() and wal.stat().st_size > 0))


def _cannot_open(path: Path, error: Exception) -> StoreError:
    if is_full(error, path):
        return StoreFull(f"{path}: cannot be opened ({error}); the disk is full: free some space")
    return StoreError(f"{path}: cannot be opened ({error}); the folder must exist and belong to the user edged runs as")


def store_error(path: Path, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
    """What to raise for `error`, in words for a person, with the remedy."""
    code = getattr(error, "sqlite_errorname", "") or ""
    is_misuse = isinstance(error, sqlite3.ProgrammingError) and "closed" not in str(
        error
    )  # as of a type unknown to SQLite
    if is_misuse or isinstance(error, (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError)):
        return refused(path, error)
    if code.startswith("SQLITE_FULL") or (not code and "disk is full" in str(error)):  # Python 3.10 has no names
        return StoreFull(f"{path}: the disk is full; {DISK}")
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return StoreError(
            f"{path}: cannot be written ({error}); the folder must exist and belong to the user edged runs as"
        )
    return StoreError(f"{path}: {error}; check the disk, then `edged db check`")


def refused(path: Path, error: Exception) -> StoreRefused:
    """What was asked can never be stored."""
    return StoreRefused(f"{path}: {error}; this is a fault in edged, please report it")


def is_full(error: Exception, path: Path) -> bool:
    """Whether the disk of `path` is full; where it has no room for the WAL's index, SQLite calls that an I/O error."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    name = getattr(error, "sqlite_errorname", None)
    if name is None:  # Python 3.10 has no names
        return "disk is full" in str(error) or ("disk I/O error" in str(error) and _lacks_room(path.parent))
    return str(name).startswith(("SQLITE_FULL", "SQLITE_IOERR_SHM"))


def _lacks_room(folder: Path) -> bool:
    """Whether not even the WAL's index has room there; a disk that cannot be asked is another trouble."""
    with suppress(OSError):
        return shutil.disk_usage(folder).free < WAL_INDEX_BYTES
    return False


def _is_damage(error: sqlite3.Error) -> bool:
    """Damage to the file's content, as against a folder, lock or disk that does not allow opening it."""
    name = getattr(error, "sqlite_errorname", None)
    if name is None:
        # Python 3.10 has no names: a lock, a full disk and a forbidden file are OperationalErrors, damage is none.
        return not isinstance(error, sqlite3.OperationalError)
    return str(name).startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def _restore(path: Path) -> tuple[sqlite3.Connection, Restored]:
    """Set the damaged files aside and go on from the newest sound backup, or from an empty database."""
    quarantined = _quarantine(path)
    partial = path.with_name(path.name + ".restoring")
    for backup in reversed(by_age(path)):
        if is_sound(backup):
            try:
                shutil.copyfile(backup, partial)
                sync(partial)
            except OSError:
                partial.unlink(missing_ok=True)  # on a full disk: others need what it has taken
                raise
            partial.replace(path)
            sync(path.parent)
            return _connect(path), Restored(quarantined, backup)
    return _connect(path), Restored(quarantined, None)


def _quarantine(path: Path) -> Path:
    """Move the database and its WAL and index aside together; old quarantines beyond a few are deleted."""
    try:
        folder = _quarantine_folder(path)
        target = folder / f"{path.name}.{time.time_ns() // 1_000_000}"
        for suffix in ("", "-wal", "-shm"):
            damaged = path.with_name(path.name + suffix)
            if damaged.exists():
                damaged.replace(target.with_name(target.name + suffix))
        heads = sorted(file for file in folder.glob(f"{glob.escape(path.name)}.*") if file.name[-3:].isdigit())
        for old in heads[:-MOST_QUARANTINED]:
            for suffix in ("", "-wal", "-shm"):
                old.with_name(old.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path}: damaged, and cannot be set aside ({error.strerror}); free some space, check the folder's owner"
        ) from None
    return target


def _quarantine_folder(path: Path) -> Path:
    folder = path.parent / "quarantine"
    folder.mkdir(exist_ok=True)
    return folder
