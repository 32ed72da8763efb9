"""The tables, as numbered migrations that only ever go forwards; a release never edits an older step.

The views `passages`, `violations` and `hours` are for people who analyse, in the site's local time (see `local_time`).
"""

from sqlite_utils import Database, Migrations


def _offset(instant: str) -> str:
    """How far the site's clocks were ahead of UTC at `instant`, a column of UTC milliseconds; 0 before the zone is known."""
    known = f"SELECT offset_ms FROM local_time WHERE since <= {instant} ORDER BY since DESC LIMIT 1"  # noqa: S608
    return f"coalesce(({known}), 0)"


def _local(instant: str) -> str:
    """The wall clock at `instant`, as 2026-11-19 08:03:11."""
    return f"strftime('%Y-%m-%d %H:%M:%S', ({instant} + {_offset(instant)}) / 1000, 'unixepoch')"


def _json(column: str, key: str) -> str:
    """The value of `key` in a JSON column; NULL where that is damaged."""
    return f"CASE WHEN json_valid({column}) THEN json_extract({column}, '$.{key}') END"


def _hours(table: str, instant: str, columns: str, where: str = "TRUE") -> str:
    """For each row of `table` its camera, its local hour counted from 1970, that hour's offset, and `columns`."""
    offset = _offset(instant)
    return (
        f"SELECT camera, ({instant} + {offset}) / 3600000 AS hour, {offset} AS offset_ms, {columns}"  # noqa: S608
        f" FROM {table} WHERE {where}"
    )


PEOPLE = "kind IN ('mask', 'inattention', 'drowsiness') AND end_reason IS NOT 'static'"
"""Events about people, without those of pictures of faces."""

PASSAGES = f"""
SELECT encounter_id, camera, track, substr({_local("first_seen")}, 1, 10) AS date,
  {_local("first_seen")} AS first_seen, {_local("last_seen")} AS last_seen,
  (last_seen - first_seen) / 1000.0 AS seconds, state AS mask, score,
  {_json("attention", "attentive_s")} AS attentive_s, {_json("attention", "away_s")} AS away_s,
  {_json("attention", "distractions")} AS distractions,
  {_json("drowsiness", "worst_level")} AS drowsiness_level, {_json("drowsiness", "highest_perclos")} AS perclos,
  (SELECT count(*) FROM events WHERE events.encounter_id = encounters.encounter_id AND {PEOPLE}) AS violations,
  smallest_face, largest_face, clock_ok
FROM encounters
"""  # noqa: S608

VIOLATIONS = f"""
SELECT event_id, encounter_id, camera, track, kind, state,
  substr({_local("coalesce(began_at, started_at)")}, 1, 10) AS date, {_local("coalesce(began_at, started_at)")} AS began,
  {_local("started_at")} AS confirmed, {_local("ended_at")} AS ended,
  (ended_at - coalesce(began_at, started_at)) / 1000.0 AS seconds, score, end_reason,
  ({_json("details", "held_back")}) IS NULL AS alerted, {_json("details", "held_back")} AS held_back,
  {_json("details", "level")} AS drowsiness_level, clock_ok
FROM events WHERE {PEOPLE}
"""  # noqa: S608

_PASSAGES_BY_HOUR = _hours(
    "encounters",
    "first_seen",
    "1 AS passages, state = 'correct' AS correct, state = 'incorrect' AS incorrect, state = 'none' AS none,"
    " state = 'uncertain' AS uncertain, 0 AS violations, 0 AS watched_ms",
)
_VIOLATIONS_BY_HOUR = _hours("events", "started_at", "0, 0, 0, 0, 0, 1, 0", PEOPLE)
_COVERAGE_BY_HOUR = _hours("coverage", "minute", "0, 0, 0, 0, 0, 0, watched_ms")

HOURS = f"""
SELECT camera, strftime('%Y-%m-%d', hour * 3600, 'unixepoch') AS date, strftime('%H:%M', hour * 3600, 'unixepoch') AS hour,
  offset_ms / 60000 AS utc_offset_minutes, sum(passages) AS passages, sum(correct) AS correct,
  sum(incorrect) AS incorrect, sum(none) AS none, sum(uncertain) AS uncertain, sum(violations) AS violations,
  round(sum(watched_ms) / 60000.0, 1) AS watched_minutes
FROM ({_PASSAGES_BY_HOUR} UNION ALL {_VIOLATIONS_BY_HOUR} UNION ALL {_COVERAGE_BY_HOUR}) AS part
GROUP BY camera, part.hour, offset_ms
"""  # noqa: S608

VIEWS = {"passages": PASSAGES, "violations": VIOLATIONS, "hours": HOURS}

MIGRATIONS = Migrations("edged")


@MIGRATIONS(name="0001_tables")
def _tables(db: Database) -> None:
    _create_events(db)
    _create_encounters(db)
    _create_coverage(db)
    _create_outbox(db)
    db.table("reports").create(
        {"day": str, "timezone": str, "created": int, "report": str, "sha256": str},
        pk="day",
        not_null={"timezone", "created", "report", "sha256"},
    )
    db.table("meta").create({"key": str, "value": str}, pk="key", not_null={"value"})


@MIGRATIONS(name="0002_outbox_by_event")
def _outbox_by_event(db: Database) -> None:
    # Retention asks for each old event whether a message of it still waits.
    db.table("outbox").create_index(["event_id"])


@MIGRATIONS(name="0003_attention_and_drowsiness")
def _attention_and_drowsiness(db: Database) -> None:
    # JSON, or NULL in passages of cameras that do not follow them; all rows from before are such.
    for column in ("attention", "drowsiness"):
        db.table("encounters").add_column(column, str)


@MIGRATIONS(name="0004_beginnings_and_clocks")
def _beginnings_and_clocks(db: Database) -> None:
    # NULL where it is not known, as in all rows from before: when the behaviour began, and in whose passage.
    db.table("events").add_column("began_at", int)
    db.table("events").add_column("encounter_id", str)
    # Minutes from before are taken as they stand: whether the clock was set was not recorded.
    db.table("coverage").add_column("clock_ok", int, not_null_default=1)
    # How often the report was made, and how many rows its day had when it was, as JSON; NULL in those from before.
    db.table("reports").add_column("revision", int, not_null_default=1)
    db.table("reports").add_column("counted", str)


@MIGRATIONS(name="0005_views_in_local_time")
def _views_in_local_time(db: Database) -> None:
    # From which instant on the site's clocks were how far ahead of UTC: SQLite knows no time zones.
    db.table("local_time").create(
        {"since": int, "offset_ms": int, "zone": str}, pk="since", not_null={"offset_ms", "zone"}
    )
    db.table("events").create_index(["encounter_id"])
    for view, sql in VIEWS.items():
        db.execute(f"CREATE VIEW {view} AS {sql}")


@MIGRATIONS(name="0006_channels")
def _channels(db: Database) -> None:
    # For whom a message waits: the broker, as all from before.
    db.table("outbox").add_column("channel", str, not_null_default="mqtt")
    db.table("outbox").create_index(["channel", "seq"])


def _create_events(db: Database) -> None:
    db.table("events").create(
        {
            "event_id": str,
            "kind": str,
            "camera": str,
            "track": int,
            "state": str,
            "score": float,
            "votes": str,
            "started_at": int,
            "ended_at": int,
            "end_reason": str,
            "clock_ok": int,
            "details": str,
            "seq": int,
            "acked_seq": int,
        },
        pk="event_id",
        not_null={"kind", "camera", "state", "started_at", "clock_ok", "details", "seq", "acked_seq"},
        defaults={"seq": 1, "acked_seq": 0},
    )
    db.table("events").create_index(["started_at"])


def _create_encounters(db: Database) -> None:
    db.table("encounters").create(
        {
            "encounter_id": str,
            "camera": str,
            "track": int,
            "first_seen": int,
            "last_seen": int,
            "state": str,
            "score": float,
            "votes": str,
            "smallest_face": float,
            "largest_face": float,
            "closed": int,
            "clock_ok": int,
        },
        pk="encounter_id",
        not_null={"camera", "track", "first_seen", "last_seen", "state", "score", "votes", "closed", "clock_ok"},
    )
    db.table("encounters").create_index(["first_seen"])


def _create_coverage(db: Database) -> None:
    db.table("coverage").create(
        {
            "camera": str,
            "minute": int,
            "frames_seen": int,
            "frames_analysed": int,
            "faces": int,
            "dropped": int,
            "camera_state": str,
            "watched_ms": int,
        },
        pk=("camera", "minute"),
        not_null={"frames_seen", "frames_analysed", "faces", "dropped", "camera_state", "watched_ms"},
    )
    db.table("coverage").create_index(["minute"])


def _create_outbox(db: Database) -> None:
    # AUTOINCREMENT, which sqlite-utils cannot say: a sequence number is never used twice, even after its row is gone.
    db.execute(
        "CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload TEXT NOT NULL,"
        " qos INTEGER NOT NULL, retain INTEGER NOT NULL, created INTEGER NOT NULL, event_id TEXT, event_seq INTEGER)"
    )


MIGRATION_NAMES = tuple(migration.name for migration in MIGRATIONS.pending(Database(memory=True)))
"""In their order."""
