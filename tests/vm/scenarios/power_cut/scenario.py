"""The power goes at random instants while events are written: nothing that was heard or stored is lost, nothing stays open."""

import json
import os
import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from edged.config import Config
from edged.daemon.core import open_core
from edged.host.clock import SystemClock
from tests.vm.lab import Lab
from tests.vm.machine import Machine

BEGINS = "serving"
SHORT, LONG = 20, 100
BOOT_EVERY = 5
"""Of so many cuts one switches the machine off and on. For the others the disk is copied as it is at that instant: the same
bytes are on it, and what a next start makes of them is seen without the minutes that an emulated boot takes."""
EVENT = re.compile(r'"event_id": ?"([0-9A-Z]{26})"')


def run(lab: Lab) -> Iterator[str]:
    machine = lab.machine
    cuts = int(os.environ.get("CUTS", LONG if lab.long else SHORT))
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    chance = random.Random(seed)
    machine.boot()
    for cut in range(1, cuts + 1):
        # Odd cuts fall close behind a message; even ones anywhere: in a passage, after it, in the next one.
        if cut % 2:
            lab.guest("until_heard.sh", 300, after=f"{chance.uniform(0, 0.5):.2f}")
        else:
            machine.ask(f"sleep {chance.uniform(0.2, 8):.2f}")
        boots = cut % BOOT_EVERY == 0 or cut == cuts
        if boots:
            machine.power_cut()
            heard = heard_by_now(machine)
            machine.boot()
            seen = json.loads(lab.guest("look.sh", 400).splitlines()[-1])
            stored, left_open = set(seen["stored"]), seen["open"]
        else:
            with machine.frozen():
                heard = heard_by_now(machine)
                copy = machine.copy_of("state")
            stored, left_open = next_start(machine.unpacked(copy, "edged.db", "edged.db-wal"))
        told = f"cut {cut}, seed {seed}"
        assert not heard - stored, f"{told}: heard and lost: {sorted(heard - stored)}"
        assert not left_open, f"{told}: {left_open} events of before are open"
        yield f"{told}: survived{', booted' if boots else ''}; {len(heard)} events heard so far, {len(stored)} stored"


def heard_by_now(machine: Machine) -> set[str]:
    return set(EVENT.findall((machine.folder / "heard.log").read_text(errors="replace")))


def next_start(state: Path) -> tuple[set[str], int]:
    """Open the record in folder `state` as a daemon that starts does. Gives what is stored, and how many events stay open."""
    path = state / "edged.db"
    core = open_core(Config.model_validate({"store": {"path": path}}), SystemClock())
    core.store.start()
    assert core.store.stop(60)
    core.store.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok", "the record is damaged"
        assert not db.execute("SELECT count(*) FROM events WHERE state = 'recovered'").fetchone()[0], (
            "restored from a backup"
        )
        stored = {row[0] for row in db.execute("SELECT event_id FROM events")}
        return stored, db.execute("SELECT count(*) FROM events WHERE ended_at IS NULL").fetchone()[0]
