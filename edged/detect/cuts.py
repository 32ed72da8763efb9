"""Notices when a picture shows another scene than the one before: a cut in a recording, a camera that was turned or swapped.

Who was followed before is not there any more, however near to their place somebody else now stands.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.types import Image

ROWS, COLUMNS = 14, 24
"""Of the coarse grey copy that is compared: people are a few cells of it, the scene is the rest."""
SAMPLED = 4
"""Each cell is the mean of so many times so many pixels."""
ALIKE = 0.35
"""Correlation of two copies below which they are of two scenes. It does not ask how bright or rich in contrast either is. Over
seventeen recordings it is at most 0.22 across nine cuts, at least 0.68 within a scene at 4 pictures a second, and 0.40 where
one camera's recording of one person leaps."""
FLAT = 4.0
"""Steps of brightness, of 255. A copy whose standard deviation is smaller shows nothing that could be compared: a lens that is
covered, a flash, the dark between two scenes."""

_Copy = NDArray[np.float32]


class SceneCuts:
    """One camera's last picture that showed something. Each picture costs some hundredths of a millisecond."""

    def __init__(self) -> None:
        self._last: _Copy | None = None

    def is_cut(self, image: Image) -> bool:
        """Whether this picture begins another scene."""
        copy = _copy(image)
        if copy is None:
            return False
        last, self._last = self._last, copy
        return last is not None and float((last * copy).mean()) < ALIKE

    def forget(self) -> None:
        """The next picture begins a scene that nothing is compared with."""
        self._last = None


def _copy(image: Image) -> _Copy | None:
    """The coarse copy with mean 0 and standard deviation 1; None of what is flat or has no pixels."""
    if not image.size:
        return None
    few = cv2.resize(image, (COLUMNS * SAMPLED, ROWS * SAMPLED), interpolation=cv2.INTER_NEAREST)
    grey = cv2.cvtColor(cv2.resize(few, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    deviation = float(grey.std())
    if deviation < FLAT:
        return None
    return np.asarray((grey.astype(np.float32) - grey.mean()) / deviation, np.float32)
