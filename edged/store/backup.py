"""Makes a backup in a thread of its own, from one instant of the record, while the store goes on writing."""

import logging
import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

from edged.errors import StoreError
from edged.files import sync
from edged.shared_remedies import DISK
from edged.store.disk_space import LEAST_FREE_BYTES, RESERVE_BYTES, ReserveFile
from edged.store.files import PARTIAL, SQLITE_ERRORS, backup_path, backups, unfinished_backups
from edged.store.recovery import StoreFull, by_age, is_full, is_sound, stand_alone

log = logging.getLogger(__name__)

STEP_PAGES = 256
"""Copied at once, a megabyte: so much of a backup may stand before an event in the disk's queue."""
LONGEST_REST_S = 1.0
"""After each step the disk is left to the events for as long as the step took, but no longer than this."""
LONGEST_S = 3600.0
MOST_LOG_BYTES = 64 * 1024 * 1024
"""What is written meanwhile piles up in the write-ahead log: with more of it a backup is given up."""
END_WITHIN_S = 2.0


class Cancelled(Exception):
    """The store is being closed, or needs the room."""


class Backup:
    """One backup of the database at `path`: its thread reads by a connection of its own, and writes nothing but the copy."""

    def __init__(self, path: Path, keep: int, stamp: str) -> None:
        """Take hold of the record as it is now; nothing is copied yet. The newest `keep` are kept, this one among them.

        For who holds the database's lock alone: what an earlier writer left half done is deleted. Raise StoreFull where the
        disk would be nearly full afterwards, StoreError when the database cannot be read.
        """
        self._path, self._keep = path, keep
        self._target = backup_path(path, stamp)
        self._partial = self._target.with_name(self._target.name + PARTIAL)
        self._problem: StoreError | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backup", daemon=True)
        try:
            self._target.parent.mkdir(exist_ok=True)
            for left in unfinished_backups(path):
                left.unlink(missing_ok=True)
            delete_oldest(path, keep)
            uri = f"{path.absolute().as_uri()}?mode=ro"
            self._source = sqlite3.connect(uri, uri=True, timeout=5, check_same_thread=False, isolation_level=None)
        except (sqlite3.Error, OSError) as error:
            raise _failed(self._target, error, path) from None
        try:
            # Until it ends, this reading sees the record as it is now, and a backup in steps is not begun anew by each write.
            self._source.execute("BEGIN")
            require_room(path, _bytes_of(self._source), LEAST_FREE_BYTES)
        except SQLITE_ERRORS as error:
            self._source.close()
            raise _failed(self._target, error, path) from None
        except BaseException:
            self._source.close()
            raise

    def start(self) -> None:
        """Begin to copy."""
        self._began_s = self._stepped_s = time.monotonic()
        self._thread.start()

    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> Path:
        """The backup, waited for. Raise StoreError, StoreFull among them, when there is none."""
        self._thread.join()
        if self._problem is not None:
            raise self._problem
        return self._target

    def cancel(self) -> None:
        """Give it up; what was copied is deleted. A disk that does not answer is not waited for."""
        self._stopping.set()
        if self._thread.ident is None:
            self._source.close()
        else:
            self._thread.join(END_WITHIN_S)

    def _run(self) -> None:
        try:
            with closing(self._source):
                self._copy()
            if not is_sound(self._partial):
                raise StoreError(
                    f"{self._path}: is damaged, or its disk: a copy of it is not sound, and no backup is replaced by it; restart"
                    " edged, which restores the newest backup"
                )
            self._check()
            finish(self._partial, self._target, self._path, self._keep)
        except Cancelled:
            self._problem = StoreError(f"{self._target}: the backup was given up")
        except StoreError as error:
            self._problem = error
        except (*SQLITE_ERRORS, OSError) as error:
            self._problem = _failed(self._target, error, self._path)
        except Exception as error:  # its end is this thread's alone
            log.exception("the backup failed")
            self._problem = StoreError(f"{self._target}: the backup could not be written ({error})")
        if self._problem is not None:
            discard(self._partial)

    def _copy(self) -> None:
        with closing(sqlite3.connect(self._partial)) as copy:
            copy.execute("PRAGMA synchronous = OFF")  # it is no backup before `sync`
            descriptor = os.open(self._partial, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._source.backup(copy, pages=STEP_PAGES, progress=lambda *_: self._rest(descriptor))
                stand_alone(copy)
            finally:
                os.close(descriptor)

    def _rest(self, descriptor: int) -> None:
        """After a step: have it on the disk, and leave that to others for a while."""
        os.fdatasync(descriptor)
        self._check()
        self._stopping.wait(min(LONGEST_REST_S, time.monotonic() - self._stepped_s))
        self._stepped_s = time.monotonic()

    def _check(self) -> None:
        """Raise Cancelled or StoreError where the backup must not go on."""
        if self._stopping.is_set():
            raise Cancelled
        if time.monotonic() - self._began_s > LONGEST_S:
            raise StoreError(
                f"{self._target}: the backup took more than {LONGEST_S / 60:.0f} minutes; is the disk well?"
            )
        wal = self._path.with_name(self._path.name + "-wal")
        if wal.exists() and wal.stat().st_size > MOST_LOG_BYTES:
            raise StoreError(f"{self._target}: the backup was given up: too much was stored meanwhile")
        require_room(self._path, 0, RESERVE_BYTES)


def back_up_now(connection: sqlite3.Connection, path: Path, stamp: str) -> Path:
    """Copy the open database at once, before its tables are changed; no older backup is deleted. Raise StoreError on failure."""
    target = backup_path(path, stamp)
    partial = target.with_name(target.name + PARTIAL)
    try:
        target.parent.mkdir(exist_ok=True)
        for left in unfinished_backups(path):
            left.unlink(missing_ok=True)
        require_room(path, _bytes_of(connection), RESERVE_BYTES)
        with closing(sqlite3.connect(partial)) as copy:
            connection.backup(copy)
            stand_alone(copy)
        finish(partial, target, path, None)
    except (sqlite3.Error, OSError) as error:
        discard(partial)
        raise _failed(target, error, path) from None
    return target


def finish(partial: Path, target: Path, path: Path, keep: int | None) -> None:
    """Make a whole copy the newest backup of the database at `path`, and delete all but `keep`, none when None. Raise OSError."""
    _make_newest(partial, path)
    sync(partial)
    partial.replace(target)
    sync(target.parent)
    if keep is not None:
        delete_oldest(path, keep)


def delete_oldest(path: Path, keep: int) -> None:
    """Delete all but the newest `keep` backups, one at least. Raise OSError."""
    for old in by_age(path)[: -max(keep, 1)]:
        old.unlink(missing_ok=True)


def discard(partial: Path) -> None:
    """Delete what there is of a copy."""
    for file in (partial, partial.with_name(partial.name + "-journal")):
        with suppress(OSError):
            file.unlink(missing_ok=True)


def require_room(path: Path, size: int, left: int) -> None:
    """Raise StoreFull where less than `left` bytes would be free after `size` more, what the reserve holds counted in."""
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        return  # a disk that cannot be asked is no full one; whoever writes there says what is wrong
    if free + ReserveFile(path.parent).held() - size < left:
        raise StoreFull(
            f"{path.parent}: no room for a backup of {size / 1e6:.0f} MB, with {free / 1e6:.0f} MB free; {DISK}"
        )


def _bytes_of(connection: sqlite3.Connection) -> int:
    """How much the database takes, as the connection sees it."""
    pages, page = (int(connection.execute(f"PRAGMA {of}").fetchone()[0]) for of in ("page_count", "page_size"))
    return pages * page


def _make_newest(made: Path, path: Path) -> None:
    """Date what was just made after all backups: one that was made while the clock was ahead must not stay the newest."""
    last = max((file.stat().st_mtime for file in backups(path)), default=0.0)
    if made.stat().st_mtime <= last:
        os.utime(made, (last + 1, last + 1))


def _failed(target: Path, error: Exception, path: Path) -> StoreError:
    refused = StoreFull if is_full(error, path) else StoreError
    return refused(f"{target}: the backup could not be written ({error}); free some space")
