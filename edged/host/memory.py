"""Has glibc give freed memory back to the system; with another C library this does nothing."""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Options of glibc's mallopt."""
LARGE_BYTES = 262_144


def keep_small() -> None:
    """From now on give back what is large as soon as it is free, and use few arenas: for a process that seldom needs much."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for option, value in ((M_MMAP_THRESHOLD, LARGE_BYTES), (M_TRIM_THRESHOLD, LARGE_BYTES), (M_ARENA_MAX, 2)):
            libc.mallopt(option, value)


def give_back() -> None:
    """Give back what is free now; takes some milliseconds."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
