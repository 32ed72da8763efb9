"""Opens the database, at the start and whenever it was lost, and records what happened to it."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from edged import __version__
from edged.config import Config
from edged.daemon.outbound import Outbound
from edged.errors import StoreError
from edged.host.clock import WatchedClock
from edged.ports import Clock
from edged.store import Store
from edged.store.files import Loss
from edged.store.recorder import Recorder
from edged.store.recovery import StoreFull
from edged.store.unopened import Unopened
from edged.store.upkeep import Upkeep, known_reckoning
from edged.store.worker import StoreWorker

log = logging.getLogger(__name__)


class Record:
    """The store as one run of the daemon has it. Build it in the main thread, and `begin` before anything runs."""

    def __init__(self, config: Config, clock: Clock, outbound: Outbound) -> None:
        """A full disk stops nothing but storing. Raise StoreError when the database is unusable otherwise."""
        self._path, self._outbound = config.store.path, outbound
        self._in_order = False
        """A database that could not be opened at the start is put in order when it can."""
        try:
            self._store = _first_opened(self._path)
        except StoreFull as error:
            self._store = Unopened(self._path, error)
        self.clock = WatchedClock(clock, known_reckoning(self._store))
        limits = lambda: outbound.limits  # noqa: E731  a reload changes them
        self.worker = StoreWorker(
            self._store,
            committed=outbound.wake,
            upkeep=Upkeep(self.clock, config.store, self.system_event, limits, outbound.trimmed),
            reopen=self._reopen,
            lost=self._lost,
        )
        self.recorder = Recorder(self.clock, self.worker.submit, publishing=config.mqtt.host is not None)
        """The main thread's."""

    def begin(self) -> None:
        """Put in order what the last run left, whatever its end, and note that this run began."""
        # What a database holds that is not open yet is not known.
        known = {} if self._store.is_closed else {"left_open": self._put_in_order(self._store, self.recorder)}
        _record_restored(self._store, self.recorder.system_event)
        self.recorder.system_event("started", {"version": __version__, **known})

    def stored(self, key: str) -> str | None:
        """What was remembered under `key` when the database was opened."""
        return self._store.meta(key)

    def system_event(self, state: str, details: Mapping[str, object], camera: str = "") -> None:
        """Record what happened to the device; from any thread, so that each call has a recorder of its own."""
        publishing = self._outbound.publisher is not None
        Recorder(self.clock, self.worker.submit, publishing=publishing).system_event(state, details, camera)

    def clear_view(self, camera: str, who: str, reason: str, minutes: int) -> None:
        """Record that somebody sees faces; from any thread."""
        log.warning("camera %s is seen clearly, at most for %d minutes, by %s: %s", camera, minutes, who, reason)
        self.system_event("clear_view", {"who": who, "reason": reason, "minutes": minutes}, camera)

    def _lost(self, loss: Loss, gap_from: int | None) -> None:
        self.system_event("recovered", {"reason": str(loss), "gap_from": gap_from})

    def _reopen(self) -> Store:
        """For the store's thread, after the database was lost or could not be opened."""
        opened = Store(self._path) if self._in_order else _first_opened(self._path)
        try:
            if not self._in_order:
                # Written here and now: as many changes as may wait do so already, and what comes after them is dropped.
                publishing = self._outbound.publisher is not None
                self._put_in_order(opened, Recorder(self.clock, opened.write, publishing=publishing))
            _record_restored(opened, self.system_event)
        except BaseException:
            opened.close()  # or its lock would keep the next try out
            raise
        return opened

    def _put_in_order(self, opened: Store, recorder: Recorder) -> int:
        """End what the last run left open; return how many events that were."""
        left_open = opened.open_events()
        recorder.end_left_open(left_open, opened.last_known())
        self._in_order = True
        return len(left_open)


def _record_restored(store: Store, system_event: Callable[[str, Mapping[str, object]], None]) -> None:
    """Record the gap when a damaged database was replaced."""
    if store.restored is None:
        return
    lost = store.restored
    log.error("%s was damaged; it is kept at %s", store.path, lost.quarantined)
    backup = lost.backup and str(lost.backup)
    system_event("recovered", {"quarantined": str(lost.quarantined), "backup": backup, "gap_from": lost.gap_from})


def _first_opened(path: Path) -> Store:
    """The store as it is first opened in this run: the passages that a crash left open are closed.

    Raise what `Store` raises; nothing is held then, or its lock would keep the next try out.
    """
    store = Store(path)
    try:
        store.close_encounters()
    except StoreError:
        store.close()
        raise
    return store
