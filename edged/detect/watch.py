"""Decides where faces are looked for in each picture of one camera, and looks: where it pays, and everywhere in good time.

Who is followed is found again in the neighbourhood of the place where they are expected. The whole picture is looked at

* `LOOK_AGAIN_S` after the last time, whatever it shows;
* as soon as it changes elsewhere, if it had rested for `BUSY_S`; while it goes on changing, every `BUSY_S`;
* at once when somebody who was clearly seen is not found where they were expected.

So nothing new is in a picture for longer than `BUSY_S` unseen, and who is lost is looked for everywhere in the same picture.
"""

from collections.abc import Sequence

import numpy as np

from edged.detect.boxes import iou
from edged.detect.mosaic import MARGIN
from edged.detect.unchanged import CELL, Glance, changed, glance_at
from edged.ports import Detector, NearbyDetector
from edged.types import Box, Detection, Expected, Image

LOOK_AGAIN_S = 1.0
"""No picture tells about another for longer, whatever it shows."""
BUSY_S = 0.3
"""Where something moves all the time, the whole picture is looked at this often."""
SAME_FACE = 0.45
"""Finds that overlap by more than this IoU are one face, as within one look."""
FOUND = 0.2
"""Somebody is where they were expected when a find overlaps that place by this IoU."""
WORTH_A_LOOK, MOST_WEAK = 0.45, 4
"""So many of the finds that nobody follows are looked at in every picture too, the surest first, if they score so much: one of
them may be somebody."""


class Watch:
    """One camera's. Times come with the pictures, in seconds; a picture may be of another size than the last."""

    def __init__(self, detector: Detector) -> None:
        """Of a detector that is no NearbyDetector the whole picture is asked whenever somebody is expected."""
        self.detector = detector
        self._seen: Glance | None = None
        """The picture that was last looked at everywhere, when that was, …"""
        self._looked_s = self._moved_s = 0.0
        """… and when something had last changed."""
        self._weak: list[Box] = []

    def look(self, time_s: float, image: Image, expected: Sequence[Expected]) -> list[Detection]:
        """The faces in this picture. Of those outside the neighbourhoods some may be missing; see above."""
        followed = [one.box for one in expected]
        places = followed + [box for box in self._weak if not _covers(followed, box)]
        glance = glance_at(image)
        due = self._is_due(time_s, glance, places)
        near = self._look_around(image, followed if due else places)
        if (
            not due
            and near is not None
            and all(_covers([d.box for d in near], e.box, FOUND) for e in expected if e.clear)
        ):
            return near
        found = near or []
        known = [detection.box for detection in found]
        found = found + [d for d in self.detector.detect(image) if not _covers(known, d.box)]
        found.sort(key=lambda detection: -detection.score)
        self._seen, self._looked_s = glance, time_s
        self._weak = [d.box for d in found if d.score >= WORTH_A_LOOK][: len(followed) + MOST_WEAK]
        return found

    def forget(self) -> None:
        """The next picture is another scene's."""
        self._seen, self._weak = None, []

    def _look_around(self, image: Image, places: Sequence[Box]) -> list[Detection] | None:
        """None where the whole picture must be looked at, or costs no more."""
        if not places:
            return []
        return self.detector.detect_around(image, places) if isinstance(self.detector, NearbyDetector) else None

    def _is_due(self, time_s: float, glance: Glance, places: Sequence[Box]) -> bool:
        """Whether the whole picture is to be looked at."""
        elapsed_s, rested_s = time_s - self._looked_s, time_s - self._moved_s
        known = self._seen is not None and self._seen.shape == glance.shape
        moved = self._seen is None or not known or _differs(glance, self._seen, places)
        if moved:
            self._moved_s = time_s
        overdue = not known or not 0 <= elapsed_s < LOOK_AGAIN_S
        return overdue or (moved and max(elapsed_s, rested_s) >= BUSY_S)


def _differs(glance: Glance, before: Glance, places: Sequence[Box]) -> bool:
    """Whether anything has changed outside the neighbourhoods of `places`."""
    cells = changed(glance, before)
    for box in places:
        _clear(cells, box)
    return bool(cells.any())


def _clear(cells: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]", box: Box) -> None:
    """Forget the changes that lie wholly in the neighbourhood of `box`."""
    margin = MARGIN * max(box.width, box.height)
    left, top = (max(0, int(np.ceil((value - margin) / CELL))) for value in box[:2])
    right, bottom = (max(0, int((value + margin) // CELL)) for value in box[2:])
    cells[top:bottom, left:right] = False


def _covers(boxes: Sequence[Box], box: Box, overlap: float = SAME_FACE) -> bool:
    """Whether one of `boxes` is the same face as `box`."""
    if not boxes:
        return False
    return bool(iou(np.array([box]), np.array(boxes)).max() > overlap)
