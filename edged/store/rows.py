"""The changes the store can be asked to make, as frozen rows; instants are UTC milliseconds, JSON is text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class OutboxMessageRow:
    """One message to deliver at least once. `topic` is relative: `<prefix>/<device>/` is put before it when sent.

    `event_id` and `event_seq` are given for event messages: acknowledging the row then marks the event's step as delivered.
    """

    topic: str
    payload: str
    created: int
    qos: int = 1
    retain: bool = False
    event_id: str | None = None
    event_seq: int | None = None


@dataclass(frozen=True, slots=True)
class EventStarted:
    event_id: str
    kind: str
    camera: str
    track: int | None
    state: str
    score: float | None
    votes: Mapping[str, int] | None
    started_at: int
    """When the behaviour was confirmed."""
    clock_ok: bool
    details: Mapping[str, object]
    began_at: int | None = None
    """When the behaviour began, None where that is not known."""
    encounter_id: str | None = None
    """The passage it belongs to, None where there is none, or none yet."""


@dataclass(frozen=True, slots=True)
class EventUpdated:
    event_id: str
    seq: int
    state: str
    score: float | None
    votes: Mapping[str, int] | None
    details: Mapping[str, object]
    encounter_id: str | None = None
    """None leaves it as it was."""


@dataclass(frozen=True, slots=True)
class EventEnded:
    event_id: str
    seq: int
    state: str
    score: float | None
    votes: Mapping[str, int] | None
    ended_at: int
    end_reason: str
    details: Mapping[str, object]
    started_at: int | None = None
    """The start, as the clock knows it now: it may have been set meanwhile. None leaves it, `clock_ok` and `began_at` as
    they were.
    """
    clock_ok: bool | None = None
    began_at: int | None = None
    encounter_id: str | None = None
    """None leaves it as it was."""


@dataclass(frozen=True, slots=True)
class EncounterRow:
    """Inserted when an encounter begins, replaced as it goes on, closed at its end."""

    encounter_id: str
    camera: str
    track: int
    first_seen: int
    last_seen: int
    state: str
    score: float
    votes: Mapping[str, int]
    smallest_face: float
    largest_face: float
    closed: bool
    clock_ok: bool
    attention: Mapping[str, object] | None = None
    """The passage's attention summed up, None where the camera's profile does not follow it; `drowsiness` likewise."""
    drowsiness: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class EncounterRemoved:
    """What was taken for an encounter was none; without effect when it is not there."""

    encounter_id: str


@dataclass(frozen=True, slots=True)
class CoverageMinute:
    """What one camera saw in the minute that begins at `minute`; counts add up when the row is there already."""

    camera: str
    minute: int
    frames_seen: int
    frames_analysed: int
    faces: int
    dropped: int
    camera_state: str
    watched_ms: int
    """How much of the minute pictures were arriving and being analysed."""
    clock_ok: bool = True


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One finished local day, as canonical JSON."""

    day: str
    timezone: str
    created: int
    report: str
    sha256: str
    revision: int = 1
    """How often the day's report has been made."""
    counted: Mapping[str, int] | None = None
    """How many rows of each table the day had when it was made."""


@dataclass(frozen=True, slots=True)
class ReportWithdrawn:
    """The day's stored report was none; without effect when it is not there."""

    day: str


@dataclass(frozen=True, slots=True)
class MetaRow:
    """A fact about this device to remember under `key`, in place of the one before."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has taken over responsibility for outbox message `seq`."""

    seq: int


Change: TypeAlias = (
    EventStarted
    | EventUpdated
    | EventEnded
    | EncounterRow
    | EncounterRemoved
    | CoverageMinute
    | ReportRow
    | ReportWithdrawn
    | OutboxMessageRow
    | MetaRow
    | Acknowledged
)
