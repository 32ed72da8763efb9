"""What is sent, as far as a broker can dislike it, and what is known of something that it dislikes."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Key: TypeAlias = int | str
"""The number of an outbox message, or the whole topic of a value or a subscription."""

Purpose: TypeAlias = Literal["message", "discovery", "subscription", "retention"]


@dataclass(frozen=True, slots=True)
class Parcel:
    """One thing that is sent, as far as a broker can dislike it. `size` counts the whole packet in bytes."""

    key: Key
    topic: str
    size: int
    retain: bool = False
    purpose: Purpose = "message"


@dataclass(slots=True)
class Case:
    """Something the broker disliked: an example, the broker's words, and which other parcels resemble it."""

    sample: Parcel
    why: str | None
    """What the broker said, None when it said nothing."""
    purpose: Purpose
    polite: bool
    """Whether the connection stands when it is refused."""
    interval_s: float
    retry_at: float
    topic: str | None = None
    """Every message on this topic, if they are disliked one after the other."""
    least_bytes: int | None = None
    """Every message at least as large, none of which was ever taken."""
    newest: int = 0
    """The newest outbox message that was held back when the newest was tried."""
    tried: int = 0
    """The outbox message that was tried last: each time another one is, since one alone may have a fault of its own."""

    def covers(self, parcel: Parcel) -> bool:
        return (
            parcel.key == self.sample.key
            or (self.topic is not None and parcel.topic == self.topic)
            or (self.least_bytes is not None and parcel.size >= self.least_bytes)
        )
