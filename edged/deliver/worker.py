"""Takes a channel's messages from the outbox to its transport, again and again until they are taken or refused for good."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from edged.backoff import backoff_s
from edged.connections import Peer
from edged.errors import Failed, StoreError, Unavailable
from edged.records import Channel, Message
from edged.worker import Worker

log = logging.getLogger(__name__)

POLL_S = 5.0
BATCH = 100
RETRY_FIRST_S = 1.0
SENDING_S = 120.0
"""The longest that finding the receiver and sending take, however many addresses it has; the watchdog waits as long."""

CUT_SHARE = 0.8
"""The share of the time to stop after which a connection is cut."""


class Transport(Protocol):
    """Sends messages in a channel's own form."""

    retry_longest_s: float
    """The longest wait between attempts that fail."""
    peer: Peer

    def choose(self, waiting: Sequence[Message]) -> Sequence[Message]:
        """Which of the messages `waiting`, oldest first, are sent next, together; none when their time has not come."""

    def send(self, messages: Sequence[Message]) -> Sequence[str]:
        """Return when the receiver has taken them, with a line for each person who will not get them all the same.

        Raise Unavailable when it may work later, Failed when it never will.
        """

    def probe(self) -> None:
        """Whether the receiver is there and lets us in, without sending anything. Raise EdgedError when not."""

    def cut(self) -> None:
        """End what is under way, which fails. From any thread."""


class ChannelOutbox(Protocol):
    """The messages stored for a channel."""

    def outbox_after(self, seq: int, limit: int, channel: Channel) -> list[Message]:
        """The next messages above `seq`, oldest first. Raise StoreError when they cannot be read."""


class Acknowledge(Protocol):
    """Who deletes messages from the outbox."""

    def acknowledge(self, seq: int) -> None:
        """Have it deleted, soon."""

    def is_idle(self) -> bool:
        """Whether all those are deleted."""


class ChannelWorker(Worker):
    """One channel's thread. A message is sent at least once, and a repeated one is recognised by its key.

    Alerts do not depend on one another: one that cannot be sent waits while others have their turn.
    """

    def __init__(
        self,
        channel: Channel,
        transport: Transport,
        outbox: ChannelOutbox,
        store: Acknowledge,
        rest: Callable[[float], object] | None = None,
    ) -> None:
        """`rest` waits so many seconds, for a clock that is not this machine's."""
        super().__init__(channel)
        self.channel: Channel = channel
        self.sent = 0
        self.given_up = 0
        """Messages that the receiver has refused for good."""
        self.problem: str | None = None
        """One line for people: why messages wait, were given up or reach not everybody, and the remedy.

        None since one was taken for all.
        """
        self._transport = transport
        self._outbox = outbox
        self._store = store
        self._rest_s = rest or self.stopping.wait
        self._wakened = threading.Event()
        self._failures = 0
        self._tried: set[int] = set()
        """Numbers of the messages that failed in this round."""
        self._done: set[int] = set()
        """Numbers of those that the store has yet to delete."""

    def wake(self) -> None:
        """There may be new messages."""
        self._wakened.set()

    def stop(self, timeout_s: float) -> bool:
        """Let what is under way end, or cut it short."""
        self.stopping.set()
        self._wakened.set()
        if super().stop(timeout_s * CUT_SHARE):
            return True
        self._transport.cut()
        return super().stop(timeout_s * (1 - CUT_SHARE))

    def work(self) -> None:
        while not self.stopping.is_set():
            pause_s = self.step()
            self.beat(pause_s)
            if self._failures:
                self._rest_s(pause_s)
            elif pause_s:
                self._wakened.wait(pause_s)

    def step(self) -> float:
        """Send what is next; return how long to wait before there may be more to do."""
        self.beat()
        self._wakened.clear()
        try:
            waiting = self._waiting()
        except StoreError as error:
            self._complain(f"messages cannot be read from the outbox: {error}")
            return POLL_S
        untried = [message for message in waiting if message.seq not in self._tried]
        if not untried:
            self._tried.clear()
        chosen = self._transport.choose(untried or waiting)
        if not chosen:
            return POLL_S
        self.beat(SENDING_S)
        return self._send(chosen)

    def _send(self, chosen: Sequence[Message]) -> float:
        try:
            left_out = self._transport.send(chosen)
        except Unavailable as error:
            if not self.stopping.is_set():
                self._complain(str(error))
            self._tried.update(message.seq for message in chosen)
            return self._back_off()
        except Failed as error:
            self.given_up += len(chosen)
            self._complain(f"{error}; what it refuses is given up")
            pause_s = self._back_off()  # a receiver that is being set up must not refuse all that waits in one second
        else:
            self.sent += len(chosen)
            self._failures, pause_s = 0, 0.0
            if left_out:
                self._complain("; ".join(left_out))
            else:
                self._works()
        for message in chosen:
            self._done.add(message.seq)
            self._store.acknowledge(message.seq)
        return pause_s

    def _waiting(self) -> list[Message]:
        """The oldest messages that were neither taken nor given up."""
        if self._done and self._store.is_idle():
            self._done.clear()
        waiting = self._outbox.outbox_after(0, BATCH + len(self._done), self.channel)
        return [message for message in waiting if message.seq not in self._done]

    def _back_off(self) -> float:
        self._failures += 1
        return backoff_s(self._failures, RETRY_FIRST_S, self._transport.retry_longest_s)

    def _works(self) -> None:
        if self.problem is not None:
            log.info("%s: works again", self.channel)
        self.problem = None

    def _complain(self, line: str) -> None:
        line = f"{self.channel}: {line}"
        if line != self.problem:
            log.warning("%s", line)
        self.problem = line
