"""The daemon is killed again and again at random moments: no event is lost, none stays open, all of them are delivered."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.ledger import OPEN_EVENTS, check_all_was_heard, check_books, deliver_the_rest
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, until

pytestmark = [needs_models, needs_mosquitto]

SHORTEST_LIFE = 0.6
"""Of the time that a start takes: some are killed within it."""

SERVING_S = 2.6
"""The longest-lived serve for so long: a passage and a half of the clip, where the machine has nothing else to do."""

EVENTS = "SELECT count(*) FROM events"


@pytest.mark.parametrize("kills", [pytest.param(25, marks=pytest.mark.slow), pytest.param(150, marks=pytest.mark.long)])
def test_kill_minus_nine_at_any_moment_loses_no_event(tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    clip = write_clip(tmp_path / "clip.mp4")
    with (
        Mosquitto(tmp_path / "broker") as broker,
        Subscriber(broker.port, "edged/dev1/events") as subscriber,
        Daemon(tmp_path, {"door": looped(clip)}, port=broker.port) as daemon,
    ):
        start_s = _start_s(daemon)
        for number in range(kills):
            before = daemon.count(EVENTS)
            daemon.start()
            if number % 2:
                assert until(lambda: daemon.count(EVENTS) > before or not daemon.is_running), daemon.log  # noqa: B023
                time.sleep(chance.uniform(0.0, SERVING_S))
            else:
                time.sleep(chance.uniform(SHORTEST_LIFE * start_s, start_s + SERVING_S))
            assert daemon.is_running, daemon.log
            daemon.kill()
            if daemon.count("SELECT count(*) FROM sqlite_master WHERE name = 'outbox'"):
                check_books(daemon)
        deliver_the_rest(daemon, broker.port)
        check_books(daemon)
        events = check_all_was_heard(daemon, subscriber)
        assert events >= kills // 2, "every other life lasts until something happens"
        assert daemon.count("SELECT count(*) FROM events WHERE end_reason = 'restart'") > 0
        _ends_are_told_once(subscriber)
        assert "Traceback" not in daemon.log
        assert daemon.count("SELECT count(*) FROM encounters WHERE closed = 0") == 0
        assert daemon.count(OPEN_EVENTS) == 0


@pytest.mark.parametrize("kills", [50, pytest.param(1000, marks=pytest.mark.long)])
def test_a_writer_killed_at_any_moment_loses_no_commit_that_has_returned(tmp_path: Path, kills: int) -> None:
    program = [sys.executable, "-m", "support.killed_writer", str(tmp_path / "edged.db"), str(kills)]
    done = subprocess.run(
        program, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=3000, check=False
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)


def _start_s(daemon: Daemon) -> float:
    """How long a start takes on this machine, with what else it has to do."""
    began = time.monotonic()
    daemon.start()
    assert daemon.serves(), daemon.log
    start_s = time.monotonic() - began
    assert daemon.stop() == 0
    return start_s


def _ends_are_told_once(subscriber: Subscriber) -> None:
    """Whatever is repeated is repeated word for word: (event_id, seq) is enough to know it by."""
    told: dict[tuple[str, int], str] = {}
    for text in subscriber.payloads("edged/dev1/events"):
        message = json.loads(text)
        assert told.setdefault((message["event_id"], message["seq"]), text) == text
    ends = [event for (event, _), text in told.items() if json.loads(text)["type"] == "end"]
    assert len(ends) == len(set(ends))
