"""Tells what changes among the events: by the order in which rows came and by their steps, whatever the clock says."""

import json
from collections import deque
from collections.abc import Iterable

from edged.store.reader import Row, StoreReader, parsed_row

MOST_AT_ONCE = 500
"""Rows of one call; what is more comes with the next."""
MOST_REMEMBERED = 1000
"""Of the events seen last, by which the place is found again in a database that was restored; and of those going on."""


class Follower:
    """What happens to events after a beginning: each new one, and each further step of one that had not ended."""

    def __init__(self, reader: StoreReader, kind: str | None = None) -> None:
        """Follow events of one `kind`, or all."""
        self._reader = reader
        self._kind = kind
        self._last = 0
        """The highest rowid seen. Rows are never deleted from the end but by a restored backup or a new database."""
        self._seen: deque[str] = deque([""], MOST_REMEMBERED)
        """The identities seen last, in the order of their rows."""
        self._going_on: dict[str, int] = {}
        """The step of each event that has not ended."""

    def begin(self, since: int) -> list[Row]:
        """The events that started at `since` or later, oldest first, as they are now; what comes later is given by `changes`."""
        with self._reader.snapshot() as ask:
            rows = ask("SELECT rowid, * FROM events WHERE started_at >= ? ORDER BY started_at, event_id", since)
            newest = ask("SELECT rowid, event_id FROM events ORDER BY rowid DESC LIMIT ?", MOST_REMEMBERED)
            going_on = ask("SELECT * FROM events WHERE ended_at IS NULL ORDER BY rowid DESC LIMIT ?", MOST_REMEMBERED)
        for row in reversed(newest):
            self._see(row)
        self._going_on = {row["event_id"]: row["seq"] for row in reversed(going_on)}
        return self._selected(rows)

    def changes(self) -> list[Row]:
        """What has changed since the last call, each event as it is now. Raise StoreError while it cannot be asked."""
        with self._reader.snapshot() as ask:
            known = ask(
                "SELECT * FROM events WHERE event_id IN (SELECT value FROM json_each(?))", _list(self._going_on)
            )
            at_last = ask("SELECT event_id FROM events WHERE rowid = ?", self._last)
            if [row["event_id"] for row in at_last] != [self._seen[-1]]:
                sql = "SELECT max(rowid) AS last FROM events WHERE event_id IN (SELECT value FROM json_each(?))"
                self._last = int(ask(sql, _list(self._seen))[0]["last"] or 0)
            new = ask("SELECT rowid, * FROM events WHERE rowid > ? ORDER BY rowid LIMIT ?", self._last, MOST_AT_ONCE)
        changed = [row for row in known if row["seq"] != self._going_on[row["event_id"]]]
        self._going_on = {row["event_id"]: row["seq"] for row in known if row["ended_at"] is None}
        known_ids = {row["event_id"] for row in known}
        for row in new:
            self._see(row)
            if row["ended_at"] is None:
                self._going_on[row["event_id"]] = row["seq"]
        while len(self._going_on) > MOST_REMEMBERED:
            del self._going_on[next(iter(self._going_on))]
        return self._selected(changed + [row for row in new if row["event_id"] not in known_ids])

    def _see(self, row: Row) -> None:
        self._last = row["rowid"]
        self._seen.append(row["event_id"])

    def _selected(self, rows: list[Row]) -> list[Row]:
        columns = [{name: value for name, value in row.items() if name != "rowid"} for row in rows]
        return [parsed_row(row) for row in columns if self._kind in (None, row["kind"])]


def _list(identities: Iterable[str]) -> str:
    return json.dumps(list(identities))
