"""The disk that the database lies on: when it is nearly full, and a reserve for when it is."""

import os
import shutil
from pathlib import Path

from edged.shared_remedies import DISK

RESERVE_BYTES = 16 * 1024 * 1024
"""More than the WAL may grow to, or SQLite cannot even delete."""
LEAST_FREE_BYTES = 4 * RESERVE_BYTES
"""With less the disk is nearly full."""
ADVISED_FREE_BYTES = 200_000_000
LEAST_FREE_FILES = 64
"""A backup and a day's report need a few."""


class ReserveFile:
    """Sixteen megabytes held back in `folder`, given up when the disk is full so that what waits can still be written."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"

    def make(self) -> None:
        """Hold the space back, if it is not and there is plenty left; a failure leaves nothing behind."""
        try:
            if self._is_made() or shutil.disk_usage(self._path.parent).free < LEAST_FREE_BYTES:
                return
            with self._path.open("wb") as file:
                for _ in range(RESERVE_BYTES // 65_536):
                    file.write(bytes(65_536))
        except OSError:
            self.give_up()

    def held(self) -> int:
        """How many bytes are held back. Raise OSError when the disk cannot be asked."""
        return RESERVE_BYTES if self._is_made() else 0

    def _is_made(self) -> bool:
        return self._path.exists() and self._path.stat().st_size >= RESERVE_BYTES

    def shortage(self) -> str | None:
        """Why the disk will soon take no more, with the remedy; None while there is plenty, the reserve counted in."""
        try:
            disk = os.statvfs(self._path.parent)
            held = self.held()
        except OSError:
            return None  # whoever writes there says so
        if disk.f_bavail * disk.f_frsize + held < LEAST_FREE_BYTES:
            return f"{self._path.parent}: the disk is nearly full; {DISK}"
        if disk.f_files and disk.f_favail < LEAST_FREE_FILES:
            return f"{self._path.parent}: the disk takes hardly any more files; delete some"
        return None

    def give_up(self) -> bool:
        """Give the space back; return whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
