"""The thread that owns the writing connection: gathers changes, commits them together, and outlasts a full disk."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from edged.errors import StoreError
from edged.store.ballast import Ballast
from edged.store.rows import Acknowledged, Change, CoverageMinute
from edged.store.writer import Store, StoreFull
from edged.worker import Worker

log = logging.getLogger(__name__)

GATHER_S = 0.1
"""Changes wait at most this long for company: one commit costs an SD card 10 to 200 ms, however much is in it."""

RETRY_FIRST_S, RETRY_LONGEST_S = 0.5, 10.0
MOST_WAITING = 20_000
MOST_IN_ONE_COMMIT = 2_000
UPKEEP_INTERVAL_S = 60.0


class StoreWorker(Worker):
    """Takes changes from any thread; what was taken is written in order, or dropped and counted when too much waits."""

    def __init__(
        self,
        store: Store,
        *,
        committed: Callable[[], None],
        upkeep: Callable[[Store], None],
        reopen: Callable[[], Store],
    ) -> None:
        """`committed` is called after each commit, `upkeep` about once a minute, `reopen` after an I/O error."""
        super().__init__("store")
        self.dropped = 0
        """Changes lost because the disk was full for too long."""
        self.problem: str | None = None
        """Why nothing can be written now, or None."""
        self._store = store
        self._committed = committed
        self._upkeep = upkeep
        self._reopen = reopen
        self._ballast = Ballast(store.path.parent)
        self._waiting: queue.Queue[tuple[Change, ...]] = queue.Queue()
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

    def acknowledge(self, seq: int) -> None:
        """Have outbox message `seq` marked as delivered, soon."""
        self.submit((Acknowledged(seq),))

    def work(self) -> None:
        """Write until stopped, and then what still waits, if the disk takes it."""
        self._ballast.lay()
        next_upkeep_s = time.monotonic()
        while not (self.stopping.is_set() and self._waiting.empty()):
            self.beat()
            batch = self._gather()
            if batch and not self._write(batch):
                return
            if time.monotonic() >= next_upkeep_s and not self.stopping.is_set():
                next_upkeep_s = time.monotonic() + UPKEEP_INTERVAL_S
                self._look_after()

    def close(self) -> None:
        """Close the database. Call after `stop`."""
        self._store.close()

    def _gather(self) -> list[Change]:
        """What waits, gathered for a moment after the first; empty when nothing came for a second."""
        try:
            gathered = list(self._waiting.get(timeout=0.5))
        except queue.Empty:
            return []
        deadline = time.monotonic() + GATHER_S
        while len(gathered) < MOST_IN_ONE_COMMIT:
            try:
                gathered += self._waiting.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
        return gathered

    def _write(self, batch: list[Change]) -> bool:
        """Commit `batch`, retrying as long as it takes; False when the worker is stopped before it worked."""
        wait_s = RETRY_FIRST_S
        while True:
            try:
                self._store.write(batch)
            except StoreError as error:
                self._failed(error)
                if self.stopping.wait(wait_s):
                    log.error("stopped with %d changes that could not be written: %s", len(batch), error)
                    return False
                self.beat()
                wait_s = min(wait_s * 2, RETRY_LONGEST_S)
                batch = [change for change in batch if not isinstance(change, CoverageMinute)]
            else:
                self._succeeded(len(batch))
                return True

    def _failed(self, error: StoreError) -> None:
        if self.problem is None:
            log.error("nothing can be stored: %s", error)
        self.problem = str(error)
        if isinstance(error, StoreFull):
            self._ballast.throw()
        else:
            self._open_again()

    def _open_again(self) -> None:
        """After an I/O error the old handle cannot be trusted: what it says is on the disk may not be."""
        try:
            self._store.close()
            self._store = self._reopen()
        except StoreError as error:
            self.problem = str(error)

    def _succeeded(self, count: int) -> None:
        with self._lock:
            self._waiting_count = max(0, self._waiting_count - count)
        if self.problem is not None:
            log.warning("storing works again")
            self.problem = None
        self._committed()

    def _look_after(self) -> None:
        self._ballast.lay()
        try:
            self._upkeep(self._store)
        except StoreError as error:
            log.warning("upkeep of the database failed: %s", error)
