"""Sees to it that one process writes the database: the kernel lets its lock go when it ends, however it ends."""

import os
from pathlib import Path

from edged.errors import StoreError
from edged.files import lock
from edged.store.ours import lock_of


class WriterLock:
    """Held from its making until `release`."""

    def __init__(self, database: Path) -> None:
        """Make the folder if need be and take the lock. Raise StoreError when another holds it, or files cannot be made."""
        folder = database.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{folder}: cannot be made ({error.strerror}); set store.path to a folder edged may write"
            ) from None
        path = lock_of(database)
        try:
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be opened ({error.strerror}); the folder must belong to the user edged runs as"
            ) from None
        if not lock(self._descriptor):
            self.release()
            raise StoreError(f"{database}: another edged is writing it; stop that one first")

    def release(self) -> None:
        """Let the next one in. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
