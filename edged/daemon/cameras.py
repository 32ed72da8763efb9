"""Cameras and the analysis of their pictures: started together, stopped together, or handed on in part to their successors."""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass

from edged.capture import CameraWorker, FrameInbox
from edged.daemon.analysis import AnalysisWorker
from edged.worker import Worker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cameras:
    """One capture thread per camera, one analysis thread for all, and the inbox between them."""

    inbox: FrameInbox
    workers: dict[str, CameraWorker]
    analysis: AnalysisWorker
    paused: bool = False
    """They do not run, and are not started."""

    def start(self) -> None:
        """Start what does not run yet; cameras that a predecessor has handed on do."""
        if self.paused:
            return
        self.analysis.start()
        for worker in self.workers.values():
            worker.start()

    def stop(self, successor: "Cameras | None" = None, reason: str = "stopped") -> None:
        """Stop taking pictures, then analysing them; what is open is ended, for `reason`, and recorded. Takes at most three
        seconds.

        Cameras that `successor` holds too go on, and hand their pictures to its inbox.
        """
        kept: Collection[CameraWorker] = successor.workers.values() if successor else ()
        ending = [worker for worker in self.workers.values() if worker not in kept]
        for worker in ending:
            worker.stopping.set()
        for worker in kept:
            worker.inbox = successor.inbox if successor else worker.inbox
        deadline = time.monotonic() + 1.0
        for worker in ending:
            if not worker.stop(max(0.05, deadline - time.monotonic())):
                log.warning("camera %s did not stop in time; its thread is abandoned", worker.camera)
        self.analysis.end_reason = reason
        self.analysis.stopping.set()
        self.inbox.close()
        if not self.analysis.stop(2.0):
            log.warning("analysis did not stop in time; events that it has not recorded are lost")

    @property
    def threads(self) -> list[Worker]:
        return [self.analysis, *self.workers.values()]

    @property
    def all_played(self) -> bool:
        """Whether every camera was a recording that has ended, and every picture of it was analysed."""
        return all(worker.ended for worker in self.workers.values()) and self.inbox.is_empty()
