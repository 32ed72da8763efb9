"""What happens on one accepted connection: what is said first, what is sent when, and what an answer means."""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edged import messages
from edged.config import MqttConfig
from edged.publish import problems
from edged.publish.commands import Command, parse_command
from edged.publish.connection import OFFLINE, Connection
from edged.publish.delivery import WINDOW, Delivery
from edged.publish.discovery import discovery_topic
from edged.publish.outgoing import Message, Outgoing
from edged.publish.problems import LinkDown

ONLINE = "online"


@dataclass(frozen=True, slots=True)
class Device:
    """Who speaks: the part of every topic that is the device's own, and how it introduces itself to Home Assistant."""

    config: MqttConfig
    id: str
    discovery: Mapping[str, Any] | None

    @property
    def client_id(self) -> str:
        return f"edged-{self.id}"

    def topic(self, relative: str) -> str:
        return f"{self.config.prefix}/{self.id}/{relative}"

    @property
    def birth_topic(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.config.discovery_prefix}/status"


@dataclass(frozen=True, slots=True)
class _InFlight:
    seq: int | None
    """The outbox message, None for anything else."""
    since: float


class Session:
    """One accepted connection. One thread's own."""

    def __init__(
        self,
        connection: Connection,
        device: Device,
        delivery: Delivery,
        outgoing: Outgoing,
        *,
        acknowledge: Callable[[int], None],
        command: Callable[[Command], None],
        acknowledge_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._device = device
        self._delivery = delivery
        self._outgoing = outgoing
        self._acknowledge = acknowledge
        self._command = command
        self._acknowledge_s = acknowledge_s
        self._clock = clock
        self._first: deque[Message] = deque()
        self._in_flight: dict[int, _InFlight] = {}
        self._refused = False
        self._leaving = False

    def begin(self) -> None:
        """Say that the device is there, who it is, and everything retained; then the outbox from its beginning."""
        self._first.append(self._availability(ONLINE))
        self._introduce()
        self._outgoing.renew()
        self._delivery.begin()
        self._connection.subscribe(
            [self._device.topic(f"{messages.COMMANDS}/+")]
            + ([self._device.birth_topic] if self._device.discovery is not None else [])
        )
        self._fill()

    def step(self, timeout_s: float) -> None:
        """Wait for something to do, up to `timeout_s`, and do it. Raise LinkDown when the connection ended."""
        try:
            self._connection.turn(timeout_s)
        finally:
            self._book()  # the last acknowledgements before the end count too
        self._listen()
        self._fill()
        self._check_acknowledged()

    def leave(self) -> None:
        """Take no more from the outbox; say what is retained and due, and that the device is gone."""
        self._leaving = True
        self._first.append(self._availability(OFFLINE))
        self._fill()

    def end(self) -> None:
        """The connection is gone."""
        self._delivery.end(self._clock())

    @property
    def busy(self) -> bool:
        """Whether anything is on its way."""
        return bool(self._first or self._in_flight or self._connection.congested)

    @property
    def complaint(self) -> str | None:
        """What does not work although the connection stands."""
        if self._delivery.problem:
            return self._delivery.problem
        if self._refused or self._delivery.setting_aside:
            return problems.messages_refused(self._device.config.prefix)
        if self._connection.subscription_refused:
            return problems.subscription_refused(self._device.topic(messages.COMMANDS))
        return None

    def _availability(self, state: str) -> Message:
        return Message(messages.AVAILABILITY, state, qos=1, retain=True)

    def _introduce(self) -> None:
        """Queue the discovery payload, unless it is queued already."""
        if self._device.discovery is not None and not any(message.absolute for message in self._first):
            topic = discovery_topic(self._device.config, self._device.id)
            payload = json.dumps(self._device.discovery, separators=(",", ":"), ensure_ascii=False)
            self._first.append(Message(topic, payload, qos=1, retain=True, absolute=True))

    def _fill(self) -> None:
        """Send as much as the windows and the network take."""
        window = min(WINDOW, self._connection.receive_maximum)
        while len(self._in_flight) < window and not self._connection.congested:
            if not (self._send_message() or self._send_from_outbox()):
                return

    def _send_message(self) -> bool:
        message = self._first.popleft() if self._first else self._outgoing.take()
        if message is None:
            return False
        topic = message.topic if message.absolute else self._device.topic(message.topic)
        mid = self._connection.publish(topic, message.payload, message.qos, message.retain)
        if message.qos:
            self._in_flight[mid] = _InFlight(None, self._clock())
        return True

    def _send_from_outbox(self) -> bool:
        now = self._clock()
        message = None if self._leaving else self._delivery.take(now)
        if message is None:
            return False
        try:
            mid = self._connection.publish(
                self._device.topic(message.topic), message.payload, max(1, message.qos), message.retain
            )
        except ValueError:  # a topic or payload that MQTT cannot carry
            self._delivery.refused(message.seq, now)
        else:
            self._in_flight[mid] = _InFlight(message.seq, now)
        return True

    def _book(self) -> None:
        """Give each acknowledgement to the message it is for."""
        while self._connection.acknowledgements:
            mid, taken = self._connection.acknowledgements.popleft()
            entry = self._in_flight.pop(mid, None)
            if entry is None:
                continue
            if entry.seq is None:
                self._refused |= not taken
            elif taken:
                self._acknowledge(entry.seq)
                self._delivery.acknowledged(entry.seq)
            else:
                self._delivery.refused(entry.seq, self._clock())

    def _listen(self) -> None:
        """Take commands, and introduce the device to a Home Assistant that has just started."""
        while self._connection.messages:
            topic, payload, retained = self._connection.messages.popleft()
            if topic == self._device.birth_topic:
                if payload == ONLINE.encode() and not retained:
                    self._introduce()
                continue
            own = self._device.topic("")
            command = parse_command(topic.removeprefix(own), payload, retained=retained)
            if topic.startswith(own) and command is not None:
                self._command(command)

    def _check_acknowledged(self) -> None:
        oldest = next(iter(self._in_flight.values()), None)
        if oldest is not None and self._clock() - oldest.since > self._acknowledge_s:
            raise LinkDown(problems.not_acknowledging(self._device.config, self._acknowledge_s))
