"""One accepted connection: what is sent in which order, alerts first, and what each answer means."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from edged import messages
from edged.publish import problems
from edged.publish.commands import VERBS, Command, Refusal, parse_command
from edged.publish.connection import OFFLINE, Connection
from edged.publish.delivery import Delivery, Outgoing
from edged.publish.discovery import discovery_topic
from edged.publish.packets import Case, Device, Packet, Subscription, packet_of
from edged.publish.problems import REFUSED_FROM, TOPIC_INVALID, Disconnected
from edged.publish.quarantine import WINDOW, Quarantine
from edged.publish.timing import Timing
from edged.records import Message

_LOG = logging.getLogger(__name__)

ONLINE = "online"
AT_ONCE_S = 0.05
"""An end so soon after an acknowledgement came together with it."""

_Outgoing: TypeAlias = Message | Subscription


@dataclass(frozen=True, slots=True)
class _InFlight:
    packet: Packet
    since: float
    qos: int
    case: Case | None
    """What is being tried with it."""

    @property
    def seq(self) -> int | None:
        """The outbox message, None for anything else."""
        return self.packet.key if isinstance(self.packet.key, int) else None


class Session:
    """One accepted connection. One thread's own."""

    def __init__(
        self,
        connection: Connection,
        device: Device,
        delivery: Delivery,
        outgoing: Outgoing,
        quarantine: Quarantine,
        *,
        acknowledge: Callable[[int], None],
        command: Callable[[Command | Refusal], None],
        timing: Timing,
        clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._device = device
        self._delivery = delivery
        self._outgoing = outgoing
        self._quarantine = quarantine
        self._acknowledge = acknowledge
        self._command = command
        self._timing = timing
        self._clock = clock
        self._began = clock()
        self._control: deque[_Outgoing] = deque()
        self._discovery: Message | None = None
        self._withheld: dict[str, _Outgoing] = {}
        self._in_flight: dict[int, _InFlight] = {}
        self._version = quarantine.version
        self._retains = quarantine.retains
        self._subscribed: set[str] = set()
        self._last_taken: Packet | None = None
        self._last_taken_at = 0.0
        self._leaving = False
        self._introduced_at = float("-inf")
        self._introduce_at: float | None = None
        """When a Home Assistant that has started anew is sent the device's description: it may ask hundreds of times a second."""

    def begin(self) -> None:
        """Send what waits in the outbox; then say that the device is online, subscribe, publish every retained value, and at
        last send the discovery payload.
        """
        limits = self._connection.limits
        if not limits.retain:
            _LOG.warning(
                "MQTT: this broker keeps no retained messages: later subscribers do not get the present values"
            )
        self._quarantine.connected(self._clock())
        self._outgoing.renew()
        self._control.append(self._availability(ONLINE))
        wildcards = limits.wildcards and not self._quarantine.blocks(Subscription(self._device.command_filter).packet)
        self._control += [Subscription(topic) for topic in self._subscriptions(wildcards)]
        self.introduce()
        self._fill()

    def step(self, timeout_s: float) -> None:
        """Wait for something to do, up to `timeout_s`, and do it. Raise Disconnected when the connection ended."""
        try:
            self._connection.turn(self._patience(timeout_s))
        finally:
            self._book()  # the last acknowledgements before the end count too
        self._listen()
        if self._introduce_at is not None and self._clock() >= self._introduce_at:
            self._introduce_at, self._introduced_at = None, self._clock()
            self.introduce()
        self._fill()
        self._check_answered()

    def introduce(self) -> None:
        """Have the discovery payload sent when nothing else is to be."""
        if self._device.discovery is not None:
            topic = discovery_topic(self._device.config, self._device.id)
            payload = messages.encode(self._device.discovery)
            self._discovery = Message(topic, payload, retain=True, absolute=True)

    def leave(self) -> None:
        """Take no more from the outbox; say what is retained and due, and that the device is gone."""
        self._leaving = True
        self._control.append(self._availability(OFFLINE))
        self._fill()

    def end(self, why: Disconnected | None) -> bool:
        """The connection is gone; `why` is None when this side ended it. Return whether it is known what ended it."""
        self._delivery.end()
        if why is None:
            return False
        unanswered, now = list(self._in_flight.values()), self._clock()
        if why.oversize:
            for topic in self._subscribed:
                self._quarantine.too_long_answer(Subscription(topic).packet, str(why), now)
            return True
        if not unanswered and self._last_taken is not None and now - self._last_taken_at <= AT_ONCE_S:
            return self._quarantine.ended_after(self._last_taken, why)
        tried = next((entry.case for entry in unanswered if entry.case is not None), None)
        return self._quarantine.broke([entry.packet for entry in unanswered], why, now, tried)

    @property
    def busy(self) -> bool:
        """Whether anything is on its way."""
        return bool(self._control or self._in_flight or self._connection.congested)

    @property
    def complaint(self) -> str | None:
        """What does not work although the connection stands."""
        if self._delivery.problem:
            return self._delivery.problem
        cases = self._quarantine.cases
        if not cases:
            topic = self._quarantine.hangs_up_after
            return problems.hangs_up(topic, self._device.config) if topic else None
        more = f" (and {len(cases) - 1} more)" if len(cases) > 1 else ""
        return problems.quarantined(cases[0], self._device.config) + more

    def _availability(self, state: str) -> Message:
        return messages.AVAILABILITY.text(state)

    def _subscriptions(self, wildcards: bool) -> list[str]:
        """Commands, one by one where `+` may not be used, and Home Assistant's birth."""
        commands = [self._device.topic(f"{messages.COMMANDS}/{verb}") for verb in sorted(VERBS)]
        return [
            *([self._device.command_filter] if wildcards else commands),
            *([self._device.birth_topic] if self._device.discovery is not None else []),
        ]

    def _fill(self) -> None:
        """Send as much as the windows and the network take."""
        if self._version != self._quarantine.version:
            self._offer_again()
        while self._has_room() and not self._connection.congested:
            if not (self._send_from_outbox() or self._send_other() or self._try_again()):
                return

    def _has_room(self) -> bool:
        """Whether one more may be in flight: none beside another while looking for what breaks connections."""
        if self._quarantine.one_by_one or any(entry.case is not None for entry in self._in_flight.values()):
            return not self._in_flight
        waiting = sum(entry.qos > 0 or entry.seq is not None for entry in self._in_flight.values())
        return waiting < min(WINDOW, self._connection.limits.receive_maximum)

    def _send_from_outbox(self) -> bool:
        message = None if self._leaving else self._delivery.take(self._clock())
        if message is None:
            return False
        self._send_row(message, None)
        return True

    def _send_row(self, message: Message, case: Case | None) -> None:
        packet = self._device.packet(message)
        if not self._publish(packet, message.payload, max(1, message.qos), message.retain, case):
            self._delivery.refused(message.seq)

    def _send_other(self) -> bool:
        """One item, value or result, once the outbox has gone, or has had its time."""
        waits = not (self._leaving or self._delivery.idle)
        if waits and self._clock() - self._began < self._timing.outbox_first_s:
            return False
        item = self._next_item()
        if item is None:
            return False
        packet = self._packet(item)
        case = self._quarantine.case_of(packet)
        if case is None:
            self._run(item, None)
        elif self._is_sent_once(item) and case.retry_at <= self._clock():
            self._run(item, case)  # the next one of its kind is the only way to find out
        elif not self._is_sent_once(item):
            self._withheld[packet.topic] = item
        return True

    def _next_item(self) -> _Outgoing | None:
        if self._control:
            return self._control.popleft()
        message = self._outgoing.take()
        if message is None and not self._leaving:
            message, self._discovery = self._discovery, None
        return message

    def _is_sent_once(self, item: _Outgoing) -> bool:
        return isinstance(item, Message) and not item.retain

    def _run(self, item: _Outgoing, case: Case | None) -> None:
        packet = self._packet(item)
        if isinstance(item, Subscription):
            mid = self._connection.subscribe(item.topic)
            self._in_flight[mid] = _InFlight(packet, self._clock(), 1, case)
        else:
            self._publish(packet, item.payload, item.qos, item.retain, case)

    def _publish(self, packet: Packet, payload: str, qos: int, retain: bool, case: Case | None) -> bool:
        """Send it as this broker takes it; False when it cannot be, which has become a case."""
        limits, now = self._connection.limits, self._clock()
        if limits.packet_bytes is not None and packet.size > limits.packet_bytes:
            self._quarantine.too_large(packet, limits.packet_bytes, now)
            return False
        tries_retaining = case is not None and case.purpose == "retention"
        retain = retain and limits.retain and (self._quarantine.retains or tries_retaining)
        qos = min(qos, limits.qos)
        try:
            mid = self._connection.publish(packet.topic, payload, qos, retain)
        except ValueError as error:  # a topic or payload that MQTT cannot carry
            self._quarantine.refused(packet, TOPIC_INVALID, f"MQTT cannot carry it ({type(error).__name__})", now, case)
            return False
        sent = Packet(packet.key, packet.topic, packet.size, retain, packet.purpose)
        self._in_flight[mid] = _InFlight(sent, now, qos, case)
        return True

    def _try_again(self) -> bool:
        """When nothing else is to be sent: what the broker refused before, alone."""
        if self._in_flight or self._leaving:
            return False
        case = self._quarantine.due(self._clock())
        if case is None:
            return False
        if isinstance(case.sample.key, int) and case.purpose == "message":
            message = self._delivery.take_for(case)
            if message is not None:
                self._send_row(message, case)
                return True
        elif (item := self._item_of(case)) is not None:
            self._run(item, case)
            return True
        self._quarantine.drop(case)
        return True

    def _item_of(self, case: Case) -> _Outgoing | None:
        """What is sent to try a case again, None when there is nothing of its kind any more."""
        topic = case.sample.topic
        match case.purpose:
            case "subscription":
                return Subscription(topic)
            case "retention":
                return self._availability(ONLINE)
            case "discovery":
                self.introduce()
                message, self._discovery = self._discovery, None
                return message
            case "message":
                relative = topic.removeprefix(self._device.topic(""))
                if relative == messages.AVAILABILITY.at():
                    return self._availability(ONLINE)
                return self._outgoing.latest(relative)

    def _offer_again(self) -> None:
        """Less is held back than before: what was withheld has another chance, and so has being retained."""
        self._version = self._quarantine.version
        withheld, self._withheld = self._withheld, {}
        for item in withheld.values():
            if isinstance(item, Message) and item.absolute:
                self._discovery = item
            elif isinstance(item, Message) and item.topic != messages.AVAILABILITY.at():
                self._outgoing.again(item.topic)
            else:
                self._control.append(item)
        if self._quarantine.retains and not self._retains:
            self._outgoing.all_again()
            self.introduce()
        self._retains = self._quarantine.retains

    def _packet(self, item: _Outgoing) -> Packet:
        if isinstance(item, Subscription):
            return item.packet
        topic = item.topic if item.absolute else self._device.topic(item.topic)
        packet = packet_of(topic, topic, item.payload, item.retain)
        return Packet(topic, topic, packet.size, item.retain, "discovery") if item.absolute else packet

    def _book(self) -> None:
        """Give each answer to what it is for."""
        while self._connection.answers:
            mid, code, words = self._connection.answers.popleft()
            entry = self._in_flight.get(mid)
            # paho also calls back when a QoS 0 message was written to the network; that is no answer.
            if entry is None or entry.qos == 0:
                continue
            del self._in_flight[mid]
            if code >= REFUSED_FROM:
                self._quarantine.refused(entry.packet, code, words, self._clock(), entry.case)
                if entry.seq is not None:
                    self._delivery.refused(entry.seq)
                self._subscribe_one_by_one(entry.packet)
            else:
                self._accept_qos0_before(entry.since)
                self._taken(entry)

    def _accept_qos0_before(self, since: float) -> None:
        """A broker takes one thing after the other: what needs no answer and was sent before `since` has been taken."""
        for mid, entry in list(self._in_flight.items()):
            if entry.qos == 0 and entry.since < since:
                del self._in_flight[mid]
                self._taken(entry)

    def _taken(self, entry: _InFlight) -> None:
        self._quarantine.taken(entry.packet)
        if self._last_taken is not None and self._last_taken.topic != entry.packet.topic:
            self._quarantine.stood(self._last_taken.topic)
        self._last_taken, self._last_taken_at = entry.packet, self._clock()
        if entry.packet.purpose == "subscription" and entry.packet.topic != self._device.birth_topic:
            self._subscribed.add(entry.packet.topic)
        if entry.seq is not None:
            self._acknowledge(entry.seq)
            self._delivery.acknowledged(entry.seq)

    def _subscribe_one_by_one(self, refused: Packet) -> None:
        """Where `cmd/+` is refused, each command may be allowed."""
        if refused.purpose == "subscription" and refused.topic == self._device.command_filter:
            known = {entry.packet.topic for entry in self._in_flight.values()}
            topics = [topic for topic in self._subscriptions(wildcards=False) if topic != self._device.birth_topic]
            self._control += [Subscription(topic) for topic in topics if topic not in known]

    def _listen(self) -> None:
        """Take commands, and send the discovery payload to a Home Assistant that has just started."""
        while self._connection.messages:
            topic, payload, retained = self._connection.messages.popleft()
            if topic == self._device.birth_topic:
                if payload == ONLINE.encode() and not retained and self._introduce_at is None:
                    self._introduce_at = max(self._clock(), self._introduced_at + self._timing.introduce_s)
                continue
            own = self._device.topic("")
            command = parse_command(topic.removeprefix(own), payload, retained=retained)
            if topic.startswith(own) and command is not None:
                self._command(command)

    def _patience(self, timeout_s: float) -> float:
        """No longer than until something that needs no answer counts as taken."""
        if any(entry.qos == 0 for entry in self._in_flight.values()):
            return min(timeout_s, self._timing.qos0_accepted_s / 2)
        return timeout_s

    def _check_answered(self) -> None:
        """What needs no answer is taken when the connection still stands after a while; what does, must get one."""
        now = self._clock()
        self._accept_qos0_before(now - self._timing.qos0_accepted_s)
        if self._last_taken is not None and now - self._last_taken_at > self._timing.qos0_accepted_s:
            self._quarantine.stood(self._last_taken.topic)
            self._last_taken = None
        for entry in self._in_flight.values():
            patience = self._timing.acknowledge_s
            if entry.case is not None:
                patience = min(patience, self._timing.trial_s)
            if entry.qos and now - entry.since > patience:
                raise Disconnected(problems.not_acknowledging(self._device.config, patience), silent=True)
