"""The messages that leave the device over MQTT: their topics, how each is delivered, and how its payload is made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast, overload

from edged.payloads.basics import EventDetails, VoteCounts
from edged.payloads.mqtt import (
    AttentionPayload,
    Availability,
    CommandResult,
    CountsPayload,
    EventPayload,
    OutputPayload,
    Preparation,
    StatePayload,
    StatusPayload,
    ViolationPayload,
)
from edged.payloads.report import ReportDocument
from edged.records import EventRecord, Message
from edged.types import EventKind

COMMANDS = "cmd"
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  in UTC, which the Z says
EARLIEST_MS, LATEST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999: calendars know no others."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic below `<prefix>/<device>/`, how its messages are delivered, and what they hold.

    `name` is its pattern, with `{id}` in the place of the camera or output, or `{verb}` of a command.
    """

    name: str
    qos: int
    retain: bool
    payload: Any
    """The type of what is published there."""

    def at(self, part: str = "") -> str:
        """The relative topic of one camera or verb."""
        return self.name.format(id=part, verb=part)

    def message(self, payload: Mapping[str, Any], part: str = "", **row: Any) -> Message:
        """A message with this payload; `row` as the outbox needs it. Raise ValueError for NaN and infinity."""
        return self.text(encode(payload), part, **row)

    def text(self, payload: str, part: str = "", **row: Any) -> Message:
        """A message whose payload is written already."""
        return Message(self.at(part), payload, self.qos, self.retain, **row)


AVAILABILITY = Topic("availability", 1, True, Availability)
STATE = Topic("state", 1, True, StatePayload)
CAMERA_STATUS = Topic("camera/{id}/status", 1, True, StatusPayload)
CAMERA_COUNTS = Topic("camera/{id}/counts", 0, True, CountsPayload)
CAMERA_ATTENTION = Topic("camera/{id}/attention", 0, True, AttentionPayload)
CAMERA_VIOLATION = Topic("camera/{id}/violation", 1, False, ViolationPayload)
EVENTS = Topic("events", 1, False, EventPayload)
OUTPUT = Topic("output/{id}", 1, True, OutputPayload)
REPORT_DAILY = Topic("report/daily", 1, True, ReportDocument)
COMMAND_RESULT = Topic(COMMANDS + "/{verb}/result", 1, False, CommandResult)

TOPICS = (
    AVAILABILITY,
    STATE,
    CAMERA_STATUS,
    CAMERA_COUNTS,
    CAMERA_ATTENTION,
    CAMERA_VIOLATION,
    EVENTS,
    OUTPUT,
    REPORT_DAILY,
    COMMAND_RESULT,
)
"""Everything that the device publishes, but for its introduction to Home Assistant."""


@overload
def iso(utc_ms: int) -> str: ...
@overload
def iso(utc_ms: None) -> None: ...
def iso(utc_ms: int | None) -> str | None:
    """UTC milliseconds as ISO 8601 with a Z, the only form of an instant in a payload."""
    if utc_ms is None:
        return None
    # A row that a failing disk has damaged may hold any number.
    instant = EPOCH + timedelta(milliseconds=min(max(utc_ms, EARLIEST_MS), LATEST_MS))
    return f"{instant.isoformat(timespec='milliseconds')}Z"


def encode(payload: Mapping[str, Any]) -> str:
    """Compact JSON; refuses NaN and infinity."""
    return json.dumps(payload, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def event_payload(event: EventRecord) -> EventPayload:
    """The event's latest step."""
    began = event.started_at if event.began_at is None else event.began_at
    return {
        "v": 1,
        "type": event.phase,
        "event_id": event.event_id,
        "seq": event.seq,
        "kind": cast(EventKind, event.kind),
        "camera": event.camera,
        "track": event.track,
        "state": event.state,
        "score": event.score,
        "votes": cast(VoteCounts | None, event.votes),
        "violation": event.has_alerted,
        "began": iso(began),
        "start": iso(event.started_at),
        "end": iso(event.ended_at),
        "lasted_s": None if event.ended_at is None else max(0, event.ended_at - began) / 1000,
        "end_reason": event.end_reason,
        "encounter_id": event.encounter_id,
        "clock_synced": event.clock_ok,
        "details": cast(EventDetails, event.details),
    }


def violation_payload(event: EventPayload, at: int) -> ViolationPayload:
    """The alert that goes with the step of an event that was confirmed at `at`."""
    return {
        "v": 1,
        "event_type": f"{event['kind']}_{event['state']}",
        "ts": iso(at),
        "began": event["began"],
        "event_id": event["event_id"],
        "encounter_id": event["encounter_id"],
        "seq": event["seq"],
        "kind": event["kind"],
        "camera": event["camera"],
        "track": event["track"],
        "state": event["state"],
        "score": event["score"],
        "votes": event["votes"],
        "clock_synced": event["clock_synced"],
        "details": event["details"],
    }


def counts_payload(counts: Mapping[str, int], at: int, static: int = 0) -> CountsPayload:
    """People present by mask state: `counts` holds correct, incorrect, none, uncertain."""
    payload = {"v": 1, "ts": iso(at), "present": sum(counts.values()), **counts, "static": static}
    return cast(CountsPayload, payload)


def attention_payload(counts: Mapping[str, int | None], at: int, static: int = 0) -> AttentionPayload:
    """People present by attention: `counts` holds present, attentive, away, drowsy, unknown."""
    return cast(AttentionPayload, {"v": 1, "ts": iso(at), **counts, "static": static})


def status_payload(status: str, since: int, at: int, reconnects: int, reason: str | None) -> StatusPayload:
    """A camera's state: online, stalled, reconnecting, offline or paused."""
    fields = {"status": status, "since": iso(since), "reconnects": reconnects, "reason": reason}
    return cast(StatusPayload, {"v": 1, "ts": iso(at), **fields})


def output_payload(state: Mapping[str, Any], at: int) -> OutputPayload:
    """One local output: `state` holds kind, on, rules, acknowledged and problem."""
    return cast(OutputPayload, {"v": 1, "ts": iso(at), **state, "rules": list(state["rules"])})


def state_payload(
    *,
    version: str,
    uptime_s: float,
    backend: str,
    models: Mapping[str, str],
    clock_ok: bool,
    outbox: int | None,
    errors: Sequence[str],
    at: int,
    temperature_c: float | None = None,
    throttled: bool = False,
    under_voltage: bool = False,
    preparing: Preparation | None = None,
    paused_until: str | None = None,
) -> StatePayload:
    """The device as a whole; with `errors`, one line each, it is degraded."""
    return {
        "v": 1,
        "ts": iso(at),
        "version": version,
        "uptime_s": round(uptime_s),
        "mode": "degraded" if errors else "normal",
        "backend": backend,
        "models": dict(models),
        "preparing": preparing,
        "paused_until": paused_until,
        "clock_synced": clock_ok,
        "temperature_c": None if temperature_c is None else round(temperature_c, 1),
        "throttled": throttled,
        "under_voltage": under_voltage,
        "outbox": outbox,
        "errors": list(errors),
    }
