"""Synthetic people: what readers would say of a face whose eyes, head and mouth do known things at known times."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from edged.types import Detection, EyeReading, Face, HeadPose, MaskScores, Track
from support.doubles import square

OPEN_RATIO, SHUT_RATIO = 0.30, 0.09
LOWERED = 0.62
"""How far lids stand apart when the eyes look down, as a share of usual."""

SHUT_MOUTH, YAWNING = 0.05, 0.9
"""The lips' ratio."""

Spans = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Move:
    """The head turns to `yaw` and `pitch` from `start` on, in `over` seconds, and comes back at `end` as fast."""

    start: float
    end: float
    yaw: float = 0.0
    pitch: float = 0.0
    over: float = 0.3

    def share(self, time_s: float) -> float:
        """How far it is turned, 0 to 1."""
        rising = (time_s - self.start) / self.over
        falling = (self.end + self.over - time_s) / self.over
        return max(0.0, min(1.0, rising, falling))


def yawning(since_s: float, left_s: float) -> float:
    """How far a mouth is open in a yawn, 0 to 1: it opens within a second and shuts in less."""
    share = max(0.0, min(since_s / 1.0, left_s / 0.6, 1.0))
    return math.sin(share * math.pi / 2) ** 2


def talking(since_s: float, left_s: float) -> float:
    """Three to six syllables a second, some wider than others, with a breath every three seconds."""
    turns = 4.5 * since_s - 0.65 * math.cos(2 * math.pi * 0.37 * since_s)
    wide = 0.55 + 0.45 * math.sin(2 * math.pi * 0.83 * since_s)
    return 0.0 if since_s % 3 > 2.6 else wide * (0.5 - 0.5 * math.cos(2 * math.pi * turns))


def laughing(since_s: float, left_s: float) -> float:
    """Bouts of a second and a half, each wide open at once, shaken by a "ha" every 0.21 s (Provine and Yong 1991) and
    dying away; half a second of breath, with a smile, between them.
    """
    bout, at_s = divmod(since_s, 2.1)
    if at_s > 1.6:
        return 0.12 * min(1.0, left_s / 0.3)
    shaken = 0.5 - 0.5 * math.cos(2 * math.pi * at_s / (0.21 + 0.02 * math.sin(2 * bout)))
    return (0.35 + 0.5 * shaken) * (1 - 0.4 * at_s) * min(1.0, at_s / 0.15, left_s / 0.3)


NOTES = (0.5, 0.4, 1.8, 0.6, 2.4, 0.3, 0.7, 3.0, 0.4)


def singing(since_s: float, left_s: float) -> float:
    """Short notes and long ones, a quarter of a second apart, up to as wide as a yawn."""
    at_s = since_s % (sum(NOTES) + 0.25 * len(NOTES))
    for number, note in enumerate(NOTES):
        if at_s < note:
            return (0.45 + 0.5 * (number % 3 / 2)) * min(1.0, at_s / 0.1, (note - at_s) / 0.1, left_s / 0.1)
        at_s -= note
        if at_s < 0.25:
            break
        at_s -= 0.25
    return 0.05


def chewing(since_s: float, left_s: float) -> float:
    """Once or twice a second, with a bite in between."""
    bite = 0.9 if since_s % 8 < 0.6 else 0.35
    return bite * math.sin(math.pi * 1.4 * since_s) ** 2


MOUTHS = {"talks": talking, "laughs": laughing, "sings": singing, "chews": chewing, "yawns": yawning}


@dataclass(frozen=True)
class Script:
    """What one person does, in seconds from the start. Spans are closed at their start and open at their end."""

    seconds: float
    shut: Spans = ()
    lowered: Spans = ()
    """Eyes look down, the head does not."""
    yawns: Spans = ()
    talks: Spans = ()
    laughs: Spans = ()
    sings: Spans = ()
    chews: Spans = ()
    moves: Sequence[Move] = ()
    unseen: Spans = ()
    """Face out of sight."""
    hidden: Spans = ()
    """Eyes cannot be read."""
    masked: bool = False
    roll: float = 0.0
    usual: tuple[float, float] = (0.0, 0.0)
    """Yaw and pitch of a look straight ahead, from the lens."""
    open_ratio: float = OPEN_RATIO
    classifier: bool = True
    ratio: bool = True

    def then(self, other: "Script") -> "Script":
        """This script, and another after it."""
        by = self.seconds
        later = lambda spans: [(start + by, end + by) for start, end in spans]  # noqa: E731
        return replace(
            self,
            seconds=by + other.seconds,
            shut=[*self.shut, *later(other.shut)],
            lowered=[*self.lowered, *later(other.lowered)],
            yawns=[*self.yawns, *later(other.yawns)],
            talks=[*self.talks, *later(other.talks)],
            laughs=[*self.laughs, *later(other.laughs)],
            sings=[*self.sings, *later(other.sings)],
            chews=[*self.chews, *later(other.chews)],
            moves=[*self.moves, *(replace(m, start=m.start + by, end=m.end + by) for m in other.moves)],
            unseen=[*self.unseen, *later(other.unseen)],
            hidden=[*self.hidden, *later(other.hidden)],
        )


@dataclass
class Camera:
    """Looks at people `fps` times a second, with jitter of that share of the interval, and noisy readings."""

    fps: float
    jitter: float = 0.2
    noise: float = 1.0
    start: float = 1000.0
    seed: int = 0
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def film(self, *scripts: Script) -> Iterator[tuple[float, list[Face]]]:
        """The time and the faces of each frame; the first script is track 1. Times are monotonic from `start`."""
        frames = round(max(script.seconds for script in scripts) * self.fps)
        for index in range(frames):
            jitter = self.random.uniform(-self.jitter, self.jitter) / 2 if index else 0.0
            time_s = (index + jitter) / self.fps
            yield (
                self.start + time_s,
                [
                    self.face(track, script, time_s)
                    for track, script in enumerate(scripts, 1)
                    if time_s < script.seconds
                ],
            )

    def face(self, number: int, script: Script, time_s: float) -> Face:
        """What one frame shows of one person."""
        seen = not within(script.unseen, time_s)
        box = square(200.0 * number, 100, 120)
        last_seen_s = self.start + (time_s if seen else next(s for s, e in script.unseen if s <= time_s < e))
        track = Track(number, box, self.start, last_seen_s, 2, Detection(box, 0.9) if seen else None)
        if not seen:
            return Face(track, unread="out of sight")
        scores = MaskScores(0.97, 0.02, 0.01) if script.masked else MaskScores(0.01, 0.02, 0.97)
        mouth = None if script.masked else self.mouth(script, time_s)
        return Face(track, scores, pose=self.pose(script, time_s), eyes=self.eyes(script, time_s), mouth_ratio=mouth)

    def mouth(self, script: Script, time_s: float) -> float:
        opening = 0.0
        for name, move in MOUTHS.items():
            for start, end in getattr(script, name):
                if start <= time_s < end:
                    opening = max(opening, move(time_s - start, end - time_s))
        return max(0.0, SHUT_MOUTH + (YAWNING - SHUT_MOUTH) * opening + self.wobble(0.03))

    def pose(self, script: Script, time_s: float) -> HeadPose:
        yaw, pitch = script.usual
        for move in script.moves:
            yaw += move.share(time_s) * move.yaw
            pitch += move.share(time_s) * move.pitch
        yaw, pitch = yaw + self.wobble(1.0), pitch + self.wobble(1.0)
        return HeadPose(yaw, pitch, script.roll + self.wobble(1.0), yaw, pitch, 3.0)

    def eyes(self, script: Script, time_s: float) -> EyeReading:
        """Lids follow the head when it goes down: they read as closed, though nobody sleeps."""
        lowered = sum(move.share(time_s) * min(move.pitch, 0.0) for move in script.moves)
        if within(script.hidden, time_s):
            return EyeReading(None, None, "hidden")
        shut = within(script.shut, time_s) or lowered < -18
        lowered_eyes = within(script.lowered, time_s) and not shut
        ratio = SHUT_RATIO if shut else script.open_ratio * (LOWERED if lowered_eyes else 1.0)
        ratio = max(0.0, ratio + self.wobble(0.012))
        probability = min(max((0.03 if shut or lowered_eyes else 0.97) + self.wobble(0.02), 0.0), 1.0)
        return EyeReading(probability if script.classifier else None, ratio if script.ratio else None)

    def wobble(self, deviation: float) -> float:
        return self.random.gauss(0.0, deviation) * self.noise


def within(spans: Spans, time_s: float) -> bool:
    return any(start <= time_s < end for start, end in spans)


def every(seconds: float, length: float, first: float, until: float) -> list[tuple[float, float]]:
    """Spans of one length, so far apart."""
    spans, start = [], first
    while start + length <= until:
        spans.append((start, start + length))
        start += seconds
    return spans
