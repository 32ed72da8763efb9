"""Whatever the network does to a connection, at whatever moment: all is delivered once it is well again, by the same thread."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, until
from support.publishing import MemoryOutbox, fast, publishing
from support.toxic import POISONS, ToxicProxy

pytestmark = needs_mosquitto
EVENTS = "edged/dev1/events"
POISONED_S = 0.8
BACK_WITHIN_S = 60.0
MOMENTS = {"connect": ("up", "down"), "publish": ("up",), "acknowledge": ("down",)}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


def wait_until_all_was_heard(outbox: MemoryOutbox, subscriber: Subscriber, count: int) -> None:
    """Whatever came twice, and later than others since it was suspected of what the network did."""
    assert until(lambda: not outbox.rows, BACK_WITHIN_S)
    assert until(lambda: len(set(subscriber.payloads(EVENTS))) == count, 20)


@pytest.mark.parametrize("runs", [1, pytest.param(20, marks=pytest.mark.long)])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("poison", [poison for poison in POISONS if poison])
def test_after_any_poison_at_any_moment_everything_is_delivered(
    broker: Mosquitto, poison: str, moment: str, runs: int
) -> None:
    outbox, slowest_s = MemoryOutbox(), 0.0
    with (
        Subscriber(broker.port, EVENTS, "-i", f"{poison}-{moment}-{runs}") as subscriber,
        ToxicProxy(broker.port) as proxy,
        publishing(proxy.port, outbox, timing=fast(connect_s=1.0, acknowledge_s=0.6)) as publisher,
    ):
        thread = publisher._thread
        for run in range(1, runs + 1):
            assert until(lambda: publisher.connected, BACK_WITHIN_S)
            proxy.strike(poison, *MOMENTS[moment])
            if moment == "connect":
                proxy.cut()
            for _ in range(10):
                outbox.add()
            publisher.wake()
            time.sleep(POISONED_S)
            proxy.heal()
            began = time.monotonic()
            wait_until_all_was_heard(outbox, subscriber, 10 * run)
            slowest_s = max(slowest_s, time.monotonic() - began)
        assert until(lambda: publisher.connected, BACK_WITHIN_S)
        assert publisher._thread is thread
    print(f"{poison}, {moment}: {runs} times, all delivered within {slowest_s:.1f} s")


@pytest.mark.parametrize("flaps", [10, pytest.param(500, marks=pytest.mark.long)])
def test_a_connection_that_is_cut_again_and_again_loses_nothing_and_leaves_nothing(
    broker: Mosquitto, flaps: int
) -> None:
    outbox = MemoryOutbox()
    with (
        Subscriber(broker.port, EVENTS, "-i", f"flaps-{flaps}") as subscriber,
        ToxicProxy(broker.port) as proxy,
        publishing(proxy.port, outbox, timing=fast(acknowledge_s=0.6)) as publisher,
    ):
        assert until(lambda: publisher.connected)
        descriptors, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
        for flap in range(flaps):
            outbox.add()
            publisher.wake()
            time.sleep(0.002 * (flap % 10))  # before, while and after it is sent
            proxy.cut()
            assert until(lambda: publisher.connected, BACK_WITHIN_S)
        wait_until_all_was_heard(outbox, subscriber, flaps)
        assert until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= descriptors)
        assert until(lambda: threading.active_count() <= threads)
