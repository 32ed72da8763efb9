"""Turns distractions into events of kind `inattention`, whose state is `long` or `repeated`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edged.config import AttentionConfig, EventsConfig
from edged.events.life import EventLives, Sighting, Told
from edged.types import Attention, Distraction, Event, MaskVote


@dataclass(slots=True)
class InattentionEvents:
    """One camera's distractions."""

    camera: str
    settings: AttentionConfig = field(default_factory=AttentionConfig)
    limits: EventsConfig = field(default_factory=EventsConfig)
    lives: EventLives = field(init=False)

    def __post_init__(self) -> None:
        self.lives = EventLives(self.camera, "inattention", self.settings, self.limits)

    def update(self, time_s: float, faces: Sequence[MaskVote], attention: Sequence[Attention]) -> list[Event]:
        """The events this frame causes, in the order they are to be told. `faces` say who is where."""
        events = self.lives.see(time_s, Sighting.of(faces))
        for one in attention:
            events += self._follow(one, time_s)
        return events

    def finish(self, time_s: float, reason: str) -> list[Event]:
        """End everything that is open: the camera is stopping, or its settings change."""
        return self.lives.finish(time_s, reason)

    def _follow(self, attention: Attention, time_s: float) -> list[Event]:
        track, before = attention.track, self.lives.told(attention.track)
        state = attention.distraction if attention.distraction in self.settings.distractions else None
        if before is None:
            # An event begins only while the person is seen to look away: an old distraction is none.
            if state is None or attention.attentive is not False:
                return []
            quiet = None if self.settings.alerts else "not wanted"
            began_s = time_s - attention.distraction_s
            return [self.lives.start(track, time_s, _told(state, attention), quiet, began_s)]
        if state is None:
            return [self.lives.end(track, time_s, "recovered")]
        told = _told(state, attention, before)
        if self.lives.is_overdue(track, time_s):
            return [self.lives.end(track, time_s, "longest", told)]
        if state != before.state:
            return [self.lives.update(track, time_s, told)]
        self.lives.retell(track, told)
        return []


def _told(state: Distraction, attention: Attention, before: Told | None = None) -> Told:
    """What the event says: the longest look away in it so far, and the most that looks away have added up to."""
    now = {"away_s": attention.away_s, "away_recent_s": attention.away_recent_s}
    if before is not None:
        now = {key: max(value, float(str(before.details[key]))) for key, value in now.items()}
    return Told(state, details=now)
