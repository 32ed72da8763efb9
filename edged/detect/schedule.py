"""Schedules the detector for one camera: crop passes around the expected faces, full passes over the whole picture when due.

A face around which nothing has changed needs no crop; see `edged.detect.reuse`. A full pass is due

* `FULL_PASS_S` after the last one, whatever the picture shows;
* as soon as the picture changes outside the crops, if it had not changed for `BUSY_S`; while it goes on changing, every `BUSY_S`;
* at once when a face that was clearly seen is not found where it was expected.

So detection is skipped while the scene is empty and unchanged, nothing new stays unseen for longer than `BUSY_S`, and a lost face
is searched for in the whole of the same picture. A camera that follows one person, as in a cab, need not see at once who comes
beside that person: while everybody who is followed is clearly seen and something goes on changing, a full pass is made every
`FULL_PASS_S` only.
"""

from collections.abc import Sequence

from edged.detect.boxes import AT_PLACE, beside
from edged.detect.changes import Thumbnail, changed, thumbnail
from edged.detect.mosaic import MARGIN
from edged.detect.reuse import DetectionReuse
from edged.ports import Detector, Known, NearbyDetector
from edged.types import Box, Detection, Expected, Image

FULL_PASS_S = 1.0
"""The longest time between two full passes."""
BUSY_S = 0.3
"""The time between two full passes where something moves all the time."""
CANDIDATE_SCORE, MOST_CANDIDATES = 0.45, 4
"""So many of the detections without a track get a crop in every picture too, the surest first, if they score so much: one of them
may be a person."""


class DetectionSchedule:
    """One camera's. Times come with the pictures, in seconds; a picture may be of another size than the last."""

    def __init__(self, detector: Detector, *, one_person: bool = False, rescore_unclear: bool = True) -> None:
        """A detector that is no NearbyDetector makes a full pass over each picture in which somebody must be looked for.

        `one_person`: the camera follows one person only. While everybody who is followed is clearly seen, nobody else need be
        searched for soon. `rescore_unclear`: a weak detection of a person who was not clearly seen before gets a second look,
        so that no track goes on with a thing. Not where people fall asleep: a head that sinks is weak, and must not be lost.
        """
        self.detector = detector
        self.one_person, self.rescore_unclear = one_person, rescore_unclear
        self._seen: Thumbnail | None = None
        """The picture of the last full pass, when that was, …"""
        self._full_s = self._changed_s = 0.0
        """… and when something had last changed."""
        self._candidates: list[Box] = []
        self._reuse = DetectionReuse()

    def detect(self, time_s: float, image: Image, expected: Sequence[Expected]) -> list[Detection]:
        """The faces in this picture: found in it, or shown by an earlier one and there still. Of those outside the crops some may
        be missing; see above.
        """
        followed = [one.box for one in expected]
        candidates = [self._candidates[k] for k in beside(self._candidates, followed)]
        now, busy_s = thumbnail(image), self._busy_s(expected)
        due = self._is_due(time_s, now, followed + candidates, busy_s)
        reusable = self._reuse.reusable(time_s, now, expected, busy_s)
        reused = [one for one in reusable if one is not None]
        places = [box for box, one in zip(followed, reusable, strict=True) if one is None] + ([] if due else candidates)
        known = self._known(expected)
        near = self._crop_pass(image, places, known)
        found = [] if near is None else [*reused, *(near[k] for k in beside(_boxes(near), _boxes(reused)))]
        everywhere = due or near is None or not _all_found(expected, found)
        if everywhere:
            found += self._full_pass(image, _boxes(found), known)
        found.sort(key=lambda detection: -detection.score)
        if everywhere:
            self._seen, self._full_s, self._candidates = now, time_s, []
        self._remember_candidates(found, len(followed) + MOST_CANDIDATES)
        return found

    def forget(self) -> None:
        """The next picture is another scene's."""
        self._seen, self._candidates = None, []
        self._reuse.forget()

    def _full_pass(self, image: Image, found: Sequence[Box], known: Known) -> list[Detection]:
        """What the whole picture shows beside what was `found` already."""
        detector, known = self.detector, known._replace(people=[*found, *known.people])
        seen = detector.detect(image, known) if isinstance(detector, NearbyDetector) else detector.detect(image)
        return [seen[k] for k in beside(_boxes(seen), found)]

    def _crop_pass(self, image: Image, places: Sequence[Box], known: Known) -> list[Detection] | None:
        """None where a full pass is needed, or costs no more."""
        if not places:
            return []
        return self.detector.detect_around(image, places, known) if isinstance(self.detector, NearbyDetector) else None

    def _remember_candidates(self, found: Sequence[Detection], most: int) -> None:
        """Add those that may be people, the surest first, if they are not among the candidates yet."""
        boxes = [detection.box for detection in found if detection.score >= CANDIDATE_SCORE]
        new = [boxes[k] for k in beside(boxes, self._candidates)]
        self._candidates = [*self._candidates, *new][:most]

    def _known(self, expected: Sequence[Expected]) -> Known:
        people = [one for one in expected if one.track]
        unclear = [one.box for one in people if not one.clear] if self.rescore_unclear else []
        return Known([one.box for one in people], unclear)

    def _busy_s(self, expected: Sequence[Expected]) -> float:
        """The time between two full passes where something moves all the time."""
        people = [one for one in expected if one.track]
        all_in_sight = bool(people) and all(one.clear for one in people)
        return FULL_PASS_S if self.one_person and all_in_sight else BUSY_S

    def _is_due(self, time_s: float, now: Thumbnail, places: Sequence[Box], busy_s: float) -> bool:
        """Whether a full pass is due."""
        elapsed_s, rested_s = time_s - self._full_s, time_s - self._changed_s
        known = self._seen is not None and self._seen.is_like(now)
        moved = self._seen is None or not known or _differs(now, self._seen, places)
        if moved:
            self._changed_s = time_s
        overdue = not known or not 0 <= elapsed_s < FULL_PASS_S
        return overdue or (moved and max(elapsed_s, rested_s) >= busy_s)


def _all_found(expected: Sequence[Expected], found: Sequence[Detection]) -> bool:
    """Whether each face that must be in sight was found where it was expected."""
    clear = [one.box for one in expected if one.clear]
    return not beside(clear, _boxes(found), AT_PLACE)


def _boxes(detections: Sequence[Detection]) -> list[Box]:
    return [detection.box for detection in detections]


def _differs(now: Thumbnail, before: Thumbnail, places: Sequence[Box]) -> bool:
    """Whether anything has changed but what lies wholly in the crops around `places`."""
    cells = changed(now, before)
    for box in places:
        now.within(box, MARGIN).of(cells)[:] = False
    return bool(cells.any())
