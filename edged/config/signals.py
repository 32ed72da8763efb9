"""The tables about people: what is read from faces, when it counts, and what each camera's profile follows."""

import itertools
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field, field_serializer, model_validator

from edged.config.section import FaceSide, Probability, Seconds, Section
from edged.types import Distraction, DrowsinessReason

Profile = Literal["entrance", "classroom", "driver"]


@dataclass(frozen=True, slots=True)
class Tasks:
    """What one camera follows: which verdicts are made, and which events they cause.

    Without `mask` no mask verdict is given and none is stored; the mask itself may still be looked at, because a
    covered mouth cannot be read.
    """

    mask: bool
    attention: bool
    drowsiness: bool
    one_person: bool = False
    """Attention and drowsiness are followed for one person only, the driver: the largest face that stays."""

    @property
    def landmarks(self) -> bool:
        """Whether keypoints and head pose must be read."""
        return self.attention or self.drowsiness

    @property
    def least_fps(self) -> float:
        """The lowest frame rate at which all of it can be judged; 0 when any will do."""
        return max((least for name, least in LEAST_FPS.items() if getattr(self, name)), default=0.0)

    def lost_at(self, fps: float) -> list[str]:
        """What of it cannot be judged at this frame rate."""
        return [name for name, least in LEAST_FPS.items() if getattr(self, name) and fps < least]


PROFILES: dict[Profile, Tasks] = {
    "entrance": Tasks(mask=True, attention=False, drowsiness=False),
    "classroom": Tasks(mask=True, attention=True, drowsiness=False),
    "driver": Tasks(mask=False, attention=True, drowsiness=True, one_person=True),
}

LEAST_FPS_FOR_ATTENTION = 2.0
LEAST_FPS_FOR_DROWSINESS = 5.0
LEAST_FPS = {"attention": LEAST_FPS_FOR_ATTENTION, "drowsiness": LEAST_FPS_FOR_DROWSINESS}

Enabled = Annotated[bool | None, Field(description="true or false; the camera's profile decides when left out")]
AlertsPerMinute = Annotated[int, Field(ge=1, le=600, description="A camera's alerts beyond this are stored, not sent")]
Degrees = Annotated[float, Field(ge=3, le=90)]


class MaskConfig(Section):
    """When a mask verdict is given, and when it alerts."""

    enabled: Enabled = None
    enter_score: Probability = Field(0.75, description="Mean score at which a verdict is taken up")
    leave_score: Probability = Field(0.55, description="Mean score below which a verdict is given up again")
    vote_seconds: Annotated[float, Field(gt=0, le=60)] = Field(1.0, description="How far back the votes reach")
    hold_seconds: Seconds = Field(0.4, description="How long a verdict must stand before it counts")
    least_votes: Annotated[int, Field(ge=1, le=100)] = Field(3, description="Fewer votes than this are no verdict")
    smallest_face: FaceSide = Field(24, description="Faces with a shorter side, in pixels, are not judged")
    cooldown_seconds: Seconds = Field(30, description="A face that alerted stays quiet for this long")
    most_alerts_per_minute: AlertsPerMinute = 20
    violations: frozenset[Literal["incorrect", "none"]] = Field(
        frozenset({"incorrect", "none"}), description="The states that make an event"
    )

    @field_serializer("violations")
    def _in_order(self, value: frozenset[str]) -> list[str]:
        return sorted(value)  # a set's own order differs from run to run

    @model_validator(mode="after")
    def _leave_below_enter(self) -> "MaskConfig":
        if self.leave_score > self.enter_score:
            raise ValueError(
                f"leave_score = {self.leave_score} must not be above enter_score = {self.enter_score}; lower it"
            )
        return self


class AttentionConfig(Section):
    """When a person looks away, judged by the direction of the head, and when that alerts."""

    enabled: Enabled = None
    smallest_face: FaceSide = Field(32, description="Faces with a shorter side, in pixels, are not read")
    target_yaw: Annotated[float, Field(ge=-90, le=90)] | None = Field(
        None, description="Degrees to the picture's left of the lens that are straight ahead; learned when left out"
    )
    target_pitch: Annotated[float, Field(ge=-60, le=60)] | None = Field(
        None, description="Degrees above the lens that are straight ahead; learned when left out"
    )
    yaw_degrees: Degrees = Field(23, description="Further to either side of the target is away")
    up_degrees: Degrees = Field(25, description="Further above the target is away")
    down_degrees: Degrees = Field(18, description="Further below the target is away")
    most_deviation: Annotated[float, Field(ge=1, le=45)] = Field(
        12, description="A head whose direction is less sure than this, in degrees, is neither attentive nor away"
    )
    long_seconds: Annotated[float, Field(ge=0.5, le=600)] = Field(3, description="A single look away of this length")
    repeated_seconds: Annotated[float, Field(ge=1, le=600)] = Field(10, description="Looks away that add up to this,")
    window_seconds: Annotated[float, Field(ge=5, le=600)] = Field(30, description="within so many seconds")
    forward_seconds: Annotated[float, Field(ge=0.2, le=60)] = Field(
        2, description="A look ahead of this length makes good for repeated looks away"
    )
    distractions: frozenset[Distraction] = Field(
        frozenset(get_args(Distraction)), description="The distractions that make an event"
    )
    alerts: bool = Field(True, description="Whether events alert people, or are only recorded")
    cooldown_seconds: Seconds = Field(30, description="A person who caused an alert causes no other for this long")
    most_alerts_per_minute: AlertsPerMinute = 20

    @field_serializer("distractions")
    def _in_order(self, value: frozenset[str]) -> list[str]:
        return sorted(value)

    @model_validator(mode="after")
    def _possible(self) -> "AttentionConfig":
        if self.repeated_seconds >= self.window_seconds:
            raise ValueError(
                f"repeated_seconds = {self.repeated_seconds} must be below window_seconds = {self.window_seconds}"
            )
        if (self.target_yaw is None) != (self.target_pitch is None):
            raise ValueError("target_yaw and target_pitch go together: give both, or neither")
        return self


class DrowsinessConfig(Section):
    """When a person looks drowsy, judged by eyes, mouth and head, and when that alerts."""

    enabled: Enabled = None
    smallest_face: FaceSide = Field(64, description="Faces with a shorter side, in pixels, are not read")
    closed_below: Probability = Field(0.2, description="Eyes less open than this share of usual are closed")
    open_above: Probability = Field(0.35, description="Closed eyes more open than this share of usual are open again")
    long_closure_seconds: Annotated[float, Field(ge=0.3, le=2)] = Field(
        0.5, description="Closures from this on count as drowsy; shorter ones are blinks"
    )
    microsleep_seconds: Annotated[float, Field(ge=0.5, le=10)] = Field(
        1.0, description="Eyes closed for this long: microsleep, a warning"
    )
    alarm_seconds: Annotated[float, Field(ge=0.5, le=30)] = Field(
        2.0, description="Eyes closed for this long: an alarm"
    )
    sleep_seconds: Annotated[float, Field(ge=1, le=60)] = Field(3.0, description="Eyes closed for this long: sleep")
    window_seconds: Annotated[float, Field(ge=20, le=600)] = Field(60, description="How far back PERCLOS reaches")
    least_valid: Annotated[float, Field(ge=0.3, le=1)] = Field(
        0.7, description="Share of that time the eyes must have been seen; PERCLOS is unknown before"
    )
    perclos_notice: Probability = Field(0.08, description="PERCLOS from which there is something to notice,")
    perclos_warning: Probability = Field(0.12, description="to warn of,")
    perclos_alarm: Probability = Field(0.15, description="to raise an alarm about")
    dwell_seconds: Seconds = Field(10, description="How long a level must be reached, or left, before it counts")
    recovery_seconds: Annotated[float, Field(ge=1, le=600)] = Field(
        10, description="How long eyes must be open before a closure is over and done with"
    )
    # Of 243 yawns of drivers, most seen in two or three pictures only, 95 % came this far as our landmarks read them; of 199
    # drivers who did not yawn, 1 %.
    yawn_ratio: Annotated[float, Field(ge=0.2, le=2)] = Field(
        0.45, description="Inner lips' distance over their width at a yawn's height, for a mouth that rests at 0.05"
    )
    yawn_seconds: Annotated[float, Field(ge=0.5, le=5)] = Field(
        2.0, description="A mouth that opens once, at least half as wide as that, for this long yawns"
    )
    yawns: Annotated[int, Field(ge=1, le=20)] = Field(3, description="So many yawns within ten minutes are a reason")
    nod_degrees: Annotated[float, Field(ge=5, le=45)] = Field(10, description="How far a head drops to nod off")
    nods: Annotated[int, Field(ge=1, le=20)] = Field(2, description="So many nods within a minute are a reason")
    reasons: frozenset[DrowsinessReason] = Field(
        frozenset(get_args(DrowsinessReason)),
        description="The reasons that count: no other makes an event, or raises a level",
    )
    alert_level: Literal["notice", "warning", "alarm"] = Field(
        "warning", description="The level from which an event alerts people; below it is only recorded"
    )
    cooldown_seconds: Seconds = Field(30, description="A person who caused an alert causes no other for this long")
    most_alerts_per_minute: AlertsPerMinute = 20

    @field_serializer("reasons")
    def _in_order(self, value: frozenset[str]) -> list[str]:
        return sorted(value)

    @model_validator(mode="after")
    def _ascending(self) -> "DrowsinessConfig":
        for keys in (
            ("closed_below", "open_above"),
            ("long_closure_seconds", "microsleep_seconds", "alarm_seconds", "sleep_seconds"),
            ("perclos_notice", "perclos_warning", "perclos_alarm"),
        ):
            for low, high in itertools.pairwise(keys):
                less, more = getattr(self, low), getattr(self, high)
                if less >= more:
                    raise ValueError(f"{low} = {less} must be below {high} = {more}")
        return self


KindConfig = MaskConfig | AttentionConfig | DrowsinessConfig
"""The table of one kind of signal and its events."""
