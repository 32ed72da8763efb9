"""A file of dead weight beside the database, thrown out when the disk is full so that what waits can still be written."""

import shutil
from pathlib import Path

BALLAST_BYTES = 16 * 1024 * 1024
"""More than the WAL may grow to, or SQLite cannot even delete."""
ROOM_TO_LAY = 4 * BALLAST_BYTES


class Ballast:
    """Sixteen megabytes held back in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"

    def lay(self) -> None:
        """Reserve the space, if it is not reserved and there is plenty left; a failure leaves nothing behind."""
        try:
            if self._is_laid() or shutil.disk_usage(self._path.parent).free < ROOM_TO_LAY:
                return
            with self._path.open("wb") as file:
                for _ in range(BALLAST_BYTES // 65_536):
                    file.write(bytes(65_536))
        except OSError:
            self.throw()

    def _is_laid(self) -> bool:
        return self._path.exists() and self._path.stat().st_size >= BALLAST_BYTES

    def throw(self) -> bool:
        """Give the space back; return whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
