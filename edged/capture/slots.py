"""A fixed number of picture places in one piece of memory, lent out without a copy until nobody looks at them any more."""

import mmap
from collections import deque
from typing import Any

import numpy as np

from edged.types import Image

SLOTS = 4
"""One picture in analysis, one that waits for it, one being filled, one to spare."""
MOST_LENT = 2
"""Pictures lent out besides the newest one; beyond that they are copied, so that a place is always left to fill."""


class Loan:
    """Keeps a place taken: numpy holds on to it for as long as any view of the picture lives."""

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


class Slots:
    """`count` places of `slot_bytes` each. Not thread-safe, but for the end of loans."""

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
    def private(cls, slot_bytes: int, count: int) -> "Slots":
        """Places in this process's own memory."""
        return cls(mmap.mmap(-1, slot_bytes * count), slot_bytes, count)

    def view(self, slot: int, height: int, width: int) -> Image:
        """The picture at a place, for whoever fills it. It must not be lent."""
        size = height * width * 3
        if not 0 <= slot < self.count or not 0 < size <= self._slot_bytes:
            raise ValueError(f"place {slot} cannot hold {width}x{height}")
        flat = np.frombuffer(self._memory, np.uint8, size, slot * self._slot_bytes)
        return flat.reshape(height, width, 3)

    def lend(self, slot: int, height: int, width: int) -> Image:
        """The picture at a place, read-only; the place is taken until the last view of the picture is gone."""
        loan = Loan(self.view(slot, height, width), self._memory, slot, self._returned)
        self.lent.add(slot)
        return np.asarray(loan)

    def take_returned(self) -> list[int]:
        """The places that came back since this was last asked."""
        back: list[int] = []
        while self._returned:
            back.append(self._returned.popleft())
        self.lent.difference_update(back)
        return back

    def free(self) -> int | None:
        """A place that is not lent, or None."""
        self.take_returned()
        return next((slot for slot in range(self.count) if slot not in self.lent), None)
