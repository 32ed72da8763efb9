"""Gives what the pure stages found its identity and its time of day, and turns it into rows and messages to store.

The stages know only monotonic seconds and keys of one run; the record knows ULIDs and UTC. This is the border.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ulid import ULID

from edged import messages
from edged.ports import Clock
from edged.store import (
    Change,
    CoverageMinute,
    EncounterRemoved,
    EncounterRow,
    EventEnded,
    EventStarted,
    EventUpdated,
    OutboxMessageRow,
)
from edged.types import AttentionSummary, DrowsinessSummary, Encounter, Event, EventPhase

MINUTE_MS = 60_000
CLOCK_SET_MS = 1000
"""A start that moves by more than this did not round differently: the clock was set."""

ALERTING = frozenset({"mask", "inattention", "drowsiness"})
"""Kinds of events that alert people; the others are about the device."""

LONGEST_WATCHED_GAP_S = 2.0
"""Pictures further apart than this leave a hole in what was watched."""


@dataclass(slots=True)
class _Open:
    """An event that has not ended: its identity, the number of its last message, and what its steps have told."""

    event_id: str
    seq: int
    started_s: float
    started_at: int
    lead_ms: int = 0
    """How long before its start, which is its confirmation, the behaviour began."""
    encounter_id: str | None = None
    details: dict[str, object] = field(default_factory=dict)
    violation: bool = False
    """Whether it has alerted people."""

    @property
    def began_at(self) -> int:
        return self.started_at - self.lead_ms


@dataclass(slots=True)
class _Minute:
    """What a camera did in the present minute."""

    minute: int
    opened_s: float
    opened_at: int
    frames_seen: int = 0
    frames_analysed: int = 0
    faces: int = 0
    dropped: int = 0
    watched_s: float = 0.0
    camera_state: str = "online"


@dataclass(slots=True)
class Recorder:
    """Used by one thread. `submit` takes what belongs into one transaction."""

    clock: Clock
    submit: Callable[[Sequence[Change]], None]
    publishing: bool
    """Whether there is a broker: without one no messages pile up for it."""
    _open: dict[str, _Open] = field(default_factory=dict)
    _encounter_ids: dict[str, str] = field(default_factory=dict)
    _passages: dict[tuple[str, int], str] = field(default_factory=dict)
    """The identity of each passage that was told, by camera and track."""
    _minutes: dict[str, _Minute] = field(default_factory=dict)
    _analysed_s: dict[str, float] = field(default_factory=dict)

    def record(self, events: Sequence[Event], encounters: Sequence[Encounter]) -> None:
        """Store what one frame caused, in one transaction."""
        told: list[Change] = [self._encounter(encounter) for encounter in encounters]
        changes = [change for event in events for change in self._event(event)]
        for encounter in encounters:
            if encounter.closed:
                self._passages.pop((encounter.camera, encounter.track), None)
        self.submit(changes + told)

    def analysed(self, camera: str, time_s: float, faces: int) -> None:
        """Book one analysed frame."""
        minute = self._minute(camera)
        minute.frames_analysed += 1
        minute.faces = max(minute.faces, faces)
        gap = time_s - self._analysed_s.get(camera, time_s)
        if 0 <= gap <= LONGEST_WATCHED_GAP_S:
            minute.watched_s += gap
        self._analysed_s[camera] = time_s

    def seen(self, camera: str, frames: int, dropped: int, camera_state: str) -> None:
        """Book what the camera delivered since the last call, and its state, the worst of the minute standing."""
        minute = self._minute(camera)
        minute.frames_seen += frames
        minute.dropped += dropped
        if camera_state != "online":
            minute.camera_state = camera_state

    def flush(self) -> None:
        """Store the unfinished minutes: the daemon is stopping."""
        rows = [self._coverage(camera, minute) for camera, minute in self._minutes.items()]
        self._minutes.clear()
        self.submit(rows)

    def system_event(self, state: str, details: Mapping[str, object], camera: str = "") -> None:
        """Store something that happened to the device, as an event that starts and ends at once."""
        now_s = self.clock.monotonic_s()
        key = f"system-{ULID()}"
        start = Event(key, "system", "start", camera, None, now_s, state, details=details)
        end = Event(key, "system", "end", camera, None, now_s, state, end_reason="instant", details=details)
        self.record([start, end], [])

    def camera_event(
        self,
        camera: str,
        phase: EventPhase,
        state: str,
        details: Mapping[str, object],
        key: str,
        end_reason: str | None = None,
        began_s: float | None = None,
    ) -> None:
        """Store that a camera was lost or stalled, or came back; `began_s`: since when it has been in trouble."""
        event = Event(
            key,
            "camera",
            phase,
            camera,
            None,
            self.clock.monotonic_s(),
            state,
            end_reason=end_reason,
            details=details,
            began_s=began_s,
        )
        self.record([event], [])

    def end_left_open(self, rows: Sequence[Mapping[str, Any]], last_known: int) -> None:
        """End the events a crash left open, as of the last moment the record knows of, and tell subscribers."""
        changes: list[Change] = []
        for row in rows:
            ended_at = max(row["started_at"], min(last_known, self.clock.utc_ms()))
            seq = row["seq"] + 1
            changes.append(
                EventEnded(
                    row["event_id"], seq, row["state"], row["score"], row["votes"], ended_at, "restart", row["details"]
                )
            )
            kept = {k: row[k] for k in ("event_id", "kind", "camera", "track", "state", "score", "votes", "details")}
            payload = messages.event_payload(
                **kept,
                phase="end",
                seq=seq,
                violation=has_alerted(row["kind"], row["details"]),
                start=row["started_at"],
                end=ended_at,
                end_reason="restart",
                clock_ok=bool(row["clock_ok"]),
                began=row.get("began_at"),
                encounter_id=row.get("encounter_id"),
            )
            changes += self._messages(payload, None)
        self.submit(changes)

    def utc_ms(self, time_s: float) -> int:
        """The time of day of a monotonic moment, as far as the clock knows now."""
        return self.clock.utc_ms() - round((self.clock.monotonic_s() - time_s) * 1000)

    def _event(self, event: Event) -> list[Change]:
        at = self.utc_ms(event.time_s)
        if event.phase == "start":
            opened = self._open[event.key] = _Open(str(ULID.from_timestamp(max(at, 0))), 1, event.time_s, at)
            if event.began_s is not None:
                opened.lead_ms = max(0, round((event.time_s - event.began_s) * 1000))
        else:
            opened = self._open[event.key]
            opened.seq += 1
        # The clock may have been set meanwhile: that moves start and end, and not what lies between them.
        lasted = max(0, round((event.time_s - opened.started_s) * 1000))
        if abs(at - lasted - opened.started_at) >= CLOCK_SET_MS:
            opened.started_at = at - lasted
        at = opened.started_at + lasted
        if event.track is not None and opened.encounter_id is None:
            opened.encounter_id = self._passages.get((event.camera, event.track))
        opened.details.update(event.details)
        if event.violation:  # an update may alert where the start was held back
            opened.violation = True
            opened.details.pop("held_back", None)
        votes = event.votes._asdict() if event.votes else None
        row = self._event_row(event, opened, at, votes)
        if event.phase == "end":
            del self._open[event.key]
        payload = messages.event_payload(
            phase=event.phase,
            event_id=opened.event_id,
            seq=opened.seq,
            kind=event.kind,
            camera=event.camera,
            track=event.track,
            state=event.state,
            score=event.score,
            votes=votes,
            violation=opened.violation,
            start=opened.started_at,
            end=at if event.phase == "end" else None,
            end_reason=event.end_reason,
            clock_ok=self.clock.trusted(),
            details=opened.details,
            began=opened.began_at,
            encounter_id=opened.encounter_id,
        )
        return [row, *self._messages(payload, at if event.violation else None)]

    def _event_row(self, event: Event, opened: _Open, at: int, votes: dict[str, int] | None) -> Change:
        identity, state, score, details = opened.event_id, event.state, event.score, dict(opened.details)
        trusted, began, passage = self.clock.trusted(), opened.began_at, opened.encounter_id
        match event.phase:
            case "start":
                told = (event.kind, event.camera, event.track, state, score, votes, at, trusted, details)
                return EventStarted(identity, *told, began_at=began, encounter_id=passage)
            case "update":
                return EventUpdated(identity, opened.seq, state, score, votes, details, passage)
            case "end":
                last = (opened.seq, state, score, votes, at, event.end_reason or "", details)
                return EventEnded(identity, *last, opened.started_at, trusted, began, passage)

    def _messages(self, payload: messages.Payload, violation_at: int | None) -> list[Change]:
        """The lifecycle message, and the alert when there is one."""
        if not self.publishing:
            return []
        now, event_id = self.clock.utc_ms(), payload["event_id"]
        rows: list[Change] = [
            OutboxMessageRow(
                messages.EVENTS, messages.encode(payload), now, event_id=event_id, event_seq=payload["seq"]
            )
        ]
        if violation_at is not None:
            alert = messages.encode(messages.violation_payload(payload, violation_at))
            rows.append(OutboxMessageRow(messages.camera_violation(payload["camera"]), alert, now, event_id=event_id))
        return rows

    def _encounter(self, encounter: Encounter) -> EncounterRow | EncounterRemoved:
        last_seen = self.utc_ms(encounter.last_seen_s)
        first_seen = last_seen - round((encounter.last_seen_s - encounter.first_seen_s) * 1000)
        identity = self._encounter_ids.setdefault(encounter.key, str(ULID.from_timestamp(max(first_seen, 0))))
        if encounter.closed:
            del self._encounter_ids[encounter.key]
        if encounter.static:
            self._passages.pop((encounter.camera, encounter.track), None)
            return EncounterRemoved(identity)
        self._passages[encounter.camera, encounter.track] = identity
        return EncounterRow(
            encounter_id=identity,
            camera=encounter.camera,
            track=encounter.track,
            first_seen=first_seen,
            last_seen=last_seen,
            state=encounter.state.value,
            score=encounter.score,
            votes=encounter.votes._asdict(),
            smallest_face=encounter.smallest_face,
            largest_face=encounter.largest_face,
            closed=encounter.closed,
            clock_ok=self.clock.trusted(),
            attention=_summary(encounter.attention),
            drowsiness=_summary(encounter.drowsiness),
        )

    def _minute(self, camera: str) -> _Minute:
        """The present minute's books; a minute that is over is stored."""
        now = self.clock.utc_ms()
        present = now // MINUTE_MS * MINUTE_MS
        minute = self._minutes.get(camera)
        if minute is None or minute.minute != present:
            if minute is not None:
                self.submit([self._coverage(camera, minute)])
            minute = self._minutes[camera] = _Minute(present, self.clock.monotonic_s(), now)
        return minute

    def _coverage(self, camera: str, minute: _Minute) -> CoverageMinute:
        # The clock may have been set meanwhile: the minute is told where it lies in the present reckoning.
        opened_at = self.utc_ms(minute.opened_s)
        was_set = abs(opened_at - minute.opened_at) >= CLOCK_SET_MS
        return CoverageMinute(
            camera=camera,
            minute=opened_at // MINUTE_MS * MINUTE_MS if was_set else minute.minute,
            frames_seen=minute.frames_seen,
            frames_analysed=minute.frames_analysed,
            faces=minute.faces,
            dropped=minute.dropped,
            camera_state=minute.camera_state,
            watched_ms=min(MINUTE_MS, round(minute.watched_s * 1000)),
            clock_ok=self.clock.trusted(),
        )


def has_alerted(kind: str, details: Mapping[str, object] | None) -> bool:
    """Whether a stored event has alerted people: every event about people has, unless `held_back` says why not."""
    return kind in ALERTING and "held_back" not in (details or {})


def _summary(summary: AttentionSummary | DrowsinessSummary | None) -> dict[str, object] | None:
    """As the store keeps it, with no more digits than were measured."""
    if summary is None:
        return None
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(summary).items()}
