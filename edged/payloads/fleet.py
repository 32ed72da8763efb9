"""The report over many devices, as `edged fleet report --format json` gives it."""

from typing import Literal

from typing_extensions import NotRequired, TypedDict

from edged.payloads.basics import Count, Percent, Version, documented
from edged.payloads.report import Counts, Figure, OutsideOpenHours, WorstHour


@documented
class FleetTrouble(TypedDict):
    """Something that is wrong with what a device sent, or that it sent nothing."""

    device: str
    """"" where it concerns no single device."""
    day: str
    """"" where it concerns no single day."""
    kind: Literal["silent", "two chains", "broken chain", "manifest", "file", "sums", "future", "later schema"]
    text: str


@documented
class FleetDevices(TypedDict):
    """How many devices the report speaks of."""

    known: Count
    """All that exported in the days before, or are listed as expected."""
    reported: Count
    """Those of which rows are counted."""
    silent: Count
    """Those that sent nothing of at least one day."""
    troubled: Count
    """Of the others, those with something else that is wrong."""


@documented
class FleetHour(Counts):
    """One hour of the wall clock, wherever each device is."""

    label: str
    compliance_percent: Percent | None
    open: bool
    watched_percent: Percent | None
    masks_watched_percent: NotRequired[Percent | None]
    """By the cameras that follow masks, in reports with `masks_coverage_percent`."""


@documented
class FleetDay(Counts):
    """One local day."""

    date: str
    devices: Count
    compliance_percent: Percent | None
    coverage_percent: Percent | None
    masks_coverage_percent: NotRequired[Percent | None]
    violations: Count


@documented
class FleetCamera(Figure):
    """One entrance."""

    camera: str
    entrance: str
    coverage_percent: Percent | None
    masks_coverage_percent: NotRequired[Percent | None]
    """Of the days on which it followed masks, where it did not on others."""
    open_s: Count
    watched_s: Count
    paused_s: Count


@documented
class FleetDevice(Figure):
    """One device, with its entrances."""

    device: str
    site: str
    tz: str
    days_reported: Count
    coverage_percent: Percent | None
    masks_coverage_percent: NotRequired[Percent | None]
    violations: Count
    distractions: Count
    drowsiness_events: Count
    by_camera: list[FleetCamera]


class FleetViolations(TypedDict):
    """Mask events in open hours."""

    count: Count
    incorrect: Count
    none: Count
    held_back: Count


@documented
class FleetOrigin(TypedDict):
    """What made the report, and what judged."""

    edged: str
    report_sql_sha256: str
    """Of the one text that every engine runs."""
    models: dict[str, Count]
    """How many device-days each mask model judged, by its SHA-256."""
    configs: Count
    """How many different configs the devices had."""


@documented
class FleetDocument(Figure):
    """A day, week or month of many devices."""

    v: Version
    period: Literal["day", "week", "month"]
    first_day: str
    last_day: str
    days: Count
    site: str
    devices: FleetDevices
    complete: bool
    """Nothing is missing and nothing is wrong."""
    troubles: list[FleetTrouble]
    """Devices that sent nothing first."""
    target_percent: Percent | None
    """That of all devices, where they have the same."""
    verdict: Literal["met", "not met", "cannot tell"] | None
    coverage_percent: Percent | None
    masks_coverage_percent: NotRequired[Percent | None]
    """By the cameras that follow masks, on which the percentage rests; only where there are others too."""
    coverage_partial: bool
    by_hour: list[FleetHour]
    worst_hours: list[WorstHour]
    by_day: list[FleetDay]
    by_device: list[FleetDevice]
    violations: FleetViolations
    distractions: Count
    drowsiness_events: Count
    outside_open_hours: OutsideOpenHours
    clock_unsynced_rows: Count
    origin: FleetOrigin
