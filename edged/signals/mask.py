"""Votes on what single frames say about a mask, until there is a verdict that can be acted on.

A single vote is wrong too often to alert people. Votes are averaged over a window in seconds; a verdict is taken up
at one score and given up at a lower one, and must stand for a while before it counts.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from edged.config import MaskConfig
from edged.signals.timeline import PerTrack
from edged.types import JUDGED_STATES, Face, MaskState, MaskVote, Votes

FULL_WEIGHT_SIDE = 48.0
"""Faces with this shorter side or more weigh fully; smaller ones in proportion."""

MOST_VOTES = 64

_MOST = 1.001
"""No probability is larger, however it was rounded; what is larger, or no number, is no evidence."""


@dataclass(frozen=True, slots=True)
class _Vote:
    time_s: float
    weight: float
    scores: tuple[float, float, float]


@dataclass(slots=True)
class _Run:
    """Which state the votes are for one after the other, and since when. A single vote that differs breaks no run."""

    state: MaskState | None = None
    since_s: float = 0.0
    rival: MaskState | None = None
    rival_since_s: float = 0.0

    def follow(self, state: MaskState, time_s: float) -> None:
        if self.state is None:
            self.state, self.since_s = state, time_s
        elif state is self.state:
            self.rival = None
        elif state is self.rival:
            self.state, self.since_s, self.rival = state, self.rival_since_s, None
        else:
            self.rival, self.rival_since_s = state, time_s


@dataclass(slots=True)
class _Voter:
    """One track's recent votes and standing verdict."""

    settings: MaskConfig
    recent: deque[_Vote] = field(default_factory=deque)
    votes: Votes = field(default_factory=Votes)
    state: MaskState = MaskState.UNCERTAIN
    score: float = 0.0
    challenger: MaskState | None = None
    challenger_since_s: float = 0.0
    run: _Run = field(default_factory=_Run)
    since_s: float | None = None

    def add(self, face: Face, time_s: float) -> None:
        """Take in this frame's evidence, if it has any, and reconsider the verdict."""
        if face.mask is None or not all(0 <= score <= _MOST for score in face.mask):
            return
        if self.recent and time_s < self.recent[-1].time_s:
            # The clock was set back: votes from before would never grow old.
            self.recent.clear()
            self.challenger, self.run = None, _Run()
        self.run.follow(face.mask.state, time_s)
        weight = min(1.0, face.track.box.side / FULL_WEIGHT_SIDE)
        self.recent.append(_Vote(time_s, max(weight, 0.05), (face.mask.correct, face.mask.incorrect, face.mask.none)))
        self._forget(time_s)
        self._count(face)
        self._judge(time_s)

    def _forget(self, time_s: float) -> None:
        """Drop votes older than the window, but keep `least_votes`: settled tracks are judged rarely."""
        oldest = time_s - self.settings.vote_seconds
        while len(self.recent) > self.settings.least_votes and (
            self.recent[0].time_s < oldest or len(self.recent) > MOST_VOTES
        ):
            self.recent.popleft()

    def _count(self, face: Face) -> None:
        if face.mask is None:
            return
        state = face.mask.state if max(face.mask) >= self.settings.leave_score else MaskState.UNCERTAIN
        self.votes = self.votes._replace(**{state.value: getattr(self.votes, state.value) + 1})

    def _judge(self, time_s: float) -> None:
        """Hysteresis: give a verdict up when its mean falls below `leave_score`, take one up after it held."""
        total = sum(vote.weight for vote in self.recent)
        means = [sum(vote.weight * vote.scores[k] for vote in self.recent) / total for k in range(3)]
        if self.state is not MaskState.UNCERTAIN:
            self.score = means[JUDGED_STATES.index(self.state)]
            if self.score < self.settings.leave_score:
                self.state = MaskState.UNCERTAIN
        best = max(range(3), key=means.__getitem__)
        leader = JUDGED_STATES[best]
        if self.state is MaskState.UNCERTAIN:
            self.score = means[best]
        if (
            len(self.recent) < self.settings.least_votes
            or means[best] < self.settings.enter_score
            or leader is self.state
        ):
            self.challenger = None
        elif leader is not self.challenger:
            self.challenger, self.challenger_since_s = leader, time_s
        if self.challenger is not None and time_s - self.challenger_since_s >= self.settings.hold_seconds:
            since_s = self.run.since_s if self.run.state is leader else self.challenger_since_s
            self.state, self.score, self.challenger, self.since_s = leader, means[best], None, since_s


class MaskVoter:
    """One camera's mask verdicts, a voter for each living track. All stay uncertain unless masks are `enabled`."""

    def __init__(self, settings: MaskConfig | None = None, *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._voters = PerTrack(lambda: _Voter(settings or MaskConfig()))

    def update(self, time_s: float, faces: Sequence[Face]) -> list[MaskVote]:
        """The standing verdict of every track in `faces`; tracks that are not there are forgotten."""
        verdicts: list[MaskVote] = []
        for voter, face in self._voters.of(faces):
            if self._enabled:
                voter.add(face, time_s)
            track = face.track
            verdicts.append(
                MaskVote(
                    track=track.id,
                    time_s=time_s,
                    box=track.box,
                    first_seen_s=track.first_seen_s,
                    last_seen_s=track.last_seen_s,
                    state=voter.state,
                    score=round(min(voter.score, 1.0), 4),
                    votes=voter.votes,
                    since_s=None if voter.state is MaskState.UNCERTAIN else voter.since_s,
                )
            )
        return verdicts
