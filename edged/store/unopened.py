"""Takes the store's place until the database can be opened: a disk that is full at the start stops nothing but storing."""

from collections.abc import Iterable
from pathlib import Path

from edged.errors import StoreError
from edged.records import Change, EventRecord
from edged.store.writer import Store


class Unopened(Store):
    """Stands for a database at `path` that cannot be opened yet, because of `problem`: nothing is known, nothing written."""

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

    def meta(self, key: str) -> None:
        """Nothing is known."""

    def open_events(self) -> list[EventRecord]:
        return []

    def last_known(self) -> int:
        return 0
