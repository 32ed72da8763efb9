"""Read-only views of the store for the publisher, the report and the command line; each reader has its own connection."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from edged.errors import StoreError
from edged.records import ALERTING, Channel, EventRecord, Message
from edged.store.files import SQLITE_ERRORS, require_database

Row = dict[str, Any]
PORTION = 200
"""Rows read at once."""


class StoreReader:
    """Opens the database anew for each question, so that it survives a restored or replaced file. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def outbox_after(self, seq: int, limit: int, channel: Channel = "mqtt") -> list[Message]:
        """The next messages to send by `channel`, oldest first."""
        sql = "SELECT * FROM outbox WHERE channel = ? AND seq > ? ORDER BY seq LIMIT ?"
        rows = self._rows(sql, (channel, seq, limit))
        return [Message(**row | {"retain": bool(row["retain"])}) for row in rows]

    def outbox_depth(self, channel: Channel | None = None) -> int:
        """How many messages wait, for `channel` or for all."""
        if channel is None:  # also of a database that an edged with one channel has made
            return int(self._rows("SELECT count(*) AS n FROM outbox")[0]["n"])
        return int(self._rows("SELECT count(*) AS n FROM outbox WHERE channel = ?", (channel,))[0]["n"])

    def events(self, since: int = 0, until: int | None = None, kind: str | None = None) -> Iterator[Row]:
        """Events by start, oldest first: `since` <= start < `until`; votes and details parsed. See `_portions`."""
        return self._portions("events", "started_at", since, until, {"kind": kind})

    def latest_events(
        self,
        limit: int,
        *,
        since: int = 0,
        until: int | None = None,
        kinds: Sequence[str] = (),
        camera: str = "",
        skip: int = 0,
    ) -> list[Row]:
        """Events by start, newest first: `limit` after the first `skip`; of every kind and camera where none is named."""
        sql = "SELECT * FROM events WHERE started_at >= ? AND started_at < ?"
        values: list[object] = [since, 2**62 if until is None else until]
        if kinds:
            sql, values = f"{sql} AND kind IN ({', '.join('?' * len(kinds))})", [*values, *kinds]
        if camera:
            sql, values = sql + " AND camera = ?", [*values, camera]
        rows = self._rows(sql + " ORDER BY started_at DESC, event_id DESC LIMIT ? OFFSET ?", [*values, limit, skip])
        return [parsed_row(row) for row in rows]

    def last_watched(self) -> int | None:
        """When the last minute began in which any camera was watched; None when there is none."""
        rows = self._rows("SELECT minute FROM coverage WHERE watched_ms > 0 ORDER BY minute DESC LIMIT 1")
        return int(rows[0]["minute"]) if rows else None

    def encounters(self, since: int, until: int, camera: str | None = None) -> Iterator[Row]:
        """Encounters first seen in [`since`, `until`), oldest first, JSON parsed; of every camera or one. See `_portions`."""
        return self._portions("encounters", "first_seen", since, until, {"camera": camera})

    def coverage(self, since: int, until: int) -> list[Row]:
        """Camera-minutes that begin in [`since`, `until`), by camera and minute."""
        sql = "SELECT * FROM coverage WHERE minute >= ? AND minute < ? ORDER BY camera, minute"
        return self._rows(sql, (since, until))

    def report(self, day: str) -> Row | None:
        """The stored report of local day `day` (YYYY-MM-DD), if that day is finished."""
        rows = self._rows("SELECT * FROM reports WHERE day = ?", (day,))
        return rows[0] if rows else None

    def reports(self) -> list[Row]:
        """What is known of each stored report but its text, oldest day first; `counted` is parsed.

        A row that is damaged in its day or numbers is left out: the report of its day is missing, and is made again.
        """
        rows = self._rows("SELECT day, created, revision, counted, sha256 FROM reports ORDER BY day")
        return [{**row, "counted": parsed_json(row["counted"])} for row in rows if _is_whole(row)]

    def first_instant(self) -> int | None:
        """When the record begins: the earliest coverage minute or event whose clock could be believed."""
        first = [
            self._rows(f"SELECT {column} AS at FROM {table} WHERE clock_ok ORDER BY {column} LIMIT 1")  # noqa: S608
            for table, column in (("coverage", "minute"), ("events", "started_at"))
        ]
        return min((int(rows[0]["at"]) for rows in first if rows), default=None)

    def counted(self, since: int, until: int) -> dict[str, int]:
        """How many rows of each table a report of [`since`, `until`) counts."""
        columns = {"events": "started_at", "encounters": "first_seen", "coverage": "minute"}
        return {
            table: int(
                self._rows(
                    f"SELECT count(*) AS n FROM {table} WHERE {column} >= ? AND {column} < ?",  # noqa: S608
                    (since, until),
                )[0]["n"]
            )
            for table, column in columns.items()
        }

    def mark(self, since: int, until: int) -> str:
        """A short text that differs once a row of [`since`, `until`) was added, removed, moved or changed."""
        sums = {
            "encounters": ("first_seen", "sum(first_seen), sum(last_seen), sum(unicode(state)), sum(clock_ok)"),
            "events": ("started_at", "sum(started_at), sum(ended_at), sum(seq), sum(clock_ok)"),
            "coverage": ("minute", "sum(minute), sum(watched_ms), sum(unicode(camera_state)), sum(clock_ok)"),
        }
        found: list[object] = []
        for table, (column, what) in sums.items():
            sql = f"SELECT count(*), {what} FROM {table} WHERE {column} >= ? AND {column} < ?"  # noqa: S608
            found += self._rows(sql, (since, until))[0].values()
        return " ".join(str(value or 0) for value in found)

    def unfinished(self, since: int, until: int) -> bool:
        """Whether a passage or an event about people that began in [`since`, `until`) goes on."""
        kinds = ", ".join(f"'{kind}'" for kind in sorted(ALERTING))
        sql = (
            "SELECT 1 FROM encounters WHERE NOT closed AND first_seen >= ? AND first_seen < ?"  # noqa: S608  no values
            f" UNION ALL SELECT 1 FROM events WHERE ended_at IS NULL AND kind IN ({kinds})"
            " AND started_at >= ? AND started_at < ? LIMIT 1"
        )
        return bool(self._rows(sql, (since, until, since, until)))

    def instant_of(self, identity: str) -> int | None:
        """When the passage or event with this id began, if it is there."""
        rows = self._rows(
            "SELECT first_seen AS at FROM encounters WHERE encounter_id = ?"
            " UNION ALL SELECT started_at FROM events WHERE event_id = ?",
            (identity, identity),
        )
        return int(rows[0]["at"]) if rows else None

    def meta(self, key: str) -> str | None:
        """A value from `meta`, where the daemon remembers things between runs."""
        rows = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0]["value"]) if rows else None

    @contextmanager
    def snapshot(self) -> Iterator[Callable[..., list[Row]]]:
        """Questions within are all answered from one instant: `ask(sql, value, …)`."""
        with self._connection() as connection:
            connection.execute("BEGIN")
            yield lambda sql, *values: _all(connection, sql, values)

    def _portions(
        self, table: str, at: str, since: int, until: int | None, only: Mapping[str, str | None]
    ) -> Iterator[Row]:
        """Rows with `since` <= `at` < `until`, read as they are asked for, PORTION at a time.

        So however many they are they take little memory. Each portion is a transaction of its own: the writer never waits
        long for who takes their time.
        """
        given = {column: value for column, value in only.items() if value is not None}
        sql = (
            f"SELECT rowid AS place, * FROM {table} WHERE ({at}, rowid) > (?, ?) AND {at} >= ? AND {at} < ?"  # noqa: S608
            f"{''.join(f' AND {column} = ?' for column in given)} ORDER BY {at}, rowid LIMIT {PORTION}"
        )
        last, place, count = since, -(2**63), PORTION
        while count == PORTION:
            rows = self._rows(sql, (last, place, last, 2**62 if until is None else until, *given.values()))
            count = len(rows)
            for row in rows:
                last, place = row[at], row.pop("place")
                yield parsed_row(row)

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        with self._connection() as connection:
            return _all(connection, sql, values)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        require_database(self.path)
        try:
            with closing(
                sqlite3.connect(f"{self.path.absolute().as_uri()}?{_mode(self.path)}", uri=True, timeout=5)
            ) as connection:
                connection.row_factory = sqlite3.Row
                connection.text_factory = readable_text
                connection.execute("PRAGMA query_only = ON")
                yield connection
        except SQLITE_ERRORS as error:
            raise StoreError(f"{self.path}: cannot be read ({error}); `edged db check` examines it") from None


def _mode(path: Path) -> str:
    """How to open it for reading. Without its write-ahead log nobody writes it; SQLite would make one, which needs the folder."""
    alone = not path.with_name(f"{path.name}-wal").exists() and not os.access(path.parent, os.W_OK, effective_ids=True)
    return "immutable=1" if alone else "mode=ro"


def _all(connection: sqlite3.Connection, sql: str, values: Sequence[object]) -> list[Row]:
    return [dict(row) for row in connection.execute(sql, values)]


def readable_text(raw: bytes) -> str:
    """Text as stored; a flipped bit in it must cost a letter, not the row."""
    return raw.decode(errors="replace")


def _is_whole(report: Row) -> bool:
    """Whether a stored report has a day, YYYY-MM-DD, which another follows, and numbers where they belong."""
    try:
        day = date.fromisoformat(str(report["day"]))
    except ValueError:
        return False
    is_day = day.isoformat() == report["day"] and day < date.max
    return is_day and all(isinstance(report[column], int) for column in ("created", "revision"))


def lasted_ms(event: Mapping[str, Any]) -> int | None:
    """How long what an event is about lasted: from when it began, not from when it was confirmed; None while it goes on."""
    if event["ended_at"] is None:
        return None
    began = event.get("began_at")
    return max(0, int(event["ended_at"]) - int(event["started_at"] if began is None else began))


def parsed_json(text: str | None) -> Any:
    """What is in a JSON column; None when that is nothing, or damaged beyond reading."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return None


def parsed_row(row: Row) -> Row:
    """Decode the JSON columns."""
    for column in ("votes", "details", "attention", "drowsiness"):
        if column in row:
            row[column] = parsed_json(row[column])
    return row


def event_of(row: dict[str, Any]) -> EventRecord:
    """The event that a row of the table `events` holds."""
    columns = {name: row[name] for name in EventRecord.__slots__}
    parsed = {"votes": parsed_json(row["votes"]), "details": parsed_json(row["details"]) or {}}
    return EventRecord(**columns | parsed | {"clock_ok": bool(row["clock_ok"])})
