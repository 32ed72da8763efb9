"""The broker connection in use at the moment, for the parts of the daemon that outlive a connection."""

from edged.publish import Publisher
from edged.records import Message


class Outbound:
    """Holds the publisher of the present runtime, None without a broker. Thread-safe; nothing here waits."""

    def __init__(self) -> None:
        self.publisher: Publisher | None = None
        """Set by `Runtime.start` only."""

    @property
    def connected(self) -> bool:
        publisher = self.publisher
        return publisher is not None and publisher.connected

    @property
    def problem(self) -> str | None:
        """Why nothing is published, with the remedy; None when all is well, or no broker is configured."""
        publisher = self.publisher
        return publisher.problem if publisher else None

    def wake(self) -> None:
        """There are new messages in the outbox."""
        if publisher := self.publisher:
            publisher.wake()

    def retain(self, message: Message) -> None:
        """Publish the value of a topic, now and at every connection; without a broker it is dropped."""
        if publisher := self.publisher:
            publisher.retain(message)
