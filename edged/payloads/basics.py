"""What several documents share: instants, mask states, votes."""

import threading
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

documented = with_config(ConfigDict(use_attribute_docstrings=True))
"""A document whose fields' docstrings become descriptions in its JSON Schema."""
_making = threading.Lock()


def adapter(document: Any) -> "TypeAdapter[Any]":
    """What checks and describes a document; for any thread.

    One is made at a time: pydantic parses the source for the docstrings, and in two threads at once Python 3.11 fails there
    with a SystemError (python/cpython#106905).
    """
    with _making:
        return TypeAdapter(document)


Version: TypeAlias = Literal[1]

Instant: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^-?\d{1,6}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        description="ISO 8601, in UTC, with milliseconds",
        examples=["2026-11-19T08:03:11.482Z"],
        json_schema_extra={"format": "date-time"},
    ),
]
MaskStateName: TypeAlias = Literal["correct", "incorrect", "none", "uncertain"]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Percent: TypeAlias = Annotated[float, Field(ge=0, le=100)]
Probability: TypeAlias = Annotated[float, Field(ge=0, le=1)]


class VoteCounts(TypedDict, total=False):
    """How many votes a face has for each mask state; `uncertain` counts pictures too weak for a vote."""

    correct: Count
    incorrect: Count
    none: Count
    uncertain: Count


_FromUntil = TypedDict("_FromUntil", {"from": Instant | None, "until": Instant | None}, total=False)


@documented
class EventDetails(_FromUntil, total=False):
    """More about an event, by its kind; every key may be missing."""

    held_back: str
    """Why this event caused no alert so far: `cooldown`, `too many`, `level`, `not wanted`. Events about people only."""
    away_s: float
    """Inattention: the longest look away so far, in seconds."""
    away_recent_s: float
    """Inattention: the most seconds that looks away have added up to within the recent window."""
    level: Literal["unknown", "alert", "notice", "warning", "alarm"]
    """Drowsiness: the worst level so far."""
    perclos: Probability | None
    """Drowsiness: the highest PERCLOS so far; null when it could not be measured."""
    closure_s: float
    """Drowsiness: the longest closure of the eyes so far, in seconds."""
    reasons: list[Literal["sleep", "microsleep", "perclos", "nodding", "yawning"]]
    """Drowsiness: everything that it rests on, the gravest first."""
    reason: str | None
    """Camera: what is wrong with it. System, `recovered`: what became of the database's files; `clear_view`: what it is for."""
    who: str
    """System, `clear_view`: who sees a camera's faces unhidden; `paused`, `resumed`: who asked for it."""
    minutes: Count
    """System, `clear_view` and `paused`: after how many it ends by itself; `until` says when a pause does."""
    told: list[str]
    """Events about people: the local outputs that notified of it."""
    acknowledged_at: Instant
    """Events about people: when somebody acknowledged at the device, over MQTT or at the console that they were notified."""
    acknowledged_by: str
    """Who that was: `button <id>`, or what they called themselves."""
    version: str
    """System, `started`: the software's version."""
    left_open: Count
    """System, `started`: how many events the run before had left open; missing where the database could not be opened yet."""
    quarantined: str
    """System, `recovered`: where the damaged database is kept."""
    backup: str | None
    """System, `recovered`: the backup that was restored."""
    gap_from: int | None
    """System, `recovered`: since when the record has a gap, in UTC milliseconds."""
    rows: Count
    """System, `retention`: how many rows are deleted; `from` and `until` say of which time."""
    days: Count
    """System, `retention`: how many days' worth that is."""
