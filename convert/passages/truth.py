"""What is true of a recording: who passes where, how a mask is worn, what is to be alerted; one TOML file a recording."""

import bisect
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.config.signals import Profile
from edged.errors import ConfigError
from edged.toml import load_toml
from edged.types import Box, EventKind, MaskState


@dataclass(frozen=True, slots=True)
class Place:
    """Where a face is at one moment: centre and longer side, in pixels."""

    time_s: float
    x: float
    y: float
    side: float


APART = 0.75
"""A face is taken for somebody's whose centre is no further away than this share of the larger of both sides…"""
LARGER = 2.0
"""…and no larger or smaller than by this factor."""
SLACK_S = 0.25
"""And no earlier or later than this."""


@dataclass(frozen=True, slots=True)
class Person:
    """One person who passes. `must`: somebody whom nobody may overlook; else both answers are right."""

    who: str
    path: tuple[Place, ...]
    """In the order of time; between two of them the face moves straight."""
    states: frozenset[MaskState]
    """The mask states that are right for the passage as a whole; uncertain always is."""
    must: bool = True
    yawns: int | None = None

    def is_at(self, time_s: float, box: Box) -> bool:
        """Whether this face can be theirs."""
        place = place_at(self.path, time_s)
        if place is None:
            return False
        (x, y), side = box.centre, max(box.width, box.height)
        near = APART * max(side, place.side)
        alike = 1 / LARGER <= side / max(place.side, 1.0) <= LARGER
        return alike and abs(x - place.x) <= near and abs(y - place.y) <= near


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the picture, for some time, whose faces nobody counted: too many, or too small."""

    seconds: tuple[float, float]
    box: Box

    def holds(self, time_s: float, box: Box) -> bool:
        x, y = box.centre
        within = self.box.x1 <= x <= self.box.x2 and self.box.y1 <= y <= self.box.y2
        return within and self.seconds[0] <= time_s <= self.seconds[1]


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that is right within `seconds`, in one of `states`. `must`: it is missed when it does not come."""

    kind: EventKind
    states: frozenset[str]
    seconds: tuple[float, float]
    must: bool = True


@dataclass(frozen=True, slots=True)
class Truth:
    """One recording's truth. `clip` is relative to the folder that holds the data."""

    clip: Path
    profile: Profile
    people: tuple[Person, ...]
    uncounted: tuple[Area, ...]
    alerts: tuple[Alert, ...]


def place_at(path: tuple[Place, ...], time_s: float) -> Place | None:
    """Where the face is at a moment; None before it came and after it went."""
    if not path or not path[0].time_s - SLACK_S <= time_s <= path[-1].time_s + SLACK_S:
        return None
    after = bisect.bisect_left([place.time_s for place in path], time_s)
    if after == 0:
        return path[0]
    if after == len(path):
        return path[-1]
    a, b = path[after - 1], path[after]
    share = (time_s - a.time_s) / (b.time_s - a.time_s)
    x, y, side = (from_ + share * (to - from_) for from_, to in ((a.x, b.x), (a.y, b.y), (a.side, b.side)))
    return Place(time_s, x, y, side)


def load_truth(path: Path) -> Truth:
    """Read one file. Raise ConfigError, naming it, when it is not what it should be."""
    try:
        table = load_toml(path)
        return Truth(
            clip=Path(table["clip"]),
            profile=table["profile"],
            people=tuple(_person(one) for one in table.get("person", [])),
            uncounted=tuple(Area(_span(one["seconds"]), Box(*one["box"])) for one in table.get("uncounted", [])),
            alerts=tuple(_alert(one) for one in table.get("alert", [])),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: no truth of a recording ({error!r}); see the other files beside it") from error


def _person(table: dict[str, Any]) -> Person:
    path = tuple(Place(*place) for place in table["path"])
    if any(a.time_s >= b.time_s for a, b in itertools.pairwise(path)):
        raise ValueError(f"the path of {table['who']!r} is not in the order of time")
    states = frozenset(MaskState(state) for state in table.get("states", []))
    return Person(table["who"], path, states, table.get("must", True), table.get("yawns"))


def _alert(table: dict[str, Any]) -> Alert:
    return Alert(table["kind"], frozenset(table["states"]), _span(table["seconds"]), table.get("must", True))


def _span(seconds: list[float]) -> tuple[float, float]:
    first, last = seconds
    return float(first), float(last)
