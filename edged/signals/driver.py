"""Finds the one who drives among the people in a cab: the largest face that stays, and who sits there after that."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edged.types import Box, Face

STEADY_S = 1.0
"""Sizes are smoothed over this."""
LARGER = 1.25
LARGER_SECONDS = 3.0
"""Somebody else drives whose face has been larger by this factor for so long."""
SEAT_SECONDS = 10.0
"""For so long after the driver went out of sight only a face at the same place is taken for the driver's."""
SEAT_DISTANCE = 1.5
"""How far off that may be, in sides of the face."""


@dataclass(slots=True)
class DriverFinder:
    """One camera's driver. Time comes with the frames; frames out of order are ignored."""

    track: int | None = None
    _sizes: dict[int, float] = field(default_factory=dict)
    _seat: Box | None = None
    _seen_s: float = 0.0
    _rival: int | None = None
    _rival_since_s: float = 0.0
    _last_s: float | None = None

    def among(self, time_s: float, faces: Sequence[Face]) -> Face | None:
        """The driver's face, if it is among these."""
        step = 0.0 if self._last_s is None else min(max(time_s - self._last_s, 0.0), STEADY_S)
        self._last_s = time_s
        share = step / (step + STEADY_S)
        present = {face.track.id: face for face in faces}
        sizes = {number: face.track.box.side for number, face in present.items()}
        self._sizes = {
            number: size + (1 - share) * (self._sizes.get(number, size) - size) for number, size in sizes.items()
        }
        if self.track not in present:
            self.track = self._new_driver(time_s, faces)
        else:
            self._give_way(time_s)
        driver = present.get(self.track) if self.track is not None else None
        if driver is not None:
            self._seat, self._seen_s = driver.track.box, time_s
        return driver

    def _new_driver(self, time_s: float, faces: Sequence[Face]) -> int | None:
        """The largest; shortly after the driver went out of sight the largest at that place."""
        self._rival = None
        if self._seat is not None and 0 <= time_s - self._seen_s <= SEAT_SECONDS:
            faces = [face for face in faces if _sits_at(self._seat, face.track.box)]
        return max((face.track.id for face in faces), key=lambda number: self._sizes[number], default=None)

    def _give_way(self, time_s: float) -> None:
        """The driver's place goes to a face that is clearly larger, for long."""
        largest = max(self._sizes, key=lambda number: self._sizes[number])
        if self.track is None or self._sizes[largest] < LARGER * self._sizes[self.track]:
            self._rival = None
        elif largest != self._rival:
            self._rival, self._rival_since_s = largest, time_s
        elif time_s - self._rival_since_s >= LARGER_SECONDS:
            self.track, self._rival = largest, None


def _sits_at(seat: Box, box: Box) -> bool:
    (x1, y1), (x2, y2) = seat.centre, box.centre
    distance = SEAT_DISTANCE * max(seat.side, 1.0)
    return abs(x1 - x2) <= distance and abs(y1 - y2) <= distance
