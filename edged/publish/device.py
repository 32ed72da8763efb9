"""Who speaks to the broker, and how its topics and packets look there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edged import messages
from edged.config import MqttConfig
from edged.publish.packets import Key, Parcel
from edged.records import Message

PACKET_OVERHEAD_BYTES = 10
"""Of a PUBLISH, besides topic and payload: kind, length, the topic's length, the number, no properties."""


@dataclass(slots=True)
class Device:
    """Who speaks: the part of every topic that is the device's own, and how it introduces itself to Home Assistant."""

    config: MqttConfig
    id: str
    discovery: Mapping[str, Any] | None
    """What Home Assistant is told; None where discovery is off. The one thing here that may change: see `Publisher.introduce`."""

    @property
    def client_id(self) -> str:
        return f"edged-{self.id}"

    def topic(self, relative: str) -> str:
        return f"{self.config.prefix}/{self.id}/{relative}"

    @property
    def birth_topic(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.config.discovery_prefix}/status"

    @property
    def command_filter(self) -> str:
        return self.topic(f"{messages.COMMANDS}/+")

    def parcel(self, message: Message) -> Parcel:
        """An outbox message on its way to the broker."""
        return parcel_of(message.seq, self.topic(message.topic), message.payload, message.retain)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What the device wants to hear, as a whole topic."""

    topic: str

    @property
    def parcel(self) -> Parcel:
        return Parcel(self.topic, self.topic, len(self.topic.encode()) + PACKET_OVERHEAD_BYTES, purpose="subscription")


def parcel_of(key: Key, topic: str, payload: str, retain: bool) -> Parcel:
    """A message on its way to the broker, with the size of its packet."""
    size = len(topic.encode(errors="replace")) + len(payload.encode(errors="replace")) + PACKET_OVERHEAD_BYTES
    return Parcel(key, topic, size, retain)
