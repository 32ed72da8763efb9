"""Events of the record as people read them: what, where, when and for how long; never who."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from edged.config import Config
from edged.console.site import Site, clock_in, name_in
from edged.events.lifecycle import STATIC
from edged.report.words import DISTRACTION_WORDS, DROWSINESS_WORDS, STATE_WORDS, duration
from edged.store import lasted_ms

KIND_WORDS = {
    "mask": "Mask",
    "inattention": "Attention",
    "drowsiness": "Drowsiness",
    "camera": "Camera",
    "system": "Device",
}
STATES: Mapping[str, Mapping[str, str]] = {
    "mask": STATE_WORDS,
    "inattention": DISTRACTION_WORDS,
    "drowsiness": DROWSINESS_WORDS,
    "camera": {"lost": "Camera lost", "stalled": "No new picture"},
    "system": {"started": "edged started", "recovered": "Database repaired", "retention": "Old records deleted"},
}


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """One event as it is shown."""

    event_id: str
    at: str
    camera: str
    kind: str
    state: str
    """The value that the record has, for the icon."""
    what: str
    lasted: str
    note: str


def shown_events(site: Site, rows: Sequence[Mapping[str, Any]]) -> list[ShownEvent]:
    """As the config is now, which is looked up once for all of them."""
    config, zone, now = site.config, site.zone, site.clock.utc_ms()
    return [_shown(row, config, zone, now) for row in rows]


def words_of(row: Mapping[str, Any]) -> str:
    """What happened."""
    state = str(row["state"])
    return STATES.get(row["kind"], {}).get(state, state.replace("_", " ").capitalize())


def _shown(row: Mapping[str, Any], config: Config, zone: ZoneInfo, now: int) -> ShownEvent:
    lasted = lasted_ms(row)
    return ShownEvent(
        event_id=row["event_id"],
        at=clock_in(zone, row["started_at"], now, seconds=True),
        camera=name_in(config, row["camera"]) if row["camera"] else "",
        kind=KIND_WORDS.get(row["kind"], row["kind"]),
        state=row["state"],
        what=words_of(row),
        lasted="still going on" if lasted is None else duration(lasted / 1000),
        note=_note(row),
    )


def _note(row: Mapping[str, Any]) -> str:
    details = row["details"] or {}
    notes = []
    if row["end_reason"] == STATIC:
        notes.append("a picture of a face, and no person")
    if held_back := details.get("held_back"):
        notes.append(f"made no alert: {held_back}")
    if reason := details.get("reason") or details.get("who"):
        notes.append(str(reason))
    if not row["clock_ok"]:
        notes.append("the clock was not set")
    return "; ".join(notes)
