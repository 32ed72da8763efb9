"""Turns signals into events that start once, may be updated, and end once; decides which of them alert people."""

from dataclasses import dataclass

from edged.events.encounters import Encounters
from edged.events.kinds import DrowsinessEvents, InattentionEvents, MaskEvents
from edged.types import Event, Signals


@dataclass(slots=True)
class Events:
    """One camera's events of every kind; those that its profile does not ask for are None."""

    mask: MaskEvents | None = None
    inattention: InattentionEvents | None = None
    drowsiness: DrowsinessEvents | None = None

    def update(self, time_s: float, signals: Signals) -> list[Event]:
        """The events this frame causes, in the order they are to be published."""
        never_people = [face.track for face in signals.static if face.always]
        events = [event for kind in self._kinds for event in kind.end_static(never_people, time_s)]
        if self.mask:
            events += self.mask.update(time_s, signals.masks)
        if self.inattention:
            events += self.inattention.update(time_s, signals.masks, signals.attention)
        if self.drowsiness:
            events += self.drowsiness.update(time_s, signals.masks, signals.drowsiness)
        return events

    def finish(self, time_s: float, reason: str) -> list[Event]:
        """End everything that is open: the camera is stopping, or its settings change."""
        return [event for kind in self._kinds for event in kind.finish(time_s, reason)]

    @property
    def _kinds(self) -> list[MaskEvents | InattentionEvents | DrowsinessEvents]:
        return [kind for kind in (self.mask, self.inattention, self.drowsiness) if kind]


__all__ = ["DrowsinessEvents", "Encounters", "Events", "InattentionEvents", "MaskEvents"]
