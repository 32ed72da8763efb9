"""Gives what the pure stages found its identity and its time of day, and turns it into rows and messages to store.

The stages know only monotonic seconds and keys of one run; the record knows ULIDs and UTC. This is the border.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ulid import ULID

from edged import messages
from edged.host.clock import MINUTE_MS
from edged.ports import Clock
from edged.records import (
    PAUSED,
    Change,
    Channel,
    CoverageMinute,
    EncounterRemoved,
    EncounterRow,
    EventRecord,
    Notification,
)
from edged.types import AttentionSummary, DrowsinessSummary, Encounter, Event, EventPhase

CLOCK_SET_MS = 1000
"""A start that moves by more than this did not round differently: the clock was set."""


LONGEST_WATCHED_GAP_S, PICTURES_APART = 2.0, 2
"""Pictures further apart than this, and than so many intervals of their present pace, leave a hole in what was watched."""


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
    alerting: Collection[Channel] = ()
    """The channels besides, by which alerts leave."""
    _open: dict[str, tuple[EventRecord, float]] = field(default_factory=dict)
    """Each event that has not ended, and the monotonic second of its start."""
    _encounter_ids: dict[str, str] = field(default_factory=dict)
    _passages: dict[tuple[str, int], str] = field(default_factory=dict)
    """The identity of each passage that was stored, by camera and track."""
    _minutes: dict[str, _Minute] = field(default_factory=dict)
    _analysed_s: dict[str, float] = field(default_factory=dict)

    def record(self, events: Sequence[Event], encounters: Sequence[Encounter]) -> None:
        """Store what one frame caused, in one transaction."""
        passages: list[Change] = [self._encounter(encounter) for encounter in encounters]
        changes = [change for event in events for change in self._event(event)]
        if encounters:
            passages += self._keyed()
        for encounter in encounters:
            if encounter.closed:
                self._passages.pop((encounter.camera, encounter.track), None)
        self.submit(changes + passages)

    def analysed(self, camera: str, time_s: float, faces: int, interval_s: float = 0.0) -> None:
        """Count one analysed frame, of those that now come `interval_s` apart."""
        minute = self._minute(camera)
        minute.frames_analysed += 1
        minute.faces = max(minute.faces, faces)
        gap = time_s - self._analysed_s.get(camera, time_s)
        if 0 <= gap <= max(LONGEST_WATCHED_GAP_S, PICTURES_APART * interval_s):
            minute.watched_s += gap
        self._analysed_s[camera] = time_s

    def seen(self, camera: str, frames: int, dropped: int, camera_state: str) -> None:
        """Count what the camera delivered since the last call, and its state, the worst of the minute standing."""
        minute = self._minute(camera)
        minute.frames_seen += frames
        minute.dropped += dropped
        if camera_state != "online" and minute.camera_state != PAUSED:  # a camera opens anew after a pause
            minute.camera_state = camera_state

    def flush(self) -> None:
        """Store the unfinished minutes: the daemon is stopping."""
        rows = [self._coverage(camera, minute) for camera, minute in self._minutes.items()]
        self._minutes.clear()
        self.submit(rows)

    def finish(self, camera: str) -> None:
        """Store the unfinished minute of a camera that has stopped, and forget the camera: it may not come back."""
        minute = self._minutes.pop(camera, None)
        self._analysed_s.pop(camera, None)
        if minute is not None:
            self.submit([self._coverage(camera, minute)])

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

    def notified(self, notification: Notification) -> None:
        """Add to an event which outputs notified of it; one that has ended stays as it is. That alone is not published."""
        if notification.key not in self._open:
            return
        event, started_s = self._open[notification.key]
        details: dict[str, object] = {**event.details, "told": list(notification.outputs)}
        if notification.acknowledged_s is not None and "acknowledged_at" not in details:
            details |= {
                "acknowledged_at": messages.iso(self.utc_ms(notification.acknowledged_s)),
                "acknowledged_by": notification.by,
            }
        event = replace(event, details=details)
        self._open[notification.key] = event, started_s
        self.submit([event])

    def end_left_open(self, events: Sequence[EventRecord], last_known: int) -> None:
        """End the events a crash left open, as of the last moment the record knows of, and publish that."""
        changes: list[Change] = []
        for event in events:
            ended_at = max(event.started_at, min(last_known, self.clock.utc_ms()))
            changes += self._written(replace(event, seq=event.seq + 1, ended_at=ended_at, end_reason="restart"))
        self.submit(changes)

    def utc_ms(self, time_s: float) -> int:
        """The time of day of a monotonic moment, as far as the clock knows now."""
        return self.clock.utc_ms() - round((self.clock.monotonic_s() - time_s) * 1000)

    def _event(self, event: Event) -> list[Change]:
        if event.phase == "start":
            self._open[event.key] = self._start(event), event.time_s
        before, started_s = self._open[event.key]
        # The clock may have been set meanwhile: that moves start and end, and not what lies between them.
        lasted = max(0, round((event.time_s - started_s) * 1000))
        moved = self.utc_ms(event.time_s) - lasted - before.started_at
        moved = moved if abs(moved) >= CLOCK_SET_MS else 0
        at = before.started_at + moved + lasted
        details = {**before.details, **event.details}
        if event.violation:  # an update may alert where the start was held back
            details.pop("held_back", None)
        record = replace(
            before,
            seq=before.seq + 1,
            state=event.state,
            score=event.score,
            votes=event.votes._asdict() if event.votes else None,
            started_at=before.started_at + moved,
            began_at=None if before.began_at is None else before.began_at + moved,
            ended_at=at if event.phase == "end" else None,
            end_reason=(event.end_reason or "") if event.phase == "end" else None,
            clock_ok=self.clock.trusted(),
            details=details,
            encounter_id=before.encounter_id or self._passages.get((event.camera, event.track or 0)),
        )
        self._open[event.key] = record, started_s
        if event.phase == "end":
            del self._open[event.key]
        return self._written(record, at if event.violation else None)

    def _start(self, event: Event) -> EventRecord:
        """The event before its first step."""
        at = self.utc_ms(event.time_s)
        lead_ms = 0 if event.began_s is None else max(0, round((event.time_s - event.began_s) * 1000))
        return EventRecord(
            event_id=str(ULID.from_timestamp(max(at, 0))),
            kind=event.kind,
            camera=event.camera,
            track=event.track,
            state=event.state,
            score=event.score,
            votes=None,
            started_at=at,
            clock_ok=self.clock.trusted(),
            seq=0,
            began_at=at - lead_ms,
        )

    def _written(self, event: EventRecord, violation_at: int | None = None) -> list[Change]:
        """The event's row, the lifecycle message, and the alert when there is one."""
        payload = messages.event_payload(event)
        row: dict[str, Any] = {"created": self.clock.utc_ms(), "event_id": event.event_id}
        rows: list[Change] = [event]
        broker: tuple[Channel, ...] = ("mqtt",) if self.publishing else ()
        if self.publishing:
            rows.append(messages.EVENTS.message(payload, event_seq=event.seq, **row))
        if violation_at is not None:
            alert = messages.encode(messages.violation_payload(payload, violation_at))
            rows += [
                messages.CAMERA_VIOLATION.text(alert, event.camera, channel=channel, **row)
                for channel in (*broker, *self.alerting)
            ]
        return rows

    def _keyed(self) -> list[Change]:
        """The open events that began before their passage was stored, now with its key; that alone is not published."""
        keyed = {
            key: (replace(event, encounter_id=identity), started_s)
            for key, (event, started_s) in self._open.items()
            if event.encounter_id is None and (identity := self._passages.get((event.camera, event.track or 0)))
        }
        self._open |= keyed
        return [event for event, _ in keyed.values()]

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
        # The clock may have been set meanwhile: the minute is stored where it lies by the clock as it is now.
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


def _summary(summary: AttentionSummary | DrowsinessSummary | None) -> dict[str, object] | None:
    """As the store keeps it, with no more digits than were measured."""
    if summary is None:
        return None
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(summary).items()}
