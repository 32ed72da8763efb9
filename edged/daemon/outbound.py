"""The ways by which messages leave the device at the moment, for parts that outlive a reload."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from edged.deliver import ChannelWorker
from edged.errors import StoreError
from edged.publish import Publisher
from edged.records import Channel, Message
from edged.store import StoreReader


class Outbound:
    """The ways out in use at the moment, for parts that outlive them. Thread-safe; nothing here waits."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self.publisher: Publisher | None = None
        """Set by `Runtime.start` only, as the next two."""
        self.channels: Sequence[ChannelWorker] = ()
        """The ways out besides the broker."""
        self.limits = limits
        """How many messages may wait for each channel that is configured."""
        self.trimmed: Counter[str] = Counter()
        """How many had to go because more waited, by channel."""

    @property
    def connected(self) -> bool:
        publisher = self.publisher
        return publisher is not None and publisher.connected

    @property
    def problem(self) -> str | None:
        """Why nothing is published, with the remedy; None when all is well, or no broker is configured."""
        publisher = self.publisher
        return publisher.problem if publisher else None

    def status(self, reader: StoreReader) -> dict[str, dict[str, Any]]:
        """What each way out but the broker's has done in this run, and what waits for it."""
        return {
            one.channel: {
                "waiting": waiting(reader, one.channel),
                "sent": one.sent,
                "given_up": one.given_up,
                "dropped": self.trimmed[one.channel],
                "problem": one.problem,
            }
            for one in self.channels
        }

    def wake(self) -> None:
        """There are new messages in the outbox."""
        if publisher := self.publisher:
            publisher.wake()
        for channel in self.channels:
            channel.wake()

    def retain(self, message: Message) -> None:
        """Publish the value of a topic, now and at every connection; without a broker it is dropped."""
        if publisher := self.publisher:
            publisher.retain(message)


def waiting(reader: StoreReader, channel: Channel) -> int | None:
    """How many messages wait for `channel`; None while the database cannot be read."""
    try:
        return reader.outbox_depth(channel)
    except StoreError:
        return None  # the store's own problem is among the errors
