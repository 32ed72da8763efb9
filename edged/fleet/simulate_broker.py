"""Made-up devices on a real broker: each tells its events as real ones do, and some die in the middle and begin again."""

import hashlib
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from functools import partial
from itertools import islice
from multiprocessing import get_context

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from edged.errors import Unavailable
from edged.fleet.simulate import Device
from edged.messages import EVENTS, encode, event_payload
from edged.records import EventRecord

DIES = 0.2
"""The share of devices that lose their power once, somewhere in the middle."""
CONNECTIONS_OF_A_PROCESS = 250
"""paho waits with select(), which knows no descriptor above 1023; each connection has three."""
AT_ONCE = 20
PATIENCE_S = 120.0
"""How long a device tries to get its next messages acknowledged."""


def shard_of(device_id: str, shards: int) -> int:
    """In which of so many shards a device's topics lie: the first byte of the SHA-256 of its id, modulo their number."""
    return hashlib.sha256(device_id.encode()).digest()[0] % shards


def publish_devices(
    host: str, port: int, devices: int, days: Sequence[date], seed: int, scale: float, shards: int, connections: int
) -> int:
    """Have so many devices publish the events of these days, so many at a time; how many messages that were.

    Raise Unavailable where the broker takes nothing for two minutes.
    """
    processes = -(-connections // CONNECTIONS_OF_A_PROCESS)
    shares = [range(first, devices, processes) for first in range(processes)]
    part = partial(_publish_share, host, port, days, seed, scale, shards, -(-connections // processes))
    if processes == 1:
        return part(shares[0])
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return sum(pool.map(part, shares))


def _publish_share(
    host: str, port: int, days: Sequence[date], seed: int, scale: float, shards: int, connections: int, numbers: range
) -> int:
    with ThreadPoolExecutor(connections) as pool:
        counts = pool.map(lambda n: _publish_device(host, port, Device(n, seed), days, scale, shards), numbers)
        return sum(counts)


def messages(device: Device, days: Sequence[date], scale: float) -> Iterator[str]:
    """The payloads of a device's events, in the order in which it publishes them."""
    for day in days:
        in_time, late = device.day(day, scale)
        for change in (*in_time, *late):
            if isinstance(change, EventRecord):
                yield encode(event_payload(change))


class _Line:
    """A device's connection, which comes back by itself; messages go in order, also those that are sent again."""

    def __init__(self, host: str, port: int, name: str) -> None:
        self._sent: set[int] = set()
        self._acknowledged: set[int] = set()
        self._change = threading.Condition()
        self._client = Client(CallbackAPIVersion.VERSION2, name, clean_session=True)
        self._client.on_publish = self._note
        self._client.reconnect_delay_set(1, 4)
        self._client.max_inflight_messages_set(1)
        self._client.connect_async(host, port, 30)
        self._client.loop_start()

    def send(self, topic: str, payloads: Iterable[str]) -> None:
        # Not under the lock: paho reports acknowledgements under one of its own, which it takes to publish.
        self._sent |= {self._client.publish(topic, payload, 1).mid for payload in payloads}

    def wait(self) -> bool:
        """Whether everything was acknowledged in time."""
        with self._change:
            done = self._change.wait_for(lambda: self._sent <= self._acknowledged, PATIENCE_S)
            self._acknowledged -= self._sent  # numbers come again
            self._sent.clear()
            return done

    def hang_up(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def lose_power(self) -> None:
        """The connection ends without a word, whatever is on its way."""
        if isinstance(link := self._client.socket(), socket.socket):
            with suppress(OSError):  # the client's own thread has just closed it
                link.shutdown(socket.SHUT_RDWR)
        self.hang_up()

    def _note(self, client: Client, data: object, mid: int, *_: object) -> None:
        with self._change:
            self._acknowledged.add(mid)
            self._change.notify_all()


def _publish_device(host: str, port: int, device: Device, days: Sequence[date], scale: float, shards: int) -> int:
    """Publish all messages of a device, some at a time; how many there were."""
    part = f"/s{shard_of(device.id, shards):02d}" if shards > 1 else ""
    topic = f"edged{part}/{device.id}/{EVENTS.at()}"
    chance, count = device.chance(), 0
    dies_at = chance.randrange(1, 40) if chance.random() < DIES else None
    payloads = messages(device, days, scale)
    line = _Line(host, port, device.id)
    try:
        while batch := list(islice(payloads, AT_ONCE)):
            if dies_at is not None and count + len(batch) > dies_at:
                line.send(topic, batch[: len(batch) // 2])
                line.lose_power()
                line, dies_at = _Line(host, port, device.id), None
            line.send(topic, batch)
            if not line.wait():
                raise Unavailable(f"{host}:{port}: the broker took nothing for {PATIENCE_S:.0f} s")
            count += len(batch)
    finally:
        line.hang_up()
    return count
