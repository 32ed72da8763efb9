"""Finds places for words beside faces: inside the picture, on no other words, and on no other face."""

from collections.abc import Sequence

from edged.types import Box

Spot = tuple[int, int]
"""Left and top, in pixels."""


class Places:
    """What of one picture is taken already: faces, and the words that were written."""

    def __init__(self, width: int, height: int, faces: Sequence[Box]) -> None:
        self._picture = Box(0, 0, width, height)
        self._faces = faces
        self.taken: list[Box] = []

    def beside(
        self, face: Box, width: int, height: int, *, below: bool = False, over_faces: bool = False
    ) -> Spot | None:
        """Take a place for words of `width` x `height` pixels above or `below` the face, else at its sides or on it.

        None where there is no room. `over_faces` allows other faces to be covered, never other words.
        """
        others = [] if over_faces else [other for other in self._faces if other is not face]
        x1, y1, x2, y2 = _cut(face, self._picture)
        outside, inside = (y1 - height, y2), (y1, y2 - height)
        if below:
            outside, inside = outside[::-1], inside[::-1]
        spots = [(x, y) for y in outside for x in (x1, x2 - width)]
        spots += [(x, y) for x in (x2, x1 - width) for y in (y1, y2 - height)]
        spots += [(x, y) for y in inside for x in (x1, x2 - width)]
        return self._first_free(spots, width, height, others)

    def corner(self, width: int, height: int) -> Spot | None:
        """Take a place in a corner of the picture where no face is; None where there is none."""
        right, bottom = self._picture.x2 - width, self._picture.y2 - height
        spots = [(0.0, bottom), (right, bottom), (0.0, 0.0), (right, 0.0)]
        return self._first_free(spots, width, height, self._faces)

    def _first_free(
        self, spots: Sequence[tuple[float, float]], width: int, height: int, avoided: Sequence[Box]
    ) -> Spot | None:
        for place in spots:
            spot = _moved_in(Box(*place, place[0] + width, place[1] + height), self._picture)
            if spot is not None and not any(_overlap(spot, other) for other in (*self.taken, *avoided)):
                self.taken.append(spot)
                return int(spot.x1), int(spot.y1)
        return None


def _cut(box: Box, picture: Box) -> Box:
    """What of the box lies in the picture; of one that lies outside, a point on the border."""
    x1, y1, x2, y2 = box
    right, bottom = picture.x2, picture.y2
    return Box(*(min(max(0.0, value), end) for value, end in ((x1, right), (y1, bottom), (x2, right), (y2, bottom))))


def _moved_in(spot: Box, picture: Box) -> Box | None:
    """Moved sideways into the picture, to whole pixels; None for one that is too large, too high or too low."""
    left, top = int(max(0, min(spot.x1, picture.x2 - spot.width))), int(spot.y1)
    moved = Box(left, top, left + spot.width, top + spot.height)
    return moved if top >= 0 and moved.y2 <= picture.y2 and moved.x2 <= picture.x2 else None


def _overlap(one: Box, other: Box) -> bool:
    return one.x1 < other.x2 and other.x1 < one.x2 and one.y1 < other.y2 and other.y1 < one.y2
