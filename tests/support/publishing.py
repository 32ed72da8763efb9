"""What every test of the publisher needs: an outbox in memory, short waits, a publisher that is stopped afterwards."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from edged.config import MqttConfig
from edged.errors import StoreError
from edged.publish import Publisher, Timing
from edged.publish.packets import Packet
from edged.records import Message
from support.mosquitto import until
from support.payloads import own

FAST = Timing(
    connect_s=20.0,  # these two so long that no busy machine is taken for a broker that does not answer
    acknowledge_s=20.0,
    first_delay_s=0.05,
    longest_delay_s=0.2,
    steady_s=1.0,
    poll_s=0.1,
    retry_first_s=0.3,
    retry_longest_s=60.0,
    trial_s=0.6,
    outbox_first_s=1.0,
    qos0_accepted_s=0.1,
    rescan_s=1.0,
    tick_s=0.05,
)


def fast(**seconds: float) -> Timing:
    """Short waits, but for those given."""
    return replace(FAST, **seconds)


class MemoryOutbox:
    """Messages by number; acknowledging deletes, at once or when told to."""

    def __init__(self, count: int = 0, *, delete: bool = True) -> None:
        self._lock = threading.Lock()
        self._delete = delete
        self.rows: dict[int, Message] = {}
        self.acknowledged: list[int] = []
        self.broken = False
        for _ in range(count):
            self.add()

    def add(self, topic: str = "events", payload: str | None = None) -> int:
        with self._lock:
            seq = max([*self.rows, *self.acknowledged], default=0) + 1
            self.rows[seq] = own(topic, payload or f'{{"n":{seq}}}', seq=seq)
            return seq

    def acknowledge(self, seq: int) -> None:
        with self._lock:
            self.acknowledged.append(seq)
            if self._delete:
                self.rows.pop(seq, None)

    def outbox_after(self, seq: int, limit: int) -> list[Message]:
        if self.broken:
            raise StoreError("edged.db: cannot be read")
        with self._lock:
            return [self.rows[key] for key in sorted(self.rows) if key > seq][:limit]

    def outbox_depth(self) -> int:
        return len(self.rows)


def mqtt_config(port: int, **keys: Any) -> MqttConfig:
    return MqttConfig(host=keys.pop("host", "127.0.0.1"), port=port, **keys)


@contextmanager
def publishing(port: int, outbox: MemoryOutbox | None = None, **keys: Any) -> Iterator[Publisher]:
    """A running publisher of device dev1; `keys` go to Publisher, or else into the config."""
    own = {name: keys.pop(name) for name in ("discovery", "password", "timing", "acknowledge") if name in keys}
    outbox = outbox or MemoryOutbox()
    publisher = Publisher(
        mqtt_config(port, **keys),
        "dev1",
        outbox,
        own.get("acknowledge", outbox.acknowledge),
        discovery=own.get("discovery"),
        password=own.get("password"),
        timing=own.get("timing", FAST),
    )
    publisher.start()
    try:
        yield publisher
    finally:
        end(publisher)


def end(publisher: Publisher, timeout_s: float = 1.0) -> None:
    """Stop it. Where a busy machine holds it up for longer it is waited for: what it has open is closed with its end alone,
    and would be found in another test.
    """
    assert publisher.stop(timeout_s) or (until(lambda: not publisher.is_alive()) and publisher.stop(timeout_s))


def parcel(message: Message) -> Packet:
    """What an outbox message is on its way to the broker."""
    return Packet(message.seq, message.topic, len(message.payload), message.retain)
