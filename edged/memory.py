"""How much memory a process holds."""

import os
from pathlib import Path


def resident_mb(process: int | None = None) -> float:
    """Resident set in megabytes (10^6 bytes) of the process with that number, or this one; 0 where the kernel does not tell."""
    try:
        pages = int(Path(f"/proc/{process or 'self'}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
