"""How much memory this process holds."""

import os
from pathlib import Path


def resident_mb() -> float:
    """Resident set of this process in megabytes (10^6 bytes), 0 where the kernel does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
