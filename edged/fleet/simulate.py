"""Makes up devices, the same each time, which export through the code that real devices run: for tests, and to size a server."""

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from edged.config import Config
from edged.export import Exporter
from edged.host.clock import HOUR_MS, MINUTE_MS
from edged.records import Change, CoverageMinute, EncounterRow, EventRecord, ReportRow
from edged.report import canonical_json, day_span, report_sha256
from edged.store import Store, StoreReader

ZONES = ("Europe/Berlin", "Europe/Madrid", "Europe/London", "Asia/Tokyo", "America/New_York")
DOORS = ("main", "side")
OPEN_FROM, OPEN_UNTIL = 7, 20
BUSY = (0.3, 0.7, 0.85, 0.6, 0.5, 0.45, 0.55, 0.6, 0.5, 0.55, 0.45, 0.3, 0.15)
"""Passages a minute at both doors of a usual device, by hour from OPEN_FROM on."""
VOTES = {"correct": 8, "incorrect": 0, "none": 0, "uncertain": 1}
MODELS, POLICY = {"mask": "5c1f" * 16}, "09ab" * 16

OUTAGE, WRONG_CLOCK, AGAIN, LATE, SILENT = 0.1, 0.03, 0.1, 0.08, 0.02
"""In what share of device-days a camera is blind for a while, the clock is set late, files are sent again, passages come
late, and the device sends nothing at all before the next day."""


@dataclass(slots=True)
class Truth:
    """What the devices have seen: passages by outcome, all in open hours; by device and day."""

    passages: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Device:
    """One made-up device: how busy and how careful the people are there is drawn from its number."""

    number: int
    seed: int

    @property
    def id(self) -> str:
        return f"sim-{self.number:05d}"

    @property
    def zone(self) -> str:
        return ZONES[self.number % len(ZONES)]

    def chance(self, day: date | None = None) -> random.Random:
        return random.Random(f"{self.seed} {self.number} {day}")  # noqa: S311  made-up people, no secrets

    def config(self, store: Path, to: Path, form: str) -> Config:
        return Config.model_validate(
            {
                "device": {"id": self.id, "name": f"Site {self.number // 4:04d}"},
                "camera": {door: {"source": f"images:///{door}"} for door in DOORS[: 1 + self.number % 2]},
                "store": {"path": str(store)},
                "report": {
                    "timezone": self.zone,
                    "open_from": f"{OPEN_FROM:02d}:00",
                    "open_until": f"{OPEN_UNTIL:02d}:00",
                    "target_percent": 85,
                },
                "export": {"to": str(to), "format": form},
            }
        )

    def day(self, day: date, scale: float) -> tuple[list[Change], list[Change]]:
        """What it records on a day in time, and what comes to the record late; `scale` times the usual passages."""
        usual, chance = self.chance(), self.chance(day)
        doors = DOORS[: 1 + self.number % 2]
        busy, care = usual.uniform(0.3, 1.7) * scale, min(0.98, max(0.6, usual.gauss(0.9, 0.05)))
        start = day_span(day, ZoneInfo(self.zone)).start + OPEN_FROM * HOUR_MS
        blind = _blind(chance, doors, start)
        late_share = 0.05 if chance.random() < LATE else 0.0
        in_time: list[Change] = []
        late: list[Change] = []
        number = 0
        for minute in range(start, start + (OPEN_UNTIL - OPEN_FROM) * HOUR_MS, MINUTE_MS):
            mean = BUSY[(minute - start) // HOUR_MS] * busy
            for _ in range(int(mean) + (chance.random() < mean % 1)):
                door, number = chance.choice(doors), number + 1
                if (door, minute) not in blind:
                    made = list(self._passage(chance, f"{self.id}-{day}-{number:06d}", door, minute, care))
                    (late if chance.random() < late_share else in_time).extend(made)
            for door in doors:
                seen = 0 if (door, minute) in blind else MINUTE_MS
                state = "online" if seen else "offline"
                in_time.append(CoverageMinute(door, minute, 900, 900, 1, 0, state, seen))
        return in_time, late

    def _passage(self, chance: random.Random, name: str, door: str, minute: int, care: float) -> Iterator[Change]:
        at = minute + chance.randrange(MINUTE_MS)
        wrong = "incorrect" if chance.random() < 0.4 else "none"
        state = "uncertain" if chance.random() < 0.05 else "correct" if chance.random() < care else wrong
        face, score = round(chance.uniform(40, 160), 1), round(chance.uniform(0.8, 0.99), 3)
        yield EncounterRow(name, door, 1, at, at + 4000, state, score, VOTES, 30.0, face, closed=True, clock_ok=True)
        if state in ("incorrect", "none"):
            details = {"held_back": "cooldown"} if chance.random() < 0.1 else {}
            first = EventRecord(f"V{name}", "mask", door, 1, state, score, None, at + 1200, True, details)
            yield first
            yield replace(first, seq=2, ended_at=at + 4000, end_reason="left")


def _blind(chance: random.Random, doors: Sequence[str], start: int) -> set[tuple[str, int]]:
    if chance.random() >= OUTAGE:
        return set()
    door, begin = chance.choice(doors), chance.randrange(11 * 60)
    return {(door, start + minute * MINUTE_MS) for minute in range(begin, begin + chance.randrange(10, 120))}


def simulate(
    place: Path, devices: int, days: Sequence[date], seed: int, scale: float, form: str, say: Callable[[str], None]
) -> Truth:
    """Have so many devices export these days to `place`, with the troubles of real ones. Raise Unavailable where it is full."""
    truth = Truth()
    with tempfile.TemporaryDirectory(prefix="edged-fleet-") as made:
        template = Path(made) / "template.db"
        Store(template).close()
        for number in range(devices):
            folder = Path(made) / "device"
            folder.mkdir()
            shutil.copyfile(template, folder / "edged.db")
            try:
                _live(Device(number, seed), folder, place, days, scale, form, truth)
            finally:
                shutil.rmtree(folder)
            if (number + 1) % 100 == 0:
                say(f"{number + 1} of {devices} devices have exported")
    return truth


def _live(
    device: Device, folder: Path, place: Path, days: Sequence[date], scale: float, form: str, truth: Truth
) -> None:
    """One device, day after day; what came late, or was put right, is exported with the next day, and at the end."""
    config = device.config(folder / "edged.db", place, form)
    with Store(config.store.path) as store:
        waiting: list[Change] = []
        for number, day in enumerate(days):
            chance = random.Random(f"{device.seed} {device.number} {day} troubles")  # noqa: S311  made-up, no secrets
            end = day_span(day, ZoneInfo(device.zone)).end
            in_time, late = device.day(day, scale)
            truth.passages[device.id, str(day)] = _counted([*in_time, *late])
            store.write([*waiting, *in_time, _closed(day, device.zone, end)])
            waiting = late
            if number and chance.random() < WRONG_CLOCK:
                early, right = _misdated(in_time)
                store.write(early)
                waiting = [*late, *right]
            exporter = Exporter(config, StoreReader(store.path), end + HOUR_MS, lambda _: None)
            if chance.random() >= SILENT:
                exporter.export(None)
                if chance.random() < AGAIN:
                    exporter.export(day)
        store.write(waiting)
        exporter.export(None)


def _closed(day: date, zone: str, at: int) -> ReportRow:
    """As much of a report as an export asks for."""
    report = {"date": str(day), "origin": {"models": MODELS, "config_sha256": POLICY}}
    return ReportRow(str(day), zone, at, canonical_json(report), report_sha256(report))


def _misdated(changes: Sequence[Change]) -> tuple[list[Change], list[Change]]:
    """The last passage as a clock that was a day late dated it, and as it was once the clock was set."""
    for row in reversed(changes):
        if isinstance(row, EncounterRow):
            early = replace(
                row, first_seen=row.first_seen - 24 * HOUR_MS, last_seen=row.last_seen - 24 * HOUR_MS, clock_ok=False
            )
            return [early], [row]
    return [], []


def _counted(changes: Sequence[Change]) -> Counter[str]:
    return Counter(row.state for row in changes if isinstance(row, EncounterRow))
