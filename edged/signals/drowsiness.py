"""Estimates drowsiness from eyes, mouth and head: PERCLOS, closures, blinks, yawns and nods, and a level.

PERCLOS is Wierwille's P80 (1994; FHWA Tech Brief MCRT-98-006): the share of a minute with eyes at least 80 % closed, in
slow closures; blinks are left out. What cannot be seen is unknown and never counts as awake. No medical judgement.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edged.config import DrowsinessConfig
from edged.signals.direction import Direction, direction_of, usual_pitch
from edged.signals.eyes import Closure, ClosureFollower, OpennessMeter, finite
from edged.signals.learned import LearnedValue
from edged.signals.levels import Evidence, Judge
from edged.signals.mouth import Lips, YawnFinder
from edged.signals.nods import NodFinder
from edged.signals.timeline import PerTrack, SlidingSum, Timeline
from edged.types import Drowsiness, DrowsinessReason, Face, MaskState

LEAST_SURE_DEGREES = 12.0
"""A pose less sure than this is none."""

LOWERED_DEGREES = 15.0
"""A head this far below its usual pitch looks down, and the lids with it: that is no closure."""

BLINK_FPS = 15.0
"""Blinks are counted from so many frames a second on."""

YAWN_WINDOW_S, NOD_WINDOW_S = 600.0, 60.0

YAWNED_LATELY_S = 60.0

LEAST_READ_S = 5.0
"""A mouth or head that was not read for this long within the last minute has not been watched."""

STILL_VALID = 0.75
"""PERCLOS that is known stays so down to this share of the valid time that it needs to become known."""

LOOKING_DOWN, YAWNING = "looking down", "yawning"
"""Why eyes that were read are left out."""

_TINY = 1e-9

FPS_TOLERANCE = 0.95
OPEN_EYES, WIDE_EYES = 0.5, 0.8
"""Eyes this far open are open; and so far that the lids are not merely lowered: the head is then as it usually is."""
STRAIGHT_YAW, STRAIGHT_PITCH = 25.0, 15.0
"""Degrees within which the lids' aspect ratio is that of a face seen from the front."""

MOUTH_YAW = 50.0
"""Degrees beyond which a mouth is seen from the side, and shows nothing of how far it is open."""

FIRST_BLINKS = 30

KNOWN_SECONDS, STRANGER_SECONDS = 0.5, 10.0
"""Who has not had open eyes for so long in all may have narrow ones, or laugh: only a closure of the second length accuses."""


@dataclass(slots=True)
class _Blinks:
    """Number and duration of the last minute's blinks, and how long blinks were at first."""

    count: SlidingSum = field(default_factory=lambda: SlidingSum(60.0))
    seconds: SlidingSum = field(default_factory=lambda: SlidingSum(60.0))
    first: list[float] = field(default_factory=list)

    def add(self, now_s: float, seconds: float) -> None:
        self.count.add(now_s, 1.0)
        self.seconds.add(now_s, seconds)
        if len(self.first) < FIRST_BLINKS:
            self.first.append(seconds)

    def mean_s(self, now_s: float) -> float | None:
        """The mean duration, None without a blink."""
        count = self.count.total(now_s)
        return self.seconds.total(now_s) / count if count else None

    def slowness(self, now_s: float) -> float:
        """By how many standard deviations they are longer than at first; 0 while that is not known."""
        mean_s, first = self.mean_s(now_s), self.first
        if mean_s is None or len(first) < FIRST_BLINKS:
            return 0.0
        usual = sum(first) / len(first)
        spread = math.sqrt(sum((value - usual) ** 2 for value in first) / len(first))
        return (mean_s - usual) / max(spread, 0.03)


@dataclass(slots=True)
class _Reading:
    """What one frame shows, as numbers that are numbers; None or a reason where it shows nothing."""

    openness: float | None
    eyes: str | None
    """Why the eyes could not be read."""
    direction: Direction | str
    mouth: float | None
    covered: bool = False
    """There is a hand or a cup before the mouth."""


@dataclass(slots=True)
class _Person:
    """One track. Spans of time belong to what the frame they begin with showed."""

    settings: DrowsinessConfig
    timeline: Timeline = field(default_factory=Timeline)
    meter: OpennessMeter = field(default_factory=OpennessMeter)
    usual_pitch: LearnedValue = field(default_factory=lambda: LearnedValue(usual_pitch, 0.0))
    """Degrees; that of a head that faces the lens at first."""
    lips: Lips = field(default_factory=Lips)
    open_s: float = 0.0
    """For how long open eyes have been seen."""
    closures: ClosureFollower = field(init=False)
    yawn: YawnFinder = field(init=False)
    nod: NodFinder = field(init=False)
    judge: Judge = field(init=False)
    valid: SlidingSum = field(init=False)
    readings: SlidingSum = field(init=False)
    shut: SlidingSum = field(init=False)
    long_closures: SlidingSum = field(default_factory=lambda: SlidingSum(60.0))
    mouth_read: SlidingSum = field(default_factory=lambda: SlidingSum(60.0))
    head_read: SlidingSum = field(default_factory=lambda: SlidingSum(60.0))
    yawns: SlidingSum = field(default_factory=lambda: SlidingSum(YAWN_WINDOW_S))
    nods: SlidingSum = field(default_factory=lambda: SlidingSum(NOD_WINDOW_S))
    blinks: _Blinks = field(default_factory=_Blinks)
    booked_s: float = 0.0
    """How much of the present closure PERCLOS has counted, or leaves out since it was not seen."""
    unread_s: float = 0.0
    """For how long the eyes could not be read before this frame."""
    perclos_known: bool = False
    yawned_s: float = -math.inf
    masked: bool = False
    last: _Reading | None = None
    latest: Drowsiness | None = None

    def __post_init__(self) -> None:
        settings = self.settings
        self.closures, self.judge = ClosureFollower(settings), Judge(settings)
        self.yawn, self.nod = YawnFinder(settings), NodFinder(settings)
        self.valid, self.readings, self.shut = (SlidingSum(settings.window_seconds) for _ in range(3))

    def follow(self, time_s: float, face: Face) -> Drowsiness:
        """Take in this frame, unless it came late or the face was not read in it."""
        if face.unread == "not due" and self.latest is not None:
            return self.latest
        step = self.timeline.advance(time_s)
        if step is None and self.latest is not None:
            return self.latest
        if face.mask is not None:
            self.masked = face.mask.state is not MaskState.NONE
        if step is None or step.broken:
            self._interrupt()
        reading, elapsed_s = self._read(face), step.elapsed_s if step else 0.0
        self._book(elapsed_s)
        self._follow_eyes(reading)
        self._follow_gestures(reading)
        self.judge.closures.follow(elapsed_s, self.closures.closed, self._accused_s())
        self.last = reading
        self.latest = self._drowsiness(face.track.id, time_s if math.isfinite(time_s) else 0.0, reading, face)
        return self.latest

    def _interrupt(self) -> None:
        """What was between the last frame and this one is not known."""
        self.closures.forget()
        self.yawn.forget()
        self.nod.forget()
        self.last, self.booked_s, self.unread_s = None, 0.0, 0.0

    def _accused_s(self) -> float:
        """How long the present closure has lasted, as far as the person is known well enough to call it one."""
        lasted_s = self.closures.seconds(self.timeline.now_s)
        return lasted_s if self.open_s >= KNOWN_SECONDS or lasted_s >= STRANGER_SECONDS else 0.0

    def _read(self, face: Face) -> _Reading:
        """What this frame shows of the face; a mouth behind a hand is not seen."""
        direction = direction_of(face, self.settings.smallest_face, LEAST_SURE_DEGREES)
        if direction in ("out of sight", "small", "tilted"):
            return _Reading(None, str(direction), direction, None)
        now_s, mouth = self.timeline.now_s, _mouth(face, direction)
        covered = self.lips.are_covered(now_s, face, mouth, self.yawn.is_open)
        return replace(self._read_eyes(face, direction, None if covered else mouth), covered=covered)

    def _read_eyes(self, face: Face, direction: Direction | str, mouth: float | None) -> _Reading:
        now_s = self.timeline.now_s
        if face.eyes is None:
            return _Reading(None, face.unread or "not read", direction, mouth)
        lowered_by, straight = 0.0, face.pose is None
        if isinstance(direction, Direction):
            lowered_by = self.usual_pitch.value - direction.pitch
            straight = abs(direction.yaw) <= STRAIGHT_YAW and abs(lowered_by) <= STRAIGHT_PITCH
        elif face.pose is not None and math.isfinite(face.pose.facing_pitch):
            # A guess that the head is down is enough to doubt that lids which look shut are.
            lowered_by = self.usual_pitch.value - face.pose.facing_pitch
        openness = self.meter.measure(now_s, face.eyes, learn=straight)
        if openness is None:
            return _Reading(None, face.eyes.unavailable or "not read", direction, mouth)
        if isinstance(direction, Direction) and openness >= WIDE_EYES:
            self.usual_pitch.sample(now_s, direction.pitch)
        lowered, yawning = lowered_by > LOWERED_DEGREES, self.yawn.is_on(now_s)
        if (lowered or (yawning and openness < OPEN_EYES)) and self._is_no_sleep():
            return _Reading(None, LOOKING_DOWN if lowered else YAWNING, direction, mouth)
        return _Reading(openness, None, direction, mouth)

    def _is_no_sleep(self) -> bool:
        """Lids that went down with the head look down with it, and many people shut their eyes to yawn; lids that were
        shut before are asleep.
        """
        now_s = self.timeline.now_s
        if self.closures.seconds(now_s) >= self.settings.long_closure_seconds:
            return False
        if self.closures.closed:
            self.closures.forget()
            self.booked_s = 0.0
        return True

    def _book(self, elapsed_s: float) -> None:
        """Count the time since the last frame as what that one let be seen."""
        if self.last is None:
            return
        now_s = self.timeline.now_s
        if self.last.openness is not None:
            self.open_s += elapsed_s if self.last.openness >= OPEN_EYES else 0.0
            self.valid.add(now_s, elapsed_s)
            self.readings.add(now_s, 1.0)
            if isinstance(self.last.direction, Direction):
                self.head_read.add(now_s, elapsed_s)
        else:
            self.unread_s += elapsed_s
        if self.last.mouth is not None:
            self.mouth_read.add(now_s, elapsed_s)

    def _follow_eyes(self, reading: _Reading) -> None:
        now_s, long_s = self.timeline.now_s, self.settings.long_closure_seconds - 1e-9
        over = self.closures.follow(now_s, reading.openness)
        if over is not None:
            self._close(now_s, over, over.seconds >= long_s)
        if reading.openness is not None:
            # A closure goes on while the eyes cannot be read for a moment; PERCLOS is of the time in which they were seen.
            self.booked_s = self.booked_s + self.unread_s if self.closures.began_before(now_s) else 0.0
            self.unread_s = 0.0
        lasted_s = self.closures.seconds(now_s)
        if lasted_s >= long_s:
            self.shut.add(now_s, max(0.0, lasted_s - self.booked_s))
            self.booked_s = max(self.booked_s, lasted_s)

    def _close(self, now_s: float, over: Closure, is_long: bool) -> None:
        if is_long:
            self.shut.add(now_s, max(0.0, over.seconds - self.booked_s))
            if over.seconds < self.settings.microsleep_seconds:
                self.long_closures.add(now_s, 1.0)
        elif over.reopened:
            self.blinks.add(now_s, over.seconds)
        self.booked_s = 0.0

    def _follow_gestures(self, reading: _Reading) -> None:
        now_s = self.timeline.now_s
        if self.yawn.follow(now_s, reading.mouth, reading.covered):
            self.yawns.add(now_s, 1.0)
            self.yawned_s = now_s
        eyes_open = None if self.closures.closed is None else not self.closures.closed
        head = reading.direction if isinstance(reading.direction, Direction) else None
        if self.nod.follow(now_s, head, eyes_open, self.usual_pitch.value):
            self.nods.add(now_s, 1.0)

    def _perclos(self) -> float | None:
        """The share of valid time, None until enough of the window was valid, and again when clearly less is."""
        valid_s = self.valid.total(self.timeline.now_s)
        least = self.settings.least_valid * (STILL_VALID if self.perclos_known else 1.0)
        self.perclos_known = valid_s >= max(least * self.settings.window_seconds, _TINY)
        if not self.perclos_known:
            return None
        return min(1.0, self.shut.total(self.timeline.now_s) / valid_s)

    def _counted(self, count: SlidingSum, read: SlidingSum) -> int | None:
        """How many, None where too little was read to have seen any."""
        now_s = self.timeline.now_s
        return round(count.total(now_s)) if read.total(now_s) >= LEAST_READ_S else None

    def _sees_blinks(self) -> bool:
        """Whether there were enough frames a second to see each blink."""
        now_s = self.timeline.now_s
        return self.readings.total(now_s) >= BLINK_FPS * FPS_TOLERANCE * self.valid.total(now_s)

    def _drowsiness(self, track: int, time_s: float, reading: _Reading, face: Face) -> Drowsiness:
        now_s, perclos = self.timeline.now_s, self._perclos()
        yawns, nods = self._counted(self.yawns, self.mouth_read), self._counted(self.nods, self.head_read)
        judgement = self.judge.judge(
            now_s,
            Evidence(
                perclos=perclos,
                eyes_seen=self.valid.total(now_s) > 0,
                long_closures=self.long_closures.total(now_s),
                slow_blinks=0.0 if perclos is None or not self._sees_blinks() else self.blinks.slowness(now_s),
                yawns=yawns,
                yawned_lately=now_s - self.yawned_s <= YAWNED_LATELY_S,
                nods=nods,
            ),
        )
        return Drowsiness(
            track=track,
            time_s=time_s,
            openness=_rounded(reading.openness),
            closed=self.closures.closed,
            closure_s=round(self.closures.seconds(now_s), 3),
            perclos=_rounded(perclos),
            yawns=yawns,
            nods=nods,
            score=judgement.score,
            level=judgement.level,
            reasons=judgement.reasons,
            unavailable=self._unavailable(reading, face, perclos),
            reasons_s=tuple(round(self._lasting_s(reason), 3) for reason in judgement.reasons),
        )

    def _lasting_s(self, reason: DrowsinessReason) -> float:
        """How long ago what the reason rests on began."""
        now_s = self.timeline.now_s
        sums = {"perclos": self.shut, "yawning": self.yawns, "nodding": self.nods}
        return sums[reason].age_s(now_s) if reason in sums else self.closures.seconds(now_s)

    def _unavailable(self, reading: _Reading, face: Face, perclos: float | None) -> tuple[str, ...]:
        """The cues that could not be read in this frame, and why."""
        missing = [] if reading.eyes is None else [f"eyes: {reading.eyes}"]
        if reading.mouth is None:
            seen = face.unread is None and face.track.detection is not None
            why = "covered" if reading.covered else face.unread or reading.eyes or "not read"
            missing.append("mouth: mask" if self.masked and seen else f"mouth: {why}")
        if isinstance(reading.direction, str):
            missing.append(f"head: {reading.direction}")
        if perclos is None:
            missing.append("perclos: too little seen")
        return tuple(missing)


class DrowsinessMonitor:
    """One camera's drowsiness, a state for each living track."""

    def __init__(self, settings: DrowsinessConfig | None = None) -> None:
        self._people = PerTrack(lambda: _Person(settings or DrowsinessConfig()))

    def update(self, time_s: float, faces: Sequence[Face]) -> list[Drowsiness]:
        """Every track's drowsiness, in the order of `faces`; tracks that are not there are forgotten."""
        return [person.follow(time_s, face) for person, face in self._people.of(faces)]


def _mouth(face: Face, direction: Direction | str) -> float | None:
    """The lips' ratio as seen from the front: a turned mouth is as high as ever, and less wide. None where that is a guess."""
    ratio = finite(face.mouth_ratio)
    if ratio is None or face.pose is None:
        return ratio
    if isinstance(direction, str) or abs(direction.yaw) > MOUTH_YAW:
        return None
    return ratio * math.cos(math.radians(direction.yaw))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
