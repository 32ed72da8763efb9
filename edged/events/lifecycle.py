"""What events of every kind share: they start once, may be updated, end once, and alert people sparingly."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from edged.config import EventsConfig, KindConfig
from edged.types import Box, Event, EventKind, MaskVote, Votes

STATIC = "static"
"""The reason why an event ends whose face turned out to be a static face."""

SAME_PERSON_SECONDS = 1.5
"""A new track that begins this soon after, and where, one in the same state ended is taken for the same person."""

ALERT_WINDOW_S = 60.0

FOR_NOW = ("cooldown", "level")
"""Reasons to hold an alert back that pass: what still goes on then alerts."""


@dataclass(slots=True)
class _Open:
    """An event that has not ended, as it was last reported or noted."""

    event: Event
    started_s: float
    held_back: str | None = None
    """Why it has not alerted; None once it has."""


@dataclass(frozen=True, slots=True)
class _Alert:
    """One alert: of which track, in which state (the last one of that event), and when."""

    track: int
    state: str
    time_s: float


@dataclass(slots=True)
class _Seen:
    """One track as it was last seen."""

    vote: MaskVote
    alert: _Alert | None
    """Its last alert, or that of the track that stood here a moment before this one began."""
    ended_s: float = float("-inf")
    """When its last event ended: the next one begins no earlier."""


@dataclass(slots=True)
class EventLifecycle:
    """One camera's events of one kind. Times that run backwards make no event end before it started."""

    kind: ClassVar[EventKind]

    camera: str
    settings: KindConfig
    limits: EventsConfig = field(default_factory=EventsConfig)
    _open: dict[int, _Open] = field(default_factory=dict)
    _seen: dict[int, _Seen] = field(default_factory=dict)
    _gone: deque[_Seen] = field(default_factory=lambda: deque(maxlen=64))
    """Tracks that are gone, and whose alert the next track at the same place takes over."""
    _recent_alerts_s: deque[float] = field(default_factory=deque)
    _last_s: float = float("-inf")
    _count: int = 0

    def end_static(self, tracks: Iterable[int], time_s: float) -> list[Event]:
        """End the events of static faces, before their tracks are taken for people who left."""
        return [event for track in tracks if track in self._seen for event in self._forget(track, time_s, STATIC)]

    def finish(self, time_s: float, reason: str) -> list[Event]:
        """End everything that is open: the camera is stopping, or its settings change."""
        return [self._end(track, time_s, reason) for track in list(self._open)]

    def _track(self, time_s: float, votes: Sequence[MaskVote]) -> list[Event]:
        """Take in the present tracks, of which each has a mask vote; end the events of those that are gone, as of when they
        were last seen.
        """
        if time_s < self._last_s:
            self._set_back(time_s)
        self._last_s = time_s
        present = {vote.track for vote in votes}
        absent = [track for track in self._seen if track not in present]
        ended = [event for track in absent for event in self._forget(track, time_s, "left")]
        for vote in votes:
            seen = self._seen.get(vote.track)
            if seen is None:
                self._seen[vote.track] = _Seen(vote, self._alert_of_predecessor(vote))
            else:
                seen.vote = vote
        return ended

    def _drop(self, time_s: float, followed: Collection[int]) -> list[Event]:
        """End the events of those who are here and not followed any more: in a cab, of who is not taken for the driver now."""
        return [self._end(track, time_s, "left") for track in list(self._open) if track not in followed]

    def _now(
        self,
        track: int,
        time_s: float,
        state: str,
        score: float | None = None,
        votes: Votes | None = None,
        details: Mapping[str, object] | None = None,
    ) -> Event:
        """The track's event as it stands at this moment; `_start`, `_go_on` and `_end` give it its key and phase."""
        return Event(
            "", self.kind, "update", self.camera, track, time_s, state, score, votes, details=details or {}
        )  # fmt: skip

    def _standing(self, track: int) -> Event | None:
        """The track's open event as it was last reported or noted; None when it has none."""
        opened = self._open.get(track)
        return opened.event if opened else None

    def _start(self, track: int, now: Event, began_s: float | None, held_back: str | None = None) -> Event:
        """Start the event of a track that was seen in this frame and has none open. `held_back`: why it is not to alert;
        `began_s`: when that began which is confirmed now, None when it is not known.
        """
        self._count += 1
        event = replace(now, key=f"{self.camera}-{self.kind}-{self._count}", phase="start")
        opened = self._open[track] = _Open(event, event.time_s)
        event = self._alert(track, opened, event, held_back or self._reason_to_hold_back(track, event))
        if began_s is None:
            return event
        return replace(event, began_s=min(event.time_s, max(began_s, self._seen[track].ended_s)))

    def _go_on(self, track: int, now: Event, *, changed: bool, alerts: bool = False) -> list[Event]:
        """Take in what an open event has come to: it ends when it has lasted as long as any may, is updated when it has
        changed, and is else only noted. `alerts`: what is seen now is worth an alert. It makes one where the event was held back
        for a while only, as by the cooldown, and the while is over.
        """
        opened, seen = self._open[track], self._seen[track]
        # Away from the start in either direction: the clock may have been set back.
        if abs(now.time_s - opened.started_s) >= self.limits.longest_seconds:
            return [self._end(track, now.time_s, "longest", now)]
        event = opened.event = replace(now, key=opened.event.key)
        if changed and seen.alert:
            seen.alert = replace(seen.alert, state=event.state)
        if alerts and opened.held_back in FOR_NOW and seen.vote.last_seen_s >= now.time_s:
            reason = self._reason_to_hold_back(track, event)
            if reason != opened.held_back:
                return [self._alert(track, opened, event, reason)]
        return [event] if changed else []

    def _end(self, track: int, time_s: float, reason: str, now: Event | None = None) -> Event:
        """End the open event, as it is `now` or as it stood."""
        opened = self._open.pop(track)
        time_s = max(time_s, opened.started_s)
        if track in self._seen:
            self._seen[track].ended_s = time_s
        return replace(now or opened.event, key=opened.event.key, phase="end", time_s=time_s, end_reason=reason)

    def _alert(self, track: int, opened: _Open, event: Event, held_back: str | None) -> Event:
        """The step, which alerts people unless it is held back."""
        opened.held_back = held_back
        if held_back is not None:
            return replace(event, details={**event.details, "held_back": held_back})
        self._seen[track].alert = _Alert(track, event.state, event.time_s)
        self._recent_alerts_s.append(event.time_s)
        return replace(event, violation=True)

    def _reason_to_hold_back(self, track: int, event: Event) -> str | None:
        """Why this event does not alert, or None."""
        alert = self._seen[track].alert
        same_person = alert is not None and (alert.track == track or alert.state == event.state)
        if alert and same_person and event.time_s - alert.time_s < self.settings.cooldown_seconds:
            return "cooldown"
        while self._recent_alerts_s and event.time_s - self._recent_alerts_s[0] >= ALERT_WINDOW_S:
            self._recent_alerts_s.popleft()
        return "too many" if len(self._recent_alerts_s) >= self.settings.most_alerts_per_minute else None

    def _alert_of_predecessor(self, vote: MaskVote) -> _Alert | None:
        """The last alert of a face that stood where this one begins, until a moment before it began; or of this one itself, which
        was taken for a static face meanwhile.
        """
        for seen in (*reversed(self._seen.values()), *reversed(self._gone)):
            gap = vote.first_seen_s - seen.vote.last_seen_s
            follows = 0 < gap <= SAME_PERSON_SECONDS and _near(vote.box, seen.vote.box)
            if seen.alert and (follows or seen.vote.track == vote.track):
                return seen.alert
        return None

    def _forget(self, track: int, time_s: float, reason: str) -> list[Event]:
        """Forget one track, but not its alert; end its event, if it has one, as of when the track was last seen."""
        seen = self._seen.pop(track)
        if seen.alert:
            self._gone.append(seen)
        return [self._end(track, min(seen.vote.last_seen_s, time_s), reason)] if track in self._open else []

    def _set_back(self, time_s: float) -> None:
        """The clock was set back: alerts that lie ahead of it now are taken to be of now, or their cooldown would never end."""
        self._recent_alerts_s = deque(min(alert_s, time_s) for alert_s in self._recent_alerts_s)
        for seen in (*self._seen.values(), *self._gone):
            if seen.alert and seen.alert.time_s > time_s:
                seen.alert = replace(seen.alert, time_s=time_s)


def _near(a: Box, b: Box) -> bool:
    """Whether two boxes could be the same face a moment apart: centres within one width, like sizes."""
    (ax, ay), (bx, by) = a.centre, b.centre
    width = max(a.width, b.width, 1.0)
    ratio = max(a.width, 1.0) / max(b.width, 1.0)
    return abs(ax - bx) <= width and abs(ay - by) <= width and 0.7 <= ratio <= 1.4
