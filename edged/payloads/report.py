"""The report of a local day, as `report/daily`, `cmd/report` and `edged report --format json` give it."""

from typing import Literal

from typing_extensions import NotRequired, TypedDict

from edged.payloads.basics import Count, Instant, Percent, Version, documented


class Bounds(TypedDict):
    """In percent."""

    lower: Percent
    upper: Percent


@documented
class Interval(Bounds):
    """Wilson's score interval, in percent, widened by how much people who arrive together resemble each other."""

    level: Literal[95]
    blocks: Count
    """Quarters of an hour in which somebody passed."""
    design_effect: float
    design_effect_assumed: bool
    effective_judged: float


class Counts(TypedDict):
    """Passages, and how many of them in each mask state; only `judged` ones are ever a denominator."""

    encounters: Count
    judged: Count
    correct: Count
    incorrect: Count
    none: Count
    uncertain: Count


@documented
class Figure(Counts):
    """Counts, and the percentage that they support; null where too little was judged or watched."""

    compliance_percent: Percent | None
    interval: Interval | None
    bounds: Bounds | None
    """The percentage if every uncertain passage had been a violation, and if none had."""
    uncertain_percent: Percent | None
    few: bool
    """So few were judged that the percentage is to be read with care."""
    withheld: Literal["few", "coverage"] | None
    """Why there is no percentage."""


class Points(TypedDict):
    """Percentage points, with a 95 % interval (Newcombe)."""

    value: float
    lower: float
    upper: float


class Comparison(TypedDict):
    """This day against earlier ones, taken together."""

    days: Count
    judged: Count
    compliance_percent: Percent | None
    difference_points: Points
    direction: Literal["better", "worse", "no clear change"]


class HistoryDay(TypedDict):
    """An earlier day's percentage, where it had one."""

    date: str
    compliance_percent: Percent | None


class Trend(TypedDict):
    """Against the same weekday of last week, and the four weeks before."""

    last_week: Comparison | None
    four_weeks: Comparison | None
    history: list[HistoryDay]


@documented
class HourRow(Counts):
    """One local hour."""

    label: str
    """The wall clock at its start, with the zone's abbreviation where that comes twice."""
    utc_start: Instant
    compliance_percent: Percent | None
    open: bool
    watched_percent: Percent | None
    masks_watched_percent: NotRequired[Percent | None]
    """By the cameras that follow masks, in reports with `masks_coverage_percent`."""


class WorstHour(TypedDict):
    """An hour with a low percentage."""

    label: str
    judged: Count
    compliance_percent: Percent


@documented
class CameraRow(Figure):
    """One camera."""

    camera: str
    masks_followed: NotRequired[bool]
    """Not in reports of earlier versions."""
    coverage_percent: Percent | None
    gaps: Count
    gap_minutes: Count


@documented
class ListedEvent(TypedDict):
    """One event about a person."""

    event_id: str
    began: NotRequired[Instant]
    """When the behaviour began; not in reports of earlier versions."""
    began_local: NotRequired[str]
    at: Instant
    """When it was confirmed."""
    local: str
    camera: str
    state: str
    duration_s: float | None
    score: float | None
    held_back: str | None
    """Why it caused no alert."""


class Violations(TypedDict):
    """Mask events in open hours; the first ones in full."""

    count: Count
    incorrect: Count
    none: Count
    held_back: Count
    static: NotRequired[Count]
    first: list[ListedEvent]


_From = TypedDict("_From", {"from": Instant})


class Gap(_From):
    """A time that was not watched."""

    camera: str
    to: Instant
    from_local: str
    to_local: str
    minutes: Count
    reason: str
    who: NotRequired[str]
    """Of a pause: who asked for it."""


class Gaps(TypedDict):
    """What was not watched of the open hours; the longest gaps are listed."""

    count: Count
    minutes: Count
    unlisted_minutes: Count
    listed: list[Gap]


class IncidentHour(TypedDict):
    """An hour in which something happened."""

    label: str
    utc_start: Instant
    count: Count
    by_reason: dict[str, Count]


class Incidents(TypedDict):
    """Events of one kind in open hours; the first ones in full."""

    count: Count
    by_reason: dict[str, Count]
    by_hour: list[IncidentHour]
    held_back: Count
    outside_open_hours: Count
    first: list[ListedEvent]


@documented
class AttentionFigure(TypedDict):
    """Attention of passages, in seconds; no percentage where too little was known."""

    passages: Count
    known_s: float
    unknown_s: float
    known_percent: Percent | None
    attentive_percent: Percent | None
    bounds: Bounds | None
    """The percentage if people had looked away all the time it was not known, and if they never had."""
    withheld: Literal["few", "unknown"] | None


class CameraAttention(AttentionFigure):
    """One camera's."""

    camera: str
    distractions: Count


class AttentionSection(AttentionFigure):
    """Of all cameras that follow attention."""

    distractions: Incidents
    by_camera: list[CameraAttention]


class Levels(TypedDict):
    """Passages by their worst level of drowsiness."""

    alarm: Count
    warning: Count
    notice: Count
    alert: Count
    unknown: Count


@documented
class DrowsinessFigure(TypedDict):
    """What passages showed of drowsiness; null is "not measured", never zero."""

    passages: Count
    present_s: float
    eyes_read_s: float
    eyes_read_percent: Percent | None
    worst_level: Levels
    highest_perclos_percent: Percent | None
    longest_closure_s: float | None
    yawns: Count | None
    nods: Count | None
    not_measured: list[Literal["eyes", "perclos", "yawns", "nods"]]


class CameraDrowsiness(DrowsinessFigure):
    """One camera's."""

    camera: str
    events: Count


class DrowsinessSection(DrowsinessFigure):
    """Of all cameras that follow drowsiness."""

    events: Incidents
    by_camera: list[CameraDrowsiness]


class OutsideOpenHours(Counts):
    """What happened outside open hours, and is counted nowhere else."""

    violations: Count


@documented
class ToldSection(TypedDict):
    """Of what the local outputs notified people on the spot, and how soon they acknowledged."""

    events: Count
    """Of how many events an output notified people."""
    acknowledged: Count
    """How many of these somebody acknowledged."""
    median_s: float | None
    """From the confirmed event to the acknowledgement, in seconds; null without any."""
    longest_s: float | None


class DeviceHealth(TypedDict):
    """What happened to the device."""

    starts: Count
    database_recoveries: Count
    system_events: dict[str, Count]
    clock_unsynced_rows: Count
    unsent_messages: Count


class Origin(TypedDict):
    """What made the report."""

    edged: str
    models: dict[str, str]
    config_sha256: str | None


class WalkTest(TypedDict):
    """Somebody walked past a camera with and without a mask, under the settings that hold."""

    camera: str
    at_local: str
    """The local day, YYYY-MM-DD."""
    passages: Count
    as_expected: Count


@documented
class ReportHead(TypedDict):
    """Which day of which site is reported, and under which settings."""

    v: Version
    site: str
    device: str
    camera_names: NotRequired[dict[str, str]]
    """The names for people of the cameras that have one."""
    walk_tests: NotRequired[list[WalkTest]]
    """Of the cameras that have had one since their settings were changed."""
    date: str
    """The local day, YYYY-MM-DD."""
    tz: str
    """The time zone's IANA name."""
    utc_start: Instant
    utc_end: Instant
    hours_in_day: float
    """23 or 25 when the clocks change."""
    complete: bool
    as_of: Instant
    as_of_local: str
    open_from: str
    open_until: str
    requirement: str
    target_percent: Percent | None


@documented
class ReportDocument(ReportHead, Figure):
    """One local day; the last complete one is retained on `report/daily`."""

    revision: NotRequired[Count]
    """How often the day's report has been made."""
    masks_followed: NotRequired[bool]
    coverage_percent: Percent | None
    """How much of the open hours was watched, by all cameras."""
    masks_coverage_percent: NotRequired[Percent | None]
    """By the cameras that follow masks, on which the percentage rests; only where there are others too."""
    coverage_partial: bool
    verdict: Literal["met", "not met", "cannot tell"] | None
    trend: Trend
    by_hour: list[HourRow]
    worst_hours: list[WorstHour]
    by_camera: list[CameraRow]
    violations: Violations
    gaps: Gaps
    attention: NotRequired[AttentionSection]
    """Where cameras follow attention, or did on that day."""
    drowsiness: NotRequired[DrowsinessSection]
    """Where cameras follow drowsiness, or did on that day."""
    told: NotRequired[ToldSection]
    """On days on which local outputs notified people."""
    outside_open_hours: OutsideOpenHours
    device_health: DeviceHealth
    origin: Origin
