"""The kinds of events about people: what starts each, what changes it, and what ends it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edged.config import AttentionConfig, DrowsinessConfig, MaskConfig
from edged.events.lifecycle import EventLifecycle
from edged.types import (
    DROWSINESS_LEVELS,
    Attention,
    Drowsiness,
    DrowsinessReason,
    Event,
    MaskState,
    MaskVote,
)

GRAVEST_FIRST: tuple[DrowsinessReason, ...] = ("sleep", "microsleep", "perclos", "nodding", "yawning")


@dataclass(slots=True)
class MaskEvents(EventLifecycle):
    """One camera's mask events, whose state is that of the verdict."""

    kind = "mask"
    settings: MaskConfig = field(default_factory=MaskConfig)

    def update(self, time_s: float, votes: Sequence[MaskVote]) -> list[Event]:
        """The events this frame causes, in the order they are to be published."""
        events = self._track(time_s, votes)
        for vote in votes:
            events += self._follow(vote, time_s)
        return events

    def _follow(self, vote: MaskVote, time_s: float) -> list[Event]:
        track, state, before = vote.track, vote.state, self._standing(vote.track)
        now, violates = self._now(track, time_s, state.value, vote.score, vote.votes), state in self.settings.violations
        if before is None:
            return [self._start(track, now, vote.since_s)] if violates else []
        if not violates and state is not MaskState.UNCERTAIN:
            return [self._end(track, time_s, "corrected")]
        latest = now if violates else replace(before, phase="update", time_s=time_s)
        return self._go_on(track, latest, changed=latest.state != before.state, alerts=violates)


@dataclass(slots=True)
class InattentionEvents(EventLifecycle):
    """One camera's distractions, whose state is `long` or `repeated`."""

    kind = "inattention"
    settings: AttentionConfig = field(default_factory=AttentionConfig)

    def update(self, time_s: float, votes: Sequence[MaskVote], attention: Sequence[Attention]) -> list[Event]:
        """The events this frame causes, in the order they are to be published. `votes` tell where each track is."""
        events = self._track(time_s, votes)
        for one in attention:
            events += self._follow(one, time_s)
        return events + self._drop(time_s, {one.track for one in attention})

    def _follow(self, attention: Attention, time_s: float) -> list[Event]:
        track, before = attention.track, self._standing(attention.track)
        state = attention.distraction if attention.distraction in self.settings.distractions else None
        if state is None:
            return [self._end(track, time_s, "recovered")] if before else []
        # The longest time away in the event so far, and the most that times away have added up to.
        details = {"away_s": attention.away_s, "away_recent_s": attention.away_recent_s}
        if before is not None:
            details = {key: max(value, float(str(before.details[key]))) for key, value in details.items()}
            now = self._now(track, time_s, state, details=details)
            return self._go_on(track, now, changed=state != before.state, alerts=attention.attentive is False)
        # An event begins only while the person is seen to be away: an old distraction is none.
        if attention.attentive is not False:
            return []
        held_back = None if self.settings.alerts else "not wanted"
        now = self._now(track, time_s, state, details=details)
        return [self._start(track, now, time_s - attention.distraction_s, held_back)]


@dataclass(slots=True)
class DrowsinessEvents(EventLifecycle):
    """One camera's drowsy people; the event's state is the gravest reason there was for it."""

    kind = "drowsiness"
    settings: DrowsinessConfig = field(default_factory=DrowsinessConfig)
    _worst: dict[int, Drowsiness] = field(default_factory=dict)
    """The worst of each open event so far, with its reasons, the gravest first."""

    def update(self, time_s: float, votes: Sequence[MaskVote], drowsiness: Sequence[Drowsiness]) -> list[Event]:
        """The events this frame causes, in the order they are to be published. `votes` tell where each track is."""
        events = self._track(time_s, votes)
        for one in drowsiness:
            events += self._follow(one, time_s)
        events += self._drop(time_s, {one.track for one in drowsiness})
        self._worst = {track: worst for track, worst in self._worst.items() if track in self._open}
        return events

    def _follow(self, now: Drowsiness, time_s: float) -> list[Event]:
        track, is_open = now.track, now.track in self._open
        if not now.reasons:
            return [self._end(track, time_s, "recovered")] if is_open else []
        known = self._worst[track] if is_open else None
        worst = self._worst[track] = _worse(known, now)
        details = {"level": worst.level, "perclos": worst.perclos, "closure_s": worst.closure_s}
        event = self._now(
            track, time_s, worst.reasons[0], worst.score, details={**details, "reasons": list(worst.reasons)}
        )
        if known is None:
            since_s = dict(zip(now.reasons, now.reasons_s, strict=False)).get(worst.reasons[0], 0.0)
            return [self._start(track, event, time_s - since_s, None if self._is_grave(now) else "level")]
        return self._go_on(track, event, changed=worst.reasons != known.reasons, alerts=self._is_grave(now))

    def _is_grave(self, one: Drowsiness) -> bool:
        """Whether the level is one that alerts."""
        return DROWSINESS_LEVELS.index(one.level) >= DROWSINESS_LEVELS.index(self.settings.alert_level)


def _worse(before: Drowsiness | None, now: Drowsiness) -> Drowsiness:
    """The worst of both, with the reasons of both."""
    if before is None:
        return now
    return replace(
        now,
        level=max(before.level, now.level, key=DROWSINESS_LEVELS.index),
        perclos=_larger(before.perclos, now.perclos),
        closure_s=max(before.closure_s, now.closure_s),
        score=_larger(before.score, now.score),
        reasons=tuple(reason for reason in GRAVEST_FIRST if reason in (*before.reasons, *now.reasons)),
    )


def _larger(a: float | None, b: float | None) -> float | None:
    return max((value for value in (a, b) if value is not None), default=None)
