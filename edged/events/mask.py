"""Turns mask verdicts into events: which verdicts are one, when they change, and what ends them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edged.config import EventsConfig, MaskConfig
from edged.events.life import EventLives, Sighting, Told
from edged.types import Event, MaskState, MaskVote


@dataclass(slots=True)
class MaskEvents:
    """One camera's mask events."""

    camera: str
    settings: MaskConfig = field(default_factory=MaskConfig)
    limits: EventsConfig = field(default_factory=EventsConfig)
    lives: EventLives = field(init=False)

    def __post_init__(self) -> None:
        self.lives = EventLives(self.camera, "mask", self.settings, self.limits)

    def update(self, time_s: float, votes: Sequence[MaskVote]) -> list[Event]:
        """The events this frame causes, in the order they are to be told."""
        events = self.lives.see(time_s, Sighting.of(votes))
        for vote in votes:
            events += self._follow(vote, time_s)
        return events

    def finish(self, time_s: float, reason: str) -> list[Event]:
        """End everything that is open: the camera is stopping, or its settings change."""
        return self.lives.finish(time_s, reason)

    def _follow(self, vote: MaskVote, time_s: float) -> list[Event]:
        track, told = vote.track, Told(vote.state.value, vote.score, vote.votes)
        violates, before = vote.state.value in self.settings.violations, self.lives.told(track)
        if before is None:
            return [self.lives.start(track, time_s, told, began_s=vote.since_s)] if violates else []
        if not violates and vote.state is not MaskState.UNCERTAIN:
            return [self.lives.end(track, time_s, "corrected")]
        last = told if violates else before
        if self.lives.is_overdue(track, time_s):
            return [self.lives.end(track, time_s, "longest", last)]
        if last.state != before.state:
            return [self.lives.update(track, time_s, last)]
        self.lives.retell(track, last)
        return []
