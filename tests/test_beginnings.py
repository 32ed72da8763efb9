"""An event tells when the behaviour began and when it was confirmed, and what it says of how long counts from the former."""

import json
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from report_days import config, span
from support.doubles import BARE, WORN, track
from support.storing import HandClock
from support.traces import Camera, Move, Script
from test_cli import edged

from edged.config import AttentionConfig, EventsConfig
from edged.events import Events
from edged.events.kinds import DrowsinessEvents, InattentionEvents, MaskEvents
from edged.report import build_report, list_violations, render_csv
from edged.report.day import day_of
from edged.report.page import render_html
from edged.signals import Smoother
from edged.signals.attention import AttentionMonitor
from edged.signals.drowsiness import DrowsinessMonitor
from edged.signals.mask import MaskVoter
from edged.store import Change, Message, Store, StoreReader
from edged.store.recorder import Recorder
from edged.store.schema import VIEWS
from edged.types import Encounter, Event, Face, MaskScores, MaskState, Votes

FPS = 10


def mask_events(scores: list[MaskScores], **limits: float) -> list[Event]:
    """One person's mask, ten looks a second, through votes and events."""
    voter, events = MaskVoter(), MaskEvents("door", limits=EventsConfig(**limits))
    told: list[Event] = []
    for k, one in enumerate(scores):
        told += events.update(k / FPS, voter.update(k / FPS, [Face(track(1), one)]))
    return told + events.finish(len(scores) / FPS, "stopped")


def film(script: Script, events: Events) -> list[Event]:
    smoother = Smoother(
        attention=AttentionMonitor(AttentionConfig(target_yaw=0, target_pitch=0)), drowsiness=DrowsinessMonitor()
    )
    told = []
    for time_s, faces in Camera(FPS, start=0.0).film(script):
        told += events.update(time_s, smoother.update(time_s, faces))
    return told


def lead_s(start: Event) -> float:
    assert start.phase == "start"
    assert start.began_s is not None
    return start.time_s - start.began_s


def test_a_mask_event_began_with_the_first_look_that_showed_it() -> None:
    start, end = mask_events([WORN] * 20 + [BARE] * 30)
    assert start.began_s == 2.0
    assert start.time_s > 2.4
    assert end.time_s == 5.0


def test_one_look_that_differs_begins_nothing_anew() -> None:
    start, *_ = mask_events([BARE] * 4 + [WORN] + [BARE] * 30)
    assert start.began_s == 0.0


def test_an_event_that_follows_one_that_lasted_too_long_begins_where_that_ended() -> None:
    first, ended, second, _ = mask_events([BARE] * 150, longest_seconds=10)
    assert ended.end_reason == "longest"
    assert second.began_s == ended.time_s > first.time_s


def test_a_long_look_away_began_when_the_head_turned() -> None:
    events = Events(inattention=InattentionEvents("cab"))
    start = film(Script(20, moves=[Move(5, 12, yaw=60)]), events)[0]
    assert start.state == "long"
    assert lead_s(start) == pytest.approx(3.0, abs=0.25)


def test_looks_away_that_add_up_began_with_the_first_of_them() -> None:
    looks = [Move(5 + 4 * k, 7.2 + 4 * k, yaw=60) for k in range(8)]
    start = film(Script(40, moves=looks), Events(inattention=InattentionEvents("cab")))[0]
    assert start.state == "repeated"
    assert start.began_s == pytest.approx(5.0, abs=0.7)


def test_a_microsleep_began_when_the_eyes_shut() -> None:
    start = film(Script(30, shut=[(20, 25)]), Events(drowsiness=DrowsinessEvents("cab")))[0]
    assert start.state == "microsleep"
    assert lead_s(start) == pytest.approx(1.0, abs=0.25)


def test_yawns_that_add_up_began_with_the_first_of_them() -> None:
    script = Script(200, yawns=[(20 + 50 * k, 26 + 50 * k) for k in range(3)])
    start = film(script, Events(drowsiness=DrowsinessEvents("cab")))[0]
    assert start.state == "yawning"
    assert start.time_s > 120
    assert start.began_s == pytest.approx(26, abs=11)


class Kept:
    """A recorder that writes into a real store."""

    def __init__(self, folder: Path) -> None:
        self.clock = HandClock()
        self.store = Store(folder / "edged.db")
        self.payloads: list[dict] = []
        self.recorder = Recorder(self.clock, self._submit, publishing=True)

    def _submit(self, changes: list[Change]) -> None:
        self.store.write(changes)
        self.payloads += [json.loads(row.payload) for row in changes if isinstance(row, Message)]

    def step(self, phase: str, **values: object) -> None:
        now = self.clock.monotonic_s()
        self.recorder.record([Event("k", "mask", phase, "door", 1, now, "none", **values)], [])

    def passage(self, *, closed: bool = False, static: bool = False) -> None:
        now = self.clock.monotonic_s()
        one = Encounter("e", "door", 1, now - 1, now, MaskState.NONE, 0.9, Votes(), 30.0, 30.0, closed, static=static)
        self.recorder.record([], [one])

    def row(self) -> dict:
        (row,) = StoreReader(self.store.path).events()
        return row


@pytest.fixture
def kept(tmp_path: Path):
    one = Kept(tmp_path)
    with one.store:
        yield one


def violate(kept: Kept, lead: float = 2.5, lasted: float = 4.0) -> None:
    kept.step("start", began_s=kept.clock.monotonic_s() - lead, violation=True)
    kept.clock.pass_s(lasted)
    kept.step("end", end_reason="left")


def test_rows_and_payloads_say_which_is_which(kept: Kept) -> None:
    violate(kept)
    row = kept.row()
    assert (row["started_at"] - row["began_at"], row["ended_at"] - row["began_at"]) == (2500, 6500)
    start, alert, end = kept.payloads
    assert (start["lasted_s"], end["lasted_s"]) == (None, 6.5)
    assert start["began"] == alert["began"] == end["began"] < start["start"] == alert["ts"] == end["start"] < end["end"]


def test_a_clock_set_meanwhile_moves_the_beginning_too(kept: Kept) -> None:
    kept.step("start", began_s=kept.clock.monotonic_s() - 2.5)
    kept.clock.set_by(86_400_000)
    kept.clock.pass_s(4)
    kept.step("end", end_reason="left")
    row = kept.row()
    assert (row["started_at"] - row["began_at"], row["ended_at"] - row["began_at"]) == (2500, 6500)


def test_reports_count_from_the_beginning(kept: Kept) -> None:
    violate(kept)
    settings = config()
    reader, at = StoreReader(kept.store.path), kept.row()["started_at"]
    day = day_of(at, ZoneInfo("Europe/Madrid"))
    report = build_report(reader, settings, day, span(day)[1])
    (listed,) = report["violations"]["first"]
    assert listed["duration_s"] == 6.5
    assert listed["began"] < listed["at"]
    assert listed == next(list_violations(reader, settings, day))
    page = render_html(report)
    assert "<th>Began</th><th>Confirmed</th>" in page
    assert f'{listed["began_local"]}</td><td class="w" data-l="Confirmed">{listed["local"]}' in page
    assert f",{listed['began']}" in render_csv(report)


def test_a_report_stored_before_beginnings_were_known_is_still_shown(kept: Kept) -> None:
    violate(kept)
    day = day_of(kept.row()["started_at"], ZoneInfo("Europe/Madrid"))
    report = build_report(StoreReader(kept.store.path), config(), day, span(day)[1])
    for name in ("began", "began_local"):
        del report["violations"]["first"][0][name]
    assert "6.5 s" in render_html(report)
    assert "violation" in render_csv(report)


def test_the_command_line_counts_from_the_beginning(kept: Kept, tmp_path: Path) -> None:
    violate(kept)
    kept.store.close()
    settings = tmp_path / "edged.toml"
    settings.write_text(f'[camera.door]\nsource = "file:///none.mp4"\n[store]\npath = "{tmp_path}/edged.db"\n')
    since = ("--since", "2020-01-01T00:00Z", "--config", settings)
    assert "(began 2.5 s earlier, lasted 6.5 s, left)" in edged("events", *since).stdout
    row = json.loads(edged("events", "--json", *since).stdout)
    assert edged("events", *since).stdout.startswith(row["started_at"])
    settings.write_text(settings.read_text() + '[report]\ntimezone = "Asia/Tokyo"\n')
    local = edged("events", *since).stdout.split()[0]
    assert local.endswith("+09:00"), "as the report tells it"
    assert datetime.fromisoformat(local) == datetime.fromisoformat(row["started_at"].replace("Z", "+00:00"))
    assert json.loads(edged("events", "--json", *since).stdout) == row, "in UTC"
    assert (row["lasted_s"], row["began_at"] < row["started_at"] < row["ended_at"]) == (6.5, True)


def test_an_event_names_the_passage_it_belongs_to(kept: Kept) -> None:
    kept.step("start")
    assert kept.row()["encounter_id"] is None, "the passage was not told yet"
    kept.passage()
    kept.step("update")
    (passage,) = StoreReader(kept.store.path).encounters(0, 2**60)
    assert kept.row()["encounter_id"] == passage["encounter_id"]
    kept.step("end", end_reason="left")
    kept.passage(closed=True)
    assert kept.row()["encounter_id"] == passage["encounter_id"] == kept.payloads[-1]["encounter_id"]


def test_the_next_person_on_the_same_track_number_is_another_passage(kept: Kept) -> None:
    kept.passage(closed=True)
    kept.step("start")
    assert kept.row()["encounter_id"] is None


def test_an_event_of_a_passage_that_was_none_names_none(kept: Kept) -> None:
    kept.passage()
    kept.step("start")
    kept.step("end", end_reason="static")
    kept.passage(closed=True, static=True)
    assert kept.row()["encounter_id"] is None


def test_a_database_from_before_is_migrated_with_a_backup_and_its_events_last_as_they_did(tmp_path: Path) -> None:
    path = tmp_path / "edged.db"
    Store(path).close()
    with closing(sqlite3.connect(path)) as old, old:
        for view in VIEWS:
            old.execute(f"DROP VIEW {view}")
        old.execute("DROP TABLE local_time")
        old.execute("DROP INDEX idx_events_encounter_id")
        old.execute("DROP INDEX idx_outbox_channel_seq")
        for table, columns in {
            "events": ("began_at", "encounter_id"), "coverage": ("clock_ok",), "outbox": ("channel",),
            "reports": ("revision", "counted"),
        }.items():  # fmt: skip
            for column in columns:
                old.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        old.execute("DELETE FROM _sqlite_migrations WHERE name >= '0004'")
        old.execute("INSERT INTO events VALUES ('E','mask','door',1,'none',0.9,NULL,1000,3500,'left',1,'{}',2,2)")
        old.execute("INSERT INTO coverage VALUES ('door',0,1,1,0,0,'online',60000)")
        old.execute("INSERT INTO reports VALUES ('2026-11-19','UTC',1,'{}','x')")
    Store(path).close()
    assert [file.name for file in (tmp_path / "backups").iterdir()] == ["edged-before-0004_beginnings_and_clocks.db"]
    reader = StoreReader(path)
    (event,), (minute,), report = reader.events(), reader.coverage(0, 1), reader.report("2026-11-19")
    assert (event["began_at"], event["encounter_id"], minute["clock_ok"]) == (None, None, 1)
    assert report is not None
    assert (report["revision"], report["counted"]) == (1, None)
