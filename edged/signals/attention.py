"""Finds from head poses whether people are attentive: whether they are away at present, and what adds up to a distraction.

Head pose, not gaze: eyes that wander while the head stays are not noticed. The structure is that of
AttenD and of Euro NCAP's driver monitoring (long distraction: one time away of 3 s; repeated: 10 s within 30 s, made
good by 2 s ahead), applied to any target. Time that is not known is neither attentive nor away.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from edged.config import AttentionConfig
from edged.signals.direction import Direction, LearnedDirection, direction_of
from edged.signals.learned import SAMPLE_EVERY_S
from edged.signals.timeline import PerTrack, SlidingSum, Timeline
from edged.types import Attention, Distraction, Face

RECOVER_SECONDS = 1.0
"""How long a head must point ahead to fill an empty buffer."""

SETTLE_SECONDS = 0.1
"""Turning away, or back, counts once it has lasted this long; then from its beginning."""

GRACE_SECONDS = 0.5
"""For this long a direction that is not known is taken to be the last one."""

SLACK_DEGREES = 3.0
"""Who is away is back this far inside the cone."""

DROPPED_SECONDS = 3.0
"""A head that is lost while it goes down is taken to be down for this long."""

CAMERA_SAMPLES = 10
"""With these the camera's usual direction is the target of people who are new: five seconds of one face."""

OWN_SAMPLES = 120
"""With these, a minute, a person has an own target."""

DROP_DEGREES, DROP_SECONDS = 8.0, 1.0
"""A head that went down this far within this time was on its way down."""

_TINY = 1e-9


@dataclass(slots=True)
class _Person:
    """One track's attention. Spans of time belong to what the frame they begin with showed."""

    settings: AttentionConfig
    camera: LearnedDirection
    fixed: Direction | None = field(init=False)
    """Straight ahead, where the config says it."""
    timeline: Timeline = field(default_factory=Timeline)
    learned: LearnedDirection = field(default_factory=LearnedDirection)
    sampled_s: float = -math.inf
    ahead: bool | None = None
    """The last frame's: True ahead, False away, None not known."""
    standing: bool | None = None
    """What counts: `ahead` once it has settled."""
    contrary_s: float = 0.0
    unknown_s: float = 0.0
    lost_s: float = 0.0
    buffer: float = 1.0
    away_s: float = 0.0
    forward_s: float = 0.0
    attentive_s: float = 0.0
    away_total_s: float = 0.0
    distraction: Distraction | None = None
    distracted_from_s: float = 0.0
    recent: SlidingSum = field(init=False)
    pitches: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=64))
    """When and how far from the target, over the last second."""
    latest: Attention | None = None

    def __post_init__(self) -> None:
        yaw, pitch = self.settings.target_yaw, self.settings.target_pitch
        self.fixed = None if yaw is None or pitch is None else Direction(yaw, pitch)
        self.recent = SlidingSum(self.settings.window_seconds)

    def follow(self, time_s: float, face: Face) -> Attention:
        """Take in this frame, unless it came late or the face was not read in it."""
        if face.pose is None and face.unread == "not due" and self.latest is not None:
            return self.latest
        step = self.timeline.advance(time_s)
        if step is None and self.latest is not None:
            return self.latest
        direction = direction_of(face, self.settings.smallest_face, self.settings.most_deviation)
        ahead, unavailable = self._judge(direction)
        seen_away = ahead is False
        if step is None or step.broken:
            self._interrupt()
        else:
            ahead = self._presumed(ahead, face, step.elapsed_s)
            self._pass(step.elapsed_s, ahead)
        self._settle(ahead)
        self._weigh(seen_away)
        self._learn(direction)
        time_s = time_s if math.isfinite(time_s) else 0.0
        self.latest = self._attention(face.track.id, time_s, unavailable)
        return self.latest

    def target(self) -> Direction | None:
        """Straight ahead for this person, as far as it is known."""
        return self.fixed or self.learned.known(OWN_SAMPLES) or self.camera.known(CAMERA_SAMPLES)

    def _judge(self, direction: Direction | str) -> tuple[bool | None, str | None]:
        """Whether the head points ahead in this frame; None with the reason when that is not known."""
        if isinstance(direction, str):
            return None, direction
        target, limits = self.target(), self.settings
        if target is None:
            return None, "learning"
        slack = 0.0 if self.standing is not False else min(SLACK_DEGREES, limits.down_degrees / 2)
        yaw, pitch = direction.yaw - target.yaw, direction.pitch - target.pitch
        self.pitches.append((self.timeline.now_s, pitch))
        within_yaw = abs(yaw) <= limits.yaw_degrees - slack
        return within_yaw and slack - limits.down_degrees <= pitch <= limits.up_degrees - slack, None

    def _presumed(self, ahead: bool | None, face: Face, elapsed_s: float) -> bool | None:
        """A face that is lost while the head goes down has not vanished: the head has dropped."""
        if ahead is not None or not (face.track.detection is None or face.pose is None):
            self.lost_s = 0.0
            return ahead
        self.lost_s += elapsed_s
        return False if self.lost_s <= DROPPED_SECONDS and self._was_dropping() else None

    def _was_dropping(self) -> bool:
        if not self.pitches:
            return False
        last_s, last = self.pitches[-1]
        if self.timeline.now_s - self.lost_s - last_s > DROP_SECONDS:
            return False
        highest = max(pitch for at_s, pitch in self.pitches if last_s - at_s <= DROP_SECONDS)
        down = self.settings.down_degrees
        return last <= -down or (last <= -down / 2 and highest - last >= DROP_DEGREES)

    def _interrupt(self) -> None:
        """What was between the last frame and this one is not known."""
        self.ahead = None
        self.unknown_s = self.lost_s = 0.0
        self.pitches.clear()
        self._begin_anew()

    def _begin_anew(self) -> None:
        """A time away that went out of sight is over: what is seen later may be another."""
        self.standing, self.buffer = None, 1.0
        self.contrary_s = self.away_s = self.forward_s = 0.0

    def _pass(self, elapsed_s: float, ahead: bool | None) -> None:
        """Book the time since the last frame on what that frame showed."""
        if self.ahead is None:
            self.unknown_s += elapsed_s
            if self.unknown_s > GRACE_SECONDS + _TINY:
                self._begin_anew()
            else:
                self._book(elapsed_s)
        elif self.ahead is self.standing:
            self._book(elapsed_s)
        else:
            self.contrary_s += elapsed_s
            if ahead is not None and ahead is not self.ahead:
                self._book(self.contrary_s)
                self.contrary_s = 0.0

    def _settle(self, ahead: bool | None) -> None:
        """Let a new direction stand once two frames and `SETTLE_SECONDS` speak for it; its time counts from its beginning."""
        self.ahead = ahead
        if ahead is None:
            return
        self.unknown_s = 0.0
        if self.standing is None:
            self.standing = ahead
        elif ahead is not self.standing and self.contrary_s >= SETTLE_SECONDS - _TINY:
            self.standing, settled_s, self.contrary_s = ahead, self.contrary_s, 0.0
            self.away_s = self.forward_s = 0.0
            self._book(settled_s, recovering=False)

    def _book(self, seconds: float, recovering: bool = True) -> None:
        """Count time as what stands."""
        if self.standing is True:
            self.forward_s += seconds
            self.attentive_s += seconds
            if recovering:
                self.buffer = min(1.0, self.buffer + seconds / RECOVER_SECONDS)
            if self.forward_s >= self.settings.forward_seconds - _TINY:
                self.recent.clear()
        elif self.standing is False:
            self.away_s += seconds
            self.away_total_s += seconds
            self.buffer = max(0.0, self.buffer - seconds / self.settings.long_seconds)
            self.recent.add(self.timeline.now_s, seconds)

    def _weigh(self, seen_away: bool) -> None:
        """Whether a distraction begins, gets worse, or is over. It begins only while the person is seen to be away: a head
        that has dropped out of sight counts as away, but who knows what has become of it.
        """
        too_often = self.recent.total(self.timeline.now_s) >= self.settings.repeated_seconds - _TINY
        if self.standing is False and seen_away:
            if self.buffer <= _TINY:
                self._distract("long", self.away_s)
            elif too_often and self.distraction is None:
                self._distract("repeated", max(self.away_s, self.recent.age_s(self.timeline.now_s)))
        elif self.standing is True and self.buffer >= 1 - _TINY and not too_often:
            self.distraction = None

    def _distract(self, how: Distraction, since_s: float) -> None:
        if self.distraction is None:
            self.distracted_from_s = self.timeline.now_s - since_s
        self.distraction = how

    def _learn(self, direction: Direction | str) -> None:
        """Twice a second, remember where the head points; not while it is distracted."""
        if isinstance(direction, str) or self.fixed or self.distraction:
            return
        if self.timeline.now_s - self.sampled_s >= SAMPLE_EVERY_S - _TINY:
            self.sampled_s = self.timeline.now_s
            self.learned.add(direction)
            self.camera.add(direction)

    def _attention(self, track: int, time_s: float, unavailable: str | None) -> Attention:
        return Attention(
            track=track,
            time_s=time_s,
            attentive=self.standing,
            unavailable=(unavailable or "not known") if self.standing is None else None,
            away_s=round(self.away_s, 3),
            away_recent_s=round(self.recent.total(self.timeline.now_s), 3),
            distraction=self.distraction,
            attentive_s=round(self.attentive_s, 3),
            away_total_s=round(self.away_total_s, 3),
            distraction_s=round(self.timeline.now_s - self.distracted_from_s, 3) if self.distraction else 0.0,
        )


class AttentionMonitor:
    """One camera's attention, a state for each living track. The usual direction of all of them outlives the tracks."""

    def __init__(self, settings: AttentionConfig | None = None) -> None:
        self._settings = settings or AttentionConfig()
        self.forget()

    def forget(self) -> None:
        """Begin anew: no person is known, nor where heads usually point."""
        camera = LearnedDirection()
        self._people = PerTrack(lambda: _Person(self._settings, camera))

    def update(self, time_s: float, faces: Sequence[Face]) -> list[Attention]:
        """Every track's attention, in the order of `faces`; tracks that are not there are forgotten."""
        return [person.follow(time_s, face) for person, face in self._people.of(faces)]
