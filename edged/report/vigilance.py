"""Sums up what a day's passages and events say of attention and drowsiness; what was not measured is never zero."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from edged.messages import iso
from edged.payloads.report import (
    AttentionFigure,
    AttentionSection,
    DrowsinessFigure,
    DrowsinessSection,
    Incidents,
    ListedEvent,
)
from edged.report.day import Hour
from edged.report.statistics import Range
from edged.report.tally import percent, percents
from edged.types import DROWSINESS_LEVELS, Distraction, DrowsinessReason

LEAST_KNOWN_S = 600.0
"""With less time than this in which attention was known no percentage is printed."""

LEAST_KNOWN_SHARE = 0.5
"""Nor where it was known for less than this share of the time people were there: the rest may differ."""

STATES = {
    "inattention": get_args(Distraction),
    "drowsiness": get_args(DrowsinessReason),
}
"""What each kind of event tells apart, in the order of the page."""

Cue: TypeAlias = Literal["eyes", "perclos", "yawns", "nods"]
MOST_LISTED = 40
"""Events on the page; the CSV has every one."""


@dataclass(slots=True)
class AttentionTally:
    """Seconds of passages: attentive, away, and not known."""

    passages: int = 0
    attentive_s: float = 0.0
    away_s: float = 0.0
    unknown_s: float = 0.0

    def add(self, summary: Mapping[str, Any]) -> None:
        self.passages += 1
        for name in ("attentive_s", "away_s", "unknown_s"):
            setattr(self, name, getattr(self, name) + float(summary.get(name) or 0.0))

    def figure(self) -> AttentionFigure:
        """The share of the known time that was attentive, and its bounds, where enough was known."""
        known, whole = self.attentive_s + self.away_s, self.attentive_s + self.away_s + self.unknown_s
        withheld: Literal["few", "unknown"] | None
        withheld = "few" if known < LEAST_KNOWN_S else "unknown" if known < LEAST_KNOWN_SHARE * whole else None
        figure: AttentionFigure = {
            "passages": self.passages,
            "known_s": round(known, 1),
            "unknown_s": round(self.unknown_s, 1),
            "known_percent": percent(known, whole),
            "attentive_percent": None,
            "bounds": None,
            "withheld": withheld,
        }
        if withheld is None:
            # If people had been away all the time it was not known, and if they never had (Manski 1989).
            figure["attentive_percent"] = percent(self.attentive_s, known)
            figure["bounds"] = percents(Range(self.attentive_s / whole, (self.attentive_s + self.unknown_s) / whole))
        return figure


@dataclass(slots=True)
class DrowsinessTally:
    """What passages showed of drowsiness, and for how long it could be seen; None is "never measured"."""

    passages: int = 0
    present_s: float = 0.0
    eyes_read_s: float = 0.0
    worst: Counter[str] = field(default_factory=Counter)
    highest_perclos: float | None = None
    longest_closure_s: float = 0.0
    yawns: int | None = None
    nods: int | None = None

    def add(self, summary: Mapping[str, Any], present_s: float) -> None:
        self.passages += 1
        self.present_s += present_s
        self.eyes_read_s += min(float(summary.get("valid_s") or 0.0), present_s)
        level = summary.get("worst_level")
        self.worst[level if level in DROWSINESS_LEVELS else "unknown"] += 1
        perclos = [value for value in (self.highest_perclos, summary.get("highest_perclos")) if value is not None]
        self.highest_perclos = max(perclos, default=None)
        self.longest_closure_s = max(self.longest_closure_s, float(summary.get("longest_closure_s") or 0.0))
        for name in ("yawns", "nods"):
            seen = [value for value in (getattr(self, name), summary.get(name)) if value is not None]
            setattr(self, name, sum(seen) if seen else None)

    def figure(self) -> DrowsinessFigure:
        """The sums; `not_measured` names what nothing can be said of."""
        perclos = self.highest_perclos
        eyes: float | None = self.eyes_read_s or None
        cues: dict[Cue, float | None] = {"eyes": eyes, "perclos": perclos, "yawns": self.yawns, "nods": self.nods}
        return {
            "passages": self.passages,
            "present_s": round(self.present_s, 1),
            "eyes_read_s": round(self.eyes_read_s, 1),
            "eyes_read_percent": percent(self.eyes_read_s, self.present_s),
            "worst_level": {
                "alarm": self.worst["alarm"],
                "warning": self.worst["warning"],
                "notice": self.worst["notice"],
                "alert": self.worst["alert"],
                "unknown": self.worst["unknown"],
            },
            "highest_perclos_percent": None if perclos is None else round(100 * perclos, 1),
            "longest_closure_s": round(self.longest_closure_s, 1) if eyes else None,
            "yawns": self.yawns,
            "nods": self.nods,
            "not_measured": [name for name, measured in cues.items() if measured is None],
        }


@dataclass(slots=True)
class IncidentCounts:
    """Events of one kind: counted by what happened, by hour and by camera, the first ones in full."""

    states: Counter[str] = field(default_factory=Counter)
    by_hour: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_camera: Counter[str] = field(default_factory=Counter)
    listed: list[ListedEvent] = field(default_factory=list)
    held_back: int = 0
    outside: int = 0

    def add(self, incident: ListedEvent, hour: int) -> None:
        self.states[incident["state"]] += 1
        self.by_hour[hour][incident["state"]] += 1
        self.by_camera[incident["camera"]] += 1
        self.held_back += incident["held_back"] is not None
        if len(self.listed) < MOST_LISTED:
            self.listed.append(incident)

    def figure(self, kind: str, hours: Sequence[Hour]) -> Incidents:
        """All counts, those of nothing too; hours in which nothing happened are left out."""
        known = {*STATES[kind], *self.states}
        order = [*STATES[kind], *sorted(known - set(STATES[kind]))]
        return {
            "count": self.states.total(),
            "by_reason": {state: self.states[state] for state in order},
            "by_hour": [
                {
                    "label": hours[number].label,
                    "utc_start": iso(hours[number].span.start),
                    "count": counts.total(),
                    "by_reason": {state: counts[state] for state in order},
                }
                for number, counts in sorted(self.by_hour.items())
            ],
            "held_back": self.held_back,
            "outside_open_hours": self.outside,
            "first": self.listed,
        }


@dataclass(slots=True)
class Vigilance:
    """A day's passages of cameras that follow attention or drowsiness: all together, and by camera."""

    attention: AttentionTally = field(default_factory=AttentionTally)
    drowsiness: DrowsinessTally = field(default_factory=DrowsinessTally)
    attention_by_camera: defaultdict[str, AttentionTally] = field(default_factory=lambda: defaultdict(AttentionTally))
    drowsiness_by_camera: defaultdict[str, DrowsinessTally] = field(
        default_factory=lambda: defaultdict(DrowsinessTally)
    )

    def add(self, row: Mapping[str, Any]) -> None:
        """Take one encounter; what it has no summary of, its camera did not follow."""
        # A database that this version has not opened for writing yet has no such columns.
        attention, drowsiness = row.get("attention"), row.get("drowsiness")
        if isinstance(attention, dict):
            for attention_tally in (self.attention, self.attention_by_camera[row["camera"]]):
                attention_tally.add(attention)
        if isinstance(drowsiness, dict):
            present_s = max(0, row["last_seen"] - row["first_seen"]) / 1000
            for drowsiness_tally in (self.drowsiness, self.drowsiness_by_camera[row["camera"]]):
                drowsiness_tally.add(drowsiness, present_s)


def attention_section(
    followed: Collection[str], vigilance: Vigilance, incidents: IncidentCounts, hours: Sequence[Hour]
) -> AttentionSection | None:
    """The report's `attention`; None where no camera is `followed` for it, and none was on that day."""
    by_camera = vigilance.attention_by_camera
    cameras = sorted({*followed, *by_camera, *incidents.by_camera})
    if not cameras:
        return None
    return {
        **vigilance.attention.figure(),
        "distractions": incidents.figure("inattention", hours),
        "by_camera": [
            {"camera": camera, **by_camera[camera].figure(), "distractions": incidents.by_camera[camera]}
            for camera in cameras
        ],
    }


def drowsiness_section(
    followed: Collection[str], vigilance: Vigilance, incidents: IncidentCounts, hours: Sequence[Hour]
) -> DrowsinessSection | None:
    """The report's `drowsiness`; None where no camera is `followed` for it, and none was on that day."""
    by_camera = vigilance.drowsiness_by_camera
    cameras = sorted({*followed, *by_camera, *incidents.by_camera})
    if not cameras:
        return None
    return {
        **vigilance.drowsiness.figure(),
        "events": incidents.figure("drowsiness", hours),
        "by_camera": [
            {"camera": camera, **by_camera[camera].figure(), "events": incidents.by_camera[camera]}
            for camera in cameras
        ],
    }
