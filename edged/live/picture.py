"""A picture of the live view: when the next one is due, and what its age is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

JITTER_S = 0.01
"""So much early a frame may come that is meant to be the next."""
STAGES = ("analysis", "turn", "making", "asking")
"""What a picture's age is made of when it is given: until it was analysed, began to be made, was made, and was asked for."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One that was made, or withheld: then `data` is empty, and `withheld` says why."""

    frame_id: int
    time_s: float
    began_s: float
    """When its making began."""
    every_s: float
    """Until the next one there is so much time."""
    came_s: float
    """When analysis had done with the frame."""
    done_s: float
    """When its making ended."""
    about: Mapping[str, Any]
    data: bytes
    withheld: str | None = None


def due_s(made: Picture) -> tuple[float, float]:
    """From when on a newly come frame follows this picture, and from when on any newer one."""
    due_s = made.began_s + made.every_s - JITTER_S
    return due_s, due_s + made.every_s / 2


def spent_ms(picture: Picture, now_s: float) -> dict[str, float]:
    """What the picture's age is made of, up to now."""
    instants = (picture.time_s, picture.came_s, picture.began_s, picture.done_s, now_s)
    spent = (round(1000 * (after - before), 1) for before, after in pairwise(instants))
    return dict(zip(STAGES, spent, strict=True))


def is_turn(made: Picture, came_s: float, asked_s: float, now_s: float) -> bool:
    """Whether a newer frame, which came at `came_s`, is to be made a picture of after `made`, for who has asked at `asked_s`.

    Who waits gets one that comes when it is due, and not one that came before and is old already; but for long there is none.
    """
    follows_s, late_s = due_s(made)
    return now_s >= follows_s and (max(came_s, asked_s) >= follows_s or now_s >= late_s)
