"""Tells whether a hand, a cup or a mask is before a mouth that was open a moment ago."""

from dataclasses import dataclass, field

import numpy as np

from edged.signals.usual import UsualValue, median
from edged.types import Face

USUAL_DEVIATION, LEAST_DEVIATION, LARGEST_DEVIATION = 0.018, 0.012, 0.03
"""The landmarks' own doubt of the inner lips, in heights of the face from the bridge of the nose to the chin: of bare mouths as
our landmarks read them, and the range within which one's own is believed."""

DOUBTED = 1.4
"""A mouth is covered where the doubt is so many times the usual one. Behind a hand it was 1.45 to 1.7 times."""

LOOKS_SHUT = 0.25
"""Landmarks put shut lips where a hand hides them; a mouth that is seen to be wider than this ratio is seen."""


@dataclass(slots=True)
class Lips:
    """One person's lips, and how sure their landmarks usually are."""

    usual: UsualValue = field(default_factory=lambda: UsualValue(median, USUAL_DEVIATION))

    def are_covered(self, now_s: float, face: Face, mouth: float | None, was_open: bool) -> bool:
        """Whether something is before the mouth in this frame. `mouth`: its ratio, None where it was not read; `was_open`: it
        has not been seen to shut since it opened. Without that nothing is learned of a yawn from a covered mouth.
        """
        if face.landmarks is None or face.track.detection is None:
            return False
        if mouth is None:  # a mouth in full sight that was not read is taken to be under a mask
            return was_open and face.unread is None and face.pose is not None
        height = float(np.linalg.norm(face.landmarks.points[8] - face.landmarks.points[27]))
        doubt = float(face.landmarks.deviations[60:68].mean()) / max(height, 1.0)
        if mouth > LOOKS_SHUT or not np.isfinite(doubt):
            return False
        usual = min(max(self.usual.value, LEAST_DEVIATION), LARGEST_DEVIATION)
        if not was_open:
            self.usual.add(now_s, doubt)
        return doubt >= DOUBTED * usual
