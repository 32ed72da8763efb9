"""Turns signals into events that start once, may be updated, and end once; decides which of them alert people."""

from dataclasses import dataclass

from edged.events.mask import MaskEvents
from edged.types import Event, Signals


@dataclass(slots=True)
class Events:
    """One camera's events of every kind its profile wants."""

    mask: MaskEvents

    def update(self, time_s: float, signals: Signals) -> list[Event]:
        """The events this frame causes, in the order they are to be told."""
        return self.mask.update(time_s, signals.masks)

    def finish(self, time_s: float, reason: str) -> list[Event]:
        """End everything that is open: the camera is stopping, or its settings change."""
        return self.mask.finish(time_s, reason)


__all__ = ["Events"]
