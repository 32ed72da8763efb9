"""When the clock is set, what was recorded before is put right, exactly once and by as much as it was wrong."""

import random
from pathlib import Path

import pytest
from support.storing import HandClock

from edged.config import StoreConfig
from edged.errors import StoreError
from edged.host.clock import WatchedClock
from edged.store import Store, StoreReader
from edged.store.recorder import Recorder
from edged.store.upkeep import Upkeep
from edged.types import Encounter, Event, MaskState, Votes

TEN_YEARS_MS = 3652 * 86_400_000


class Run:
    """One run of a daemon whose clock is not set yet: recorder, upkeep, and a store in between."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = HandClock(utc=2_200_000_000_000, is_trusted=False)  # ten years back, it still is a time of ours
        watched = WatchedClock(self.clock)
        self.recorder = Recorder(watched, store.write, publishing=False)
        self.upkeep = Upkeep(watched, StoreConfig(backups=0), record=lambda *_: None)
        self.began = self.clock.utc_ms()

    def event(self, key: str, phase: str) -> None:
        now = self.clock.monotonic_s()
        self.recorder.record([Event(key, "mask", phase, "door", 1, now, "none")], [])

    def encounter(self, key: str, lasted_s: float = 1.0) -> None:
        now = self.clock.monotonic_s()
        one = Encounter(key, "door", 1, now - lasted_s, now, MaskState.NONE, 0.9, Votes(none=1), 30.0, 30.0, True)
        self.recorder.record([], [one])

    def set_clock(self, milliseconds: int) -> None:
        """As timesyncd does it: the step, and the word that it was made."""
        self.clock.set_by(milliseconds)
        self.clock.is_trusted = True


@pytest.fixture
def run(tmp_path: Path):
    with Store(tmp_path / "edged.db") as store:
        yield Run(store)


def spans(run: Run) -> list[tuple[int, int, int]]:
    """Start since the run began, length and trust of each event."""
    rows = list(StoreReader(run.store.path).events(since=-(2**60)))
    return [(row["started_at"] - run.began, row["ended_at"] - row["started_at"], row["clock_ok"]) for row in rows]


JUMPS = [sign * size for sign in (1, -1) for size in (1, 999, 1000, 5_000, 60_000, 3_600_000, 86_400_000, TEN_YEARS_MS)]
RANDOM = random.Random(4)
JUMPS += [round(10 ** RANDOM.uniform(3, 11.5)) * RANDOM.choice([1, -1]) for _ in range(24)]


@pytest.mark.parametrize("jump_ms", JUMPS)
def test_setting_the_clock_moves_what_was_recorded_before(run: Run, jump_ms: int) -> None:
    run.clock.pass_s(1)
    run.event("whole", "start")
    run.clock.pass_s(2)
    run.event("whole", "end")
    run.event("open", "start")
    run.encounter("before")
    run.clock.pass_s(10)
    run.event("short", "start")
    run.set_clock(jump_ms)
    run.clock.pass_s(3)
    run.event("short", "end")
    run.clock.pass_s(20)
    run.upkeep(run.store)
    run.clock.pass_s(5)
    run.event("open", "end")
    run.event("after", "start")
    run.clock.pass_s(1)
    run.event("after", "end")
    run.upkeep(run.store)
    moved = jump_ms if abs(jump_ms) >= 1000 else 0
    found = spans(run)
    assert [(length, trusted) for _, length, trusted in sorted(found)] == [(2000, 1), (38_000, 1), (3000, 1), (1000, 1)]
    wrong = [
        start - expected for (start, *_), expected in zip(sorted(found), (1000, 3000, 13_000, 41_000), strict=True)
    ]
    assert all(abs(one - moved) < 1000 for one in wrong)
    (seen,) = StoreReader(run.store.path).encounters(-(2**60), 2**60)
    assert (seen["first_seen"] - run.began, seen["last_seen"] - run.began) == (2000 + moved, 3000 + moved)


def test_a_clock_set_by_hand_before_it_is_believed_is_not_counted_twice(run: Run) -> None:
    run.clock.pass_s(100)
    run.encounter("first")
    run.clock.set_by(3 * 3_600_000)
    run.upkeep(run.store)
    run.clock.pass_s(100)
    run.encounter("second")
    run.clock.pass_s(100)
    run.set_clock(2000)
    run.upkeep(run.store)
    seen = list(StoreReader(run.store.path).encounters(-(2**60), 2**60))
    total = 3 * 3_600_000 + 2000
    assert [row["last_seen"] - run.began for row in seen] == [100_000 + total, 200_000 + total]
    assert [row["clock_ok"] for row in seen] == [1, 1]


def test_what_was_recorded_after_a_jump_is_not_moved_by_it(run: Run) -> None:
    run.clock.pass_s(10)
    run.encounter("before")
    run.clock.set_by(3 * 3_600_000)
    run.clock.pass_s(10)
    run.encounter("after")
    run.upkeep(run.store)
    seen = list(StoreReader(run.store.path).encounters(-(2**60), 2**60))
    assert [row["last_seen"] - run.began - 3 * 3_600_000 for row in seen] == [10_000, 20_000]


def test_the_record_of_earlier_runs_stays_as_it_is(run: Run) -> None:
    run.encounter("this run")
    run.store.execute("UPDATE encounters SET first_seen = first_seen - 100000, last_seen = last_seen - 100000")
    run.set_clock(TEN_YEARS_MS)
    run.upkeep(run.store)
    (row,) = StoreReader(run.store.path).encounters(-(2**60), 2**60)
    assert (row["last_seen"] - run.began, row["clock_ok"]) == (-100_000, 0)


def test_what_could_not_be_put_right_is_tried_again(run: Run) -> None:
    run.clock.pass_s(1)
    run.event("k", "start")
    run.event("k", "end")
    run.set_clock(5000)
    run.store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError):
        run.upkeep(run.store)
    run.store._connection.execute("PRAGMA query_only = OFF")
    run.upkeep(run.store)
    assert spans(run) == [(6000, 0, 1)]
