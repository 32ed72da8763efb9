"""The payloads of the MQTT topics below `<prefix>/<device>/`."""

from typing import Literal, TypeAlias

from typing_extensions import NotRequired, TypedDict

from edged.payloads.basics import Count, EventDetails, Instant, Probability, Version, VoteCounts, documented
from edged.payloads.report import ReportDocument
from edged.types import CameraStatus, EventKind


@documented
class EventPayload(TypedDict):
    """One step in an event's life: its start, an update, its end. `event_id` and `seq` together identify the message."""

    v: Version
    type: Literal["start", "update", "end"]
    event_id: str
    """A ULID, the same from start to end."""
    seq: Count
    """Counts the event's messages from 1."""
    kind: EventKind
    camera: str
    """Empty when the event is about the device as a whole."""
    track: int | None
    """The person's number in this camera's run; null for events that are not about a person."""
    state: str
    """What happened: a mask state, a distraction, a drowsiness reason, a camera's trouble, what the system did."""
    score: Probability | None
    votes: VoteCounts | None
    violation: bool
    """Whether the event has alerted people, with this step or an earlier one."""
    began: Instant
    """When the behaviour began, as far as that is known."""
    start: Instant
    """When it was confirmed."""
    end: Instant | None
    lasted_s: float | None
    """Seconds from `began` to `end`."""
    end_reason: str | None
    encounter_id: str | None
    """The passage it belongs to; null while that is not known."""
    clock_synced: bool
    """Whether the device's clock could be believed."""
    details: EventDetails


@documented
class ViolationPayload(TypedDict):
    """One confirmed violation, after cooldown, in the form that Home Assistant's `event` entity expects."""

    v: Version
    event_type: str
    """Kind and state of the event: `mask_none`, `mask_incorrect`, `inattention_long`, `drowsiness_microsleep`, …"""
    ts: Instant
    """When it was confirmed, or when the cooldown that held it back was over."""
    began: Instant
    """When the behaviour began, as far as that is known."""
    event_id: str
    encounter_id: str | None
    seq: Count
    kind: EventKind
    camera: str
    track: int | None
    state: str
    score: Probability | None
    votes: VoteCounts | None
    clock_synced: bool
    details: EventDetails


@documented
class CountsPayload(TypedDict):
    """People present by mask state."""

    v: Version
    ts: Instant
    present: Count
    correct: Count
    incorrect: Count
    none: Count
    uncertain: Count
    static: Count
    """Pictures of faces, which are no people and in no other count."""


@documented
class AttentionPayload(TypedDict):
    """People present by attention, as numbers only; null is what the camera's profile does not follow."""

    v: Version
    ts: Instant
    present: Count | None
    attentive: Count | None
    away: Count | None
    drowsy: Count | None
    """Drowsiness level warning or alarm."""
    unknown: Count | None
    static: Count
    """Pictures of faces, which are no people and in no other count."""


@documented
class StatusPayload(TypedDict):
    """A camera's state."""

    v: Version
    ts: Instant
    status: CameraStatus
    since: Instant
    reconnects: Count
    reason: str | None


@documented
class OutputPayload(TypedDict):
    """One local output, or the button that acknowledges."""

    v: Version
    ts: Instant
    kind: Literal["gpio", "sound", "door", "button"]
    on: bool
    """Whether it notifies somebody now; a pulsing line is on in its pauses, too."""
    rules: list[str]
    """Those of its rules that are true now, acknowledged or not."""
    acknowledged: bool
    """Whether somebody has acknowledged all of it: it is silent until something new is true."""
    problem: str | None
    """Why it does not work, one line with the remedy."""


@documented
class Preparation(TypedDict):
    """The model whose engine is being built, and how far that is."""

    model: str
    step: str
    percent: Count


@documented
class StatePayload(TypedDict):
    """The device as a whole."""

    v: Version
    ts: Instant
    version: str
    uptime_s: int
    mode: Literal["normal", "degraded"]
    backend: str
    """What runs all models: `onnxruntime`, `tensorrt`, or `mixed`."""
    models: dict[str, str]
    """What runs each model."""
    preparing: Preparation | None
    paused_until: Instant | None
    """Until when no camera is open; null while the cameras are watched."""
    clock_synced: bool
    temperature_c: float | None
    """Of the hottest part of the board; null where that cannot be read."""
    throttled: bool
    under_voltage: bool
    outbox: Count | None
    """Messages that wait for the broker; null when the database cannot be read."""
    errors: list[str]
    """One line each, with the remedy."""


class Command(TypedDict, total=False):
    """What may be sent to `cmd/<verb>`; every key may be left out."""

    request_id: str | int | float | bool | None
    date: str | int | float | bool | None
    minutes: int
    """Of `cmd/pause`."""
    until: Literal["tomorrow"]
    """Of `cmd/pause`."""
    output: str
    """Of `cmd/acknowledge`: which local output; left out: all of them."""
    who: str
    """Of `cmd/pause`, `cmd/resume` and `cmd/acknowledge`."""


@documented
class CheckedModel(TypedDict):
    """One model on one backend, as `edged selftest` found it."""

    model: str
    backend: str
    status: Literal["ok", "failed", "absent"]
    line: str


@documented
class CommandResult(TypedDict):
    """The answer to a command."""

    v: Version
    request_id: NotRequired[str | int | float | bool | None]
    """The command's own, where it had one."""
    ok: bool
    error: NotRequired[str | None]
    """One line, when it failed."""
    until: NotRequired[Instant]
    """Of `cmd/pause`: when it ends by itself."""
    report: NotRequired[ReportDocument]
    """Of `cmd/report`."""
    machine: NotRequired[dict[str, str] | None]
    """Of `cmd/selftest`: versions and board."""
    results: NotRequired[list[CheckedModel]]
    """Of `cmd/selftest`."""


Availability: TypeAlias = Literal["online", "offline"]
"""Plain text, not JSON."""
