"""What waited for a broker for long is delivered through everything: no message is lost, and few are told twice."""

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import pytest
from support.deliver import LAST
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, until
from support.payloads import own

from edged.store import Store

pytestmark = needs_mosquitto
EVENTS = "edged/dev1/events"
TROUBLES = 5
MOST_IN_FLIGHT = 20
MOST_GROWTH_MB = 10.0
MESSAGE = {
    "v": 1,
    "event_id": "01JDZ8Y3V5Q7W9X1A3C5E7G9J1",
    "kind": "mask",
    "state": "none",
    "camera": "door",
    "score": 0.93,
}
MESSAGES = pytest.mark.parametrize("messages", [2_000, pytest.param(50_000, marks=pytest.mark.long)])


class Deliverer:
    """A process that delivers an outbox with the daemon's own store, worker and publisher, and ends when it is empty."""

    def __init__(self, database: Path, port: int, *killed_at: int) -> None:
        """`killed_at`: at which of its acknowledgements it kills itself."""
        command = [sys.executable, "-m", "support.deliver", *map(str, (database, port, *killed_at))]
        folder = Path(__file__).parents[1]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> "Deliverer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate(timeout=10)

    def ends_killed(self) -> bool:
        self.process.communicate(timeout=600)
        return self.process.returncode == -signal.SIGKILL

    def growth_mb(self) -> float:
        """Wait for its end; by how much its memory grew."""
        out, error = self.process.communicate(timeout=1200)
        assert self.process.returncode == 0, error
        return float(out)


def fill(database: Path, messages: int) -> None:
    with Store(database) as store:
        for first in range(0, messages, 1000):
            rows = range(first, min(first + 1000, messages))
            store.write(own("events", json.dumps({**MESSAGE, "n": n}), created=n) for n in rows)


def told_again(broker: Mosquitto, subscriber: Subscriber, messages: int) -> int:
    """All were heard, in order; how many the broker was told again. (It repeats itself to subscribers when it comes back.)"""
    assert until(lambda: len(set(subscriber.payloads(EVENTS))) >= messages, 120)
    numbers = [json.loads(payload)["n"] for payload in subscriber.payloads(EVENTS)]
    assert list(dict.fromkeys(numbers)) == list(range(messages))
    return len(re.findall(rf"Received PUBLISH from .*'{EVENTS}'", broker.log)) - messages


@MESSAGES
def test_a_broker_that_goes_five_times_hears_everything_in_order_and_little_twice(
    tmp_path: Path, messages: int
) -> None:
    fill(tmp_path / "edged.db", messages)
    with (
        Mosquitto(tmp_path / "broker", settings=["log_type all"]) as broker,
        Subscriber(broker.port, EVENTS) as subscriber,
        ExitStack() as running,
    ):
        began = time.monotonic()
        deliverer = running.enter_context(Deliverer(tmp_path / "edged.db", broker.port))
        for trouble in range(1, TROUBLES + 1):
            assert until(lambda trouble=trouble: len(subscriber.received) > trouble * messages // 7, 600)
            broker.stop()
            time.sleep(0.3)
            broker.start()
        grown_mb = deliverer.growth_mb()
        rate = messages / (time.monotonic() - began)
        again = told_again(broker, subscriber, messages)
    assert again <= TROUBLES * MOST_IN_FLIGHT
    assert grown_mb <= MOST_GROWTH_MB
    print(f"{messages} messages, {again} told again, {rate:.0f} a second with the outages, memory + {grown_mb:.1f} MB")


@MESSAGES
def test_a_daemon_killed_five_times_in_the_middle_of_its_backlog_delivers_all_of_it(
    tmp_path: Path, messages: int
) -> None:
    """What the broker has acknowledged and the disk not yet is told again: the commits of a tenth of a second."""
    fill(tmp_path / "edged.db", messages)
    with (
        Mosquitto(tmp_path / "broker", settings=["log_type all"]) as broker,
        Subscriber(broker.port, EVENTS) as subscriber,
    ):
        for _ in range(TROUBLES):
            with Deliverer(tmp_path / "edged.db", broker.port, messages // 7) as deliverer:
                assert deliverer.ends_killed()
        with Deliverer(tmp_path / "edged.db", broker.port) as deliverer:
            deliverer.growth_mb()
        again = told_again(broker, subscriber, messages)
    assert again <= TROUBLES * (LAST + MOST_IN_FLIGHT)
    print(f"{messages} messages, {again} told again after {TROUBLES} kills")
