"""Picture buffers: a fixed number in one piece of memory, lent out without a copy, private or shared with a capture process.

Shared memory is anonymous, so that nothing can stay behind. The parent makes it as large as the child asks for, within
bounds, seals its size, and sends its descriptor: no child can make a mapping of the parent's fault. Which buffers are filled
and which are free goes over the control socket; the memory itself holds pixels only, so that whatever a child writes makes a
bad picture and nothing worse.
"""

import fcntl
import mmap
import os
from collections import deque
from typing import Any

import numpy as np

from edged.types import Image

SLOTS = 4
"""One picture in analysis, one that waits for it, one being filled, one to spare."""
MOST_LENT = 2
"""Pictures lent out besides the newest one; beyond that they are copied, so that a buffer is always left to fill."""


class Loan:
    """Keeps a buffer in use: numpy holds a reference to it for as long as any view of the picture lives."""

    __slots__ = ("__array_interface__", "_memory", "_returned", "_slot")

    def __init__(self, view: Image, memory: mmap.mmap, slot: int, returned: "deque[int]") -> None:
        interface: dict[str, Any] = dict(view.__array_interface__)
        address = interface["data"][0]
        self.__array_interface__ = {**interface, "data": (address, True)}  # read-only
        self._memory = memory
        self._slot = slot
        self._returned = returned

    def __del__(self) -> None:
        self._returned.append(self._slot)  # from whichever thread lets go last; one atomic step


class BufferPool:
    """`count` buffers of `slot_bytes` each. Not thread-safe, but for the end of loans."""

    def __init__(self, memory: mmap.mmap, slot_bytes: int, count: int) -> None:
        """`memory` holds at least `slot_bytes` x `count` bytes."""
        if slot_bytes <= 0 or len(memory) < slot_bytes * count:
            raise ValueError(f"{len(memory)} bytes do not hold {count} pictures of {slot_bytes}")
        self.count = count
        self.lent: set[int] = set()
        self._memory = memory
        self._slot_bytes = slot_bytes
        self._returned: deque[int] = deque()

    @classmethod
    def private(cls, slot_bytes: int, count: int) -> "BufferPool":
        """Buffers in this process's own memory."""
        return cls(mmap.mmap(-1, slot_bytes * count), slot_bytes, count)

    def view(self, slot: int, height: int, width: int) -> Image:
        """The picture in a buffer, for whoever fills it. It must not be lent."""
        size = height * width * 3
        if not 0 <= slot < self.count or not 0 < size <= self._slot_bytes:
            raise ValueError(f"buffer {slot} cannot hold {width}x{height}")
        flat = np.frombuffer(self._memory, np.uint8, size, slot * self._slot_bytes)
        return flat.reshape(height, width, 3)

    def lend(self, slot: int, height: int, width: int) -> Image:
        """The picture in a buffer, read-only; the buffer is in use until the last view of the picture is gone."""
        loan = Loan(self.view(slot, height, width), self._memory, slot, self._returned)
        self.lent.add(slot)
        return np.asarray(loan)

    def take_returned(self) -> list[int]:
        """The buffers that came back since this was last asked."""
        back: list[int] = []
        while self._returned:
            back.append(self._returned.popleft())
        self.lent.difference_update(back)
        return back

    def free(self) -> int | None:
        """A buffer that is not lent, or None."""
        self.take_returned()
        return next((slot for slot in range(self.count) if slot not in self.lent), None)


MOST_SIDE = 16_384
MOST_RING_BYTES = 400_000_000
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def ring_fits(width: int, height: int) -> bool:
    """Whether pictures of this size are taken at all."""
    return 0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE and _bytes(width, height) * SLOTS <= MOST_RING_BYTES


def make_ring(width: int, height: int) -> tuple[int, BufferPool]:
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
    return descriptor, BufferPool(memory, _bytes(width, height), SLOTS)


def attach_ring(descriptor: int, width: int, height: int) -> BufferPool:
    """The child's writable view; takes over, and closes, the descriptor."""
    try:
        memory = mmap.mmap(descriptor, _bytes(width, height) * SLOTS)
    finally:
        os.close(descriptor)
    return BufferPool(memory, _bytes(width, height), SLOTS)


def _bytes(width: int, height: int) -> int:
    """Of one buffer: whole pages, so that no two pictures share one."""
    page = mmap.PAGESIZE
    return (width * height * 3 + page - 1) // page * page
