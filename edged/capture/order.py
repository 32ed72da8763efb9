"""What a capture process is told to do, as it crosses to that process: plain values, no config library needed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from edged.errors import SourceLost

Flip = Literal["none", "horizontal", "vertical"]
Transport = Literal["auto", "tcp", "udp"]

USUAL_SIZE = (1280, 720)
"""What a CSI or Pi camera is asked for when its URI names no size."""
USUAL_FPS = 30
"""What such a camera is asked for when its URI names no rate: the sensors' own."""


@dataclass(frozen=True, slots=True)
class Order:
    """One live camera to open.

    `uri` may hold a password: it is never logged, and never stands on a command line. `name` is the same, fit for people.
    `path`, `options` and `scheme` are those of `edged.config.source.Source`. `fps` is the most pictures a second that
    are wanted; further ones are only counted.
    """

    name: str
    uri: str
    scheme: str
    path: str
    fps: float
    options: Mapping[str, int] = field(default_factory=dict)
    rotation: int = 0
    flip: Flip = "none"
    transport: Transport = "auto"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height to ask a CSI or Pi camera for."""
        return self.options.get("width", USUAL_SIZE[0]), self.options.get("height", USUAL_SIZE[1])

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Order":
        """Raise SourceLost when `text` is no order."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise SourceLost(f"the capture process was given no order it understands: {error}") from None
