"""Makes up five weeks of an entrance, the same each time, so that the demo can show the reports of a full week."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from edged.config import Config
from edged.host.clock import HOUR_MS, MINUTE_MS
from edged.report import build_report, canonical_json, day_span, report_sha256
from edged.store import (
    Change,
    CoverageMinute,
    EncounterRow,
    EventRecord,
    ReportRow,
    Store,
    StoreReader,
)

MONDAY = date(2026, 11, 16)
WEEK = tuple(MONDAY + timedelta(days=number) for number in range(7))
WEEKS_BEFORE = 4
"""So many are made up before it, for the trend."""

MADE_UP = "Made up by edged demo"
SETTINGS = f"""
[device]
id = "example"
name = "Example"

[camera.main-door]
source = "images:///example"

[camera.side-door]
source = "images:///example"

[report]
site = "Example data: Main entrance"
requirement = "{MADE_UP}: no camera has seen anybody. Masks are worn over mouth and nose."
timezone = "Europe/Berlin"
open_from = "07:00"
open_until = "20:00"
target_percent = 85
"""
"""The config of the made-up site, without its store; every report made with it says what it is."""

OPEN_FROM = 7
BUSY = (0.3, 0.7, 0.85, 0.6, 0.5, 0.45, 0.55, 0.6, 0.5, 0.55, 0.45, 0.3, 0.15)
"""Groups that come in a minute at both doors together, by hour from 7 on."""
CARE = (0.95, 0.95, 0.94, 0.94, 0.93, 0.92, 0.92, 0.93, 0.93, 0.92, 0.90, 0.88, 0.84)
"""The share of groups that wear masks correctly, by hour: towards the evening fewer do."""
WEEKEND = 0.3
BETTER_EACH_WEEK = 0.012
DOORS = {"main-door": 0.7, "side-door": 0.3}
"""Which share of the groups comes in where."""
VOTE_MS = 1100
"""From when a face is seen without a mask to when that is confirmed."""
LARGEST_GROUP, LIKE_THE_FIRST = 3, 0.6
"""People who come together resemble each other."""
UNCERTAIN, INCORRECT_OF_WRONG, HELD_BACK = 0.05, 0.4, 0.08

OUTAGES = {
    date(2026, 11, 17): ("side-door", (13, 20), 33, "reconnecting"),
    date(2026, 11, 20): ("main-door", (9, 5), 4, "stalled"),
}
"""Which door was blind from when, for how many minutes, and why."""

FRAMES_A_MINUTE = 900


def write_weeks(store: Store, config: Config) -> None:
    """Write the five weeks into `store` with the report of each day, as the daemon would have, the last week being WEEK."""
    maker = _Maker(config, random.Random(19))  # noqa: S311  (made-up people, no secrets)
    reader = StoreReader(store.path)
    for number in range(-7 * WEEKS_BEFORE, len(WEEK)):
        day = MONDAY + timedelta(days=number)
        store.write(maker.day(day))
        end = day_span(day, ZoneInfo(config.report.timezone)).end
        report = build_report(reader, config, day, end)
        text = canonical_json(report)
        store.write([ReportRow(day.isoformat(), config.report.timezone, end, text, report_sha256(report))])


class _Maker:
    """Draws days in order from one source of chance; numbers its rows through."""

    def __init__(self, config: Config, chance: random.Random) -> None:
        self._zone = ZoneInfo(config.report.timezone)
        self._chance = chance
        self._number = 0

    def day(self, day: date) -> list[Change]:
        """Everything that is stored of one day; no day of the five weeks has a change of the clocks."""
        start = day_span(day, self._zone).start + OPEN_FROM * HOUR_MS
        busy = WEEKEND if day.weekday() >= 5 else self._chance.uniform(0.9, 1.1)
        weeks_left = (WEEK[-1] - day).days // 7
        care = -BETTER_EACH_WEEK * weeks_left + self._chance.gauss(0, 0.006)
        blind = _blind_minutes(day, start)
        changes: list[Change] = []
        for hour, (groups, usual) in enumerate(zip(BUSY, CARE, strict=True)):
            for minute in range(start + hour * HOUR_MS, start + (hour + 1) * HOUR_MS, MINUTE_MS):
                changes += (self._coverage(door, minute, blind.get((door, minute))) for door in DOORS)
                for _ in range(self._rounded(groups * busy)):
                    door = self._chance.choices(list(DOORS), list(DOORS.values()))[0]
                    if (door, minute) not in blind:
                        changes += self._group(door, minute + self._chance.randrange(MINUTE_MS), usual + care)
        return changes

    def _rounded(self, mean: float) -> int:
        """A whole number whose mean this is."""
        return math.floor(mean) + (self._chance.random() < mean % 1)

    def _group(self, door: str, at: int, care: float) -> Iterator[Change]:
        first = self._state(care)
        for place in range(self._chance.choices(range(1, LARGEST_GROUP + 1), (6, 3, 1))[0]):
            state = first if place == 0 or self._chance.random() < LIKE_THE_FIRST else self._state(care)
            yield from self._passage(door, at + place * self._chance.randrange(600, 2500), state)

    def _state(self, care: float) -> str:
        if self._chance.random() < UNCERTAIN:
            return "uncertain"
        if self._chance.random() < care:
            return "correct"
        return "incorrect" if self._chance.random() < INCORRECT_OF_WRONG else "none"

    def _passage(self, door: str, at: int, state: str) -> Iterator[Change]:
        self._number += 1
        lasts = int(min(3000 * self._chance.lognormvariate(0, 0.8) + 2000, 240_000))
        score = round(self._chance.uniform(0.8, 0.99), 3)
        votes = dict.fromkeys(("correct", "incorrect", "none", "uncertain"), 0) | {state: self._chance.randint(3, 14)}
        yield EncounterRow(
            encounter_id=f"EXAMPLE-{self._number:018d}",
            camera=door,
            track=self._number,
            first_seen=at,
            last_seen=at + lasts,
            state=state,
            score=score,
            votes=votes,
            smallest_face=round(self._chance.uniform(24, 40), 1),
            largest_face=round(self._chance.uniform(60, 160), 1),
            closed=True,
            clock_ok=True,
        )
        if state in ("incorrect", "none"):
            yield from self._violation(door, at + 1200, at + lasts, state, score, votes)

    def _violation(
        self, door: str, start: int, end: int, state: str, score: float, votes: dict[str, int]
    ) -> Iterator[Change]:
        event_id = f"EXAMPLE{self._number:019d}"
        details = {"held_back": "cooldown"} if self._chance.random() < HELD_BACK else {}
        first = EventRecord(
            event_id, "mask", door, self._number, state, score, votes, start, True, details, began_at=start - VOTE_MS
        )
        yield first
        yield replace(first, seq=2, ended_at=end, end_reason="left")

    def _coverage(self, door: str, minute: int, blind: str | None) -> CoverageMinute:
        seen = 0 if blind else FRAMES_A_MINUTE
        return CoverageMinute(door, minute, seen, seen, 2, 0, blind or "online", 0 if blind else MINUTE_MS)


def _blind_minutes(day: date, opening: int) -> dict[tuple[str, int], str]:
    """Doors and minutes that were not watched, and why."""
    if day not in OUTAGES:
        return {}
    door, (hour, minute), minutes, why = OUTAGES[day]
    begin = opening + (hour - OPEN_FROM) * HOUR_MS + minute * MINUTE_MS
    return {(door, begin + number * MINUTE_MS): why for number in range(minutes)}


def report_files(folder: Path) -> Sequence[Path]:
    """Where the week's pages lie once they are made, in the order of the days."""
    return [folder / f"{day}.html" for day in WEEK]
