"""Notices when the files under an open database are no longer what was opened: SQLite itself writes on into the void."""

import os
from pathlib import Path
from typing import NamedTuple

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100

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


def identity(file: Path) -> Identity | None:
    """What is there now, whatever its name leads to; None for nothing."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
