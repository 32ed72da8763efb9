"""Distinguishes pictures of faces (a portrait on the wall, a poster, a dummy) from people: they stay the same for long.

Boxes only say which place is meant: a detector's trembling, some hundredths of a face, is as much as somebody who sits
still moves in ten seconds. Pixels say whether anything has changed. One second's patches of the place are averaged, and
compared with the patch when it last changed. In noise, flicker, compression and with a camera that trembles, pictures
of faces kept a correlation of 0.97 and more, large ones of 0.99; people who sat, drove or held their eyes shut fell below
that within some seconds. A face on a screen that plays a film moves, and is taken for a person.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edged.types import Box, Image, StaticFace, Track

Patch: TypeAlias = NDArray[np.float32]
"""A place in the picture as PATCH_SIDE x PATCH_SIDE grey values without their mean, of length 1: brightness and contrast leave it
as it is."""

PATCH_SIDE = 24
LEAST_BOX = 6
"""Pixels; there is nothing to compare in less."""
LEAST_CONTRAST = 2.0
"""Standard deviation in grey levels; in the dark there is nothing but noise."""

PATCH_EVERY_S = 0.2
BLOCK_S = 1.0
"""The patches of so long are averaged into one."""
LONGEST_BLOCK_S = 3.0
"""Of a block that took longer, for lack of patches, no more than this counts as stillness."""
SAME, SAME_SMALL = 0.99, 0.97
"""Correlation from which two patches are the same; faces under SMALL pixels are noisier."""
SMALL = 60.0
SETBACK_S = 5.0
"""One block that looks different takes away so much stillness; two in a row all of it."""
SAME_AT_ONCE = 0.9
"""The same for one single patch of a place that is known well."""
SAME_PLACE, SAME_SIZE = 0.25, 1.3
"""A face further from its place than this share of its side, or larger or smaller by this factor, has left it."""
CHANGES = 4
"""Blocks in a row that differ from each other make a picture a person; as many that are alike are a new light."""
MOVED_FACTOR = 5.0
"""A face that was seen to move or change must be still so many times longer: it is somebody, most likely."""
FRESH_S = 1.0
"""A face that comes to a place, or to rest there, later than this after it was first seen has moved before."""
WORTH_S = 4.0
"""A place where a face was still for less is not remembered when the face is gone."""
MOST_PLACES = 64


@dataclass(slots=True)
class _Place:
    """A place in the picture where a face came to rest, whoever's it is; `track` is the face that is there now."""

    box: Box
    track: int | None
    joined_s: float
    seen_s: float
    moved: bool
    static: bool = False
    since_s: float = 0.0
    """Since when the present face is known to be still."""
    still_s: float = 0.0
    reference: Patch | None = None
    """The patch when it last changed."""
    known: Patch | None = None
    """The patch of the picture of a face, once it was found to be one."""
    previous: Patch | None = None
    changes: int = 0
    alike: int = 0
    patches: list[Patch] = field(default_factory=list)
    block_s: float = 0.0
    """When the present block began."""

    @property
    def same(self) -> float:
        return SAME if self.box.side >= SMALL else SAME_SMALL

    def join(self, track: Track, time_s: float, image: Image) -> None:
        """A face is here now. Where a picture is known to be, one patch says whether it is that."""
        self.track, self.joined_s, self.seen_s = track.id, time_s, time_s
        self._begin_block(time_s)
        if self.known is None:
            return
        patch = patch_at(image, self.box)
        self.static = patch is not None and correlation(patch, self.known) >= SAME_AT_ONCE
        self.since_s, self.changes, self.alike = time_s, 0, 0
        if not self.static:
            self.reference, self.still_s = None, 0.0

    def leave(self) -> None:
        self.track, self.static = None, False

    def see(self, time_s: float, image: Image, needed_s: float) -> None:
        """Take in one frame. `needed_s`: how long a face must be still."""
        if not 0 <= time_s - self.block_s <= LONGEST_BLOCK_S:  # out of sight for long, or the clock was set back
            self._begin_block(time_s)
        elif self.patches and time_s - self.seen_s < PATCH_EVERY_S * 0.95:
            return
        self.seen_s = time_s
        if (patch := patch_at(image, self.box)) is not None:
            self.patches.append(patch)
        if self.patches and time_s - self.block_s >= BLOCK_S:
            self._judge(mean_patch(self.patches), time_s, needed_s)
            self._begin_block(time_s)

    def is_remembered(self, time_s: float, seconds: float) -> bool:
        """Whether it is worth keeping with no face in it."""
        return self.known is not None or (self.still_s >= WORTH_S and 0 <= time_s - self.seen_s <= seconds)

    def _begin_block(self, time_s: float) -> None:
        self.patches, self.block_s = [], time_s

    def _judge(self, patch: Patch, time_s: float, needed_s: float) -> None:
        if self.known is not None and correlation(patch, self.known) >= self.same:
            self._found_static(patch, self.block_s)
        elif self.static:
            self._doubt(patch)
        elif self.reference is not None and correlation(patch, self.reference) >= self.same:
            self.changes = 0
            self.still_s += min(time_s - self.block_s, LONGEST_BLOCK_S)
            if self.still_s >= needed_s * (MOVED_FACTOR if self.moved else 1.0):
                self._found_static(patch, self.since_s)
        elif self.reference is not None and self.changes == 0:
            self.changes, self.still_s = 1, max(0.0, self.still_s - SETBACK_S)
        else:
            self.moved = self.moved or self.reference is not None
            self.changes = 0
            self.reference, self.still_s, self.since_s = patch, 0.0, self.block_s
        self.previous = patch

    def _found_static(self, patch: Patch, since_s: float) -> None:
        """It follows the light: this patch counts from now on."""
        if not self.static:
            self.static, self.since_s = True, since_s
        self.known, self.changes, self.alike = patch, 0, 0

    def _doubt(self, patch: Patch) -> None:
        """A picture looks different: the light has changed when it stays so, and it lives when it goes on changing."""
        if self.previous is not None and correlation(patch, self.previous) >= self.same:
            self.alike, self.changes = self.alike + 1, 0
        else:
            self.changes, self.alike = self.changes + 1, 0
        if self.alike >= CHANGES:
            self._found_static(patch, self.since_s)
        elif self.changes >= CHANGES:
            self.static, self.moved, self.reference, self.still_s = False, True, patch, 0.0
            self.since_s = self.block_s


class StaticFaces:
    """One camera's pictures of faces. It remembers where they are while the camera runs, at most `MOST_PLACES` of them.

    A face is a picture once it was still for so many `seconds`; one whose shorter side has `largest_face` pixels or more is
    always a person.
    """

    def __init__(self, seconds: float, largest_face: float = math.inf) -> None:
        self.seconds, self.largest_face = seconds, largest_face
        self._places: list[_Place] = []
        self._shape: tuple[int, ...] = ()

    def update(self, time_s: float, image: Image, tracks: Sequence[Track]) -> tuple[StaticFace, ...]:
        """Those of `tracks` that are no people; one that is out of sight for a moment stays what it was."""
        if image.shape[:2] != self._shape:
            self._shape, self._places = image.shape[:2], []
        present = {track.id: track for track in tracks}
        for place in self._places:
            track = present.get(place.track) if place.track is not None else None
            if place.track is not None and (track is None or not _is_at(place.box, track.box)):
                place.leave()
        inhabited = {place.track: place for place in self._places if place.track is not None}
        for track in tracks:
            if track.detection is None or track.box.side >= self.largest_face:
                continue
            place = inhabited.get(track.id) or self._settle(track, time_s, image)
            inhabited[track.id] = place
            place.see(time_s, image, self.seconds)
        self._forget(time_s)
        return tuple(_static_face(place, present[track_id]) for track_id, place in inhabited.items() if place.static)

    def _settle(self, track: Track, time_s: float, image: Image) -> _Place:
        """The place where a face is now: a remembered one that is free, else a new one."""
        free = [place for place in self._places if place.track is None and _is_at(place.box, track.box)]
        place = min(free, key=lambda place: _distance(place.box, track.box), default=None)
        if place is None:
            moved = time_s - track.first_seen_s > FRESH_S
            place = _Place(track.box, track.id, time_s, time_s, moved)
            self._places.append(place)
        place.join(track, time_s, image)
        return place

    def _forget(self, time_s: float) -> None:
        """Drop what is not worth keeping, and the longest unseen beyond what is kept."""
        kept = [p for p in self._places if p.track is not None or p.is_remembered(time_s, self.seconds)]
        empty = [place for place in kept if place.track is None]
        if len(empty) > MOST_PLACES:
            by_worth: Callable[[_Place], tuple[bool, float]] = lambda place: (place.known is not None, place.seen_s)  # noqa: E731
            worst = {id(place) for place in sorted(empty, key=by_worth)[:-MOST_PLACES]}
            kept = [place for place in kept if id(place) not in worst]
        self._places = kept


def _static_face(place: _Place, track: Track) -> StaticFace:
    since_s = max(place.since_s, place.joined_s)
    return StaticFace(track.id, track.box, always=since_s - track.first_seen_s <= FRESH_S)


def _is_at(place: Box, box: Box) -> bool:
    ratio = max(box.side, 1.0) / max(place.side, 1.0)
    return _distance(place, box) <= SAME_PLACE and 1 / SAME_SIZE <= ratio <= SAME_SIZE


def _distance(place: Box, box: Box) -> float:
    """Of the centres, the larger of both directions, in sides of the place."""
    (x1, y1), (x2, y2) = place.centre, box.centre
    return max(abs(x1 - x2), abs(y1 - y2)) / max(place.side, 1.0)


def patch_at(image: Image, box: Box) -> Patch | None:
    """The patch of `box` as far as it lies in the picture; None where it is too small or flat."""
    height, width = image.shape[:2]
    left, right = (min(max(round(x), 0), width) for x in (box.x1, box.x2))
    top, bottom = (min(max(round(y), 0), height) for y in (box.y1, box.y2))
    if right - left < LEAST_BOX or bottom - top < LEAST_BOX:
        return None
    grey = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_BGR2GRAY)
    small = np.asarray(cv2.resize(grey, (PATCH_SIDE, PATCH_SIDE), interpolation=cv2.INTER_AREA), np.float32)
    return None if small.std() < LEAST_CONTRAST else _unit(small)


def mean_patch(patches: list[Patch]) -> Patch:
    """The mean of the patches of one place: noise and trembling go, what is there stays."""
    return _unit(np.mean(patches, axis=0, dtype=np.float32))


def correlation(a: Patch, b: Patch) -> float:
    """Of their grey values: 1 for the same patch, 0 for patches that have nothing in common."""
    return float((a * b).sum())


def _unit(grey: NDArray[np.float32]) -> Patch:
    centred = grey - grey.mean()
    return np.asarray(centred / max(float(np.sqrt((centred * centred).sum())), 1e-6), np.float32)
