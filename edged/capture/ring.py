"""The shared memory through which a capture process hands its pictures over; anonymous, so that nothing can stay behind.

The parent makes the memory as large as the child asks for, within bounds, seals its size, and sends its descriptor: no
child can make a mapping of the parent's fault. Which places are filled and which are free goes over the control socket;
the memory itself holds pixels only, so that a child that writes nonsense makes a bad picture and nothing worse.
"""

import fcntl
import mmap
import os

from edged.capture.slots import SLOTS, Slots

MOST_SIDE = 16_384
MOST_RING_BYTES = 400_000_000
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def ring_fits(width: int, height: int) -> bool:
    """Whether pictures of this size are taken at all."""
    return 0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE and _bytes(width, height) * SLOTS <= MOST_RING_BYTES


def make_ring(width: int, height: int) -> tuple[int, Slots]:
    """New shared memory for pictures of this size: its descriptor, for the child, and the parent's read-only view of it.

    The caller closes the descriptor once it is sent.
    """
    size = _bytes(width, height) * SLOTS
    descriptor = os.memfd_create("edged-pictures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
        memory = mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor, Slots(memory, _bytes(width, height), SLOTS)


def attach_ring(descriptor: int, width: int, height: int) -> Slots:
    """The child's writable view; takes over, and closes, the descriptor."""
    try:
        memory = mmap.mmap(descriptor, _bytes(width, height) * SLOTS)
    finally:
        os.close(descriptor)
    return Slots(memory, _bytes(width, height), SLOTS)


def _bytes(width: int, height: int) -> int:
    """Of one place: whole pages, so that no two pictures share one."""
    page = mmap.PAGESIZE
    return (width * height * 3 + page - 1) // page * page
