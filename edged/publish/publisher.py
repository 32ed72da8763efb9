"""Keeps a connection to the broker for as long as the daemon runs, in a thread of its own."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, Full, Queue
from typing import Any

from edged import messages
from edged.config import MqttConfig
from edged.ports import Outbox
from edged.publish import problems
from edged.publish.commands import Command, Refusal, result
from edged.publish.connection import Connection, Will
from edged.publish.credentials import check_mqtt
from edged.publish.delivery import Delivery, Outgoing
from edged.publish.packets import Device
from edged.publish.problems import Disconnected
from edged.publish.quarantine import Quarantine
from edged.publish.reconnect import Backoff, RateLimit, WillChoice
from edged.publish.session import Session
from edged.publish.sockets import Waker
from edged.publish.timing import DEFAULT_TIMING, Timing
from edged.publish.withdraw import Former, Withdrawal
from edged.records import Message
from edged.worker import Worker

_LOG = logging.getLogger(__name__)

MOST_COMMANDS = 16
MOST_REFUSALS, REFUSALS_S = 10, 60.0
"""So many commands that are none are answered, and logged, in so many seconds; the rest is counted."""

# Name lookup, TCP and TLS block the thread: the watchdog waits at least this long. A name server may take half a minute, all
# addresses of a broker MOST_WAITS times `connect_s`, and TLS as long again as one of them.
DIALLING_S = 90.0
# The share of the time to stop in which messages may still be sent; the rest is for the thread to end.
GOODBYE_SHARE = 0.8


class Publisher(Worker):
    """Publishes what is retained and what waits in the outbox, and collects commands.

    Every method may be called from any thread, and none waits for the network. `acknowledge` is called from the
    publisher's thread for each message the broker has taken; it must neither block nor raise.
    """

    def __init__(
        self,
        config: MqttConfig,
        device_id: str,
        outbox: Outbox,
        acknowledge: Callable[[int], None],
        *,
        discovery: Mapping[str, Any] | None,
        password: str | None = None,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """`password`: instead of the one in the config's file, which is read anew for each connection.

        Raise ConfigError when the password or a certificate file cannot be used, ValueError when the config names no broker.
        """
        if config.host is None:
            raise ValueError("mqtt.host is not set: there is nothing to publish to")
        check_mqtt(config)
        super().__init__("publisher")
        self._device = Device(config, device_id, discovery)
        self._acknowledge = acknowledge
        self._password = password
        self._timing = timing
        self._quarantine = Quarantine(timing.retry_first_s, timing.retry_longest_s)
        self._delivery = Delivery(outbox, self._quarantine, self._device.packet, timing.poll_s, timing.rescan_s)
        self._outgoing = Outgoing()
        self._backoff = Backoff(timing)
        self._commands: Queue[Command] = Queue(MOST_COMMANDS)
        self._will = WillChoice()
        self._refusals = RateLimit(MOST_REFUSALS, REFUSALS_S)
        self._last_loss: Disconnected | None = None
        self._withdrawal: Withdrawal | None = None
        self._waker = Waker()
        self._introduction_due = threading.Event()
        self._stop_by = 0.0
        self._connected = False
        self._problem: str | None = f"connecting to {config.host}:{config.effective_port}"
        self._logged: str | None = self._problem

    def stop(self, timeout_s: float) -> bool:
        """Say that the device is offline, wait a moment for what is in flight, disconnect. Takes at most `timeout_s`."""
        self._stop_by = time.monotonic() + timeout_s * GOODBYE_SHARE
        if self._withdrawal is not None:
            self._withdrawal.stopping.set()
        self.stopping.set()
        self._waker.wake()
        stopped = super().stop(timeout_s)
        if stopped:
            self._waker.close()
        return stopped

    def retain(self, message: Message) -> None:
        """The value of a topic: sent when it changed, and again on every connect."""
        if self._outgoing.retain(message):
            self._waker.wake()

    def send(self, message: Message) -> None:
        """Publish once; dropped when not connected."""
        if self._connected:
            self._outgoing.send(message)
            self._waker.wake()

    def introduce(self, discovery: Mapping[str, Any]) -> None:
        """Home Assistant's discovery payload from now on; sent when it changed, and again on every connect."""
        if discovery != self._device.discovery:
            self._device.discovery = discovery
            self._introduction_due.set()
            self._waker.wake()

    def withdraw(self, former: Sequence[Former], done: Callable[[Former], None]) -> None:
        """Have the broker forget these once it has accepted this device; `done` is called with each, from another thread."""
        if former and self._withdrawal is None:
            self._withdrawal = Withdrawal(
                self._device.config,
                self._device.id,
                self._password,
                former,
                self._timing,
                is_connected=lambda: self._connected,
                done=done,
            )
            self._withdrawal.start()

    def wake(self) -> None:
        """There are new messages in the outbox."""
        self._delivery.wake()
        self._waker.wake()

    def commands(self) -> list[Command]:
        """The commands received since the last call."""
        received = []
        try:
            while True:
                received.append(self._commands.get_nowait())
        except Empty:
            return received

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted this device's connection, and it stands."""
        return self._connected

    @property
    def problem(self) -> str | None:
        """One line for people: why nothing, or not everything, is published, and the remedy; None when all is well."""
        return self._problem

    def work(self) -> None:
        while not self.stopping.is_set():
            self._connect_once()
            self._rest(self._backoff.delay_s)

    def _connect_once(self) -> None:
        """One connection, from dialling to its end."""
        quality = self._will.next(time.monotonic())
        connection = Connection(
            self._device.config,
            self._device.client_id,
            self._password,
            will=Will(self._device.topic(messages.AVAILABILITY.at()), *quality) if quality else None,
            connect_s=self._timing.connect_s,
            waker=self._waker,
        )
        try:
            self._dial(connection)
            if connection.accepted:
                self._will.accepted(time.monotonic())
                self._serve(connection)
        except Disconnected as error:
            self._last_loss = error
            if not connection.accepted:
                self._will.refused(error)
            self._report_problem((self._flapping() if connection.accepted else None) or str(error))
        except Exception as error:  # noqa: BLE001  whatever a broker sends, or a full queue raises, this thread goes on
            _LOG.debug("MQTT: unexpected error", exc_info=True)
            self._report_problem(
                f"lost the connection to the broker by an unexpected {type(error).__name__}{problems.AGAIN}"
            )
        finally:
            if not connection.accepted:
                self._backoff.failed()
            connection.close(disconnect=self.stopping.is_set())

    def _dial(self, connection: Connection) -> None:
        """Return when the broker has accepted, or stop was called. Raise Disconnected when it does not."""
        self.beat(DIALLING_S)
        connection.dial()
        deadline = time.monotonic() + self._timing.connect_s
        while not (connection.accepted or self.stopping.is_set()):
            self.beat()
            if (left := deadline - time.monotonic()) <= 0:
                raise Disconnected(problems.no_answer(self._device.config))
            connection.turn(min(self._timing.tick_s, left))

    def _serve(self, connection: Connection) -> None:
        """Publish until the connection or the daemon ends."""
        session = Session(
            connection,
            self._device,
            self._delivery,
            self._outgoing,
            self._quarantine,
            acknowledge=self._acknowledge,
            command=self._take_command,
            timing=self._timing,
            clock=time.monotonic,
        )
        began = time.monotonic()
        ended_by: Disconnected | None = None
        try:
            self._introduction_due.clear()
            session.begin()
            while not self.stopping.is_set():
                self.beat()
                if self._introduction_due.is_set():
                    self._introduction_due.clear()
                    session.introduce()
                steady = self._backoff.steady(time.monotonic() - began)
                lesser = self._will.complaint(self._device.config.prefix)
                self._report_problem(session.complaint or (None if steady else self._flapping()) or lesser)
                self._connected = True  # only now: the problem of a moment ago is gone
                session.step(self._timing.tick_s)
            self._disconnect(session)
        except Disconnected as error:
            ended_by = error
            raise
        finally:
            self._connected = False
            known = session.end(ended_by)
            self._backoff.ended(time.monotonic() - began)
            if known:
                self._backoff.retry_at_once(time.monotonic())

    def _disconnect(self, session: Session) -> None:
        session.leave()
        while session.busy and time.monotonic() < self._stop_by:
            session.step(min(self._timing.tick_s, max(0.0, self._stop_by - time.monotonic())))

    def _rest(self, seconds: float) -> None:
        """Wait before the next attempt, giving signs of life."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.stopping.is_set():
            self.beat()
            self.stopping.wait(min(self._timing.tick_s, left))

    def _flapping(self) -> str | None:
        """What to say when connections are lost again and again: what the broker said, if it did."""
        if not self._backoff.flapping:
            return None
        if self._last_loss is not None and self._last_loss.reason is not None:
            return str(self._last_loss)
        return problems.flapping(self._device.client_id)

    def _take_command(self, command: Command | Refusal) -> None:
        """Keep it for the main thread; what cannot be kept, or is no command, is answered here."""
        if isinstance(command, Command):
            try:
                self._commands.put_nowait(command)
            except Full:
                command = Refusal(command.verb, "too many commands at once; ask again in a minute", command.payload)
            else:
                return
        allowed = self._refusals.take(time.monotonic())
        if allowed is None:
            return
        more = f" ({allowed} more were not answered)" if allowed else ""
        _LOG.warning("MQTT: cmd/%s: %s%s", command.verb, command.error, more)
        self._outgoing.send(result({"ok": False, "error": command.error}, command))

    def _report_problem(self, problem: str | None) -> None:
        """Keep what is wrong, and log it when it changed."""
        self._problem = problem
        if problem == self._logged or self.stopping.is_set():
            return
        self._logged = problem
        if problem is None:
            _LOG.info("MQTT: connected to %s:%s", self._device.config.host, self._device.config.effective_port)
        else:
            _LOG.warning("MQTT: %s", problem)
