"""What is sent, as far as a broker can refuse it, and what is known of something that it refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from edged import messages
from edged.config import MqttConfig
from edged.records import Message

Key: TypeAlias = int | str
"""The number of an outbox message, or the whole topic of a value or a subscription."""

Purpose: TypeAlias = Literal["message", "discovery", "subscription", "retention"]


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet that is sent, as far as a broker can refuse it. `size` counts the whole packet in bytes."""

    key: Key
    topic: str
    size: int
    retain: bool = False
    purpose: Purpose = "message"


@dataclass(slots=True)
class Case:
    """Something the broker refused: an example, the broker's reason, and which other packets are like it."""

    sample: Packet
    why: str | None
    """What the broker said, None when it said nothing."""
    purpose: Purpose
    answered: bool
    """Whether the broker answers with a refusal; else it ends the connection."""
    interval_s: float
    retry_at: float
    topic: str | None = None
    """Every message on this topic, if they are refused one after the other."""
    least_bytes: int | None = None
    """Every message at least as large, none of which was ever taken."""
    newest: int = 0
    """The newest outbox message that was held back when the newest was tried."""
    tried: int = 0
    """The outbox message that was tried last: each time another one is, since one alone may have a fault of its own."""

    def covers(self, packet: Packet) -> bool:
        return (
            packet.key == self.sample.key
            or (self.topic is not None and packet.topic == self.topic)
            or (self.least_bytes is not None and packet.size >= self.least_bytes)
        )


PACKET_OVERHEAD_BYTES = 10
"""Of a PUBLISH, besides topic and payload: kind, length, the topic's length, the number, no properties."""


@dataclass(slots=True)
class Device:
    """The device as the broker knows it: its topics, its client id and its discovery payload."""

    config: MqttConfig
    id: str
    discovery: Mapping[str, Any] | None
    """Home Assistant's discovery payload, None where discovery is off. May change: see `Publisher.introduce`."""

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

    def packet(self, message: Message) -> Packet:
        """An outbox message on its way to the broker."""
        return packet_of(message.seq, self.topic(message.topic), message.payload, message.retain)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter that the device subscribes to, whole."""

    topic: str

    @property
    def packet(self) -> Packet:
        return Packet(self.topic, self.topic, len(self.topic.encode()) + PACKET_OVERHEAD_BYTES, purpose="subscription")


def packet_of(key: Key, topic: str, payload: str, retain: bool) -> Packet:
    """A message on its way to the broker, with the size of its packet."""
    size = len(topic.encode(errors="replace")) + len(payload.encode(errors="replace")) + PACKET_OVERHEAD_BYTES
    return Packet(key, topic, size, retain)
