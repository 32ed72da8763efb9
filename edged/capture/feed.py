"""What a live camera is to the one who supervises it: pictures out of another process, which never keep it waiting."""

from dataclasses import dataclass
from typing import Protocol

from edged.types import Image


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture that the camera gave. `image` is None when it was not wanted, or could not be decoded or placed."""

    time_s: float
    """Monotonic seconds at capture, as near to the sensor as the source tells."""
    image: Image | None
    broken: bool = False
    """Whether it could not be decoded."""


class Feed(Protocol):
    """Pictures of one live camera, taken in a process of their own."""

    def next(self, timeout_s: float) -> Shot | None:
        """The next picture, None when none comes in time. Raise SourceLost, naming the remedy, when none will."""

    def close(self) -> bool:
        """End the process; return False when it cannot be killed now. Ask `gone` of it from then on. Idempotent."""

    def gone(self) -> bool:
        """Whether the process is no more."""
