"""Turns mask verdicts into events that start once, may be updated, and end once; decides which of them alert people."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edged.types import Box, Event, EventPhase, MaskState, MaskVote


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Which verdicts are events, and how often they may alert; see `[mask]` and `[events]` in the config."""

    violations: frozenset[MaskState] = frozenset({MaskState.INCORRECT, MaskState.NONE})
    cooldown_seconds: float = 30
    most_alerts_per_minute: int = 20
    longest_seconds: float = 600
    same_person_seconds: float = 1.5
    """A new track that begins this soon after, and where, one in the same state ended is taken for the same person."""


@dataclass(slots=True)
class _Open:
    """An event that has not ended."""

    key: str
    started_s: float
    vote: MaskVote


@dataclass(frozen=True, slots=True)
class _Alert:
    """That a face alerted: under which track, in which state (the last one of that event), and when."""

    track: int
    state: MaskState
    time_s: float


@dataclass(slots=True)
class _Known:
    """One track as it was last told of."""

    vote: MaskVote
    alert: _Alert | None
    """Its last alert, or that of the track that stood here a moment before this one began."""


@dataclass(slots=True)
class MaskEvents:
    """One camera's mask events."""

    camera: str
    settings: EventSettings = field(default_factory=EventSettings)
    _open: dict[int, _Open] = field(default_factory=dict)
    _known: dict[int, _Known] = field(default_factory=dict)
    _gone: deque[_Known] = field(default_factory=lambda: deque(maxlen=64))
    """Tracks with an alert to pass on that are gone."""
    _recent_alerts_s: deque[float] = field(default_factory=deque)
    _count: int = 0

    def update(self, time_s: float, votes: Sequence[MaskVote]) -> list[Event]:
        """The events this frame causes, in the order they are to be told."""
        events = self._end_absent({vote.track for vote in votes}, time_s)
        for vote in votes:
            known = self._known.get(vote.track)
            if known is None:
                self._known[vote.track] = _Known(vote, self._alert_of_predecessor(vote))
            else:
                known.vote = vote
            events += self._follow(vote, time_s)
        return events

    def finish(self, time_s: float, reason: str) -> list[Event]:
        """End everything that is open: the camera is stopping, or its settings change."""
        return [self._end(track, reason, time_s) for track in list(self._open)]

    def _follow(self, vote: MaskVote, time_s: float) -> list[Event]:
        opened = self._open.get(vote.track)
        if opened is None:
            return [self._start(vote, time_s)] if vote.state in self.settings.violations else []
        violates = vote.state in self.settings.violations
        changed = violates and vote.state is not opened.vote.state
        if violates:
            opened.vote = vote
        elif vote.state is not MaskState.UNCERTAIN:
            return [self._end(vote.track, "corrected", time_s)]
        if time_s - opened.started_s >= self.settings.longest_seconds:
            return [self._end(vote.track, "longest", time_s)]
        if not changed:
            return []
        known = self._known[vote.track]
        known.alert = known.alert and replace(known.alert, state=vote.state)
        return [self._event(opened, "update", time_s)]

    def _start(self, vote: MaskVote, time_s: float) -> Event:
        self._count += 1
        opened = _Open(f"{self.camera}-mask-{self._count}", time_s, vote)
        self._open[vote.track] = opened
        held_back = self._reason_to_stay_quiet(vote, time_s)
        if held_back is None:
            self._known[vote.track].alert = _Alert(vote.track, vote.state, time_s)
            self._recent_alerts_s.append(time_s)
        return self._event(opened, "start", time_s, held_back)

    def _reason_to_stay_quiet(self, vote: MaskVote, time_s: float) -> str | None:
        """Why this event does not alert, or None."""
        alert = self._known[vote.track].alert
        same_person = alert is not None and (alert.track == vote.track or alert.state is vote.state)
        if alert and same_person and time_s - alert.time_s < self.settings.cooldown_seconds:
            return "cooldown"
        while self._recent_alerts_s and time_s - self._recent_alerts_s[0] >= 60:
            self._recent_alerts_s.popleft()
        return "too many" if len(self._recent_alerts_s) >= self.settings.most_alerts_per_minute else None

    def _alert_of_predecessor(self, vote: MaskVote) -> _Alert | None:
        """The last alert of a face that stood where this one begins, until a moment before it began."""
        for known in (*reversed(self._known.values()), *reversed(self._gone)):
            gap = vote.first_seen_s - known.vote.last_seen_s
            if known.alert and 0 < gap <= self.settings.same_person_seconds and _near(vote.box, known.vote.box):
                return known.alert
        return None

    def _end_absent(self, present: set[int], time_s: float) -> list[Event]:
        """End the events of faces that are gone, as of when they were last seen, and forget those faces."""
        events = []
        for track in [track for track in self._known if track not in present]:
            known = self._known.pop(track)
            if track in self._open:
                events.append(self._end(track, "left", min(known.vote.last_seen_s, time_s)))
            if known.alert:
                self._gone.append(known)
        return events

    def _end(self, track: int, reason: str, time_s: float) -> Event:
        opened = self._open.pop(track)
        return self._event(opened, "end", max(time_s, opened.started_s), end_reason=reason)

    def _event(
        self,
        opened: _Open,
        phase: EventPhase,
        time_s: float,
        held_back: str | None = None,
        end_reason: str | None = None,
    ) -> Event:
        vote = opened.vote
        return Event(
            key=opened.key,
            kind="mask",
            phase=phase,
            camera=self.camera,
            track=vote.track,
            time_s=time_s,
            state=vote.state.value,
            score=vote.score,
            votes=vote.votes,
            end_reason=end_reason,
            violation=phase == "start" and held_back is None,
            details={"held_back": held_back} if held_back else {},
        )


def _near(a: Box, b: Box) -> bool:
    """Whether two boxes could be the same face a moment apart: centres within one width, like sizes."""
    (ax, ay), (bx, by) = a.centre, b.centre
    width = max(a.width, b.width, 1.0)
    ratio = max(a.width, 1.0) / max(b.width, 1.0)
    return abs(ax - bx) <= width and abs(ay - by) <= width and 0.7 <= ratio <= 1.4
