"""The one writing connection: applies changes, all of one call in one transaction, and keeps the file healthy."""

import logging
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlite_utils import Database

from edged.errors import StoreError
from edged.host.clock import MINUTE_MS
from edged.records import Change, CoverageMinute, EventRecord
from edged.store.apply import add_coverage, apply
from edged.store.backup import Backup, back_up_now
from edged.store.files import SQLITE_ERRORS, Loss, WatchedFiles, WriterLock, require_ours
from edged.store.reader import StoreReader, event_of
from edged.store.recovery import Restored, is_sound, open_checked, put_back, refused, rescue, store_error
from edged.store.schema import MIGRATION_NAMES, MIGRATIONS

log = logging.getLogger(__name__)

OPENED = "opened"
"""The fact under which each opening and each backup leaves a mark: who reads another has another file before them."""

PRUNED = (
    (
        "events",
        "started_at",
        "ended_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.event_id = events.event_id)",
    ),
    ("encounters", "first_seen", "closed"),
    ("coverage", "minute", "TRUE"),
)
"""What retention deletes: the table, the column that says how old a row is, and which rows may go."""

PAGES_AT_ONCE, MOST_TRIMMED = 500, 10_000
MOST_REPORTS = 3660
"""Ten years of them."""


class Store:
    """Owns the database file. Not thread-safe: one thread of one process holds the only writing connection.

    SQLite before 3.51.3 can corrupt a WAL that two connections write or checkpoint at once; a single writer cannot
    meet that fault.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the database, restoring a backup when it is damaged. Raise StoreError when that is impossible."""
        # SQLite lays its WAL beside the file itself, not beside a link to it.
        self.path = path = Path(os.path.realpath(path))
        require_ours(path)
        self._lock = WriterLock(path)
        try:
            self._connection, self.restored = open_checked(path)
        except BaseException:
            self._lock.release()
            raise
        self._db = Database(self._connection)
        self._files: WatchedFiles | None = None
        try:
            self._lock.hold()
            self._migrate()
            if self.restored is not None:
                self.restored = replace(self.restored, gap_from=self.last_known() or None)
            self._mark()
            self.last_seq = self._outbox_sequence()
            self._files = WatchedFiles(path)
        except (*SQLITE_ERRORS, OSError) as error:
            self.close()
            raise (StoreError(f"{path}: {error}") if isinstance(error, OSError) else store_error(path, error)) from None
        except BaseException:
            self.close()
            raise

    restored: Restored | None
    """What was lost and put back at this start, or None."""

    last_seq: int
    """The highest number that an outbox message has had."""

    _backup: Backup | None = None
    """That is being made."""

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Fold the WAL into the file and close. Idempotent."""
        self._close_files()
        self._lock.release()

    def _close_files(self) -> None:
        self.cancel_backup()
        self._connection.close()
        if self._files is not None:
            self._files.close()
            self._files = None

    @property
    def is_closed(self) -> bool:
        return self._files is None

    def loss(self) -> Loss | None:
        """What has become of the files since they were opened, None when they are what they were."""
        if self._files is None:
            return None
        try:
            loss = self._files.loss()
        except OSError:
            return None  # a disk that cannot be read: the next write says so
        if loss is None and self._files.was_touched() and not self._is_ours():
            return Loss(self.path, "overwritten")
        return loss

    def keep_lock(self) -> None:
        """Make the lock's file anew where somebody has deleted it."""
        if self._files is not None:
            self._lock.renew()

    def abandon(self, loss: Loss) -> bool:
        """Close a database that has suffered `loss`; return whether all of it was put back where it was.

        Otherwise what is there now is to be opened as at any start, which restores a backup where it is damaged.
        """
        rescued: Path | None = None
        try:
            rescued = rescue(self._connection, self.path) if loss.is_intact else None
        except StoreError as error:
            log.error("%s", error)
        own = self._files.identities if self._files else frozenset()
        self._close_files()
        # Where another process has come to write meanwhile, what it has made is its own.
        keep = loss == (self.path, "replaced") or not self._lock.renew()
        try:
            return rescued is not None and put_back(rescued, self.path, own, keep_present=keep)
        except OSError as error:
            log.error("%s: what was in it cannot be put back (%s)", self.path, error.strerror)
            return False
        finally:
            self._lock.release()

    def number_messages_after(self, seq: int) -> None:
        """Have no message numbered `seq` or less: a restored outbox counts on from where the lost one was."""
        if self.last_seq >= seq:
            return
        with self._transaction():
            self._connection.execute("UPDATE outbox SET seq = seq + ?", (seq,))
            self._connection.execute("DELETE FROM sqlite_sequence WHERE name = 'outbox'")
            self._connection.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', max(?, (SELECT coalesce(max(seq), 0) FROM outbox)))",
                (seq,),
            )
        self.last_seq = self._outbox_sequence()

    def _mark(self) -> None:
        """Tell this file from all copies of it."""
        token = secrets.token_hex(8)
        self.set_meta({OPENED: token})
        self._token = token  # not before it is in the file: a full disk would make a stranger's file of this one

    def _outbox_sequence(self) -> int:
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return int(row[0]) if row else 0

    def _is_ours(self) -> bool:
        """Whether the file is sound, and the one that was opened, as somebody sees it who opens it now."""
        try:
            return is_sound(self.path, quick=True) and StoreReader(self.path).meta(OPENED) == self._token
        except StoreError:
            return False

    def write(self, changes: Iterable[Change]) -> None:
        """Apply all of `changes` or none.

        Raise StoreFull when the disk is full, StoreRefused when no retry will help, StoreError on other failures.
        """
        with self._transaction():
            for change in changes:
                apply(self._db, change)
            seq = self._outbox_sequence()
        self.last_seq = seq

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Put values into `meta`."""
        with self._transaction():
            self._db.table("meta").upsert_all(({"key": k, "value": v} for k, v in values.items()), pk="key")

    def meta(self, key: str) -> str | None:
        """A value from `meta`."""
        rows = self._query("SELECT value FROM meta WHERE key = :key", {"key": key})
        return str(rows[0]["value"]) if rows else None

    def open_events(self) -> list[EventRecord]:
        """Events that have not ended: at start, those that a crash left behind."""
        rows = self._query("SELECT * FROM events WHERE ended_at IS NULL ORDER BY started_at")
        return [event_of(row) for row in rows]

    def last_known(self) -> int:
        """The latest instant the record knows of, in UTC milliseconds; 0 when it is empty."""
        sql = (
            "SELECT max(a) AS last FROM (SELECT max(started_at) a FROM events UNION ALL SELECT max(ended_at) FROM events"
            " UNION ALL SELECT max(last_seen) FROM encounters UNION ALL SELECT max(minute) FROM coverage)"
        )
        return int(self._query(sql)[0]["last"] or 0)

    def close_encounters(self) -> None:
        """Close the encounters that a crash left open, as they were last seen."""
        self.execute("UPDATE encounters SET closed = 1 WHERE closed = 0")

    def shift_untrusted(self, since: int, until: int, shift_ms: int, *, trusted: bool) -> None:
        """Move by `shift_ms` the instants that an unset clock gave to what began in [`since`, `until`], in its reckoning.

        `trusted`: they are right now, and marked so.
        """
        values = {"s": shift_ms, "t": trusted, "b": since, "e": until}
        with self._transaction():
            for table, begin, moved in (
                ("events", "started_at", ("started_at", "ended_at", "began_at")),
                ("encounters", "first_seen", ("first_seen", "last_seen")),
            ):
                assignments = ", ".join(f"{column} = {column} + :s" for column in moved)
                self._connection.execute(
                    f"UPDATE {table} SET {assignments}, clock_ok = :t"  # noqa: S608
                    f" WHERE clock_ok = 0 AND {begin} BETWEEN :b AND :e",
                    values,
                )
            self._shift_minutes(values | {"b": since // MINUTE_MS * MINUTE_MS})

    def _shift_minutes(self, values: dict[str, int]) -> None:
        """Move coverage to the nearest minutes, adding it up where some is there."""
        moved = "clock_ok = 0 AND minute BETWEEN :b AND :e"
        rows = list(self._db.query(f"SELECT * FROM coverage WHERE {moved}", values))  # noqa: S608
        self._connection.execute(f"DELETE FROM coverage WHERE {moved}", values)  # noqa: S608
        for row in rows:
            minute = (row["minute"] + values["s"] + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS
            add_coverage(self._db, CoverageMinute(**row | {"minute": minute, "clock_ok": bool(values["t"])}))

    def oldest(self, before: int, since: int | None = None) -> int | None:
        """When the oldest of the rows begins that retention may delete, among those from [`since`, `before`)."""
        found = [
            self._query(
                f"SELECT {column} AS at FROM {table} WHERE {column} >= :since AND {column} < :before AND {may_go}"  # noqa: S608
                f" ORDER BY {column} LIMIT 1",
                {"since": -(2**62) if since is None else since, "before": before},
            )
            for table, column, may_go in PRUNED
        ]
        return min((int(rows[0]["at"]) for rows in found if rows), default=None)

    def count_before(self, before: int) -> int:
        """How many rows older than `before` retention may delete."""
        return sum(
            int(
                self._query(
                    f"SELECT count(*) AS n FROM {table} WHERE {column} < :before AND {may_go}",  # noqa: S608
                    {"before": before},
                )[0]["n"]
            )
            for table, column, may_go in PRUNED
        )

    def prune(self, before: int, most: int | None = None) -> int:
        """Delete what is older than `before` and delivered, in small transactions; return how many rows went.

        It stops soon after `most`: the writing thread has other things to do.
        """
        gone = 0
        for table, column, may_go in PRUNED:
            some = f"SELECT rowid FROM {table} WHERE {column} < ? AND {may_go} LIMIT 500"  # noqa: S608
            statement = f"DELETE FROM {table} WHERE rowid IN ({some})"  # noqa: S608
            while (most is None or gone < most) and (deleted := self.execute(statement, (before,))) > 0:
                gone += deleted
        self.execute(
            "DELETE FROM reports WHERE day NOT IN (SELECT day FROM reports ORDER BY day DESC LIMIT ?)", (MOST_REPORTS,)
        )
        self._give_pages_back(most or 0)
        return gone

    def trim_outbox(self, limits: Mapping[str, int]) -> dict[str, int]:
        """Keep of each channel at most so many waiting messages, none of a channel that `limits` does not name.

        The oldest updates go first, then the oldest of all events, then daily reports; at most MOST_TRIMMED of each channel
        in one call, since a full disk has little room for what deletes. Return how many went, by channel.
        """
        counts = self._query("SELECT channel, count(*) AS n FROM outbox GROUP BY channel")
        excess = {row["channel"]: row["n"] - limits.get(row["channel"], 0) for row in counts}
        order = 'payload NOT LIKE \'%"type":"update"%\', event_id IS NULL, seq'
        some = f"SELECT seq FROM outbox WHERE channel = ? ORDER BY {order} LIMIT ?"  # noqa: S608
        return {
            channel: self.execute(f"DELETE FROM outbox WHERE seq IN ({some})", (channel, min(count, MOST_TRIMMED)))  # noqa: S608
            for channel, count in excess.items()
            if count > 0
        }

    def begin_backup(self, keep: int, stamp: str) -> Backup:
        """Begin to copy the record as it is now to `backups/`, in another thread; all but the newest `keep` are deleted then.

        Raise StoreFull where there is no room for it, StoreError when it cannot be begun.
        """
        backup = Backup(self.path, keep, stamp)
        try:
            self._mark()
        except BaseException:
            backup.cancel()
            raise
        self._backup = backup
        backup.start()
        return backup

    def is_backing_up(self) -> bool:
        """Whether a backup was begun, and `ended_backup` has not yet said what came of it."""
        return self._backup is not None

    def ended_backup(self) -> Path | None:
        """The backup that was begun, once when it is there; None while it is made. Raise StoreError when there will be none."""
        if self._backup is None or not self._backup.is_done():
            return None
        backup, self._backup = self._backup, None
        return backup.result()

    def cancel_backup(self) -> bool:
        """Give up the backup that was begun; return whether there was one."""
        backup, self._backup = self._backup, None
        if backup is not None:
            backup.cancel()
        return backup is not None

    def back_up(self, keep: int, stamp: str) -> Path:
        """As `begin_backup`, for who can wait for it."""
        backup = self.begin_backup(keep, stamp)
        self._backup = None
        return backup.result()

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> int:
        """One statement in its own transaction; return how many rows it changed."""
        with self._transaction():
            return self._connection.execute(sql, values).rowcount

    def _give_pages_back(self, most: int) -> None:
        """Shorten the file by the pages that are free, at most `most` of them, all when 0."""
        try:
            free = int(self._connection.execute("PRAGMA freelist_count").fetchone()[0])
            # Step by step: what one transaction moves lies in the write-ahead log, and must fit into the reserve.
            for _ in range(0, min(most or free, free), PAGES_AT_ONCE):
                # Only a script is run to its end: `execute` takes the first step, which frees one page.
                with self._own_writing():
                    self._connection.executescript(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})")
        except sqlite3.Error as error:
            raise store_error(self.path, error) from None

    def _query(self, sql: str, values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        with self._transaction():
            return list(self._db.query(sql, values))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing; SQLite's errors become ours."""
        with self._own_writing():
            try:
                with self._db.atomic():
                    yield
            except SQLITE_ERRORS as error:
                raise store_error(self.path, error) from None
            except (ValueError, TypeError, OverflowError) as error:  # no number, text or JSON that can be stored
                raise refused(self.path, error) from None

    @contextmanager
    def _own_writing(self) -> Iterator[None]:
        """What is written within is no stranger's."""
        if self._files is None:
            yield
            return
        self._files.writing()
        try:
            yield
        finally:
            self._files.written()

    def _migrate(self) -> None:
        applied = {migration.name for migration in MIGRATIONS.applied(self._db)}
        if applied - set(MIGRATION_NAMES):
            raise StoreError(
                f"{self.path}: written by a newer edged ({', '.join(sorted(applied - set(MIGRATION_NAMES)))});"
                " install that version, or restore a backup"
            )
        if applied and MIGRATIONS.pending(self._db):
            back_up_now(self._connection, self.path, f"before-{MIGRATIONS.pending(self._db)[0].name}")
        MIGRATIONS.apply(self._db)
