"""A day at a site with two cameras, played through recorder, watch of the cameras, reporter and store: what it leaves behind."""

import json
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from report_days import config, span

from edged.backends import BuildProgress
from edged.capture import CameraState
from edged.config import Config, StoreConfig
from edged.daemon import reporter
from edged.daemon import state as state_module
from edged.daemon.analysis import CameraActivity
from edged.daemon.reporter import Reporter
from edged.daemon.state import CameraWatch, Health
from edged.host.clock import SETTLED_S, WatchedClock
from edged.host.thermal import ThermalState
from edged.report import build
from edged.store import Change, Store, StoreReader
from edged.store import recorder as recorder_module
from edged.store.recorder import Recorder
from edged.store.upkeep import Upkeep, known_reckoning
from edged.types import AttentionSummary, DrowsinessSummary, Encounter, Event, MaskState, Votes
from support.storing import HandClock

TABLES = {
    "events": "event_id", "encounters": "encounter_id", "coverage": "camera, minute", "outbox": "seq", "reports": "day",
}  # fmt: skip
STATES = {
    "mask": ("none", "incorrect"),
    "inattention": ("long", "repeated"),
    "drowsiness": ("sleep", "microsleep", "perclos", "nodding", "yawning"),
}

CONFIG_SHA256 = "e7860a5e1d1364ee91c10a29042226430efb6cb66387f3d7f736d6e17baf36e7"
"""In place of the config's own, which changes with each key that is added."""


class _Numbered:
    """In place of ULIDs: the same day has the same identities."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> str:
        return self.from_timestamp(0)

    def from_timestamp(self, _: int) -> str:
        self.number += 1
        return f"{self.number:026d}"


class Day:
    """One device's day; `play` does it, `left` tells what is in the database and what was told then."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.config: Config = config(cameras=("door", "cab"), profile="driver")
        self.clock = HandClock(utc=span(date(2026, 11, 19))[0] + 7 * 3_600_000)
        self.store = Store(folder / "edged.db")
        self.told: list[tuple[str, str]] = []
        self.open: list[Event] = []
        self.number = 0
        self._start()

    def _start(self) -> None:
        self.watched = WatchedClock(self.clock, known_reckoning(self.store))
        left_open, last = self.store.open_events(), self.store.last_known()
        self.store.close_encounters()
        self.recorder = Recorder(self.watched, self.submit, publishing=True)
        self.recorder.end_left_open(left_open, last)
        self.recorder.system_event("started", {"version": "1", "left_open": len(left_open)})
        self.upkeep = Upkeep(self.watched, StoreConfig(backups=0), record=self.recorder.system_event)
        self.reporter = Reporter(
            self.config,
            StoreReader(self.store.path),
            self,
            self.watched,
            self._tell_report,
            {"mask": "ab" * 32},
        )
        self.watch = CameraWatch(self.recorder, self.watched, self._tell)
        self.health = Health("dev1", 0.0, self.watched, SimpleNamespace(problem=None, dropped=0))

    def submit(self, changes: Sequence[Change]) -> None:
        self.store.write(changes)

    def _tell(self, *message: Any) -> None:
        (topic, payload) = message[:2] if len(message) > 1 else (message[0].topic, message[0].payload)
        self.told.append((topic, payload))

    def _tell_report(self, *report: Any) -> None:
        text = report[0] if isinstance(report[0], str) else report[0].payload
        self.told.append(("report/daily", json.dumps(json.loads(text), sort_keys=True)))

    def play(self, minutes: int = 60) -> None:
        for _ in range(minutes):
            self._minute()
            if self.chance.random() < 0.03:
                self.open.clear()
                self._start()  # as after a power cut
            if self.chance.random() < 0.05:
                self.clock.set_by(self.chance.choice([-5000, 800, 7000, 3_600_000]))
        self.clock.is_trusted = True
        self.clock.pass_s(20 * 3600)
        for _ in range(int(SETTLED_S // 600) + 3):
            self.upkeep(self.store)
            self.reporter.check()
            self.clock.pass_s(600)

    def _minute(self) -> None:
        chance = self.chance
        self.clock.is_trusted = chance.random() < 0.8
        for _ in range(chance.randint(0, 3)):
            self._person()
        for camera in self.config.camera:
            self.recorder.analysed(camera, self.clock.monotonic_s(), chance.randint(0, 4))
        self.clock.pass_s(chance.uniform(0, 2))
        for camera in self.config.camera:
            self.recorder.analysed(camera, self.clock.monotonic_s(), chance.randint(0, 4))
        self._supervise()
        self.upkeep(self.store)
        self.clock.pass_s(58)

    def _supervise(self) -> None:
        chance, now = self.chance, self.clock.monotonic_s()
        status = chance.choice(["online", "online", "online", "stalled", "reconnecting", "offline"])
        reason = None if status == "online" else "no luck – zu spät"
        worker = SimpleNamespace(state=lambda: CameraState(status, now - 20, 3, reason, round(now)), ended=False)
        counts = {"correct": chance.randint(0, 3), "incorrect": 1, "none": 0, "uncertain": 2}
        people = {"present": 3, "attentive": chance.randint(0, 3), "away": 0, "drowsy": 0, "unknown": 0}
        activity = CameraActivity(counts=counts, attention=people, static=1)
        cameras = SimpleNamespace(
            workers={"cab": worker},
            inbox=SimpleNamespace(take_dropped=lambda _: 2),
            analysis=SimpleNamespace(activity=lambda: {"cab": activity}),
        )
        self.watch.supervise(self.config, cameras)
        preparing = chance.choice([None, BuildProgress("mask", "building", 0.37)])
        thermal = ThermalState(chance.choice([None, 51.26]), throttled=True)
        state = self.health.state({"mask": "onnx"}, ["a é problem"], chance.choice([None, 7]), thermal, preparing)
        self.told.append(("state", json.dumps({key: state[key] for key in state if key != "v"}, ensure_ascii=False)))

    def _person(self) -> None:
        chance, self.number = self.chance, self.number + 1
        camera = chance.choice(list(self.config.camera))
        kind = chance.choice(list(STATES))
        first_s, key = self.clock.monotonic_s(), f"{camera}-{kind}-{self.number}"
        self.clock.pass_s(chance.uniform(0.2, 2))
        for phase in ("start", *["update"] * chance.randint(0, 2), "end"):
            now = self.clock.monotonic_s()
            votes = Votes(1, 2, chance.randint(0, 9), 0) if kind == "mask" else None
            score = None if kind == "inattention" else round(chance.random(), 4)
            details = {"level": "warning", "perclos": None, "closure_s": 1.25} if kind == "drowsiness" else {}
            held_back = chance.random() < 0.3
            event = Event(
                key, kind, phase, camera, self.number, now, chance.choice(STATES[kind]), score, votes,
                "left" if phase == "end" else None, not held_back and phase != "end",
                {**details, "held_back": "cooldown"} if held_back and phase == "start" else details,
                first_s if phase == "start" and chance.random() < 0.8 else None,
            )  # fmt: skip
            seen = [self._encounter(camera, first_s, closed=phase == "end")] if chance.random() < 0.9 else []
            self.recorder.record([event], seen)
            self.clock.pass_s(chance.uniform(0.1, 20))
            if chance.random() < 0.05:
                self.upkeep(self.store)
                return  # it stays open until the next start

    def _encounter(self, camera: str, first_s: float, closed: bool) -> Encounter:
        chance = self.chance
        attention = AttentionSummary(3.14159, 1.0, 0.5, chance.randint(0, 2)) if camera == "cab" else None
        drowsiness = DrowsinessSummary("warning", 0.123456, 1.5, None, 2, 10.0) if camera == "cab" else None
        return Encounter(
            f"e{self.number}", camera, self.number, first_s, self.clock.monotonic_s(), chance.choice(list(MaskState)),
            0.9, Votes(none=2), 30.0, 41.5, closed, attention, drowsiness, closed and chance.random() < 0.1,
        )  # fmt: skip

    def left(self) -> Iterator[str]:
        """One line for each row and message, in order."""
        with closing(sqlite3.connect(self.store.path)) as connection:
            connection.row_factory = sqlite3.Row
            for table, order in TABLES.items():
                for row in connection.execute(f"SELECT * FROM {table} ORDER BY {order}"):  # noqa: S608
                    yield f"{table} {json.dumps(dict(row), ensure_ascii=False)}"
        for topic, payload in self.told:
            yield f"{topic} {payload}"


def play(folder: Path, seed: int, minutes: int = 60) -> list[str]:
    """What the day drawn by `seed` leaves behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder_module, "ULID", _Numbered())
        for module in (state_module, build):
            patch.setattr(module, "__version__", "1")
        patch.setattr(reporter, "config_sha256", lambda _: CONFIG_SHA256)
        day = Day(folder, seed)
        try:
            day.play(minutes)
            return list(day.left())
        finally:
            day.store.close()
