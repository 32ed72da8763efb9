"""Has the broker forget what this device retained under another prefix or name, or for another Home Assistant.

On a connection of its own, in a thread of its own: a broker that refuses it, hangs up on it or does not answer keeps no alert
waiting. Another device may have that name now, as the one whose card was copied: where somebody is online, all stays.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from edged import messages
from edged.config import MqttConfig
from edged.publish import problems
from edged.publish.connection import Connection
from edged.publish.problems import REFUSED_FROM, Disconnected
from edged.publish.sockets import Waker
from edged.publish.timing import Timing
from edged.worker import Worker

log = logging.getLogger(__name__)

ONLINE = b"online"
TRIES = 3


@dataclass(frozen=True, slots=True)
class Former:
    """Where this device published before."""

    root: str
    """`<prefix>/<device>` of then; of now where only the discovery prefix was another."""
    topics: tuple[str, ...]
    """What was retained below it."""
    discovery: str | None
    """The whole topic of its description for Home Assistant, None where there is none to be forgotten."""

    @property
    def filters(self) -> list[str]:
        """What to subscribe to for all of it, and for nothing that is in use: below the present root the device itself lives."""
        return [*([f"{self.root}/#"] if self.topics else []), *([self.discovery] if self.discovery else [])]

    @property
    def whole(self) -> list[str]:
        """Every topic to be forgotten; that by which others see whether somebody is there comes last."""
        last = messages.AVAILABILITY.at()
        return [
            *([self.discovery] if self.discovery else []),
            *(f"{self.root}/{topic}" for topic in sorted(self.topics, key=lambda topic: topic == last)),
        ]


class Withdrawal(Worker):
    """Tries a few times, far apart, once the device is connected, and ends."""

    def __init__(
        self,
        config: MqttConfig,
        device_id: str,
        password: str | None,
        former: Sequence[Former],
        timing: Timing,
        *,
        is_connected: Callable[[], bool],
        done: Callable[[Former], None],
    ) -> None:
        """`done` is called, from this thread, with each that the broker has forgotten."""
        super().__init__("withdrawal")
        self._config, self._device_id, self._password = config, device_id, password
        self._left, self._timing = list(former), timing
        self._is_connected, self._done = is_connected, done

    def work(self) -> None:
        for tries_left in reversed(range(TRIES)):
            while not self._is_connected():
                if self.stopping.wait(self._timing.tick_s):
                    return
            for former in list(self._left):
                if (problem := self._withdraw(former)) is None:
                    log.info("MQTT: the broker keeps nothing of %s any more", " and ".join(former.filters))
                    self._left.remove(former)
                    self._done(former)
                elif not (tries_left or self.stopping.is_set()):
                    options = " ".join(f"-t '{one}'" for one in former.filters)
                    log.warning(_STAYS, " and ".join(former.filters), problem, options)
            if not self._left or (tries_left and self.stopping.wait(self._timing.withdraw_again_s)):
                return

    def _withdraw(self, former: Former) -> str | None:
        """None when the broker has forgotten it all, else why not."""
        try:
            with self._connected() as connection:
                if not connection.limits.retain:
                    return None
                is_own = former.root == f"{self._config.prefix}/{self._device_id}"
                if not is_own and (why := self._why_taken(connection, former.root)):
                    return why
                qos = min(1, connection.limits.qos)
                for topic in former.whole:
                    if why := self._answer(connection, connection.publish(topic, "", qos, True)):
                        return f"{topic}: {why}"
                if qos == 0:  # not answered: taken when the connection still stands after a while
                    self._turn(connection, self._timing.qos0_accepted_s, lambda: False)
        except Disconnected as error:
            return str(error).removesuffix(problems.AGAIN)
        except Exception as error:  # whatever a broker sends, this thread goes on
            log.debug("MQTT: unexpected error", exc_info=True)
            return f"it ended by an unexpected {type(error).__name__}"
        return None

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection that the broker has accepted. Raise Disconnected."""
        waker = Waker()
        client = f"edged-{self._device_id}-withdraw"  # with the device's own the broker would throw the device out
        limit_s = self._timing.connect_s
        connection = Connection(self._config, client, self._password, will=None, connect_s=limit_s, waker=waker)
        try:
            connection.dial()
            if not self._turn(connection, limit_s, lambda: connection.accepted):
                raise Disconnected(problems.no_answer(self._config))
            yield connection
        finally:
            connection.close(disconnect=True)
            waker.close()

    def _why_taken(self, connection: Connection, root: str) -> str | None:
        """Why nothing below `root` may be touched: somebody is online there, or that cannot be known."""
        topic = f"{root}/{messages.AVAILABILITY.at()}"
        if why := self._answer(connection, connection.subscribe(topic)):
            return f"{topic}: {why}"
        self._turn(connection, self._timing.retained_s, lambda: bool(connection.messages))
        if any(payload == ONLINE for _, payload, _ in connection.messages):
            return "a device is online there"
        return None

    def _answer(self, connection: Connection, number: int) -> str | None:
        """Wait for the broker's answer: None when it took it, else why not."""

        def answer() -> tuple[int, str] | None:
            return next(((code, words) for mid, code, words in connection.answers if mid == number), None)

        if not self._turn(connection, self._timing.trial_s, lambda: answer() is not None):
            return "the broker does not answer"
        code, words = answer() or (0, "")
        connection.answers.clear()
        return words if code >= REFUSED_FROM else None

    def _turn(self, connection: Connection, seconds: float, condition: Callable[[], bool]) -> bool:
        """Drive the connection until `condition` holds; False when it does not in time. Raise Disconnected, also to stop."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.stopping.is_set():
                raise Disconnected("the daemon stops")
            if (left := deadline - time.monotonic()) <= 0:
                return False
            connection.turn(min(self._timing.tick_s, left))
        return True


_STAYS = (
    "MQTT: what this device published as %s stays on the broker: %s; where no device is called so any more, run"
    " `mosquitto_sub --remove-retained -W 5 %s` with the broker's address"
)
