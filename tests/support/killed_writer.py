"""Writers of one database, one after the other, each killed at a random moment: `python -m support.killed_writer DATABASE KILLS`.

A writer stores events as the daemon does, and says so of each once its commit has returned. After each kill everything that
was said must be there, each with its message or its acknowledgement. The last line tells what was found.
"""

import os
import random
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from edged.store import Acknowledged, Store
from support.ledger import ORPHANS, UNACCOUNTED
from support.storing import message, started

LIVES_S = 0.1
"""At most; a start takes some milliseconds, and some are killed within it."""


def write(path: Path, told: int) -> None:
    """Store events for ever; number by number to `told`."""
    with Store(path) as store:
        os.write(told, b"0\n")
        number = store.last_seq
        while True:
            number += 1
            store.write([started(f"E{number:08d}", number), message(f"E{number:08d}", 1)])
            os.write(told, b"%d\n" % number)
            if number % 3 == 0:
                store.write([Acknowledged(number)])


def kill_one(path: Path, chance: random.Random, waits_for_it: bool) -> tuple[list[int], float]:
    """Start a writer and kill it; the numbers it told, and how long it took to open the database."""
    hears, tells = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(hears)
        write(path, tells)
        os._exit(1)
    os.close(tells)
    with os.fdopen(hears, "rb") as told:
        first = told.readline() if waits_for_it else b""
        opened_s = time.monotonic() - began
        time.sleep(chance.uniform(0.0, LIVES_S))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "a writer ended by itself"
        assert first or not waits_for_it
        return [int(line) for line in told.read().split(b"\n")[:-1] if line != b"0"], opened_s


def check(path: Path, told: list[int]) -> int:
    """All that was told is there; how many events there are."""
    with closing(sqlite3.connect(path)) as connection:
        stored = {row[0] for row in connection.execute("SELECT event_id FROM events")}
        assert {f"E{number:08d}" for number in told} <= stored, "a commit that had returned was lost"
        assert connection.execute(UNACCOUNTED).fetchall() == []
        assert connection.execute(ORPHANS).fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return len(stored)


def main() -> None:
    path, kills = Path(sys.argv[1]), int(sys.argv[2])
    chance, told, slowest_s, events = random.Random(kills), list[int](), 0.0, 0
    Store(path).close()
    for number in range(kills):
        numbers, opened_s = kill_one(path, chance, waits_for_it=number % 2 == 0)
        told += numbers
        slowest_s = max(slowest_s, opened_s)
        events = check(path, told)
    with Store(path) as store:
        assert store.restored is None
    print(f"{kills} kills, {len(told)} commits told, {events} events stored, opened within {slowest_s:.2f} s")


if __name__ == "__main__":
    main()
