"""The lines of JSON that `edged events --json` and `edged analyze --json` print."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import NotRequired, TypedDict

from edged.payloads.basics import (
    Count,
    EventDetails,
    Instant,
    MaskStateName,
    Probability,
    VoteCounts,
    documented,
)
from edged.types import EventKind

Point = Annotated[list[float], Field(min_length=2, max_length=2, description="x and y in pixels of the picture")]


@documented
class EventLine(TypedDict):
    """One event, as the record has it."""

    event_id: str
    kind: EventKind
    camera: str
    track: int | None
    state: str
    score: Probability | None
    votes: VoteCounts | None
    started_at: Instant
    """When it was confirmed."""
    ended_at: Instant | None
    end_reason: str | None
    clock_ok: Literal[0, 1]
    details: EventDetails | None
    seq: Count
    """How many messages the event has made."""
    acked_seq: Count
    """The last of them that the broker has acknowledged."""
    began_at: Instant | None
    """When the behaviour began; null where that is not known."""
    encounter_id: NotRequired[str | None]
    """The passage it belongs to; `encounter_id` of the table `encounters`."""
    lasted_s: float | None
    """From `began_at` to `ended_at`."""


class MaskVerdict(TypedDict):
    """How the mask is worn, with the scores of this one picture."""

    state: MaskStateName
    scores: "MaskProbabilities"


class MaskProbabilities(TypedDict):
    """They sum to 1."""

    correct: Probability
    incorrect: Probability
    none: Probability


@documented
class Pose(TypedDict):
    """Where the head points, in degrees from the camera's axis."""

    yaw: float
    """Above 0 the nose turns to the picture's left."""
    pitch: float
    """Above 0 the head looks up."""
    roll: float
    """Above 0 the head tilts clockwise."""


class EyesLine(TypedDict):
    """How open the eyes are, 0 to 1, and whether that counts as closed."""

    openness: Probability
    closed: bool


@documented
class FaceLine(TypedDict):
    """One face; null is what could not be read."""

    track: int | None
    """The person's number in a video; null in pictures."""
    box: Annotated[list[float], Field(min_length=4, max_length=4)]
    """x1, y1, x2, y2 in pixels, origin at the top left."""
    score: Probability
    counted: bool
    """Whether the text names this face and the copies show it. In pictures: its score is at least 0.6; in videos: it is
    followed. With the profile `driver`: and it is the driver's."""
    mask: MaskVerdict | None
    keypoints5: list[Point] | None
    """Image-left eye, image-right eye, nose tip, image-left and image-right corner of the mouth."""
    keypoints68: list[Point] | None
    """In iBUG order."""
    pose: Pose | None
    eyes: EyesLine | None


@documented
class AnalysedLine(TypedDict):
    """One picture, or one frame of a video."""

    source: str
    frame: Count
    time_s: float
    """From the start of the video; 0 of pictures."""
    width: Count
    height: Count
    faces: list[FaceLine]
    """Best first."""
