"""How each change is written: one kind of row, one place that knows its columns."""

import json
from collections.abc import Mapping
from typing import Any

from sqlite_utils import Database

from edged.records import (
    Acknowledged,
    Change,
    CoverageMinute,
    EncounterRemoved,
    EncounterRow,
    EventRecord,
    LocalTime,
    Message,
    MetaRow,
    ReportRow,
    ReportWithdrawn,
)

OUTBOX_COLUMNS = ("topic", "payload", "qos", "retain", "created", "event_id", "event_seq", "channel")


def apply(db: Database, change: Change) -> None:
    """Write one change, within the transaction that is open on `db`."""
    match change:
        case EventRecord():
            _write_event(db, change)
        case EncounterRow() | EncounterRemoved():
            _write_encounter(db, change)
        case Message():
            # Messages of an event are dropped when its start was lost, with a damaged file or with the disk full for too long.
            if change.event_id is None or _is_known(db, change.event_id):
                db.table("outbox").insert({name: getattr(change, name) for name in OUTBOX_COLUMNS})
        case CoverageMinute():
            add_coverage(db, change)
        case ReportRow() | ReportWithdrawn():
            _write_report(db, change)
        case MetaRow():
            db.table("meta").upsert(_columns(change), pk="key")
        case LocalTime():
            db.table("local_time").delete_where()
            rows = [{"since": since, "offset_ms": ahead, "zone": change.zone} for since, ahead in change.offsets]
            db.table("local_time").insert_all(rows)
        case Acknowledged():
            _acknowledge(db, change.seq)


def _write_event(db: Database, event: EventRecord) -> None:
    """Insert the event with its first step, which may be there already: a commit that ended in an I/O error can have
    reached the disk before it is tried again. Later steps of an event that is not there are dropped.
    """
    columns = _columns(event) | {"votes": _text(event.votes), "details": _text(event.details)}
    # A clock that was set since the start moves it at the end: until then `shift_untrusted` does.
    kept = () if event.ended_at is not None else ("started_at", "began_at", "clock_ok")
    assignments = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in kept)
    db.conn.execute(
        f"INSERT INTO events ({', '.join(columns)}) SELECT {', '.join(f':{name}' for name in columns)}"  # noqa: S608
        " WHERE :seq = 1 OR EXISTS (SELECT 1 FROM events WHERE event_id = :event_id)"
        f" ON CONFLICT (event_id) DO UPDATE SET {assignments}",
        columns,
    )


def _write_encounter(db: Database, change: EncounterRow | EncounterRemoved) -> None:
    if isinstance(change, EncounterRow):
        db.table("encounters").upsert(_encounter_columns(change), pk="encounter_id")
    else:
        for statement in (
            "DELETE FROM encounters WHERE encounter_id = ?",
            "UPDATE events SET encounter_id = NULL WHERE encounter_id = ?",
        ):
            db.conn.execute(statement, (change.encounter_id,))


def _write_report(db: Database, change: ReportRow | ReportWithdrawn) -> None:
    if isinstance(change, ReportRow):
        db.table("reports").upsert(_columns(change) | {"counted": _text(change.counted)}, pk="day")
    else:
        db.conn.execute("DELETE FROM reports WHERE day = ?", (change.day,))


def _is_known(db: Database, event_id: str) -> bool:
    found = db.conn.execute("SELECT 1 FROM events WHERE event_id = ?", (event_id,)).fetchone()
    return found is not None


def _acknowledge(db: Database, seq: int) -> None:
    db.conn.execute(
        "UPDATE events SET acked_seq = max(acked_seq, (SELECT event_seq FROM outbox WHERE seq = :seq))"
        " WHERE event_id = (SELECT event_id FROM outbox WHERE seq = :seq AND event_seq IS NOT NULL)",
        {"seq": seq},
    )
    db.conn.execute("DELETE FROM outbox WHERE seq = ?", (seq,))


def add_coverage(db: Database, row: CoverageMinute) -> None:
    db.conn.execute(
        "INSERT INTO coverage"
        " (camera, minute, frames_seen, frames_analysed, faces, dropped, camera_state, watched_ms, clock_ok) VALUES"
        " (:camera, :minute, :frames_seen, :frames_analysed, :faces, :dropped, :camera_state, :watched_ms, :clock_ok)"
        " ON CONFLICT (camera, minute) DO UPDATE SET frames_seen = frames_seen + excluded.frames_seen,"
        " frames_analysed = frames_analysed + excluded.frames_analysed, faces = max(faces, excluded.faces),"
        " dropped = dropped + excluded.dropped, camera_state = CASE"
        " WHEN excluded.camera_state = 'online' OR camera_state = 'paused' THEN camera_state ELSE excluded.camera_state END,"
        " watched_ms = min(60000, watched_ms + excluded.watched_ms), clock_ok = min(clock_ok, excluded.clock_ok)",
        _columns(row),
    )


def _columns(change: Change) -> dict[str, Any]:
    return {name: getattr(change, name) for name in change.__slots__}


def _encounter_columns(change: EncounterRow) -> dict[str, Any]:
    texts = {name: _text(getattr(change, name)) for name in ("votes", "attention", "drowsiness")}
    return _columns(change) | texts


def _text(value: Mapping[str, object] | None) -> str | None:
    return None if value is None else json.dumps(dict(value), separators=(",", ":"), allow_nan=False)
