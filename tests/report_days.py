"""Made-up days, written into a real store: what the report's tests count, and what its page is looked at with."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edged.config import Config
from edged.report import build_report, canonical_json, day_span, report_sha256
from edged.store import CoverageMinute, EncounterRow, EventRecord, ReportRow, Store, StoreReader

MINUTE = 60_000
HOUR = 3_600_000
MODELS = {"mtcnn": "5c1f" * 16, "mask": "09ab" * 16}


def config(
    zone: str = "Europe/Madrid", cameras: Iterable[str] = ("door",), profile: str = "entrance", **report: Any
) -> Config:
    return Config.model_validate(
        {
            "device": {"id": "entrance-1", "name": "Entrance 1"},
            "camera": {name: {"source": f"v4l2:///dev/v4l/by-id/{name}", "profile": profile} for name in cameras},
            "report": {"timezone": zone, **report},
        }
    )


def door_and_cab(**report: Any) -> Config:
    """A device that asks for masks at a door, and watches a driver."""
    made = config(**report)
    return made.model_copy(update={"camera": {**made.camera, **config(cameras=["cab"], profile="driver").camera}})


def span(day: date, zone: str = "Europe/Madrid") -> tuple[int, int]:
    return tuple(day_span(day, ZoneInfo(zone)))


def encounter(number: int, at: int, state: str, camera: str = "door", **changes: Any) -> EncounterRow:
    values = {
        "encounter_id": f"{camera}-{number:08d}",
        "camera": camera,
        "track": number,
        "first_seen": at,
        "last_seen": at + 4000,
        "state": state,
        "score": 0.9,
        "votes": {"correct": 5, "incorrect": 0, "none": 0, "uncertain": 1},
        "smallest_face": 40.0,
        "largest_face": 90.0,
        "closed": True,
        "clock_ok": True,
    }
    return EncounterRow(**values | changes)


def violation(number: int, at: int, state: str = "none", camera: str = "door", **changes: Any) -> list[Any]:
    """An event that starts and, unless `lasted` is None, ends; of kind `mask` unless `kind` says otherwise."""
    lasted, kind = changes.pop("lasted", 4500), changes.pop("kind", "mask")
    values = {"event_id": f"EV{number:08d}", "state": state, "score": 0.91, "votes": None, "details": {}} | changes
    start = EventRecord(kind=kind, camera=camera, track=number, started_at=at, clock_ok=True, **values)
    if lasted is None:
        return [start]
    return [start, replace(start, seq=2, ended_at=at + lasted, end_reason="left")]


def watched(
    begin: int, end: int, camera: str = "door", state: str = "online", watched_ms: int = MINUTE
) -> list[CoverageMinute]:
    return [CoverageMinute(camera, minute, 900, 900, 2, 0, state, watched_ms) for minute in range(begin, end, MINUTE)]


def passages(
    randomness: random.Random,
    spans: Iterable[tuple[int, int]],
    busy: Callable[[int], float],
    odds: Mapping[str, float],
    camera: str = "door",
    first: int = 1,
) -> list[Any]:
    """Encounters and their violations: `busy(instant)` passages a minute, each state drawn by its odds."""
    changes: list[Any] = []
    number = first
    for begin, end in spans:
        for minute in range(begin, end, MINUTE):
            rate = busy(minute)
            for _ in range(int(rate) + (randomness.random() < rate % 1)):
                state = randomness.choices(list(odds), list(odds.values()))[0]
                at = minute + randomness.randrange(MINUTE)
                changes.append(encounter(number, at, state, camera))
                if state in ("none", "incorrect"):
                    changes += violation(
                        first * 7 + number,
                        at + 1200,
                        state,
                        camera,
                        lasted=randomness.randrange(900, 90_000),
                        score=round(randomness.uniform(0.75, 0.99), 3),
                        details={"held_back": "cooldown"} if randomness.random() < 0.2 else {},
                    )
                number += 1
    return changes


def store_reports(store: Store, settings: Config, days: Iterable[date]) -> None:
    """Keep the reports of `days`, as the daemon does after midnight."""
    reader = StoreReader(store.path)
    for day in days:
        end = span(day, settings.report.timezone)[1]
        report = build_report(reader, settings, day, end)
        text = canonical_json(report)
        store.write([ReportRow(day.isoformat(), settings.report.timezone, end, text, report_sha256(report))])


def new_store(folder: Path, changes: Iterable[Any] = ()) -> Store:
    store = Store(folder / "edged.db")
    store.write(changes)
    return store
