"""Uses a face's detection again while the picture around that face has not changed: the face is where it was, and need not be
looked for. Faces that never move, of posters and statues, are another matter: see `edged.analyse.static`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edged.detect.changes import Cells, Thumbnail, differ
from edged.detect.mosaic import MARGIN
from edged.types import Detection, Expected

REUSED_S = 1.0
"""A face is looked for after so long, whatever the picture shows."""
AROUND = 0.25
"""How far the part of the picture in which movement shows extends around a face, in units of its longer side."""
SMALLEST = 28.0
"""Shorter side in pixels of the smallest face of which a detection is used again: there are too few cells around smaller ones."""
MOVED, MOST_MOVED = 5, 0.1
"""Steps of brightness or colour, of 255, by which a cell of that part shows movement, and the largest share of its cells that
may. Lids and lips move in a face that stays where it is. In good light a sensor's noise reaches one cell in twenty at most; with
more noise the face is looked for in every picture."""
STRUCTURED = 0.2
"""The smallest share of that part's cells that differ from the next one by over three times `MOVED`, along the rows and along
the columns: what moves by a third of a cell, either way, changes more than `MOST_MOVED` of them. In the dark and in fog there are
fewer, and somebody would move unnoticed."""


@dataclass(frozen=True, slots=True, eq=False)
class _Sighting:
    """A face where and when it was found."""

    picture: Thumbnail
    time_s: float
    near: Cells
    """The part that is at most `MARGIN` from the face, …"""
    around: NDArray[np.bool_]
    face: NDArray[np.bool_]
    """… in which of its cells movement shows, and which of them lie wholly in the face."""
    structured: bool
    """Whether the part has so much structure that a movement would show."""

    def changes(self, now: Thumbnail) -> tuple[bool, bool]:
        """Whether the face may have moved, and whether something has changed beside it."""
        if not self.structured or not now.is_like(self.picture):
            return True, True
        there, then = self.near.of(now.colours), self.near.of(self.picture.colours)
        moved = float(differ(there, then, MOVED)[self.around].mean()) > MOST_MOVED
        return moved, bool((differ(there, then) & ~self.face).any())


class DetectionReuse:
    """One camera's. Times come with the pictures, in seconds."""

    def __init__(self) -> None:
        self._sightings: dict[Detection, _Sighting] = {}
        """Of each face in the picture before."""
        self._changed_s: dict[int, float] = {}
        """When something had last changed in the crop around each person, by track."""
        self._last: tuple[Thumbnail, float] | None = None
        """The picture before, and when it was taken."""

    def reusable(
        self, time_s: float, now: Thumbnail, expected: Sequence[Expected], busy_s: float
    ) -> list[Detection | None]:
        """For each face its detection in the picture before, if that still holds; None where the face must be looked for. Call
        it for every picture, in order.

        Only detections of people who were clearly seen are used again: what may be nobody must be looked at to become somebody.
        If something changes beside a face, somebody may have come: then it is looked for, at once if nothing had changed there
        for `busy_s`, else every `busy_s`. Who comes up before a face and hides most of their own behind it waits for `REUSED_S`.
        """
        if self._last is not None and time_s < self._last[1]:  # the clock was set back
            self.forget()
        last, self._last = self._last, (now, time_s)
        sightings, self._sightings = self._sightings, {}
        changed_s, self._changed_s = self._changed_s, {}
        answers: list[Detection | None] = []
        for one in expected:
            found = one.found if last is not None and one.track and one.clear else None
            if found is None or last is None:
                answers.append(None)
                continue
            sighting = self._sightings[found] = sightings.get(found) or _sighting(found, *last)
            before_s = changed_s.get(one.track, sighting.time_s)
            moved, beside = sighting.changes(now)
            self._changed_s[one.track] = time_s if moved or beside else before_s
            waits = time_s - min(sighting.time_s, before_s) < busy_s
            fresh = time_s - sighting.time_s < REUSED_S
            answers.append(found if fresh and not moved and (waits or not beside) else None)
        return answers

    def forget(self) -> None:
        """The next picture is another scene's."""
        self._sightings, self._changed_s, self._last = {}, {}, None


def _sighting(found: Detection, picture: Thumbnail, time_s: float) -> _Sighting:
    near, part = (picture.touched(found.box, margin) for margin in (MARGIN, AROUND))
    around, face = (np.zeros(picture.colours.shape[:2], np.bool_) for _ in range(2))
    part.of(around)[:] = True
    picture.within(found.box, 0.0).of(face)[:] = True
    structured = found.box.side >= SMALLEST and _is_structured(part.of(picture.colours))
    return _Sighting(picture, time_s, near, near.of(around), near.of(face), structured)


def _is_structured(colours: NDArray[np.uint8]) -> bool:
    """Whether enough cells differ from the next one, along the rows as well as along the columns."""
    pairs = (colours[:, :-1], colours[:, 1:]), (colours[:-1], colours[1:])
    return all(one.size and float(differ(one, other, 3 * MOVED).mean()) >= STRUCTURED for one, other in pairs)
