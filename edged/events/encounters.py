"""Turns tracks that last into encounters: one person's passage, the mask worn for most of it, attention and drowsiness."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from edged.config import EventsConfig
from edged.types import (
    DROWSINESS_LEVELS,
    Attention,
    AttentionSummary,
    Drowsiness,
    DrowsinessLevel,
    DrowsinessSummary,
    Encounter,
    MaskState,
    MaskVote,
    Signals,
)

LONGEST_GAP_S = 1.0
"""Time between two frames counts up to this: what was in a longer gap is not known."""


REFRESH_S = 10.0
"""An ongoing passage is sent again after so long."""


@dataclass(slots=True)
class _AttentionSum:
    """What one track's attention has come to."""

    last: Attention
    distractions: int = 0

    def add(self, attention: Attention) -> None:
        if attention.distraction is not None and self.last.distraction is None:
            self.distractions += 1
        self.last = attention

    def summary(self, seconds: float) -> AttentionSummary:
        """For a passage of so many seconds; what was neither attentive nor away in it is not known."""
        attentive_s, away_s = self.last.attentive_s, self.last.away_total_s
        return AttentionSummary(
            attentive_s, away_s, max(0.0, round(seconds - attentive_s - away_s, 3)), self.distractions
        )


@dataclass(slots=True)
class _Count:
    """Sums up a count of the recent window over a passage: each rise of it is something new."""

    window: int | None = None
    total: int | None = None

    def add(self, window: int | None) -> None:
        if window is None:
            return
        self.total = (self.total or 0) + max(0, window - (self.window or 0))
        self.window = window


@dataclass(slots=True)
class _DrowsinessSum:
    """What one track's drowsiness has come to."""

    last: Drowsiness | None = None
    worst_level: DrowsinessLevel = "unknown"
    highest_perclos: float | None = None
    longest_closure_s: float = 0.0
    yawns: _Count = field(default_factory=_Count)
    nods: _Count = field(default_factory=_Count)
    valid_s: float = 0.0

    def add(self, drowsiness: Drowsiness) -> None:
        if self.last is not None and self.last.openness is not None:
            self.valid_s += max(0.0, min(drowsiness.time_s - self.last.time_s, LONGEST_GAP_S))
        self.last = drowsiness
        self.worst_level = max(self.worst_level, drowsiness.level, key=DROWSINESS_LEVELS.index)
        if drowsiness.perclos is not None:
            self.highest_perclos = max(self.highest_perclos or 0.0, drowsiness.perclos)
        self.longest_closure_s = max(self.longest_closure_s, drowsiness.closure_s)
        self.yawns.add(drowsiness.yawns)
        self.nods.add(drowsiness.nods)

    def summary(self) -> DrowsinessSummary:
        return DrowsinessSummary(
            self.worst_level,
            self.highest_perclos,
            self.longest_closure_s,
            self.yawns.total,
            self.nods.total,
            round(self.valid_s, 3),
        )


@dataclass(slots=True)
class _Passage:
    """What one track has shown so far."""

    key: str
    smallest_face: float
    largest_face: float
    vote: MaskVote
    after_s: float = -math.inf
    """It began no earlier, whenever its track did."""
    state_seconds: dict[MaskState, float] = field(default_factory=dict)
    state_scores: dict[MaskState, float] = field(default_factory=dict)
    attention: _AttentionSum | None = None
    drowsiness: _DrowsinessSum | None = None
    sent_s: float | None = None
    sent_state: MaskState | None = None

    def add(self, vote: MaskVote, attention: Attention | None, drowsiness: Drowsiness | None) -> None:
        """Book the time since the last sighting on the state that stands now, and what else was measured."""
        elapsed = max(0.0, min(vote.last_seen_s - self.vote.last_seen_s, LONGEST_GAP_S))
        state = vote.state
        self.state_seconds[state] = self.state_seconds.get(state, 0.0) + elapsed
        self.state_scores[state] = vote.score
        self.smallest_face = min(self.smallest_face, vote.box.side)
        self.largest_face = max(self.largest_face, vote.box.side)
        self.vote = vote
        if attention is not None:
            if self.attention is None:
                self.attention = _AttentionSum(attention, int(attention.distraction is not None))
            self.attention.add(attention)
        if drowsiness is not None:
            if self.drowsiness is None:
                self.drowsiness = _DrowsinessSum()
            self.drowsiness.add(drowsiness)

    @property
    def first_seen_s(self) -> float:
        return max(self.vote.first_seen_s, self.after_s)

    @property
    def seconds(self) -> float:
        return self.vote.last_seen_s - self.first_seen_s

    @property
    def state(self) -> MaskState:
        """The judged state that stood longest; UNCERTAIN only when none ever stood."""
        judged = {s: t for s, t in self.state_seconds.items() if s is not MaskState.UNCERTAIN}
        return max(judged, key=judged.__getitem__) if judged else MaskState.UNCERTAIN


@dataclass(slots=True)
class Encounters:
    """One camera's passages. Who is there is taken from the mask votes: every face has one, on every profile."""

    camera: str
    settings: EventsConfig = field(default_factory=EventsConfig)
    _passages: dict[int, _Passage] = field(default_factory=dict)
    _still: frozenset[int] = frozenset()
    """Tracks of people who are taken for static faces now, and whose passage was closed with that."""
    _count: int = 0

    def update(self, time_s: float, signals: Signals) -> list[Encounter]:
        """Encounters that began, changed, are due again, or ended with this frame."""
        present = {vote.track for vote in signals.masks}
        static = {face.track for face in signals.static if face.always}
        changed = self._close([track for track in self._passages if track not in present], static)
        attention = {one.track: one for one in signals.attention}
        drowsiness = {one.track: one for one in signals.drowsiness}
        for vote in signals.masks:
            passage = self._passages.get(vote.track)
            if passage is None:
                self._count += 1
                key = f"{self.camera}-encounter-{self._count}"
                passage = self._passages[vote.track] = _Passage(key, vote.box.side, vote.box.side, vote)
                if vote.track in self._still:
                    passage.after_s = vote.last_seen_s
            passage.add(vote, attention.get(vote.track), drowsiness.get(vote.track))
            if self._is_due(passage, time_s):
                passage.sent_s, passage.sent_state = time_s, passage.state
                changed.append(self._encounter(passage, closed=False))
        self._still = frozenset(face.track for face in signals.static if not face.always)
        return changed

    def finish(self) -> list[Encounter]:
        """Close every passage: the camera is stopping."""
        return self._close(list(self._passages))

    def _is_due(self, passage: _Passage, time_s: float) -> bool:
        if not self._lasted(passage):
            return False
        if passage.sent_s is None or passage.sent_state is not passage.state:
            return True
        # In either direction: the clock may have been set back.
        return abs(time_s - passage.sent_s) >= REFRESH_S

    def _lasted(self, passage: _Passage) -> bool:
        return passage.seconds >= self.settings.encounter_seconds

    def _close(self, tracks: Sequence[int], static: Collection[int] = ()) -> list[Encounter]:
        """End the passages of these; of `static` faces only those that were sent, to have them taken back."""
        passages = [(track in static, self._passages.pop(track)) for track in tracks]
        return [
            self._encounter(passage, closed=True, static=is_static)
            for is_static, passage in passages
            if self._lasted(passage) and not (is_static and passage.sent_s is None)
        ]

    def _encounter(self, passage: _Passage, closed: bool, static: bool = False) -> Encounter:
        vote = passage.vote
        return Encounter(
            key=passage.key,
            camera=self.camera,
            track=vote.track,
            first_seen_s=passage.first_seen_s,
            last_seen_s=vote.last_seen_s,
            state=passage.state,
            score=passage.state_scores.get(passage.state, vote.score),
            votes=vote.votes,
            smallest_face=round(passage.smallest_face, 1),
            largest_face=round(passage.largest_face, 1),
            closed=closed,
            attention=passage.attention.summary(passage.seconds) if passage.attention else None,
            drowsiness=passage.drowsiness.summary() if passage.drowsiness else None,
            static=static,
        )
