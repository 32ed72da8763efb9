"""Reads the mouth: yawns, which are one slow opening far beyond what is usual for this person, and whether it is covered."""

import math
from dataclasses import dataclass, field

from edged.config import DrowsinessConfig
from edged.signals.learned import LearnedValue, Smoothed, lower_quartile, median
from edged.types import Face

LONGEST_SECONDS = 9.0
"""A mouth that is open for longer is no yawn."""

APART_SECONDS = 5.0
"""From the end of one yawn to the end of the next."""

USUAL_REST, LARGEST_REST = 0.05, 0.2
"""The ratio of a mouth at rest as our landmarks read it: of most drivers, and the most that is believed of anybody."""

LEAST_HEIGHT, WIDEST = 0.05, 1.5
"""The way from rest to a yawn's height is no shorter than this; wider than that is as wide as mouths need to be."""

OPEN, SHUT = 0.5, 0.35
"""A mouth is open above this share of the way from rest to a yawn's height, and has shut again below the other."""

HUMP = 0.3
"""A yawn opens once. Who shuts the mouth by this share of how wide it was, and opens it by as much again, talks or laughs."""

HELD_SECONDS, CALM_SECONDS, UNREAD_SECONDS = 0.4, 0.5, 0.7
"""A yawn keeps its height for this long; the mouth is not open for this long before and after it; and it goes on over a
mouth that cannot be read for no longer than this. Over a mouth that a hand covers it goes on for as long as a yawn takes."""

SMOOTHED_OVER_S = 0.08

USUAL_DEVIATION, LEAST_DEVIATION, LARGEST_DEVIATION = 0.018, 0.012, 0.03
"""The landmarks' own doubt of the inner lips, in heights of the face from the bridge of the nose to the chin: of bare mouths as
our landmarks read them, and the range within which one's own is believed."""

COVERED_FROM, COVERED_TO, LEAVES_S = 1.4, 1.2, 2.0
"""A mouth is covered where the doubt is at least COVERED_FROM times the usual one; behind a hand it was 1.45 to 1.7 times. A hand
leaves slowly: the mouth stays covered until the doubt is below COVERED_TO times the usual one, but for LEAVES_S at most."""

SHUT_BELOW = 0.25
"""Landmarks put shut lips where a hand hides them; a mouth that is seen to be wider than this ratio is seen."""

_TINY = 1e-9


@dataclass(slots=True)
class _Opening:
    """A mouth that opened and has not shut. Levels: 0 is at rest, 1 a yawn's height."""

    since_s: float
    rest: float
    isolated: bool
    """The mouth was not open just before."""
    last_open_s: float
    last_s: float
    level: float = 0.0
    top: float = 0.0
    crest: float = 0.0
    """The highest since it opened, or came out from behind a hand: what happened behind that is not known."""
    bottom: float | None = None
    """The lowest since it began to shut."""
    held_s: float = 0.0
    single: bool = True
    """It has opened once only."""
    covered: bool = False
    covered_s: float = -math.inf
    """When it was covered last."""

    def follow(self, now_s: float, level: float) -> None:
        """Take in one frame: how high it stands, for how long, and whether it opens a second time."""
        if self.covered:
            self.covered, self.crest, self.bottom = False, level, None
        elif self.level >= 1:
            self.held_s += now_s - self.last_s
        self.last_s, self.level = now_s, level
        if level >= OPEN:
            self.last_open_s = now_s
        if self.bottom is None:
            self.top, self.crest = max(self.top, level), max(self.crest, level)
            if self.crest - level >= HUMP * self.crest:
                self.bottom = level
        else:
            self.bottom = min(self.bottom, level)
            self.single &= level - self.bottom < HUMP * self.crest

    def cover(self, now_s: float) -> None:
        """A hand is before the mouth. Who had opened it wide has not shut it for that."""
        self.covered, self.covered_s = True, now_s
        if self.top >= 1:
            self.last_open_s = now_s

    @property
    def seconds(self) -> float:
        return self.last_open_s - self.since_s


@dataclass(slots=True)
class YawnFinder:
    """One person's mouth. People who talk, laugh, chew or sing open theirs too, but in turns, or not as wide."""

    settings: DrowsinessConfig
    usual: LearnedValue = field(default_factory=lambda: LearnedValue(lower_quartile, USUAL_REST))
    """Of the mouth's ratio."""
    _ratio: Smoothed = field(default_factory=lambda: Smoothed(SMOOTHED_OVER_S))
    _opening: _Opening | None = None
    _shut_s: float = -math.inf
    """When the mouth shut last."""
    _ended_s: float | None = None
    """When what looks like a yawn ended; it was one if the mouth stays shut for a moment."""
    _last_yawn_s: float = -math.inf

    @property
    def rest(self) -> float:
        """The ratio of this person's mouth at rest."""
        return min(self.usual.value, LARGEST_REST)

    @property
    def is_open(self) -> bool:
        """Whether the mouth has opened and has not been seen to shut."""
        return self._opening is not None

    def follow(self, now_s: float, mouth_ratio: float | None, covered: bool = False) -> bool:
        """Take in one frame; whether it makes sure of a yawn, half a second after the mouth has shut. `covered`: there is a
        hand or a cup before the mouth, and what is read of it is not the mouth's.
        """
        if covered and self._opening is not None and self._may_last(now_s):
            self._opening.cover(now_s)
            self._ratio.forget()
            self._ratio.last_s = now_s
            return False
        if mouth_ratio is None or covered:
            if now_s - self._ratio.last_s > UNREAD_SECONDS:
                self._opening = None
                self._ratio.forget()
            return self._is_sure(now_s)
        level, rest = self._level(now_s, min(max(mouth_ratio, 0.0), WIDEST))
        if self._opening is None:
            if level >= OPEN:
                isolated = now_s - self._shut_s >= CALM_SECONDS - _TINY
                self._opening, self._ended_s = _Opening(now_s, rest, isolated, now_s, now_s, level, level, level), None
            return self._is_sure(now_s)
        if level < SHUT and now_s - self._opening.covered_s < CALM_SECONDS:
            return False  # a hand that goes away shows shut lips for a moment: they are believed once they stay
        self._opening.follow(now_s, level)
        if level < SHUT:
            self._ended_s = self._opening.last_open_s if self._is_like_a_yawn(self._opening) else None
            self._opening, self._shut_s = None, now_s
        return False

    def is_on(self, now_s: float) -> bool:
        """Whether the mouth is as wide open as a yawn's, or was, or went open behind a hand; not for longer than a yawn takes."""
        opening = self._opening
        if opening is None or not opening.single or not (opening.top >= 1 or opening.covered):
            return False
        return self._may_last(now_s)

    def _may_last(self, now_s: float) -> bool:
        return self._opening is not None and now_s - self._opening.since_s <= LONGEST_SECONDS

    def forget(self) -> None:
        """Drop the present yawn: what came after it is not known."""
        self._opening = self._ended_s = None
        self._ratio.forget()

    def _level(self, now_s: float, ratio: float) -> tuple[float, float]:
        """How far the mouth is open, and the ratio at rest that this is measured from."""
        smooth = self._ratio.follow(now_s, ratio)
        self.usual.sample(now_s, ratio)
        # While the mouth is open nothing is learned: what is usual is what was usual before.
        rest = self.rest if self._opening is None else self._opening.rest
        return (smooth - rest) / max(self.settings.yawn_ratio - USUAL_REST, LEAST_HEIGHT), rest

    def _is_like_a_yawn(self, opening: _Opening) -> bool:
        lasts = self.settings.yawn_seconds - _TINY <= opening.seconds <= LONGEST_SECONDS
        return lasts and opening.isolated and opening.single and opening.held_s >= HELD_SECONDS - _TINY

    def _is_sure(self, now_s: float) -> bool:
        if self._ended_s is None or now_s - self._shut_s < CALM_SECONDS - _TINY:
            return False
        ended_s, self._ended_s = self._ended_s, None
        if ended_s - self._last_yawn_s < APART_SECONDS:
            return False
        self._last_yawn_s = ended_s
        return True


@dataclass(slots=True)
class Lips:
    """One person's lips, and how sure their landmarks usually are."""

    usual: LearnedValue = field(default_factory=lambda: LearnedValue(median, USUAL_DEVIATION))
    _covered_s: float = -math.inf
    """When the doubt reached COVERED_FROM last; minus infinity once they have been seen since."""

    def are_covered(self, now_s: float, face: Face, mouth: float | None, was_open: bool) -> bool:
        """Whether something is before the mouth in this frame. `mouth`: its ratio, None where it was not read; `was_open`: it
        has not been seen to shut since it opened. Without that nothing is learned of a yawn from a covered mouth.
        """
        if face.landmarks is None or face.track.detection is None:
            return False
        if mouth is None:  # a mouth in full sight that was not read is taken to be under a mask
            return was_open and face.unread is None and face.pose is not None
        # In Python's own numbers: of infinite ones numpy warns.
        deviations: list[float] = face.landmarks.deviations[60:68].tolist()
        height = math.dist(face.landmarks.points[8].tolist(), face.landmarks.points[27].tolist())
        doubt = sum(deviations) / len(deviations) / max(height, 1.0)
        if mouth > SHUT_BELOW:
            self._covered_s = -math.inf
            return False
        if not math.isfinite(doubt):
            return False
        usual = min(max(self.usual.value, LEAST_DEVIATION), LARGEST_DEVIATION)
        if not was_open:
            self.usual.sample(now_s, doubt)
        if doubt >= COVERED_FROM * usual:
            self._covered_s = now_s
        elif doubt < COVERED_TO * usual:
            self._covered_s = -math.inf
        return 0 <= now_s - self._covered_s <= LEAVES_S
