"""The thread that owns the writing connection: gathers changes, commits them together, and outlasts a full disk."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from edged.backoff import backoff_s
from edged.errors import StoreError
from edged.records import Acknowledged, Change
from edged.store.disk_space import ReserveFile
from edged.store.files import Loss
from edged.store.recovery import StoreFull, StoreRefused
from edged.store.unopened import Unopened
from edged.store.writer import Store
from edged.worker import Worker

log = logging.getLogger(__name__)

GATHER_S = 0.1
"""Changes wait at most this long for others: one commit costs an SD card 10 to 200 ms, however much is in it."""

RETRY_FIRST_S, RETRY_LONGEST_S = 0.5, 10.0
MOST_WAITING = 20_000
MOST_IN_ONE_COMMIT = 2_000
UPKEEP_INTERVAL_S = 0.5
UPKEEP_RECOVERED_S = 180.0
"""Most of upkeep comes once a minute: without a failure for this long its problem is over."""

RESERVE_INTERVAL_S = 60.0
FILES_INTERVAL_S = 5.0
LONG_S = 600.0
"""What copies, reads or opens the whole database may take so much longer: a large one on an SD card takes minutes."""

Group = tuple[Change, ...]
"""What was submitted together, and is written together or not at all."""


class StoreWorker(Worker):
    """Takes changes from any thread; what was taken is written in order, or dropped and counted when too much waits."""

    def __init__(
        self,
        store: Store,
        *,
        committed: Callable[[], None],
        upkeep: Callable[[Store], None],
        reopen: Callable[[], Store],
        lost: Callable[[Loss, int | None], None] = lambda loss, gap_from: None,
    ) -> None:
        """`committed` is called after each commit, `upkeep` about twice a second, `reopen` after an I/O error,
        and until it gives a database where `store` is `Unopened`.

        `lost` is called with what became of the database's files, once it is open again, and since when the record has a gap:
        None when nothing was lost. Where a backup was restored `reopen` reports that.
        """
        super().__init__("store")
        self.dropped = 0
        """Changes lost because nothing could be written for too long, or never could be."""
        self.problem: str | None = None
        """Why nothing can be written now, or None."""
        self.shortage: str | None = None
        """Why that will come soon, or None: what is written now may go into the reserve."""
        if isinstance(store, Unopened):
            self.problem = str(store.problem)
            log.error("nothing can be stored: %s", self.problem)
        self._store = store
        self._committed = committed
        self._upkeep = upkeep
        self._reopen = reopen
        self._lost = lost
        self._unreported: tuple[Loss, bool] | None = None
        """A loss that was not reported yet, and whether all content was saved."""
        self._reserve = ReserveFile(store.path.parent)
        self._upkeep_problem: str | None = None
        self._upkeep_failed_s = 0.0
        self._waiting: queue.Queue[Group] = queue.Queue()
        self._waiting_count = 0
        self._lock = threading.Lock()

    def submit(self, changes: Sequence[Change]) -> None:
        """Have `changes` written in one transaction, soon. Never blocks."""
        if not changes:
            return
        with self._lock:
            if self._waiting_count >= MOST_WAITING:
                self.dropped += len(changes)
                return
            self._waiting_count += len(changes)
        self._waiting.put(tuple(changes))

    @property
    def waiting(self) -> int:
        """How many changes are not written yet."""
        with self._lock:
            return self._waiting_count

    def is_idle(self) -> bool:
        """Whether everything that was submitted is written, or dropped."""
        return self.waiting == 0

    def acknowledge(self, seq: int) -> None:
        """Have outbox message `seq` marked as delivered, soon."""
        self.submit((Acknowledged(seq),))

    def work(self) -> None:
        """Write until stopped, and then what still waits, if the disk takes it."""
        next_upkeep_s = next_reserve_s = next_files_s = 0.0
        while not (self.stopping.is_set() and self._waiting.empty()):
            self.beat()
            batch = self._gather()
            now_s = time.monotonic()
            if now_s >= next_reserve_s:
                next_reserve_s = now_s + RESERVE_INTERVAL_S
                self._reserve.make()
            if now_s >= next_files_s:
                next_files_s = now_s + FILES_INTERVAL_S
                with self._taking_long():
                    self._check_files()
                self._check_space()
            # Before the batch: what a clock that was set has stamped since must not be taken for what it stamped before.
            if now_s >= next_upkeep_s and not self.stopping.is_set():
                next_upkeep_s = now_s + UPKEEP_INTERVAL_S
                with self._taking_long():
                    self._do_upkeep()
            if batch and not self._write(batch):
                return

    def close(self) -> None:
        """Close the database. Call after `stop`."""
        self._store.close()

    @contextmanager
    def _taking_long(self) -> Iterator[None]:
        """What is done within may touch every page of the database: the next beat may come that much later."""
        self.beat(LONG_S)
        yield
        self.beat()

    def _gather(self) -> list[Group]:
        """What waits, gathered for a moment after the first; empty when nothing came for half a second."""
        try:
            gathered = [self._waiting.get(timeout=0.5)]
        except queue.Empty:
            return []
        count, deadline = len(gathered[0]), time.monotonic() + GATHER_S
        while count < MOST_IN_ONE_COMMIT:
            left_s = 0.0 if self.stopping.is_set() else max(0.0, deadline - time.monotonic())
            try:
                gathered.append(self._waiting.get(timeout=left_s))
            except queue.Empty:
                break
            count += len(gathered[-1])
        return gathered

    def _write(self, groups: list[Group]) -> bool:
        """Commit `groups`, retrying as long as it takes; False when the worker was stopped before it worked."""
        changes = [change for group in groups for change in group]
        failures = 0
        while True:
            last_try = self.stopping.is_set()
            try:
                self._store.write(changes)
            except StoreRefused as error:
                return self._write_what_can_be(groups, error)
            except StoreError as error:
                if self._make_room(error):
                    continue
                if last_try:
                    lost = len(changes) + self._waiting_besides(changes)
                    log.error("stopped with %d changes that could not be written: %s", lost, self.problem)
                    return False
                failures += 1
                self.stopping.wait(backoff_s(failures, RETRY_FIRST_S, RETRY_LONGEST_S))
                self.beat()
            else:
                self._succeeded(len(changes))
                return True

    def _write_what_can_be(self, groups: list[Group], error: StoreRefused) -> bool:
        """One bad group must not keep the others out, nor the worker busy for ever: it is left out and counted."""
        if len(groups) == 1:
            log.error("%d changes are left out: %s", len(groups[0]), error)
            with self._lock:
                self.dropped += len(groups[0])
                self._waiting_count -= len(groups[0])
            return True
        return all(self._write([group]) for group in groups)

    def _make_room(self, error: StoreError) -> bool:
        """After a failure: log it once, do what may help, return whether to try again at once."""
        if self.problem is None:
            log.error("nothing can be stored: %s", error)
        self.problem = str(error)
        if isinstance(error, StoreFull):
            return self._store.cancel_backup() or self._reserve.give_up()
        with self._taking_long():
            self._open_again()
        return False

    def _open_again(self) -> None:
        """After an I/O error the old handle cannot be trusted: what it says is on the disk may not be."""
        seq = self._store.last_seq
        try:
            self._store.close()
            self._store = self._reopen()
            # The publisher remembers what it has sent by number: none may come a second time for another message.
            self._store.number_messages_after(seq)
        except StoreError as error:
            self.problem = str(error)
            if isinstance(error, StoreFull):
                self._reserve.give_up()

    def _check_files(self) -> None:
        """SQLite does not notice that its file was deleted or replaced, and seldom that it was overwritten."""
        self._store.keep_lock()
        loss = self._store.loss()
        if loss is not None:
            log.error("%s; the database is opened again", loss)
            self.problem = str(loss)
            self._unreported = loss, self._store.abandon(loss)
        if self._store.is_closed:
            self._open_again()
        if self._unreported is not None and not self._store.is_closed:
            (loss, rescued), self._unreported, self.problem = self._unreported, None, None
            log.warning(
                "the database is open again; %s", "nothing in it was lost" if rescued else "some of it was lost"
            )
            if self._store.restored is None:  # else `reopen` has reported it
                self._lost(loss, None if rescued else self._store.last_known())

    def _check_space(self) -> None:
        found = self._reserve.shortage()
        if found != self.shortage:
            log.warning("%s", found or "there is room on the disk again")
        self.shortage = found

    def _succeeded(self, count: int) -> None:
        with self._lock:
            self._waiting_count -= count
        if self.problem is not None:
            log.warning("storing works again")
            self.problem = None
        self._committed()

    def _waiting_besides(self, changes: list[Change]) -> int:
        with self._lock:
            return self._waiting_count - len(changes)

    def _do_upkeep(self) -> None:
        if self._store.is_closed:
            return
        try:
            self._upkeep(self._store)
        except (StoreError, OSError) as error:  # the second of the folder of backups, on a disk that fails
            if self._upkeep_problem != str(error):
                log.warning("upkeep of the database failed: %s", error)
            self._upkeep_problem, self._upkeep_failed_s = str(error), time.monotonic()
        else:
            if time.monotonic() - self._upkeep_failed_s >= UPKEEP_RECOVERED_S:
                self._upkeep_problem = None
