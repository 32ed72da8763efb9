"""Turns tracks that last into encounters: one person's passage, with the mask state worn for most of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edged.types import Encounter, MaskState, MaskVote, Signals


@dataclass(frozen=True, slots=True)
class EncounterSettings:
    """What counts as a passage, and how often an ongoing one is told again."""

    encounter_seconds: float = 0.5
    refresh_seconds: float = 10.0


@dataclass(slots=True)
class _Passage:
    """What one track has shown so far."""

    key: str
    smallest_face: float
    largest_face: float
    vote: MaskVote
    state_seconds: dict[MaskState, float] = field(default_factory=dict)
    state_scores: dict[MaskState, float] = field(default_factory=dict)
    told_s: float | None = None
    told_state: MaskState | None = None

    def add(self, vote: MaskVote) -> None:
        """Book the time since the last sighting on the state that stands now."""
        elapsed = max(0.0, min(vote.last_seen_s - self.vote.last_seen_s, 1.0))
        state = vote.state
        self.state_seconds[state] = self.state_seconds.get(state, 0.0) + elapsed
        self.state_scores[state] = vote.score
        self.smallest_face = min(self.smallest_face, vote.box.side)
        self.largest_face = max(self.largest_face, vote.box.side)
        self.vote = vote

    @property
    def state(self) -> MaskState:
        """The judged state that stood longest; UNCERTAIN only when none ever stood."""
        judged = {s: t for s, t in self.state_seconds.items() if s is not MaskState.UNCERTAIN}
        return max(judged, key=judged.__getitem__) if judged else MaskState.UNCERTAIN


@dataclass(slots=True)
class Encounters:
    """One camera's passages."""

    camera: str
    settings: EncounterSettings = field(default_factory=EncounterSettings)
    _passages: dict[int, _Passage] = field(default_factory=dict)
    _count: int = 0

    def update(self, time_s: float, signals: Signals) -> list[Encounter]:
        """Encounters that began, changed, are due again, or ended with this frame."""
        present = {vote.track for vote in signals.masks}
        told = self._close([track for track in self._passages if track not in present])
        for vote in signals.masks:
            passage = self._passages.get(vote.track)
            if passage is None:
                self._count += 1
                key = f"{self.camera}-encounter-{self._count}"
                passage = self._passages[vote.track] = _Passage(key, vote.box.side, vote.box.side, vote)
            passage.add(vote)
            if self._is_due(passage, time_s):
                passage.told_s, passage.told_state = time_s, passage.state
                told.append(self._encounter(passage, closed=False))
        return told

    def finish(self) -> list[Encounter]:
        """Close every passage: the camera is stopping."""
        return self._close(list(self._passages))

    def _is_due(self, passage: _Passage, time_s: float) -> bool:
        if not self._lasted(passage):
            return False
        if passage.told_s is None or passage.told_state is not passage.state:
            return True
        return time_s - passage.told_s >= self.settings.refresh_seconds

    def _lasted(self, passage: _Passage) -> bool:
        return passage.vote.last_seen_s - passage.vote.first_seen_s >= self.settings.encounter_seconds

    def _close(self, tracks: Sequence[int]) -> list[Encounter]:
        passages = [self._passages.pop(track) for track in tracks]
        return [self._encounter(passage, closed=True) for passage in passages if self._lasted(passage)]

    def _encounter(self, passage: _Passage, closed: bool) -> Encounter:
        vote = passage.vote
        return Encounter(
            key=passage.key,
            camera=self.camera,
            track=vote.track,
            first_seen_s=vote.first_seen_s,
            last_seen_s=vote.last_seen_s,
            state=passage.state,
            score=passage.state_scores.get(passage.state, vote.score),
            votes=vote.votes,
            smallest_face=round(passage.smallest_face, 1),
            largest_face=round(passage.largest_face, 1),
            closed=closed,
        )
