"""The database's views for analysts: local time, the key from violations to passages, and hours; and how they come there."""

import shutil
import sqlite3
from contextlib import closing
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from report_days import HOUR, MINUTE, config, encounter, new_store, span, violation, watched
from support.storing import HandClock

from edged.daemon.reporter import Reporter
from edged.host.clock import WatchedClock
from edged.report.day import OFFSETS, utc_offsets
from edged.store import Change, LocalTime, Store, StoreReader
from edged.store.recorder import Recorder
from edged.types import Encounter, Event, MaskState, Votes

WRITTEN_BEFORE = Path(__file__).parent / "fixtures" / "database_0004.sql"
"""The text of a database that the last version before the views has written."""

MADRID = ZoneInfo("Europe/Madrid")
NOON = span(date(2026, 11, 19))[0] + 12 * HOUR


def query(path: Path, sql: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


def site(folder: Path, changes: list[Any], zone: ZoneInfo = MADRID) -> Path:
    with new_store(folder, [LocalTime(zone.key, utc_offsets(zone)), *changes]) as store:
        return store.path


def test_a_passage_stands_in_local_time_with_its_violations(tmp_path: Path) -> None:
    person = encounter(1, NOON, "none", attention={"attentive_s": 3.5, "away_s": 0.5, "distractions": 1})
    events = violation(7, NOON + 1200, encounter_id=person.encounter_id, began_at=NOON + 200)
    path = site(tmp_path, [person, *events, encounter(2, NOON + MINUTE, "correct")])
    first, second = query(path, "SELECT * FROM passages ORDER BY first_seen")
    assert (first["date"], first["first_seen"], first["last_seen"]) == (
        "2026-11-19", "2026-11-19 12:00:00", "2026-11-19 12:00:04",
    )  # fmt: skip
    assert (first["seconds"], first["mask"], first["attentive_s"], first["violations"]) == (4.0, "none", 3.5, 1)
    assert (second["attentive_s"], second["violations"]) == (None, 0)
    (row,) = query(path, "SELECT v.*, p.largest_face FROM violations v JOIN passages p USING (encounter_id)")
    assert (row["began"], row["confirmed"]) == ("2026-11-19 12:00:00", "2026-11-19 12:00:01")
    assert (row["seconds"], row["alerted"], row["largest_face"]) == (5.5, 1, 90.0)


def test_violations_are_of_people_and_say_why_nobody_was_alerted(tmp_path: Path) -> None:
    quiet = violation(1, NOON, details={"held_back": "cooldown"})
    poster = violation(2, NOON)
    poster[1] = type(poster[1])(**{n: getattr(poster[1], n) for n in poster[1].__slots__} | {"end_reason": "static"})
    path = site(tmp_path, [*quiet, *poster, *violation(3, NOON, "stalled", kind="camera")])
    (row,) = query(path, "SELECT * FROM violations")
    assert (row["event_id"], row["alerted"], row["held_back"]) == ("EV00000001", 0, "cooldown")


def test_hours_are_the_sites_own_and_one_that_comes_twice_stands_twice(tmp_path: Path) -> None:
    """In Madrid the clocks went back at 3:00 on 25 October 2026."""
    twice = int(datetime(2026, 10, 25, 0, tzinfo=timezone.utc).timestamp() * 1000)
    changes = [encounter(n, twice + n * HOUR, "correct") for n in range(3)] + watched(twice, twice + 3 * HOUR)
    path = site(tmp_path, [*changes, *violation(9, twice + HOUR)])
    rows = query(path, "SELECT * FROM hours ORDER BY date, hour, utc_offset_minutes DESC")
    assert [(row["hour"], row["utc_offset_minutes"], row["passages"], row["violations"]) for row in rows] == [
        ("02:00", 120, 1, 0), ("02:00", 60, 1, 1), ("03:00", 60, 1, 0),
    ]  # fmt: skip
    assert {row["watched_minutes"] for row in rows} == {60.0}


def test_a_damaged_row_costs_itself_only(tmp_path: Path) -> None:
    path = site(tmp_path, [*violation(1, NOON), *violation(2, NOON), encounter(1, NOON, "none")])
    with Store(path) as store:
        store.execute("UPDATE events SET details = '{\"held' WHERE event_id = 'EV00000001'")
        store.execute("UPDATE encounters SET attention = 'x'")
    assert len(query(path, "SELECT * FROM violations")) == 2
    assert len(query(path, "SELECT * FROM passages")) == 1


@pytest.mark.parametrize(
    "name", ["Europe/Madrid", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]
)
def test_the_database_knows_every_change_of_the_clocks(name: str) -> None:
    zone, offsets = ZoneInfo(name), utc_offsets(ZoneInfo(name))
    start = int(datetime(OFFSETS[0], 1, 1, tzinfo=timezone.utc).timestamp())
    for at in range(start + 86_400, start + 20 * 366 * 86_400, 3 * 3600 + 1):
        known = max(pair for pair in offsets if pair[0] <= at * 1000)[1]
        offset = datetime.fromtimestamp(at, zone).utcoffset()
        assert offset is not None
        assert known == offset.total_seconds() * 1000


def test_the_daemon_writes_the_zone_of_its_config_in_place_of_another(tmp_path: Path) -> None:
    path = site(tmp_path, [encounter(1, NOON, "none")], ZoneInfo("Asia/Tokyo"))
    with Store(path) as store:
        keeper = type("Keeper", (), {"submit": staticmethod(store.write)})()
        reporter = Reporter(config(), StoreReader(path), keeper, WatchedClock(HandClock()), lambda _: None, {})
        reporter.stopping.set()
        reporter.work()
    assert query(path, "SELECT DISTINCT zone FROM local_time") == [{"zone": "Europe/Madrid"}]
    assert query(path, "SELECT first_seen FROM passages") == [{"first_seen": "2026-11-19 12:00:00"}]


def test_a_database_of_before_gets_the_views_with_a_backup_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "edged.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(WRITTEN_BEFORE.read_text())
    before = tmp_path / "before.db"
    shutil.copy(path, before)
    Store(path).close()
    assert [file.name for file in (tmp_path / "backups").iterdir()] == ["edged-before-0005_views_in_local_time.db"]
    for table in ("events", "encounters", "coverage", "outbox", "reports"):
        everything = f"SELECT * FROM {table} ORDER BY 1, 2"  # noqa: S608
        mqtt = {"channel": "mqtt"} if table == "outbox" else {}
        assert query(path, everything) == [row | mqtt for row in query(before, everything)]
    count = "SELECT count(*) AS n FROM {}"
    assert query(path, count.format("passages")) == query(before, count.format("encounters"))
    assert query(path, count.format("violations"))[0]["n"] > 0
    assert sum(row["passages"] for row in query(path, "SELECT passages FROM hours")) == len(
        query(path, "SELECT 1 FROM encounters")
    )


def test_an_open_event_gets_the_key_of_its_passage_as_soon_as_that_is_told(tmp_path: Path) -> None:
    clock = HandClock()
    told: list[Change] = []
    with Store(tmp_path / "edged.db") as store:

        def write(changes: list[Change]) -> None:
            store.write(changes)
            told.extend(changes)

        recorder, now = Recorder(clock, write, publishing=True), clock.monotonic_s()
        recorder.record([Event("k", "mask", "start", "door", 1, now, "none", violation=True)], [])
        recorder.record([Event("l", "mask", "start", "door", 2, now, "none", violation=True)], [])
        messages = len(store._query("SELECT 1 FROM outbox"))
        one = Encounter("e", "door", 1, now - 1, now, MaskState.NONE, 0.9, Votes(), 30.0, 30.0, False)
        recorder.record([], [one])
        assert len(store._query("SELECT 1 FROM outbox")) == messages, "nobody is told of that alone"
    (passage,) = query(store.path, "SELECT * FROM encounters")
    keys = [row["encounter_id"] for row in query(store.path, "SELECT * FROM events ORDER BY track")]
    assert keys == [passage["encounter_id"], None]


def test_an_event_that_ends_when_its_passage_is_told_stays_ended(tmp_path: Path) -> None:
    clock = HandClock()
    with Store(tmp_path / "edged.db") as store:
        recorder, now = Recorder(clock, store.write, publishing=True), clock.monotonic_s()
        recorder.record([Event("k", "mask", "start", "door", 1, now, "none", violation=True)], [])
        end = Event("k", "mask", "end", "door", 1, now, "none", end_reason="left")
        one = Encounter("e", "door", 1, now - 1, now, MaskState.NONE, 0.9, Votes(), 30.0, 30.0, False)
        recorder.record([end], [one])
    (event,) = query(store.path, "SELECT * FROM events")
    (passage,) = query(store.path, "SELECT * FROM encounters")
    assert (event["end_reason"], event["seq"]) == ("left", 2)
    assert event["encounter_id"] == passage["encounter_id"]
