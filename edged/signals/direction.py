"""Which way a head points, as far as one frame tells, and which way is straight ahead."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from edged.signals.learned import LearnedValue, median
from edged.types import Face

MOST_TILTED = 60.0
"""Degrees of roll beyond which a head lies on its side or stands on its head: yaw and pitch mean nothing then."""

LARGEST_ANGLE = 90.0
"""Degrees. A face that points further away shows no face."""


class Direction(NamedTuple):
    """Degrees between the way a head points and the line to the lens, as `HeadPose.facing_yaw` and `facing_pitch`."""

    yaw: float
    pitch: float


def direction_of(face: Face, smallest_face: float, most_deviation: float) -> Direction | str:
    """Where the head points, or why that is not known: "out of sight", "small", "unsure", "tilted", or `face.unread`."""
    if face.track.detection is None:
        return "out of sight"
    if face.track.box.side < smallest_face:
        return "small"
    pose = face.pose
    if pose is None:
        return face.unread or "not read"
    yaw, pitch = float(pose.facing_yaw), float(pose.facing_pitch)
    # Written so that what is not a number is unsure too.
    if not (abs(yaw) <= LARGEST_ANGLE and abs(pitch) <= LARGEST_ANGLE and pose.deviation <= most_deviation):
        return face.unread or "unsure"
    if not math.cos(math.radians(pose.roll) if math.isfinite(pose.roll) else math.pi) >= _LEAST_UPRIGHT:
        return "tilted"
    return Direction(yaw, pitch)


_LEAST_UPRIGHT = math.cos(math.radians(MOST_TILTED))


@dataclass(slots=True)
class LearnedDirection:
    """The median of the directions of the last few minutes, from samples taken twice a second."""

    _yaw: LearnedValue = field(default_factory=lambda: LearnedValue(median, most=MOST_SAMPLES, least=1))
    _pitch: LearnedValue = field(default_factory=lambda: LearnedValue(median, most=MOST_SAMPLES, least=1))

    def add(self, direction: Direction) -> None:
        """Take one sample; the caller keeps them `SAMPLE_EVERY_S` apart."""
        self._yaw.add(direction.yaw)
        self._pitch.add(direction.pitch)

    def known(self, least_samples: int) -> Direction | None:
        """The median, within what can be straight ahead; None with fewer samples than that."""
        count = self._yaw.count
        if count < least_samples:
            return None
        return Direction(within(self._yaw.value, farthest_yaw(count)), within(self._pitch.value, farthest_pitch(count)))


MOST_SAMPLES = 600
FARTHEST_YAW, FARTHEST_PITCH = 45.0, 30.0
"""Degrees from the lens: a target learned beyond this would be that of a person who never faced ahead."""


def farthest_yaw(samples: int) -> float:
    """How far aside a target is believed to be after so many samples: who faces elsewhere at first teaches little."""
    return min(17 + 0.5 * samples, FARTHEST_YAW)


def farthest_pitch(samples: int) -> float:
    """The same up and down, where a chin that is up or down at first would change most; all of it after a minute."""
    return min(6 + 0.2 * samples, FARTHEST_PITCH)


def usual_pitch(samples: Sequence[float]) -> float:
    """The median, as far as so many samples are believed."""
    return within(median(samples), farthest_pitch(len(samples)))


def within(value: float, farthest: float) -> float:
    """The value, at most so far from 0."""
    return min(max(value, -farthest), farthest)
