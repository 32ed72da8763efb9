"""Holds what other threads hand in to be published: the latest value of each retained topic, and messages sent once."""

import threading
from collections import deque

from edged.records import Message

# The topics are fixed per device and camera; more of them, or a longer queue, is a mistake and must not fill the memory.
MOST_TOPICS = 256
MOST_ONCE = 64


class Outgoing:
    """A bounded shelf between the threads that have something to say and the one that says it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, Message] = {}
        self._due: dict[str, None] = {}
        self._once: deque[Message] = deque(maxlen=MOST_ONCE)

    def retain(self, message: Message) -> bool:
        """Keep the latest value of a topic; return whether that made it due to be sent."""
        topic = message.topic
        with self._lock:
            if self._latest.get(topic) == message:
                return False
            if topic not in self._latest and len(self._latest) >= MOST_TOPICS:
                return False
            self._latest[topic] = message
            self._due[topic] = None
            return True

    def latest(self, topic: str) -> Message | None:
        """The value of `topic`, None when it has none."""
        with self._lock:
            return self._latest.get(topic)

    def again(self, topic: str) -> None:
        """The value of `topic`, if it has one, is due once more."""
        with self._lock:
            if topic in self._latest:
                self._due[topic] = None

    def all_again(self) -> None:
        """Every value is due once more."""
        with self._lock:
            self._due = dict.fromkeys(self._latest)

    def send(self, message: Message) -> None:
        """Send once; the oldest are dropped when too many wait."""
        with self._lock:
            self._once.append(message)

    def renew(self) -> None:
        """A new connection: every retained value is due again, and what was to be sent once is too old."""
        with self._lock:
            self._due = dict.fromkeys(self._latest)
            self._once.clear()

    def take(self) -> Message | None:
        """The next message to publish, None when there is none."""
        with self._lock:
            if self._due:
                topic = next(iter(self._due))
                del self._due[topic]
                return self._latest[topic]
            return self._once.popleft() if self._once else None
