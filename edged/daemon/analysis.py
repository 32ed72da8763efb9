"""The thread that takes frames from the inbox through the pipelines into the recorder."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edged.capture import FrameInbox
from edged.daemon.pace import Pace
from edged.errors import EdgedError
from edged.pipeline import Outcome, Pipeline, StageTimes
from edged.records import Notification
from edged.store.recorder import Recorder
from edged.types import Frame, Image, Signals
from edged.worker import Worker

log = logging.getLogger(__name__)

SILENT_AFTER_S, PICTURES_MISSED = 5.0, 4
"""A camera of which no picture was analysed for so long, and so many pictures at its present pace, is silent."""
RATE_S, MOST_IN_RATE = 10.0, 1300
"""Over how long frames are counted for the rate, and how many those are at most."""

NO_PICTURE: Image = np.zeros((0, 0, 3), np.uint8)

Observer = Callable[[Frame, Outcome], None]
"""Called in the analysis thread right after a frame was analysed, before it is recorded: it never waits and never raises. Also
called with a frame of no pixels (`NO_PICTURE`, index -1) when a camera's events are ended because it is silent or stops.
"""


@dataclass(frozen=True, slots=True)
class CameraActivity:
    """What analysis knows about one camera at this moment."""

    frames: int = 0
    faulty: int = 0
    """Frames that a model could not be run on."""
    counts: Mapping[str, int] | None = None
    attention: Mapping[str, int] | None = None
    static: int = 0
    """Pictures of faces, which are in no other count."""
    times: StageTimes | None = None
    age_s: float = 0.0
    """From capture to the end of analysis, for the last frame."""
    per_second: float = 0.0
    """Frames analysed a second, over the last `RATE_S`."""


_EMPTY = Outcome([], [], Signals(), [], [])
NO_PEOPLE = CameraActivity(counts=_EMPTY.counts(), attention=_EMPTY.attention_counts())
"""Of a camera that gives no pictures."""


class AnalysisWorker(Worker):
    """One thread for all cameras: the models are shared, and the cores are few."""

    def __init__(
        self,
        inbox: FrameInbox,
        pipelines: Mapping[str, Pipeline],
        recorder: Recorder,
        between_frames: Callable[[], None],
        observers: Sequence[Observer] = (),
        notifications: Callable[[], Sequence[Notification]] = tuple,
        pace: Pace | None = None,
    ) -> None:
        """`between_frames` is called before each frame, for what must not change within one; `observers`, in order, right after
        it and before anything is recorded; `notifications` gives what outputs have done about events since the last call;
        `pace` hears what pictures take.
        """
        super().__init__("analysis")
        self.problem: str | None = None
        """Why frames cannot be analysed now, or None."""
        self.first_frame_s: float | None = None
        self.end_reason = "stopped"
        """Why what is open ends when analysis is stopped."""
        self._inbox = inbox
        self._pipelines = pipelines
        self._recorder = recorder
        self._between_frames = between_frames
        self._observers = observers
        self._notifications = notifications
        self._pace = pace or Pace()
        self._lock = threading.Lock()
        self._activity = {camera: CameraActivity() for camera in pipelines}
        self._analysed_s: dict[str, deque[float]] = {camera: deque(maxlen=MOST_IN_RATE) for camera in pipelines}
        """When the frames of the last `RATE_S` were analysed, and the one before them."""
        self._last_time_s: dict[str, float] = {}
        self._heard_s: dict[str, float] = {}
        """When analysis had done with the last picture of a camera, or is to have it: a recording may be ahead."""
        self._next_check_s = 0.0

    def activity(self) -> dict[str, CameraActivity]:
        """A snapshot for the supervisor."""
        with self._lock:
            return {camera: replace(one, per_second=self._rate(camera)) for camera, one in self._activity.items()}

    def _rate(self, camera: str) -> float:
        """Call with the lock held."""
        now, times = time.monotonic(), self._analysed_s[camera]
        while len(times) > 1 and times[1] <= now - RATE_S:
            times.popleft()
        return (len(times) - 1) / max(now - times[0], 1.0) if times else 0.0

    def rest(self) -> None:
        """While watching is paused no face is present; instead of `start`."""
        self._activity = dict.fromkeys(self._pipelines, NO_PEOPLE)

    def work(self) -> None:
        """Analyse until stopped, then end what is open."""
        while not self.stopping.is_set():
            self.beat()
            frame = self._inbox.take(timeout_s=0.5)
            if frame is not None:
                self._between_frames()
                self._analyse(frame)
            for notification in self._notifications():
                self._recorder.notified(notification)
            self._let_time_pass(time.monotonic())
        self._finish(self.end_reason)

    def _analyse(self, frame: Frame) -> None:
        pipeline, began_s = self._pipelines[frame.camera], time.monotonic()
        try:
            outcome = pipeline.step(frame)
        except EdgedError as error:
            self._faulty(frame.camera, error)
            return
        self.problem = None
        self._observe(frame, outcome)
        self._recorder.record(outcome.events, outcome.encounters)
        now = time.monotonic()
        self._pace.took(frame.camera, now - began_s)
        self._recorder.analysed(frame.camera, frame.time_s, len(outcome.faces), self._pace.interval_s(frame.camera))
        self._last_time_s[frame.camera] = frame.time_s
        self._heard_s[frame.camera] = max(now, frame.time_s)
        self.first_frame_s = self.first_frame_s or now
        with self._lock:
            self._analysed_s[frame.camera].append(now)
            old = self._activity[frame.camera]
            self._activity[frame.camera] = CameraActivity(
                frames=old.frames + 1,
                faulty=old.faulty,
                counts=outcome.counts(),
                attention=outcome.attention_counts(),
                static=len(outcome.signals.static),
                times=pipeline.times,
                age_s=max(0.0, now - frame.time_s),
            )

    def _observe(self, frame: Frame, outcome: Outcome) -> None:
        for observer in self._observers:
            observer(frame, outcome)

    def _faulty(self, camera: str, error: EdgedError) -> None:
        """One frame is lost; the next may do better."""
        if self.problem is None:
            log.error("a frame of camera %s could not be analysed: %s", camera, error)
        self.problem = str(error)
        with self._lock:
            old = self._activity[camera]
            self._activity[camera] = replace(old, faulty=old.faulty + 1)

    def _let_time_pass(self, now_s: float) -> None:
        """Once a second, end the events of silent cameras: without frames no departure is seen."""
        if now_s < self._next_check_s:
            return
        self._next_check_s = now_s + 1.0
        for camera, last in list(self._last_time_s.items()):
            patience_s = max(SILENT_AFTER_S, PICTURES_MISSED * self._pace.interval_s(camera))
            if now_s - self._heard_s[camera] > patience_s:
                del self._last_time_s[camera]
                self._record_end(camera, last, "camera silent")

    def _finish(self, reason: str) -> None:
        for camera in self._pipelines:
            self._record_end(camera, self._last_time_s.get(camera, time.monotonic()), reason)
        self._recorder.flush()

    def _record_end(self, camera: str, time_s: float, reason: str) -> None:
        outcome = self._pipelines[camera].finish(time_s, reason)
        self._observe(Frame(camera, -1, time_s, NO_PICTURE), outcome)
        self._recorder.record(outcome.events, outcome.encounters)
        with self._lock:
            old = self._activity[camera]
            self._activity[camera] = replace(
                old, counts=outcome.counts(), attention=outcome.attention_counts(), static=0
            )
