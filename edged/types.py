"""The frozen dataclasses that flow from one stage to the next; no behaviour beyond plain geometry.

Pixel coordinates have their origin at the top left of the original picture, x to the right, y down.
`time_s` is monotonic seconds from the camera's clock; nothing here knows the time of day.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
"""Height x width x 3, BGR, uint8."""

Points: TypeAlias = NDArray[np.float32]
"""N x 2 pixel coordinates (x, y). Five-point order: image-left eye, image-right eye, nose tip,
image-left mouth corner, image-right mouth corner."""


class Box(NamedTuple):
    """An upright rectangle in pixels; (x1, y1) inclusive top left, (x2, y2) exclusive bottom right."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def side(self) -> float:
        """The shorter side: what "a face of 24 px" means everywhere in edged."""
        return min(self.width, self.height)

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2


class MaskState(str, Enum):
    """How a mask is worn. UNCERTAIN is an answer, and never a violation."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    NONE = "none"
    UNCERTAIN = "uncertain"

    def __str__(self) -> str:
        return self.value

    @property
    def is_violation(self) -> bool:
        return self in (MaskState.INCORRECT, MaskState.NONE)


JUDGED_STATES = (MaskState.CORRECT, MaskState.INCORRECT, MaskState.NONE)
"""The three states a classifier tells apart, in the order of every score vector."""


class MaskScores(NamedTuple):
    """Calibrated probabilities of the three judged states; they sum to 1."""

    correct: float
    incorrect: float
    none: float

    @property
    def state(self) -> MaskState:
        """The most probable state."""
        return JUDGED_STATES[max(range(3), key=self.__getitem__)]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture from one camera. `image` must not be written to."""

    camera: str
    index: int
    time_s: float
    image: Image


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """One face found in one picture. `points` and `mask` are None when the detector gives none."""

    box: Box
    score: float
    points: Points | None = None
    mask: MaskScores | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One face followed over time.

    `id` counts up from 1 per camera and run. `detection` is this frame's sighting, or None while the
    face is out of sight; `box` is then the predicted place.
    """

    id: int
    box: Box
    first_seen_s: float
    last_seen_s: float
    hits: int
    detection: Detection | None


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """What one frame's pixels tell about one track.

    `mask` is None when the frame gave no evidence; `unjudged` then says why
    ("small", "not due", "out of sight").
    """

    track: Track
    mask: MaskScores | None = None
    unjudged: str | None = None


class Votes(NamedTuple):
    """How many looks at a face spoke for each state; `uncertain` counts looks too weak to speak."""

    correct: int = 0
    incorrect: int = 0
    none: int = 0
    uncertain: int = 0


@dataclass(frozen=True, slots=True)
class MaskVote:
    """The standing verdict on one track's mask: the state, the mean score behind it, and the votes so far."""

    track: int
    time_s: float
    box: Box
    first_seen_s: float
    last_seen_s: float
    state: MaskState
    score: float
    votes: Votes


Signal: TypeAlias = MaskVote
"""A smoothed value about one track. Attention and drowsiness join this union."""

EventKind = Literal["mask", "inattention", "drowsiness", "camera", "system"]
EventPhase = Literal["start", "update", "end"]


@dataclass(frozen=True, slots=True)
class Event:
    """One step in an event's life. `key` is the same from start to end, and unique within a run.

    `violation` marks the one step that alerts people; events without it are for the record.
    """

    key: str
    kind: EventKind
    phase: EventPhase
    camera: str
    track: int | None
    time_s: float
    state: str
    score: float | None = None
    votes: Votes | None = None
    end_reason: str | None = None
    violation: bool = False
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Encounter:
    """One person's passage: a track that lasted. Sent again whenever it changes, `closed` at the end."""

    key: str
    camera: str
    track: int
    first_seen_s: float
    last_seen_s: float
    state: MaskState
    score: float
    votes: Votes
    smallest_face: float
    largest_face: float
    closed: bool


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One message waiting for the broker."""

    seq: int
    topic: str
    payload: str
    qos: int
    retain: bool
