"""What is stored and published, as frozen records; instants are UTC milliseconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from edged.types import EventPhase

ALERTING = frozenset({"mask", "inattention", "drowsiness"})
"""Kinds of events that alert people; the others are about the device."""

Channel: TypeAlias = Literal["mqtt", "webhook", "mail"]
"""A way out of the device: each has its own messages in the outbox, and none waits for another."""

PAUSED = "paused"
"""Of a camera, while somebody has paused; and of the event that says so."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event as it stands after its latest step: its row in the store, and what its messages are made of."""

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
    details: Mapping[str, object] = field(default_factory=dict)
    """The details of all its steps, each key with its latest value."""
    seq: int = 1
    """The number of its latest step, from 1."""
    ended_at: int | None = None
    end_reason: str | None = None
    began_at: int | None = None
    """When the behaviour began, None where that is not known."""
    encounter_id: str | None = None
    """The passage it belongs to, None where there is none, or none yet."""

    @property
    def phase(self) -> EventPhase:
        """Which step the latest one is."""
        if self.ended_at is not None:
            return "end"
        return "start" if self.seq == 1 else "update"

    @property
    def has_alerted(self) -> bool:
        """Whether people were alerted: by every event about people, unless `held_back` says why not."""
        return self.kind in ALERTING and "held_back" not in self.details


@dataclass(frozen=True, slots=True)
class Notification:
    """What local outputs did about an event that has not ended, by its key of this run: which have notified of it; and when and
    by whom that was acknowledged, None until it is.
    """

    key: str
    outputs: tuple[str, ...]
    acknowledged_s: float | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message for the broker, or in the outbox for another `channel`, which sends the same payload in its own form.

    `topic` is relative: `<prefix>/<device>/` is put before it when it is sent.

    Those that must arrive wait in the store's outbox, where `created`, `event_id` and `event_seq` belong to them:
    acknowledging a message with an `event_seq` marks that step of the event as delivered.
    """

    topic: str
    payload: str
    qos: int = 1
    retain: bool = False
    created: int = 0
    event_id: str | None = None
    event_seq: int | None = None
    seq: int = 0
    """Its number in the outbox; 0 of one that does not wait there."""
    channel: Channel = "mqtt"
    absolute: bool = False
    """`topic` is whole: nothing is put before it."""


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
class LocalTime:
    """The site's time zone, in place of the one before: from which UTC millisecond on its clocks are how far ahead of UTC."""

    zone: str
    offsets: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Outbox message `seq` need not be sent any more: its receiver has taken over responsibility for it, or never will."""

    seq: int


Change: TypeAlias = (
    EventRecord
    | EncounterRow
    | EncounterRemoved
    | CoverageMinute
    | ReportRow
    | ReportWithdrawn
    | Message
    | MetaRow
    | LocalTime
    | Acknowledged
)
