"""The report of a week or month, as `edged report --week` and `--month` give it with `--format json`."""

from typing import Literal

from typing_extensions import NotRequired, TypedDict

from edged.payloads.basics import Count, Percent, Version, documented
from edged.payloads.report import Counts, Figure


class PeriodDay(Counts):
    """One day of a week or month."""

    date: str
    complete: bool
    compliance_percent: Percent | None
    coverage_percent: Percent | None
    masks_coverage_percent: NotRequired[Percent | None]
    violations: Count
    distractions: Count
    drowsiness_events: Count


class PeriodCamera(Figure):
    """One camera over a week or month."""

    camera: str
    masks_followed: bool
    coverage_percent: Percent | None
    masks_coverage_percent: NotRequired[Percent | None]
    """Of the days on which it followed masks, where it did not on others."""
    gaps: Count
    gap_minutes: Count


class PeriodViolations(TypedDict):
    """Mask events in open hours."""

    count: Count
    incorrect: Count
    none: Count
    held_back: Count


class PeriodGaps(TypedDict):
    """What was not watched of the open hours."""

    count: Count
    minutes: Count


class PeriodEvents(TypedDict):
    """Events of one kind in open hours."""

    count: Count
    by_reason: dict[str, Count]


class PeriodAttention(TypedDict):
    """Attention of passages, in seconds."""

    passages: Count
    known_s: float
    unknown_s: float
    events: PeriodEvents


class PeriodDrowsiness(TypedDict):
    """Drowsiness of passages, in seconds."""

    passages: Count
    present_s: float
    eyes_read_s: float
    events: PeriodEvents


@documented
class PeriodDocument(Figure):
    """A week or month, summed up from the reports of its days: `edged report --week` or `--month`, with `--format json`."""

    v: Version
    period: Literal["week", "month"]
    first_day: str
    last_day: str
    site: str
    device: str
    camera_names: NotRequired[dict[str, str]]
    """The names for people of the cameras that have one."""
    tz: str
    requirement: str
    target_percent: Percent | None
    days: Count
    days_reported: Count
    """How many of the days there is a report of; the others have not begun, or are from before the record."""
    complete: bool
    masks_followed: bool
    verdict: Literal["met", "not met", "cannot tell"] | None
    coverage_percent: Percent | None
    """How much of the open hours was watched; each day weighted by its open hours and cameras."""
    masks_coverage_percent: NotRequired[Percent | None]
    """By the cameras that follow masks, on which the percentage rests; only where there are others too."""
    by_day: list[PeriodDay]
    by_camera: list[PeriodCamera]
    violations: PeriodViolations
    gaps: PeriodGaps
    attention: NotRequired[PeriodAttention]
    drowsiness: NotRequired[PeriodDrowsiness]
