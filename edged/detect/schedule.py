"""Schedules the detector for one camera: crop passes around the expected faces, full passes over the whole picture when due.

A full pass is due

* `FULL_PASS_S` after the last one, whatever the picture shows;
* as soon as the picture changes outside the crops, if it had not changed for `BUSY_S`; while it goes on changing, every `BUSY_S`;
* at once when a face that was clearly seen is not found where it was expected.

So detection is skipped while the scene is empty and unchanged, nothing new stays unseen for longer than `BUSY_S`, and a lost face
is searched for in the whole of the same picture. A camera that follows one person, as in a cab, need not see at once who comes
beside that person: while everybody who is followed is clearly seen and something goes on changing, a full pass is made every
`FULL_PASS_S` only.
"""

from collections.abc import Sequence

import numpy as np

from edged.detect.boxes import beside
from edged.detect.changes import CELL, Thumbnail, changed, thumbnail
from edged.detect.mosaic import MARGIN
from edged.ports import Detector, NearbyDetector
from edged.types import Box, Detection, Expected, Image

FULL_PASS_S = 1.0
"""The longest time between two full passes."""
BUSY_S = 0.3
"""The time between two full passes where something moves all the time."""
FOUND = 0.2
"""A face is where it was expected when a detection overlaps that place by this IoU."""
CANDIDATE_SCORE, MOST_CANDIDATES = 0.45, 4
"""So many of the detections without a track get a crop in every picture too, the surest first, if they score so much: one of them
may be a person."""


class DetectionSchedule:
    """One camera's. Times come with the pictures, in seconds; a picture may be of another size than the last."""

    def __init__(self, detector: Detector, *, one_person: bool = False) -> None:
        """A detector that is no NearbyDetector makes a full pass over every picture in which somebody is expected.

        `one_person`: the camera follows one person only. While everybody who is followed is clearly seen, nobody else need be
        searched for soon.
        """
        self.detector = detector
        self.one_person = one_person
        self._seen: Thumbnail | None = None
        """The picture of the last full pass, when that was, …"""
        self._full_s = self._changed_s = 0.0
        """… and when something had last changed."""
        self._candidates: list[Box] = []

    def detect(self, time_s: float, image: Image, expected: Sequence[Expected]) -> list[Detection]:
        """The faces in this picture. Of those outside the crops some may be missing; see above."""
        followed = [one.box for one in expected]
        places = followed + [self._candidates[k] for k in beside(self._candidates, followed)]
        now = thumbnail(image)
        due = self._is_due(time_s, now, places, self._busy_s(expected))
        people = [one.box for one in expected if one.born]
        near = self._crop_pass(image, followed if due else places, people)
        if not due and near is not None and _all_found(expected, near):
            return near
        found = list(near or [])
        found += self._full_pass(image, [detection.box for detection in found], people)
        found.sort(key=lambda detection: -detection.score)
        self._seen, self._full_s = now, time_s
        self._candidates = [d.box for d in found if d.score >= CANDIDATE_SCORE][: len(followed) + MOST_CANDIDATES]
        return found

    def forget(self) -> None:
        """The next picture is another scene's."""
        self._seen, self._candidates = None, []

    def _full_pass(self, image: Image, found: Sequence[Box], people: Sequence[Box]) -> list[Detection]:
        """What the whole picture shows beside what was `found` already."""
        detector, known = self.detector, [*found, *people]
        seen = detector.detect(image, known) if isinstance(detector, NearbyDetector) else detector.detect(image)
        return [seen[k] for k in beside([detection.box for detection in seen], found)]

    def _crop_pass(self, image: Image, places: Sequence[Box], people: Sequence[Box]) -> list[Detection] | None:
        """None where a full pass is needed, or costs no more."""
        if not places:
            return []
        return self.detector.detect_around(image, places, people) if isinstance(self.detector, NearbyDetector) else None

    def _busy_s(self, expected: Sequence[Expected]) -> float:
        """The time between two full passes where something moves all the time."""
        people = [one for one in expected if one.born]
        all_in_sight = bool(people) and all(one.clear for one in people)
        return FULL_PASS_S if self.one_person and all_in_sight else BUSY_S

    def _is_due(self, time_s: float, now: Thumbnail, places: Sequence[Box], busy_s: float) -> bool:
        """Whether a full pass is due."""
        elapsed_s, rested_s = time_s - self._full_s, time_s - self._changed_s
        known = self._seen is not None and self._seen.shape == now.shape
        moved = self._seen is None or not known or _differs(now, self._seen, places)
        if moved:
            self._changed_s = time_s
        overdue = not known or not 0 <= elapsed_s < FULL_PASS_S
        return overdue or (moved and max(elapsed_s, rested_s) >= busy_s)


def _all_found(expected: Sequence[Expected], found: Sequence[Detection]) -> bool:
    """Whether each face that must be in sight was found where it was expected."""
    clear = [one.box for one in expected if one.clear]
    return not beside(clear, [detection.box for detection in found], FOUND)


def _differs(now: Thumbnail, before: Thumbnail, places: Sequence[Box]) -> bool:
    """Whether anything has changed outside the crops around `places`."""
    cells = changed(now, before)
    for box in places:
        _clear(cells, box)
    return bool(cells.any())


def _clear(cells: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]", box: Box) -> None:
    """Forget the changes that lie wholly in the crop around `box`."""
    margin = MARGIN * max(box.width, box.height)
    left, top = (max(0, int(np.ceil((value - margin) / CELL))) for value in box[:2])
    right, bottom = (max(0, int((value + margin) // CELL)) for value in box[2:])
    cells[top:bottom, left:right] = False
