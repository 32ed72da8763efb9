"""One long-lived thread: it beats while it makes progress, stops when asked, and says why it died."""

import logging
import threading
import time

log = logging.getLogger(__name__)


class Worker:
    """Subclass and write `work`, which beats in its loop and returns soon after `stopping` is set."""

    stuck_after_s = 20.0
    """Without a beat for this long the worker is taken for wedged, and the watchdog is no longer fed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self._beat_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; does nothing when it was begun before."""
        if self._thread.ident is not None:
            return
        self._beat_s = time.monotonic()
        self._thread.start()

    def work(self) -> None:
        """The thread's life."""
        raise TypeError(f"{type(self).__name__} has no work")

    def beat(self, pause_s: float = 0.0) -> None:
        """Say that progress was made; the next beat may take `pause_s` longer than usual."""
        self._beat_s = time.monotonic() + pause_s

    def is_stuck(self) -> bool:
        """Whether the worker runs, but has made no progress for too long."""
        return self._thread.is_alive() and time.monotonic() - self._beat_s > self.stuck_after_s

    @property
    def last_beat_s(self) -> int | None:
        """How long ago it made progress; None when it is not alive, or wedged."""
        alive = self._thread.is_alive() and not self.is_stuck()
        return max(0, round(time.monotonic() - self._beat_s)) if alive else None

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self, timeout_s: float) -> bool:
        """Ask the worker to end and wait for it; return whether it did."""
        self.stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.work()
        except Exception as error:
            # The supervisor sees `failure` and ends the daemon, and systemd starts it afresh.
            self.failure = error
            log.exception("worker %s failed", self.name)
