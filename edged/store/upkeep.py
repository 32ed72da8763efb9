"""What the store needs done now and then: retention, backups, a bounded outbox, and instants put right when the clock is set."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from edged.config import StoreConfig
from edged.host.clock import DAY_MS, HOUR_MS, Reckoning, WatchedClock
from edged.messages import iso
from edged.records import MetaRow
from edged.store.files import backups
from edged.store.recovery import StoreFull
from edged.store.writer import Store

log = logging.getLogger(__name__)

EVERY_S = 60.0
STAMP = "%Y%m%d-%H%M%S"
"""In the name of a backup: when it was made, in UTC."""
DAY_S = DAY_MS / 1000
BACKUP_RETRY_S = HOUR_MS / 1000
"""After a backup that failed: each try copies the whole database."""
SMALLEST_SHIFT_MS = 1000
LATE_ROWS_S = HOUR_MS / 1000
"""So long after a clock is believed rows may come to the disk that were stamped before, as when the disk is full meanwhile."""
MOST_PRUNED = 10_000
"""Rows deleted at once; the rest goes a minute later, so that events do not wait."""

DAYS_WORTH_MS = DAY_MS + 600_000
"""What a daily pass deletes without a word: a day, and what the last one may have come early."""
MOST_DAYS_PRUNED = 7
"""In one pass, when more is due: a clock that is wrong after all takes weeks to delete a record, and says so each day."""

RECKONING = "clock"
"""Under which the store remembers what the clock said."""

RECEIVERS = {"mqtt": "the broker", "webhook": "the webhook's receiver", "mail": "the mail server"}

SystemEvent = Callable[[str, Mapping[str, object]], None]


def known_reckoning(store: Store) -> Reckoning:
    """What the clock said last, as far as the record knows."""
    known = Reckoning.parse(store.meta(RECKONING))
    return known if known.believed_ms is not None else Reckoning(store.last_known() or None)


@dataclass(slots=True)
class Upkeep:
    """Called about twice a second by the store's own thread, before it writes: most of it is due once a minute or a day."""

    clock: WatchedClock
    kept: StoreConfig
    record: SystemEvent
    """Records a `system` event."""
    limits: Callable[[], Mapping[str, int]] | None = None
    """How many messages may wait for each channel that is configured now; the broker's alone when left out."""
    trimmed: Counter[str] = field(default_factory=Counter)
    """Messages that had to go because too many waited, by channel."""
    _started_s: float = field(init=False)
    _offset_ms: int = field(init=False)
    """The offset with which rows of an unset clock were stamped: UTC less monotonic milliseconds."""
    _was_trusted: bool = field(init=False)
    _moved: tuple[int, int, int] | None = None
    """Since when, until when and by how much rows were moved when the clock was believed first, …"""
    _moved_until_s: float = 0.0
    """… and until when rows are looked for that were on their way to the disk then."""
    _next_minute_s: float = 0.0
    _next_backup_s: float = field(init=False)
    _is_put_off: bool = False
    """No backup is made for want of room, and that was said."""
    _next_pruning_s: float = field(init=False)
    _pruning_until: int | None = None
    """A pass goes on until then."""
    _next_remembered_s: float = 0.0
    _remembered: Reckoning = field(default_factory=Reckoning)

    def __post_init__(self) -> None:
        self._started_s = self.clock.monotonic_s()
        self._offset_ms = self._offset()
        self._was_trusted = self.clock.trusted()
        # The first backup comes soon after the start, but not while everything else starts.
        self._next_backup_s = self._next_pruning_s = self.clock.monotonic_s() + 300

    def __call__(self, store: Store) -> None:
        """Do what is due. Raise StoreError when the disk does not allow it."""
        self._put_instants_right(store)
        now_s = self.clock.monotonic_s()
        if store.is_backing_up():
            self._end_backup(store, now_s)
        if now_s < self._next_minute_s:
            return
        self._next_minute_s = now_s + EVERY_S
        self._remember(store, now_s)
        if self._moved is not None and now_s < self._moved_until_s:
            store.shift_untrusted(*self._moved, trusted=True)  # what was moved before is trusted, and stays
        self._trim(store)
        if store.is_backing_up():
            return  # what is deleted meanwhile would pile up in the write-ahead log
        if now_s >= self._next_pruning_s and self.clock.settled():
            self._prune(store, now_s)
        if now_s >= self._next_backup_s:
            self._next_backup_s = now_s + BACKUP_RETRY_S
            age_s = self._age_of_backup_s(store)
            if age_s is None and self.kept.backups:
                self._begin_backup(store)
            else:
                self._next_backup_s = now_s + DAY_S - (age_s or 0.0)

    def _trim(self, store: Store) -> None:
        """Keep the outbox within its bounds, and without messages that nobody will send any more."""
        limits = self.limits() if self.limits else {"mqtt": self.kept.outbox_limit}
        for channel, gone in store.trim_outbox(limits).items():
            self.trimmed[channel] += gone
            if channel in limits:
                receiver = RECEIVERS.get(channel, channel)
                log.warning("the outbox is full: %d messages dropped, the oldest; is %s there?", gone, receiver)
            else:
                log.warning(
                    "%d messages dropped: they waited for [%s], which is not configured any more", gone, channel
                )

    def _age_of_backup_s(self, store: Store) -> float | None:
        """How old the youngest backup is, by its name, if it was made within the last day; None when one is due.

        So a daemon that is started again and again copies the database once a day, not at each start. One that a clock
        in the future named does not count.
        """
        now_s = self.clock.utc_ms() / 1000
        ages = [now_s - made_s for file in backups(store.path) if (made_s := _made_s(file, store.path)) is not None]
        return min((age_s for age_s in ages if 0 <= age_s < DAY_S), default=None)

    def _begin_backup(self, store: Store) -> None:
        now = datetime.fromtimestamp(self.clock.utc_ms() / 1000, timezone.utc)
        try:
            store.begin_backup(self.kept.backups, f"{now:{STAMP}}")
        except StoreFull as error:
            self._put_off_backup(error)

    def _end_backup(self, store: Store, now_s: float) -> None:
        try:
            made = store.ended_backup()
        except StoreFull as error:
            self._put_off_backup(error)
            return
        if made is not None:
            self._next_backup_s, self._is_put_off = now_s + DAY_S, False
            log.info("database backed up; the newest %d backups are kept", self.kept.backups)

    def _put_off_backup(self, error: StoreFull) -> None:
        """It is tried again each hour, and said once."""
        if not self._is_put_off:
            log.warning("backups are put off until there is room: %s", error)
        self._is_put_off = True

    def _prune(self, store: Store, now_s: float) -> None:
        """One step of retention: decide how far this pass goes, and say so when that is unusual; then delete."""
        if self._pruning_until is None:
            self._pruning_until, days = self._plan(store)
            if days > 1:
                self._announce(store, self._pruning_until, days)
                return  # the deleting comes a minute later, when the event is stored
        gone = store.prune(self._pruning_until, MOST_PRUNED)
        if gone < MOST_PRUNED:
            log.info("retention: %d rows from before %s deleted", gone, iso(self._pruning_until))
            self._pruning_until, self._next_pruning_s = None, now_s + DAY_S

    def _plan(self, store: Store) -> tuple[int, int]:
        """Until when this pass deletes, and how many days' worth that is."""
        due = self.clock.utc_ms() - self.kept.retention_days * DAY_MS
        until, days = due, 0
        oldest = store.oldest(due)
        while oldest is not None and days < MOST_DAYS_PRUNED:
            until, days = min(due, oldest + DAYS_WORTH_MS), days + 1
            oldest = store.oldest(due, until)
        return until, days

    def _announce(self, store: Store, until: int, days: int) -> None:
        rows, oldest = store.count_before(until), store.oldest(until)
        details = {"rows": rows, "days": days, "from": iso(oldest), "until": iso(until)}
        log.warning("retention deletes %d rows of %d days, from %s to %s", rows, days, iso(oldest), iso(until))
        self.record("retention", details)

    def _remember(self, store: Store, now_s: float) -> None:
        """Note for the next run what the clock says: hourly, and when that changes."""
        known = self.clock.reckoning()
        if now_s < self._next_remembered_s and known.doubted_from_ms == self._remembered.doubted_from_ms:
            return
        if known.believed_ms is not None:
            store.write([MetaRow(RECKONING, known.text())])
            self._next_remembered_s, self._remembered = now_s + HOUR_MS / 1000, known

    def _put_instants_right(self, store: Store) -> None:
        """Bring what was recorded before a jump of the clock into its present reckoning, until it may be believed."""
        trusted, offset = self.clock.trusted(), self._offset()
        if self._was_trusted:
            self._offset_ms, self._was_trusted = offset, trusted
            if not trusted:
                self._moved = None
            return
        shift = offset - self._offset_ms
        shift = shift if abs(shift) >= SMALLEST_SHIFT_MS else 0
        if not shift and not trusted:
            return
        # What was open when the clock leapt was stamped anew since, and may have begun at any time of this run.
        began = round(self._started_s * 1000) + self._offset_ms
        moved = began, self.clock.utc_ms() - shift, shift
        store.shift_untrusted(*moved, trusted=trusted)
        if trusted:
            self._moved, self._moved_until_s = moved, self.clock.monotonic_s() + LATE_ROWS_S
        self._was_trusted = trusted
        self._offset_ms += shift
        log.info("the clock was set; instants recorded before were moved by %.1f s", shift / 1000)

    def _offset(self) -> int:
        return self.clock.utc_ms() - round(self.clock.monotonic_s() * 1000)


def _made_s(backup: Path, path: Path) -> float | None:
    """When a backup of the database at `path` was made, by its name; None when that does not say."""
    try:
        made = datetime.strptime(backup.stem.removeprefix(f"{path.stem}-"), STAMP).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return made.timestamp()
