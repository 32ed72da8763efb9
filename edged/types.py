"""The frozen dataclasses that flow from one stage to the next; no behaviour beyond plain geometry.

Pixel coordinates have their origin at the top left of the original picture, x to the right, y down.
`time_s` is monotonic seconds from the camera's clock; nothing here knows the time of day.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple, get_args

from edged.arrays import Image as Image
from edged.arrays import Points as Points


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


FIELD_OF_VIEW: float = 60
"""Degrees from left to right, where it is not given."""


@dataclass(frozen=True, slots=True)
class Lens:
    """How a camera's pixels relate to angles: focal length and optical centre, in pixels of the picture."""

    focal: float
    centre_x: float
    centre_y: float

    @classmethod
    def of(cls, width: int, height: int, field_of_view: float = FIELD_OF_VIEW) -> "Lens":
        """For a picture of this size whose horizontal field of view is so many degrees, centred."""
        return cls(width / 2 / math.tan(math.radians(field_of_view) / 2), width / 2, height / 2)


class MaskState(str, Enum):
    """How a mask is worn. UNCERTAIN is a result, and never a violation."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    NONE = "none"
    UNCERTAIN = "uncertain"

    def __str__(self) -> str:
        return self.value

    @property
    def words(self) -> str:
        return MASK_WORDS[self.value]


MASK_WORDS = {"correct": "worn correctly", "incorrect": "worn incorrectly", "none": "no mask", "uncertain": "uncertain"}
"""The one set of words for people, by the value that the database, MQTT and JSON hold."""

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


class Expected(NamedTuple):
    """Where somebody who is followed should be."""

    box: Box
    clear: bool
    """Whether the picture before showed them clearly."""
    track: int = 0
    """The track's number, 0 until it has passed the birth gate: then it is a person, and no score of a detection changes that."""
    found: Detection | None = None
    """What the picture before showed of them; None where it did not show them."""


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """68 facial landmarks in iBUG order.

    `points` are 68 x 2 pixels. `deviations` are 68 pixels: the expected error (one standard deviation) of each point;
    points that a mask or the head itself hides are guesses, and have large ones.
    """

    points: Points
    deviations: Points


MOST_DEVIATION = 90.0
"""Degrees; see `HeadPose`."""


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Where a head points, in degrees: yaw > 0 turns the nose to the image's left, pitch > 0 looks up,
    roll > 0 tilts the head clockwise in the image.

    `yaw`, `pitch` and `roll` are relative to the camera's optical axis. `facing_yaw` and `facing_pitch` are relative to
    the line from the camera to the face: both 0 for a person who looks into the lens, wherever in the picture.
    `deviation` is the expected error of one angle; `MOST_DEVIATION` of a pose that is a mere guess.
    """

    yaw: float
    pitch: float
    roll: float
    facing_yaw: float
    facing_pitch: float
    deviation: float


@dataclass(frozen=True, slots=True)
class EyeReading:
    """What one frame shows of a person's eyes; the image-left and image-right eye's share in it is decided inside.

    `open_probability` is the classifier's, calibrated. `aspect_ratio` is the lids' distance over the eye's width
    (Soukupova and Cech, CVWW 2016), None where the landmarks are too unsure. When the eyes cannot be read both are None
    and `unavailable` says why ("small", "turned away", "hidden"): an eye that is not seen is never open.
    """

    open_probability: float | None
    aspect_ratio: float | None
    unavailable: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """What was read from one frame's pixels about one track; `pose` may be that of a frame before in which the head was as now.

    `mask` is None when the frame gave no evidence; `unjudged` then says why ("small", "not due", "out of sight", "bowed",
    "unsure", "cut off" below).
    `landmarks`, `pose`, `eyes` and `mouth_ratio` are None when they were not read in this frame; `unread` then says why
    ("small", "not due", "out of sight", "not wanted", or what the reader said; "cut off" by the picture's border or
    "covered" by another face: the pose is a guess, and the mouth not known). `mouth_ratio` is the inner lips' distance over
    their width, None too where a mask hides the mouth.
    """

    track: Track
    mask: MaskScores | None = None
    unjudged: str | None = None
    landmarks: Landmarks | None = None
    pose: HeadPose | None = None
    eyes: EyeReading | None = None
    mouth_ratio: float | None = None
    unread: str | None = None


class Votes(NamedTuple):
    """How many judgements of a face were for each state; `uncertain` counts those too weak to count for one."""

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
    since_s: float | None = None
    """Since when judgements have been for `state`, which is before it was taken up; None while it is uncertain."""


Distraction = Literal["long", "repeated"]
DrowsinessLevel = Literal["unknown", "alert", "notice", "warning", "alarm"]
"""From "not enough seen" up; see `[drowsiness]` in the config."""
DROWSINESS_LEVELS: tuple[DrowsinessLevel, ...] = get_args(DrowsinessLevel)
DROWSY_LEVELS = DROWSINESS_LEVELS[-2:]
"""Those of people who are called drowsy: warning and alarm."""
DrowsinessReason = Literal["microsleep", "sleep", "perclos", "yawning", "nodding"]


@dataclass(frozen=True, slots=True)
class Attention:
    """Whether one person attends to the target direction, over time.

    `attentive` is None while it is not known; `unavailable` then says why. `away_s` is how long the present glance away
    has lasted, `away_recent_s` how much of the recent window (30 s by default) went to glances away. `distraction` stands
    from the moment a limit is passed until attention has returned. `attentive_s` and `away_total_s` sum up the passage.
    `distraction_s` is how long ago that began which passed the limit: the glance away, or the first of those that add up.
    """

    track: int
    time_s: float
    attentive: bool | None
    unavailable: str | None
    away_s: float
    away_recent_s: float
    distraction: Distraction | None
    attentive_s: float
    away_total_s: float
    distraction_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Drowsiness:
    """How awake one person looks, over time. What is unavailable is None, never zero.

    `openness` is the eyes' opening in the person's own range, 0 shut and 1 as open as usual; `closed` follows it with
    hysteresis, and `closure_s` is how long the present closure has lasted. `perclos` is the share of valid time of the
    last minute in which the eyes were at least 80 % closed (PERCLOS P80, Wierwille 1994). `yawns` and `nods` count the
    recent window. `score` is 0 to 1.
    `reasons` say what the level rests on, and `reasons_s` how long ago each of them began: the closure, or the first of the
    closures, yawns or nods that add up. `unavailable` names the cues that could not be read ("eyes: small", "mouth: mask").
    """

    track: int
    time_s: float
    openness: float | None
    closed: bool | None
    closure_s: float
    perclos: float | None
    yawns: int | None
    nods: int | None
    score: float | None
    level: DrowsinessLevel
    reasons: tuple[DrowsinessReason, ...]
    unavailable: tuple[str, ...]
    reasons_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class StaticFace:
    """A picture of a face, and no person: it has not moved at all for long. `box` is where it hangs.

    `always` says that it has been still for as long as its track is known; else somebody was followed before, whom the
    tracker took for this one.
    """

    track: int
    box: Box
    always: bool


@dataclass(frozen=True, slots=True)
class Signals:
    """All smoothed values of one frame, each tuple in the order of the frame's faces; profiles leave some empty.

    Tracks in `static` are in no other tuple.
    """

    masks: tuple[MaskVote, ...] = ()
    attention: tuple[Attention, ...] = ()
    drowsiness: tuple[Drowsiness, ...] = ()
    static: tuple[StaticFace, ...] = ()


CameraStatus = Literal["online", "stalled", "reconnecting", "offline", "paused"]
"""`online` gives pictures; `stalled` fell silent, and is started again; `reconnecting` has failed, and is tried again;
`offline` cannot be opened; `paused` is not opened, since nobody is to be watched now."""

EventKind = Literal["mask", "inattention", "drowsiness", "camera", "system"]
EventPhase = Literal["start", "update", "end"]


@dataclass(frozen=True, slots=True)
class Event:
    """One step in an event's life. `key` is the same from start to end, and unique within a run.

    `violation` marks the one step that alerts people; events without it are for the record. A start is reported once the
    behaviour is confirmed, at `time_s`; `began_s` is when it began, None where that is the same.
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
    began_s: float | None = None


@dataclass(frozen=True, slots=True)
class AttentionSummary:
    """One passage's attention: seconds attentive, away and not known, and how many distractions began."""

    attentive_s: float
    away_s: float
    unknown_s: float
    distractions: int


@dataclass(frozen=True, slots=True)
class DrowsinessSummary:
    """One passage's drowsiness: the worst level, the highest PERCLOS, and how often each thing was seen.

    `yawns` and `nods` are None when they could never be read; `valid_s` is how long the eyes could.
    """

    worst_level: DrowsinessLevel
    highest_perclos: float | None
    longest_closure_s: float
    yawns: int | None
    nods: int | None
    valid_s: float


@dataclass(frozen=True, slots=True)
class Encounter:
    """One person's passage: a track that lasted. Sent again whenever it changes, `closed` at the end.

    `static` comes with the last one: it was no person, and what was reported before is withdrawn.
    """

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
    attention: AttentionSummary | None = None
    drowsiness: DrowsinessSummary | None = None
    static: bool = False
