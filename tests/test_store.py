"""The store writes all or nothing, keeps the books of what is delivered, and migrates with a backup."""

import json
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import pytest
from sqlite_utils import Database
from support.storing import HandClock, backup_is_over, ended, event_ids, fill, message, minute, started, whole_event

from edged.config import StoreConfig
from edged.errors import StoreError
from edged.host.clock import WatchedClock
from edged.store import Acknowledged, EncounterRow, Message, Store, StoreReader
from edged.store.disk_space import RESERVE_BYTES
from edged.store.reader import PORTION
from edged.store.recovery import StoreRefused
from edged.store.schema import MIGRATIONS
from edged.store.upkeep import MOST_PRUNED, Upkeep

DAY_MS = 86_400_000
ATTENTION = "0003_attention_and_drowsiness"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edged.db"


@pytest.fixture
def store(path: Path):
    with Store(path) as opened:
        yield opened


def test_one_write_is_all_or_nothing(store: Store, path: Path) -> None:
    with pytest.raises(StoreRefused):
        store.write([started("A"), message("A", 1), EncounterRow(*["x"] * 3, *[None] * 9)])
    assert event_ids(path) == []
    assert StoreReader(path).outbox_depth() == 0
    store.write([started("A"), message("A", 1)])
    assert event_ids(path) == ["A"]


def test_an_acknowledgement_deletes_the_message_and_marks_the_step(store: Store, path: Path) -> None:
    reader = StoreReader(path)
    store.write([*whole_event("A"), Message("camera/door/violation", "{}", event_id="A")])
    sent = reader.outbox_after(0, 10)
    assert [one.topic for one in sent] == ["events", "events", "camera/door/violation"]
    store.write([Acknowledged(sent[2].seq)])
    assert next(reader.events())["acked_seq"] == 0
    store.write([Acknowledged(sent[1].seq)])
    assert next(reader.events())["acked_seq"] == 2
    store.write([Acknowledged(sent[0].seq), Acknowledged(sent[0].seq)])
    assert next(reader.events())["acked_seq"] == 2
    assert reader.outbox_depth() == 0


def test_a_sequence_number_is_never_used_again(store: Store, path: Path) -> None:
    store.write([message(), message()])
    store.write([Acknowledged(1), Acknowledged(2)])
    store.write([message()])
    assert [one.seq for one in StoreReader(path).outbox_after(0, 10)] == [3]


def test_an_event_whose_start_is_lost_is_not_told_on(store: Store, path: Path) -> None:
    store.write([ended("lost"), message("lost", 2), message()])
    assert event_ids(path) == []
    assert StoreReader(path).outbox_depth() == 1


def test_a_start_that_is_there_already_is_not_in_the_way(store: Store, path: Path) -> None:
    """As after a commit that reached the disk although it was reported as failed."""
    store.write([started("A")])
    store.write([started("A"), ended("A")])
    assert [(row["event_id"], row["seq"], row["ended_at"]) for row in StoreReader(path).events()] == [("A", 2, 2000)]


def test_pruning_keeps_what_is_open_undelivered_or_young(store: Store, path: Path) -> None:
    store.write([started("delivered"), ended("delivered"), *whole_event("waiting"), started("open")])
    store.write([started("young", 9000), ended("young", 9500, started_at=9000), minute(at=0), minute(at=60_000)])
    assert store.prune(5000) == 2
    assert sorted(event_ids(path)) == ["open", "waiting", "young"]
    store.write([Acknowledged(one.seq) for one in StoreReader(path).outbox_after(0, 10)])
    store.prune(5000)
    assert sorted(event_ids(path)) == ["open", "young"]


def test_pruning_is_quick_while_many_messages_wait_and_gives_the_room_back(store: Store, path: Path) -> None:
    changes = [change for n in range(4000) for change in (started(f"E{n}", n), ended(f"E{n}", n, started_at=n))]
    store.write([*changes, *(message(f"E{n}", 1, "x" * 200) for n in range(2000))])
    began = time.process_time()
    assert store.prune(10_000) == 2000
    assert time.process_time() - began < 5
    assert store._connection.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_a_full_outbox_loses_its_oldest_updates_first_and_then_its_oldest(store: Store, path: Path) -> None:
    kinds = ["start", "update", "end", "start", "update", "end"]
    store.write(
        [started("A"), *(message("A", n, json.dumps({"type": k}, separators=(",", ":"))) for n, k in enumerate(kinds))]
    )
    assert store.trim_outbox({"mqtt": 5}) == {"mqtt": 1}
    assert _types(path) == ["start", "end", "start", "update", "end"]
    assert store.trim_outbox({"mqtt": 3}) == {"mqtt": 2}
    assert _types(path) == ["end", "start", "end"]
    assert store.trim_outbox({"mqtt": 3}) == {}


def _types(path: Path) -> list[str]:
    return [json.loads(one.payload)["type"] for one in StoreReader(path).outbox_after(0, 10)]


def test_what_was_seen_in_one_minute_adds_up_and_its_worst_state_stands(store: Store, path: Path) -> None:
    store.write([minute(), minute(faces=3, camera_state="stalled"), minute(camera="hall")])
    store.write([minute(faces=2)])
    door, hall = StoreReader(path).coverage(0, 100_000)
    assert (door["frames_seen"], door["frames_analysed"], door["dropped"], door["faces"]) == (30, 27, 3, 3)
    assert (door["watched_ms"], door["camera_state"]) == (60_000, "stalled")
    assert hall["watched_ms"] == 40_000


def test_a_newer_schema_is_refused_in_one_line(path: Path) -> None:
    fill(path, 1)
    _mark_migrated(path, "9999_from_the_future")
    with pytest.raises(StoreError, match="newer edged") as refusal:
        Store(path)
    assert "\n" not in str(refusal.value)
    _unmark_migrated(path, "9999_from_the_future")
    Store(path).close()
    assert event_ids(path) == ["E000000"]


def test_a_backup_is_made_before_migrating(path: Path) -> None:
    _write_as_before_attention(path)
    Store(path).close()
    (backup,) = (path.parent / "backups").iterdir()
    assert backup.name == f"edged-before-{ATTENTION}.db"
    assert event_ids(backup) == event_ids(path) == ["A", "B"]
    assert "attention" not in _encounter(backup)


def test_a_database_from_before_attention_keeps_its_rows_and_takes_new_ones(path: Path) -> None:
    before = _write_as_before_attention(path)
    summaries = {
        "attention": {"attentive_s": 30.5, "away_s": 4.0, "unknown_s": 1.25, "distractions": 1},
        "drowsiness": {"worst_level": "alarm", "highest_perclos": None, "yawns": None},
    }
    with Store(path) as store:
        (kept,) = StoreReader(path).encounters(0, 10_000)
        assert kept == before | {"attention": None, "drowsiness": None}
        assert StoreReader(path).outbox_depth() == 1
        store.write([EncounterRow("new", "cab", 2, 500, 900, "none", 0.8, {}, 40.0, 60.0, False, True, **summaries)])
        store.write([EncounterRow("new", "cab", 2, 500, 990, "none", 0.8, {}, 40.0, 60.0, True, True, **summaries)])
    new = next(StoreReader(path).encounters(0, 1000))
    assert (new["last_seen"], new["closed"]) == (990, 1)
    assert {name: new[name] for name in summaries} == summaries


def _write_as_before_attention(path: Path) -> dict[str, object]:
    """Two events, a message and an encounter in a database of the second schema; the encounter as it is read."""
    row = {
        "encounter_id": "old", "camera": "door", "track": 1, "first_seen": 1000, "last_seen": 3000, "state": "correct",
        "score": 0.9, "votes": {"correct": 3}, "smallest_face": 30.0, "largest_face": 50.0, "closed": 1, "clock_ok": 1,
    }  # fmt: skip
    with closing(sqlite3.connect(path)) as connection, connection:
        db = Database(connection)
        MIGRATIONS.apply(db, stop_before=ATTENTION)
        db.table("encounters").insert(row)
        for event_id in "AB":
            event = {"event_id": event_id, "kind": "mask", "camera": "door", "state": "none", "started_at": 1000}
            db.table("events").insert(event | {"clock_ok": 1, "details": "{}", "seq": 1, "acked_seq": 0})
        message = {"topic": "events", "payload": "{}", "qos": 1, "retain": 0, "created": 1}
        db.table("outbox").insert(message)
    return row


def _encounter(path: Path) -> dict[str, object]:
    return next(StoreReader(path).encounters(0, 10_000))


def _mark_migrated(path: Path, name: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('edged', ?, 'now')", (name,)
        )
    connection.close()


def _unmark_migrated(path: Path, name: str) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("DELETE FROM _sqlite_migrations WHERE name = ?", (name,)).rowcount == 1
    connection.close()


def test_one_process_at_a_time_writes(store: Store, path: Path) -> None:
    with pytest.raises(StoreError, match="another edged"):
        Store(path)
    store.close()
    Store(path).close()


def test_a_reader_reads_whole_commits_while_the_writer_writes(store: Store, path: Path) -> None:
    reader, stop, torn = StoreReader(path), threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            count = len(reader.outbox_after(0, 10_000))
            if count % 2:
                torn.append(count)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(300):
        store.write([started(f"E{number}"), message(f"E{number}", 1), message(f"E{number}", 2)])
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert torn == []
    assert reader.outbox_depth() == 600


def test_a_reader_without_a_database_says_so(path: Path) -> None:
    with pytest.raises(StoreError, match="no database there yet"):
        StoreReader(path).outbox_depth()
    assert not path.exists()


def test_rows_are_read_in_portions_each_once_also_those_of_the_same_millisecond(store: Store, path: Path) -> None:
    store.write([started(f"{number:04d}") for number in range(2 * PORTION + 1)])
    store.execute(f"UPDATE events SET started_at = 7 WHERE rowid <= {PORTION + 3}")  # noqa: S608
    reading = StoreReader(path).events(7, kind="mask")
    rows = list(islice(reading, 1))
    store.write([started("later")])  # who reads slowly holds up no writer
    rows += reading
    assert [row["event_id"] for row in rows][: PORTION + 3] == [f"{number:04d}" for number in range(PORTION + 3)]
    assert sorted(row["event_id"] for row in rows) == [*(f"{number:04d}" for number in range(2 * PORTION + 1)), "later"]
    assert list(StoreReader(path).events(7, 8, kind="drowsiness")) == []


def test_a_damaged_letter_costs_neither_the_event_nor_the_start(store: Store, path: Path) -> None:
    store.write([started("A"), started("B", details={"a": 1})])
    store.execute("UPDATE events SET votes = '{\"none', details = CAST(x'ff7b' AS TEXT) WHERE event_id = 'A'")
    for rows in ([asdict(event) for event in store.open_events()], list(StoreReader(path).events())):
        assert [row["event_id"] for row in rows] == ["A", "B"]
        assert rows[0]["votes"] is None
        assert rows[1]["details"] == {"a": 1}
    assert store.open_events()[0].details == {}


def test_backups_are_single_files_and_the_oldest_go(store: Store, path: Path) -> None:
    store.write([started("A")])
    for stamp in "abcd":
        backup = store.back_up(2, stamp)
        assert event_ids(backup) == ["A"]
        time.sleep(0.01)
    assert sorted(file.name for file in backup.parent.iterdir()) == ["edged-c.db", "edged-d.db"]


def test_what_is_deleted_and_given_back_at_once_fits_into_the_reserve(store: Store, path: Path) -> None:
    """A nearly full disk must at least be able to delete: what a transaction changes lies in the write-ahead log first."""
    store._connection.executemany(
        "INSERT INTO outbox (topic, payload, qos, retain, created) VALUES ('events', ?, 1, 0, 0)",
        (("x" * 1000,) for _ in range(40_000)),
    )
    store._connection.commit()
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    largest, waiting, before = 0, 40_000, path.stat().st_size
    while waiting:
        waiting -= store.trim_outbox({})["mqtt"]
        largest = max(largest, path.with_name("edged.db-wal").stat().st_size)
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.prune(0, MOST_PRUNED)
    largest = max(largest, path.with_name("edged.db-wal").stat().st_size)
    store.prune(0)
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert largest < RESERVE_BYTES
    assert path.stat().st_size < before / 20


def upkeep_of(clock: HandClock, backups: int = 0) -> Upkeep:
    return Upkeep(WatchedClock(clock), StoreConfig(backups=backups, outbox_limit=100), record=lambda *_: None)


def test_daily_upkeep_backs_up_and_deletes_the_old_a_part_at_a_time(store: Store, path: Path) -> None:
    clock = HandClock()
    upkeep = upkeep_of(clock, backups=3)
    count = MOST_PRUNED + 1000
    store._connection.executemany(
        "INSERT INTO coverage VALUES ('door', ?, 0, 0, 0, 0, 'online', 0, 1)", ((n,) for n in range(count))
    )
    store._connection.commit()
    upkeep(store)
    assert len(StoreReader(path).coverage(0, DAY_MS)) == count
    clock.pass_s(301)
    upkeep(store)
    assert len(StoreReader(path).coverage(0, DAY_MS)) == 1000
    assert backup_is_over(store)
    clock.pass_s(60)
    upkeep(store)
    assert StoreReader(path).coverage(0, DAY_MS) == []
    assert len(list((path.parent / "backups").iterdir())) == 1
    clock.pass_s(60)
    upkeep(store)
    assert len(list((path.parent / "backups").iterdir())) == 1


def test_a_clock_that_was_never_set_deletes_nothing(store: Store, path: Path) -> None:
    clock = HandClock(is_trusted=False)
    store.write([started("A"), ended("A")])
    upkeep = upkeep_of(clock)
    clock.pass_s(400)
    upkeep(store)
    assert event_ids(path) == ["A"]


def test_upkeep_counts_what_a_full_outbox_lost(store: Store, path: Path) -> None:
    store.write([message() for _ in range(130)])
    upkeep = upkeep_of(HandClock())
    upkeep(store)
    assert upkeep.trimmed == {"mqtt": 30}
    assert StoreReader(path).outbox_depth() == 100
