"""The way of one frame, from pixels to events, for one camera; the stages in the order data flows through them."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

from edged.analyse import Analyser
from edged.analyse.static import StaticFaces
from edged.detect.changes import SceneCuts
from edged.detect.schedule import DetectionSchedule
from edged.events import Encounters, Events
from edged.ports import Detector
from edged.signals import Smoother
from edged.track import Tracker
from edged.types import DROWSY_LEVELS, Detection, Encounter, Event, Face, Frame, Signals


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one frame led to. `faces` are people: static faces are in `signals.static` only."""

    detections: list[Detection]
    faces: list[Face]
    signals: Signals
    events: list[Event]
    encounters: list[Encounter]

    def counts(self) -> dict[str, int]:
        """People present by mask state."""
        counted = Counter(vote.state.value for vote in self.signals.masks)
        return {state: counted[state] for state in ("correct", "incorrect", "none", "uncertain")}

    def attention_counts(self) -> dict[str, int]:
        """People present by attention; `drowsy` are those whose drowsiness stands at warning or alarm."""
        attentive = Counter(one.attentive for one in self.signals.attention)
        return {
            "present": len(self.faces),
            "attentive": attentive[True],
            "away": attentive[False],
            "drowsy": sum(drowsiness.level in DROWSY_LEVELS for drowsiness in self.signals.drowsiness),
            "unknown": attentive[None],
        }


@dataclass(slots=True)
class StageTimes:
    """Seconds spent in each stage by the last frame, for `edged bench` and the status."""

    detect: float = 0.0
    track: float = 0.0
    analyse: float = 0.0
    decide: float = 0.0


STAGES = tuple(stage.name for stage in fields(StageTimes))


@dataclass(slots=True)
class Pipeline:
    """One camera's stages. Models behind `detector` and `analyser` may be shared; the rest is this camera's own."""

    camera: str
    detector: Detector
    tracker: Tracker
    analyser: Analyser
    smoother: Smoother
    events: Events
    encounters: Encounters
    static: StaticFaces | None = None
    """None where static faces are not told from people."""
    schedule: DetectionSchedule | None = None
    """Runs the detector where it pays; None where it runs on every whole picture."""
    cuts: SceneCuts | None = None
    """Ends all tracks when another scene begins; None where there are no cuts, but sweeping lights that look like one."""
    times: StageTimes = field(default_factory=StageTimes)
    timer: Callable[[], float] = time.perf_counter
    _last: tuple[float, Outcome] | None = None
    """The newest frame's time and outcome."""
    _size: tuple[int, ...] | None = None
    """The newest frame's height and width."""

    def step(self, frame: Frame) -> Outcome:
        """Take one frame through all stages. A frame of the same instant as the one before is the same frame: it costs
        nothing, and leads to nothing new.
        """
        if self._last is not None and self._last[0] == frame.time_s:
            return replace(self._last[1], events=[], encounters=[])
        start = self.timer()
        cut = self.cuts is not None and self.cuts.is_cut(frame.image)
        before, self._size = self._size, frame.image.shape[:2] if frame.image.size else self._size
        if cut or before not in (None, self._size):  # in pixels of another size, no face is where it was
            self._end_tracks()
        detections = self._detect(frame)
        detected = self.timer()
        tracks = self.tracker.update(frame.time_s, detections)
        tracked = self.timer()
        static = self.static.update(frame.time_s, frame.image, tracks) if self.static else ()
        static_tracks = {face.track for face in static}
        people = [track for track in tracks if track.id not in static_tracks]
        faces = self.analyser.analyse(frame.time_s, frame.image, people)
        analysed = self.timer()
        signals = replace(self.smoother.update(frame.time_s, faces), static=static)
        events = self.events.update(frame.time_s, signals)
        encounters = self.encounters.update(frame.time_s, signals)
        decided = self.timer()
        self.times = StageTimes(detected - start, tracked - detected, analysed - tracked, decided - analysed)
        outcome = Outcome(detections, faces, signals, events, encounters)
        self._last = frame.time_s, outcome
        return outcome

    def _detect(self, frame: Frame) -> list[Detection]:
        if self.schedule is None:
            return self.detector.detect(frame.image)
        return self.schedule.detect(frame.time_s, frame.image, self.tracker.expected(frame.time_s))

    def finish(self, time_s: float, reason: str) -> Outcome:
        """End what is open, because the camera stops, falls silent or changes its settings; who comes next is new."""
        self._end_tracks()
        if self.cuts is not None:
            self.cuts.forget()
        self._last = self._size = None
        return Outcome([], [], Signals(), self.events.finish(time_s, reason), self.encounters.finish())

    def _end_tracks(self) -> None:
        """Every face in the next picture is new."""
        self.tracker.forget()
        if self.schedule is not None:
            self.schedule.forget()
