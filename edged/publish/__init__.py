"""Publishes what the device has to say over MQTT, and takes its commands; the only place that knows a broker."""

from edged.publish.commands import VERBS, Command, Refusal, result
from edged.publish.connection import probe_broker
from edged.publish.credentials import check_mqtt, read_password
from edged.publish.discovery import device_discovery, discovery_topic, platforms
from edged.publish.publisher import Publisher
from edged.publish.timing import Timing
from edged.publish.withdraw import Former

__all__ = [
    "VERBS",
    "Command",
    "Former",
    "Publisher",
    "Refusal",
    "Timing",
    "check_mqtt",
    "device_discovery",
    "discovery_topic",
    "platforms",
    "probe_broker",
    "read_password",
    "result",
]
