"""The life that events of every kind share: they start once, may be updated, end once, and alert people sparingly."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from edged.config import EventsConfig, KindConfig
from edged.types import Box, Event, EventKind, EventPhase, MaskVote, Votes

STATIC = "static"
"""Why the event of a face ends that turned out to be a picture of one."""


SAME_PERSON_SECONDS = 1.5
"""A new track that begins this soon after, and where, one in the same state ended is taken for the same person."""


class Sighting(NamedTuple):
    """Where one track is, and since and until when it has been seen."""

    track: int
    box: Box
    first_seen_s: float
    last_seen_s: float

    @classmethod
    def of(cls, votes: Iterable[MaskVote]) -> list["Sighting"]:
        """The sightings of one frame: every face has a mask vote, whether masks matter or not."""
        return [cls(vote.track, vote.box, vote.first_seen_s, vote.last_seen_s) for vote in votes]


@dataclass(frozen=True, slots=True)
class Told:
    """What an event says at one moment."""

    state: str
    score: float | None = None
    votes: Votes | None = None
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class _Open:
    """An event that has not ended."""

    key: str
    started_s: float
    told: Told
    alerted: bool = False


@dataclass(frozen=True, slots=True)
class _Alert:
    """That a face alerted: under which track, in which state (the last one of that event), and when."""

    track: int
    state: str
    time_s: float


@dataclass(slots=True)
class _Known:
    """One track as it was last seen."""

    seen: Sighting
    alert: _Alert | None
    """Its last alert, or that of the track that stood here a moment before this one began."""
    ended_s: float = float("-inf")
    """When its last event ended: the next one begins no earlier."""


@dataclass(slots=True)
class EventLives:
    """One camera's events of one kind. Times that run backwards make no event end before it started."""

    camera: str
    kind: EventKind
    settings: KindConfig
    limits: EventsConfig
    _open: dict[int, _Open] = field(default_factory=dict)
    _known: dict[int, _Known] = field(default_factory=dict)
    _gone: deque[_Known] = field(default_factory=lambda: deque(maxlen=64))
    """Tracks with an alert to pass on that are gone."""
    _recent_alerts_s: deque[float] = field(default_factory=deque)
    _last_s: float = float("-inf")
    _count: int = 0

    def see(self, time_s: float, sightings: Sequence[Sighting]) -> list[Event]:
        """Take in who is there; end the events of those who are gone, as of when they were last seen."""
        if time_s < self._last_s:
            self._set_back(time_s)
        self._last_s = time_s
        ended = self._end_absent({seen.track for seen in sightings}, time_s)
        for seen in sightings:
            known = self._known.get(seen.track)
            if known is None:
                self._known[seen.track] = _Known(seen, self._alert_of_predecessor(seen))
            else:
                known.seen = seen
        return ended

    def dismiss(self, tracks: Iterable[int], time_s: float) -> list[Event]:
        """Forget faces that turned out to be nobody, before `see` takes them for people who left; end their events."""
        return [event for track in tracks if track in self._known for event in self._let_go(track, time_s, STATIC)]

    def told(self, track: int) -> Told | None:
        """What the track's open event said last; None when it has none."""
        opened = self._open.get(track)
        return opened.told if opened else None

    def is_overdue(self, track: int, time_s: float) -> bool:
        """Whether the track's open event has lasted as long as any may."""
        # Away from the start in either direction: the clock may have been set back.
        return abs(time_s - self._open[track].started_s) >= self.limits.longest_seconds

    def start(
        self, track: int, time_s: float, told: Told, quiet: str | None = None, began_s: float | None = None
    ) -> Event:
        """Start the event of a track that was seen in this frame and has none open. `quiet`: why it is not to alert;
        `began_s`: when that began which is confirmed now, None when it is not known.
        """
        self._count += 1
        opened = self._open[track] = _Open(f"{self.camera}-{self.kind}-{self._count}", time_s, told)
        held_back = quiet or self._reason_to_stay_quiet(track, told.state, time_s)
        event = self._tell(track, opened, "start", time_s, held_back)
        if began_s is None:
            return event
        return replace(event, began_s=min(time_s, max(began_s, self._known[track].ended_s)))

    def update(self, track: int, time_s: float, told: Told, quiet: str | None = "told") -> Event:
        """The open event says something else. With `quiet` None it alerts, unless it has already."""
        opened, known = self._open[track], self._known[track]
        if known.alert:
            known.alert = replace(known.alert, state=told.state)
        opened.told = told
        if quiet or opened.alerted:
            return self._event(opened, track, "update", time_s)
        return self._tell(track, opened, "update", time_s, self._reason_to_stay_quiet(track, told.state, time_s))

    def retell(self, track: int, told: Told) -> None:
        """Note what the open event would say now, without telling anybody: its next step does."""
        self._open[track].told = told

    def has_alerted(self, track: int) -> bool:
        """Whether the track's open event has alerted people."""
        return self._open[track].alerted

    def end(self, track: int, time_s: float, reason: str, told: Told | None = None) -> Event:
        """End the open event, with a last word if there is one."""
        opened = self._open.pop(track)
        opened.told = told or opened.told
        time_s = max(time_s, opened.started_s)
        if track in self._known:
            self._known[track].ended_s = time_s
        return self._event(opened, track, "end", time_s, end_reason=reason)

    def finish(self, time_s: float, reason: str) -> list[Event]:
        """End everything that is open: the camera is stopping, or its settings change."""
        return [self.end(track, time_s, reason) for track in list(self._open)]

    def _tell(self, track: int, opened: _Open, phase: EventPhase, time_s: float, held_back: str | None) -> Event:
        """A step that alerts people unless it is held back."""
        if held_back is not None:
            return self._event(opened, track, phase, time_s, details={"held_back": held_back})
        opened.alerted = True
        self._known[track].alert = _Alert(track, opened.told.state, time_s)
        self._recent_alerts_s.append(time_s)
        return self._event(opened, track, phase, time_s, violation=True)

    def _reason_to_stay_quiet(self, track: int, state: str, time_s: float) -> str | None:
        """Why this event does not alert, or None."""
        alert = self._known[track].alert
        same_person = alert is not None and (alert.track == track or alert.state == state)
        if alert and same_person and time_s - alert.time_s < self.settings.cooldown_seconds:
            return "cooldown"
        while self._recent_alerts_s and time_s - self._recent_alerts_s[0] >= 60:
            self._recent_alerts_s.popleft()
        return "too many" if len(self._recent_alerts_s) >= self.settings.most_alerts_per_minute else None

    def _alert_of_predecessor(self, seen: Sighting) -> _Alert | None:
        """The last alert of a face that stood where this one begins, until a moment before it began."""
        for known in (*reversed(self._known.values()), *reversed(self._gone)):
            gap = seen.first_seen_s - known.seen.last_seen_s
            if known.alert and 0 < gap <= SAME_PERSON_SECONDS and _near(seen.box, known.seen.box):
                return known.alert
        return None

    def _end_absent(self, present: set[int], time_s: float) -> list[Event]:
        """End the events of faces that are gone, and forget those faces."""
        absent = [track for track in self._known if track not in present]
        return [event for track in absent for event in self._let_go(track, time_s, "left")]

    def _let_go(self, track: int, time_s: float, reason: str) -> list[Event]:
        """Forget one track, but not its alert; end its event, if it has one, as of when the track was last seen."""
        known = self._known.pop(track)
        if known.alert:
            self._gone.append(known)
        return [self.end(track, min(known.seen.last_seen_s, time_s), reason)] if track in self._open else []

    def _set_back(self, time_s: float) -> None:
        """The clock was set back: what lies ahead of it now is taken to be now, or it would never be over."""
        self._recent_alerts_s = deque(min(alert_s, time_s) for alert_s in self._recent_alerts_s)
        for known in (*self._known.values(), *self._gone):
            if known.alert and known.alert.time_s > time_s:
                known.alert = replace(known.alert, time_s=time_s)

    def _event(
        self,
        opened: _Open,
        track: int,
        phase: EventPhase,
        time_s: float,
        *,
        violation: bool = False,
        end_reason: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> Event:
        told = opened.told
        return Event(
            key=opened.key,
            kind=self.kind,
            phase=phase,
            camera=self.camera,
            track=track,
            time_s=time_s,
            state=told.state,
            score=told.score,
            votes=told.votes,
            end_reason=end_reason,
            violation=violation,
            details={**told.details, **(details or {})},
        )


def _near(a: Box, b: Box) -> bool:
    """Whether two boxes could be the same face a moment apart: centres within one width, like sizes."""
    (ax, ay), (bx, by) = a.centre, b.centre
    width = max(a.width, b.width, 1.0)
    ratio = max(a.width, 1.0) / max(b.width, 1.0)
    return abs(ax - bx) <= width and abs(ay - by) <= width and 0.7 <= ratio <= 1.4
