"""`edged events --follow`: every start and every end once, whatever the clock says and whatever becomes of the database."""

import itertools
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.mosquitto import PATIENCE_S, until
from support.storing import ended, started

from edged.errors import StoreError
from edged.records import EventRecord
from edged.store import Store, StoreReader
from edged.store.follower import MOST_REMEMBERED, Follower

NOW_MS = time.time_ns() // 1_000_000
DAY_MS = 86_400_000


class Following:
    """A running `edged events --follow --json`, and the lines of both its streams as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []
        for stream, take in ((process.stdout, self.told.put), (process.stderr, self.said.append)):
            threading.Thread(target=lambda stream=stream, take=take: [*map(take, stream or ())]).start()

    def next(self) -> tuple[str, int]:
        """Identity and step of the next event told."""
        row = json.loads(self.told.get(timeout=PATIENCE_S))
        return row["event_id"], row["seq"]


@contextmanager
def following(database: Path, *options: str) -> Iterator[Following]:
    config = database.with_name("edged.toml")
    config.write_text(
        f'[device]\nid = "test"\n[camera.door]\nsource = "file:///none.mp4"\n[store]\npath = "{database}"\n'
    )
    command = [sys.executable, "-m", "edged", "events", "--follow", "--json", "--config", str(config), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) as it:
        try:
            yield Following(it)
        finally:
            it.terminate()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "edged.db"
    Store(path).close()
    return path


def write(database: Path, *events: EventRecord) -> None:
    with Store(database) as store:
        store.write(events)


def test_the_end_of_an_event_that_was_open_at_the_beginning_is_told(database: Path) -> None:
    write(database, started("E5", NOW_MS))
    with following(database) as it:
        assert it.next() == ("E5", 1)
        write(database, ended("E5", NOW_MS + 1, started_at=NOW_MS))
        assert it.next() == ("E5", 2)
    assert it.said == []


def test_what_the_window_left_out_stays_untold(database: Path) -> None:
    an_hour_ago = NOW_MS - 3_600_000
    write(database, started("E1", an_hour_ago), ended("E1", an_hour_ago + 1, started_at=an_hour_ago))
    with following(database, "--since", "2999-01-01") as it:  # an empty window, whenever it begins
        numbers = itertools.count(2)
        assert until(lambda: write(database, started(f"E{next(numbers)}", NOW_MS)) or not it.told.empty())
        assert it.next() != ("E1", 2)


def test_events_of_a_clock_that_was_set_back_are_told(database: Path) -> None:
    """Their identities are lower than those before, and their instants lie days back."""
    write(database, started("E9", NOW_MS))
    with following(database) as it:
        assert it.next() == ("E9", 1)
        back = NOW_MS - 3 * DAY_MS
        write(database, started("E1", back))
        assert it.next() == ("E1", 1)
        write(database, ended("E1", back + 1, started_at=back), started("E0", back))
        assert {it.next(), it.next()} == {("E1", 2), ("E0", 1)}


def test_a_database_that_is_away_for_a_while_is_waited_for(database: Path) -> None:
    write(database, started("E1", NOW_MS))
    away = database.with_name("away.db")
    with following(database) as it:
        assert it.next() == ("E1", 1)
        database.rename(away)
        assert until(lambda: it.said)
        time.sleep(1.5)  # more looks: they say nothing new
        away.rename(database)
        write(database, started("E2", NOW_MS))
        assert it.next() == ("E2", 1)
    (line,) = it.said
    assert line.startswith(f"edged: {database}: no database there")
    assert line.endswith("; waiting for it\n")


def test_only_the_wanted_kind_is_told(database: Path) -> None:
    follower = Follower(StoreReader(database), "camera")
    assert follower.begin(0) == []
    write(database, started("E1"), started("E2", kind="camera", state="lost"))
    assert [row["event_id"] for row in follower.changes()] == ["E2"]
    write(database, ended("E1"), ended("E2", kind="camera", state="lost"))
    assert [(row["event_id"], row["seq"]) for row in follower.changes()] == [("E2", 2)]


def test_a_restored_backup_repeats_nothing_and_hides_nothing(database: Path) -> None:
    write(database, *(started(f"E{number}") for number in range(5)))
    backup = database.with_name("backup.db")
    shutil.copy(database, backup)
    write(database, *(started(f"E{number}") for number in range(5, 9)))
    follower = Follower(StoreReader(database))
    assert len(follower.begin(0)) == 9
    backup.replace(database)
    write(database, *(started(f"F{number}") for number in range(4)))  # as many rows as were lost
    assert [row["event_id"] for row in follower.changes()] == ["F0", "F1", "F2", "F3"]


def test_a_new_database_is_told_from_its_beginning(database: Path) -> None:
    write(database, started("E1"), started("E2"))
    follower = Follower(StoreReader(database))
    assert len(follower.begin(0)) == 2
    database.unlink()
    with pytest.raises(StoreError, match="no database there"):
        follower.changes()
    write(database, started("F1"))
    assert [row["event_id"] for row in follower.changes()] == ["F1"]
    assert follower.changes() == []


def test_what_is_remembered_has_a_bound(database: Path) -> None:
    follower = Follower(StoreReader(database))
    follower.begin(0)
    write(database, *(started(f"E{number:06d}") for number in range(MOST_REMEMBERED + 700)))
    told = 0
    while rows := follower.changes():
        told += len(rows)
    assert told == MOST_REMEMBERED + 700
    assert (len(follower._going_on), len(follower._seen)) == (MOST_REMEMBERED, MOST_REMEMBERED)
    write(database, *(ended(f"E{number:06d}") for number in range(MOST_REMEMBERED + 700)))
    assert len(follower.changes()) == MOST_REMEMBERED
    assert follower._going_on == {}
