"""The columns of the files of closed days: version 1, whose columns keep their names, types and places; new ones come last.

Whole numbers and text only, so that every engine reads the same; `INTEGER` has 32 bits, `BIGINT` 64. A yes or no is 1 or 0.
docs/fleet.md says what each column means.
"""

from typing import Any, TypeAlias

SCHEMA_V = 1

Row: TypeAlias = dict[str, Any]
"""One row, its columns in their order."""

ENCOUNTER: dict[str, str] = {
    "schema_v": "INTEGER",
    "site": "VARCHAR",
    "device_id": "VARCHAR",
    "camera": "VARCHAR",
    "entrance": "VARCHAR",
    "event_id": "VARCHAR",
    "seq": "INTEGER",
    "kind": "VARCHAR",
    "outcome": "VARCHAR",
    "started_ms": "BIGINT",
    "ended_ms": "BIGINT",
    "local_day": "VARCHAR",
    "local_hour": "INTEGER",
    "tz": "VARCHAR",
    "votes": "INTEGER",
    "score_milli": "INTEGER",
    "face_px": "INTEGER",
    "merged": "INTEGER",
    "suppressed": "INTEGER",
    "clock_ok": "INTEGER",
    "end_reason": "VARCHAR",
    "model_id": "VARCHAR",
    "policy_sha": "VARCHAR",
    "in_open": "INTEGER",
    "quarter": "INTEGER",
}
COVER: dict[str, str] = {
    "site": "VARCHAR",
    "device_id": "VARCHAR",
    "camera": "VARCHAR",
    "entrance": "VARCHAR",
    "local_day": "VARCHAR",
    "local_hour": "INTEGER",
    "open_s": "INTEGER",
    "watched_s": "INTEGER",
    "paused_s": "INTEGER",
    "reason": "VARCHAR",
    "seq": "INTEGER",
}
TABLES = {"encounter": ENCOUNTER, "cover": COVER}
KEYS = {"encounter": ("event_id",), "cover": ("camera", "local_hour")}
"""What names a row within a day of a device."""

PASSAGE = "passage"
"""The kind of a person's passage; the other kinds are those of events about people."""
VOID = "void"
"""The outcome of what was exported, and has turned out to be none of that day."""
UNASKED = "unasked"
"""The outcome of a passage at a camera that does not follow masks."""
