"""What the store needs done now and then: retention, backups, a bounded outbox, and instants put right when the clock is set."""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timezone

from edged.ports import Clock
from edged.store.writer import Store

log = logging.getLogger(__name__)

DAY_MS = 86_400_000
SMALLEST_SHIFT_MS = 1000
MOST_PRUNED = 10_000
"""Rows deleted at once; the rest goes a minute later, so that events do not wait."""


@dataclass(slots=True)
class Upkeep:
    """Called about once a minute by the store's own thread."""

    clock: Clock
    retention_days: int
    backups: int
    outbox_limit: int
    trimmed: int = 0
    """Messages that had to go because too many waited for the broker."""
    _started_ms: int = field(init=False)
    _offset_ms: int = field(init=False)
    _was_trusted: bool = field(init=False)
    _next_daily_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._started_ms = self.clock.utc_ms()
        self._offset_ms = self._offset()
        self._was_trusted = self.clock.trusted()
        # The first backup comes soon after the start, but not while everything else starts.
        self._next_daily_s = self.clock.monotonic_s() + 300

    def __call__(self, store: Store) -> None:
        """Do what is due. Raise StoreError when the disk does not allow it."""
        self._put_instants_right(store)
        gone = store.trim_outbox(self.outbox_limit)
        if gone:
            self.trimmed += gone
            log.warning("the outbox is full: %d messages dropped; is the broker there?", gone)
        if self.clock.monotonic_s() >= self._next_daily_s:
            self._next_daily_s = self.clock.monotonic_s() + DAY_MS / 1000
            self._daily(store)

    def _daily(self, store: Store) -> None:
        now = self.clock.utc_ms()
        # A clock that was never set must not delete a record by mistake; it can only delete too little.
        pruned = store.prune(now - self.retention_days * DAY_MS, MOST_PRUNED) if self.clock.trusted() else 0
        if pruned >= MOST_PRUNED:
            self._next_daily_s = self.clock.monotonic_s()
            return
        if self.backups:
            stamp = f"{datetime.fromtimestamp(now / 1000, timezone.utc):%Y%m%d-%H%M%S}"
            store.back_up(self.backups, stamp)
        log.info("daily upkeep of the database: %d old rows deleted, %d backups kept", pruned, self.backups)

    def _put_instants_right(self, store: Store) -> None:
        """Bring what was recorded before a jump of the clock into its present reckoning, until it may be believed."""
        if self._was_trusted:
            return
        trusted = self.clock.trusted()
        shift = self._offset() - self._offset_ms
        shift = shift if abs(shift) >= SMALLEST_SHIFT_MS else 0
        if not shift and not trusted:
            return
        now = self.clock.utc_ms() - shift
        store.shift_untrusted(self._started_ms, now, shift, trusted=trusted)
        self._was_trusted = trusted
        self._started_ms += shift
        self._offset_ms += shift
        log.info("the clock was set; instants recorded before were moved by %.1f s", shift / 1000)

    def _offset(self) -> int:
        return self.clock.utc_ms() - round(self.clock.monotonic_s() * 1000)
