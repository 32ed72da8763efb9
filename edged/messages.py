"""The JSON that leaves the device over MQTT, and its relative topics: `<prefix>/<device>/` is put before them when sent."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

AVAILABILITY = "availability"
STATE = "state"
EVENTS = "events"
REPORT_DAILY = "report/daily"
COMMANDS = "cmd"

Payload = dict[str, Any]


def camera_status(camera: str) -> str:
    return f"camera/{camera}/status"


def camera_counts(camera: str) -> str:
    return f"camera/{camera}/counts"


def camera_attention(camera: str) -> str:
    return f"camera/{camera}/attention"


def camera_violation(camera: str) -> str:
    return f"camera/{camera}/violation"


def command_result(verb: str) -> str:
    return f"{COMMANDS}/{verb}/result"


def iso(utc_ms: int | None) -> str | None:
    """UTC milliseconds as ISO 8601 with a Z, the only form of an instant in a payload."""
    if utc_ms is None:
        return None
    seconds, milliseconds = divmod(utc_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def encode(payload: Mapping[str, Any]) -> str:
    """Compact JSON with `"v": 1` first; refuses NaN and infinity."""
    return json.dumps({"v": 1, **payload}, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def event_payload(
    *,
    phase: str,
    event_id: str,
    seq: int,
    kind: str,
    camera: str,
    track: int | None,
    state: str,
    score: float | None,
    votes: Mapping[str, int] | None,
    violation: bool,
    start: int,
    end: int | None,
    end_reason: str | None,
    clock_ok: bool,
    details: Mapping[str, object],
    began: int | None = None,
    encounter_id: str | None = None,
) -> Payload:
    """One step in an event's life; (event_id, seq) identifies the message.

    `began` is when the behaviour began, as far as it is known, `start` when it was confirmed, and `lasted_s` counts from
    the former.

    `violation`: the event has alerted people, with this step or an earlier one, that is, a message of it went to
    `camera/<id>/violation`; once true it stays true to the end, also to an end that a crash left open. It is false of
    events about the device, and of those that were only recorded: `details.held_back` then says why ("cooldown", "too
    many", …).
    """
    first = start if began is None else began
    return {
        "type": phase,
        "event_id": event_id,
        "seq": seq,
        "kind": kind,
        "camera": camera,
        "track": track,
        "state": state,
        "score": score,
        "votes": votes,
        "violation": violation,
        "began": iso(first),
        "start": iso(start),
        "end": iso(end),
        "lasted_s": None if end is None else max(0, end - first) / 1000,
        "end_reason": end_reason,
        "encounter_id": encounter_id,
        "clock_synced": clock_ok,
        "details": details,
    }


def violation_payload(event: Payload, at: int) -> Payload:
    """The alert that goes with an event's step, in the form Home Assistant's `event` entity wants.

    `ts` is when it was confirmed, `began` when the behaviour began.
    """
    who = ("event_id", "encounter_id", "seq", "kind", "camera", "track")
    kept = ("began", *who, "state", "score", "votes", "clock_synced", "details")
    return {"event_type": f"{event['kind']}_{event['state']}", "ts": iso(at), **{key: event[key] for key in kept}}


def counts_payload(counts: Mapping[str, int], at: int, static: int = 0) -> Payload:
    """People present by mask state: `counts` holds correct, incorrect, none, uncertain.

    `static` are pictures of faces, which are no people and stand apart.
    """
    return {"ts": iso(at), "present": sum(counts.values()), **counts, "static": static}


def attention_payload(counts: Mapping[str, int | None], at: int, static: int = 0) -> Payload:
    """People present by attention, never one by one: `counts` holds present, attentive, away, drowsy, unknown.

    What the camera's profile does not follow is null. `static` as in `counts_payload`.
    """
    return {"ts": iso(at), **counts, "static": static}


def status_payload(status: str, since: int, at: int, reconnects: int, reason: str | None) -> Payload:
    """A camera's state: online, stalled, reconnecting or offline."""
    return {"ts": iso(at), "status": status, "since": iso(since), "reconnects": reconnects, "reason": reason}


def state_payload(
    *,
    version: str,
    uptime_s: float,
    mode: str,
    backend: str,
    models: Mapping[str, str],
    clock_ok: bool,
    outbox: int | None,
    errors: Sequence[str],
    at: int,
    temperature_c: float | None = None,
    throttled: bool = False,
    under_voltage: bool = False,
    preparing: Mapping[str, Any] | None = None,
) -> Payload:
    """The device as a whole: `mode` is normal or degraded, `errors` are one line each.

    `backend` is what runs all `models`, or "mixed". `preparing` is the model whose engine is being made, and how far that
    is: `model`, `step`, `percent`. `outbox` is how many messages wait, None when the store cannot be read; `temperature_c`
    that of the hottest part of the board, None where it does not tell.
    """
    return {
        "ts": iso(at),
        "version": version,
        "uptime_s": round(uptime_s),
        "mode": mode,
        "backend": backend,
        "models": dict(models),
        "preparing": preparing and dict(preparing),
        "clock_synced": clock_ok,
        "temperature_c": None if temperature_c is None else round(temperature_c, 1),
        "throttled": throttled,
        "under_voltage": under_voltage,
        "outbox": outbox,
        "errors": list(errors),
    }
