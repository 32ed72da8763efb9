"""Views for people who analyse the record: passages, violations and hours, in the site's local time (see `local_time`)."""


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
