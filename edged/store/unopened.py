"""Takes the store's place until the database can be opened: a disk that is full at the start stops nothing but storing."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from edged.errors import StoreError
from edged.records import Change, EventRecord
from edged.store.files import SQLITE_ERRORS
from edged.store.reader import StoreReader, readable_text
from edged.store.writer import Store


class Unopened(Store):
    """Stands for a database at `path` that cannot be opened yet, because of `problem`: nothing is written, and nothing known
    but what was remembered.
    """

    restored = None
    last_seq = 0

    def __init__(self, path: Path, problem: StoreError) -> None:
        self.path, self.problem = path, problem

    def close(self) -> None:
        """Nothing is held."""

    @property
    def is_closed(self) -> bool:
        return True

    def loss(self) -> None:
        """Nothing was there to be lost."""

    def keep_lock(self) -> None:
        """None is held."""

    def write(self, changes: Iterable[Change]) -> None:
        raise StoreError(str(self.problem))

    def meta(self, key: str) -> str | None:
        """A value from `meta`, if the file can be read: a pause stands also while its database takes nothing."""
        try:
            return StoreReader(self.path).meta(key)
        except StoreError:
            return _meta_without_index(self.path, key)

    def open_events(self) -> list[EventRecord]:
        return []

    def last_known(self) -> int:
        return 0


def _meta_without_index(path: Path, key: str) -> str | None:
    """A value from the database at `path` on a disk without room for the index of its write-ahead log; None without an answer.

    Who has the file alone needs no index on the disk. Read as immutable it would give what stood there before the log.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=5)) as connection:
            connection.text_factory = readable_text
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
            return None if row is None else str(row[0])
    except SQLITE_ERRORS:
        return None
