"""What tests of the store share: changes as the recorder makes them, and a clock set by hand."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edged.store import (
    Change,
    CoverageMinute,
    EventRecord,
    Message,
    Store,
    StoreReader,
)
from support.mosquitto import until


@dataclass
class HandClock:
    """Stands still until it is moved or set."""

    monotonic: float = 1000.0
    utc: int = 1_780_000_000_000
    is_trusted: bool = True

    def monotonic_s(self) -> float:
        return self.monotonic

    def utc_ms(self) -> int:
        return self.utc

    def trusted(self) -> bool:
        return self.is_trusted

    def pass_s(self, seconds: float) -> None:
        """Time passes."""
        self.monotonic += seconds
        self.utc += round(seconds * 1000)

    def set_by(self, milliseconds: int) -> None:
        """Somebody sets the clock; no time passes."""
        self.utc += milliseconds


def started(event_id: str, at: int = 1000, **values: Any) -> EventRecord:
    keys = {
        "event_id": event_id, "kind": "mask", "camera": "door", "track": 1, "state": "none", "score": 0.9,
        "votes": {"none": 3}, "started_at": at, "clock_ok": True, "details": {},
    }  # fmt: skip
    return EventRecord(**keys | values)


def ended(event_id: str, at: int = 2000, **values: Any) -> EventRecord:
    """The end of an event that `started` with the same `values`."""
    return replace(started(event_id, **values), seq=2, votes={"none": 5}, ended_at=at, end_reason="left")


def message(event_id: str | None = None, seq: int | None = None, payload: str = '{"type":"start"}') -> Message:
    return Message("events", payload, created=1, event_id=event_id, event_seq=seq)


def whole_event(event_id: str, at: int = 1000) -> list[Change]:
    """Start and end, each with its message."""
    return [started(event_id, at), message(event_id, 1), ended(event_id, at + 500, started_at=at), message(event_id, 2)]


def minute(camera: str = "door", at: int = 60_000, **values: Any) -> CoverageMinute:
    keys = {
        "camera": camera, "minute": at, "frames_seen": 10, "frames_analysed": 9, "faces": 1, "dropped": 1,
        "camera_state": "online", "watched_ms": 40_000,
    }  # fmt: skip
    return CoverageMinute(**keys | values)


def fill(path: Path, count: int, first: int = 0) -> None:
    """Events with their messages, one commit each."""
    with Store(path) as store:
        for number in range(first, first + count):
            store.write([started(f"E{number:06d}", number), message(f"E{number:06d}", 1)])


def backup_is_over(store: Store) -> bool:
    """Whether no backup is being made any more, within a minute."""
    return until(lambda: store._backup is None or store._backup.is_done(), 60)


def event_ids(path: Path) -> list[str]:
    return [row["event_id"] for row in StoreReader(path).events()]
