"""What the supervisor makes of the workers it looks after: camera events, counts, the state document, the status answer."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edged import __version__, messages
from edged.backends.preparing import Preparing
from edged.capture import CameraState
from edged.config import CameraConfig, Config, Wants
from edged.daemon.analysis import CameraActivity
from edged.daemon.parts import Watching
from edged.memory import resident_mb
from edged.payloads.mqtt import Preparation, StatePayload
from edged.ports import Clock
from edged.records import Message
from edged.store.recorder import Recorder
from edged.store.worker import StoreWorker
from edged.thermal import Heat

Retain = Callable[[Message], None]


@dataclass(slots=True)
class CameraWatch:
    """Follows the cameras' states: tells the broker, the record, and the coverage."""

    config: Config
    recorder: Recorder
    clock: Clock
    retain: Retain
    _told: dict[str, str] = field(default_factory=dict)
    _events: dict[str, tuple[str, str]] = field(default_factory=dict)
    _frames: dict[str, int] = field(default_factory=dict)
    _number: int = 0

    def look(self, watching: Watching) -> None:
        """Take in every camera's present state; call about once a second."""
        for camera, worker in watching.cameras.items():
            state = worker.state()
            self._tell_status(camera, state)
            if not worker.ended:
                self._follow_event(camera, state)
        self._count_frames(watching)
        for camera, activity in watching.analysis.activity().items():
            if camera in self.config.camera:
                self._tell_people(camera, activity)

    def finish(self, watching: Watching, reason: str) -> None:
        """Nobody looks after these cameras any more: count the frames since the last look, end the events of those in trouble."""
        self._count_frames(watching)
        for camera in list(self._events):
            self._end_event(camera, reason)

    def _count_frames(self, watching: Watching) -> None:
        """Tell the record how many frames each camera gave since the last time."""
        for camera, worker in watching.cameras.items():
            state = worker.state()
            frames = state.frames - self._frames.get(camera, 0)
            self._frames[camera] = state.frames
            self.recorder.seen(camera, max(0, frames), watching.inbox.take_dropped(camera), state.status)

    def _tell_status(self, camera: str, state: CameraState) -> None:
        """Publish on a change of status or reason, not of the seconds in it."""
        key = f"{state.status}/{state.reconnects}/{state.reason if state.status != 'stalled' else ''}"
        if self._told.get(camera) == key:
            return
        self._told[camera] = key
        payload = messages.status_payload(
            state.status, self.recorder.utc_ms(state.since_s), self.clock.utc_ms(), state.reconnects, state.reason
        )
        self.retain(messages.CAMERA_STATUS.message(payload, camera))

    def _tell_people(self, camera: str, activity: CameraActivity) -> None:
        """Publish how many are present, by what the camera's profile follows, when that has changed."""
        wants, now = self.config.camera[camera].wants, self.clock.utc_ms()
        masks, attention = mask_counts(wants, activity), attention_counts(wants, activity)
        static = activity.static
        if masks is not None and self._is_news(f"{camera} counts", {**masks, "static": static}):
            self.retain(messages.CAMERA_COUNTS.message(messages.counts_payload(masks, now, static), camera))
        if attention is not None and self._is_news(f"{camera} attention", {**attention, "static": static}):
            self.retain(messages.CAMERA_ATTENTION.message(messages.attention_payload(attention, now, static), camera))

    def _is_news(self, key: str, counts: Mapping[str, int | None]) -> bool:
        if self._told.get(key) == str(counts):
            return False
        self._told[key] = str(counts)
        return True

    def _follow_event(self, camera: str, state: CameraState) -> None:
        """A camera lost for `stall_seconds`, silent for as long, or with bad pictures is an event until it is well."""
        opened, trouble = self._events.get(camera), trouble_of(state)
        if trouble is None:
            if opened is not None:
                self._end_event(camera, "back")
        elif opened is None:
            patience = self.config.camera[camera].stall_seconds
            if trouble != "lost" or self.clock.monotonic_s() - state.since_s >= patience:
                self._number += 1
                key = f"{camera}-camera-{self._number}"
                self._events[camera] = (key, trouble)
                since_s = state.since_s if state.status != "online" else None
                self.recorder.camera_event(camera, "start", trouble, {"reason": state.reason}, key, began_s=since_s)
        elif opened[1] != trouble:
            self._events[camera] = (opened[0], trouble)
            self.recorder.camera_event(camera, "update", trouble, {"reason": state.reason}, opened[0])

    def _end_event(self, camera: str, reason: str) -> None:
        key, was = self._events.pop(camera)
        self.recorder.camera_event(camera, "end", was, {}, key, reason)


def trouble_of(state: CameraState) -> str | None:
    """What a camera event calls the camera's present trouble: "lost", "stalled", or what is wrong with its pictures."""
    if state.status == "online":
        return state.trouble
    return "stalled" if state.status == "stalled" else "lost"


def kept_topics(camera: str, wants: Wants) -> list[str]:
    """The relative topics of a camera with such a profile whose last value the broker keeps."""
    asked = {
        messages.CAMERA_STATUS: True,
        messages.CAMERA_COUNTS: wants.mask,
        messages.CAMERA_ATTENTION: wants.landmarks,
    }
    return [topic.at(camera) for topic, kept in asked.items() if kept]


def mask_counts(wants: Wants, activity: CameraActivity) -> Mapping[str, int] | None:
    """People present by mask state; None before the first frame, and where nobody asks for masks."""
    return activity.counts if wants.mask else None


def attention_counts(wants: Wants, activity: CameraActivity) -> Mapping[str, int | None] | None:
    """People present by attention, each count None that nobody asks for; None as a whole where nobody asks for any."""
    if activity.attention is None or not wants.landmarks:
        return None
    asked = {"present": True, "drowsy": wants.drowsiness}
    return {key: count if asked.get(key, wants.attention) else None for key, count in activity.attention.items()}


def backend_of(models: Mapping[str, str]) -> str:
    """What runs them all, or "mixed"."""
    backends = set(models.values())
    return backends.pop() if len(backends) == 1 else "mixed"


def preparing_of(preparing: Preparing) -> Preparation:
    """As people are told; in steps of ten percent, as each is published."""
    return {"model": preparing.model, "step": preparing.step, "percent": int(preparing.part * 10) * 10}


@dataclass(frozen=True, slots=True)
class Health:
    """The daemon's own state, for MQTT, `edged status` and systemd's status line."""

    device: str
    started_s: float
    clock: Clock
    store: StoreWorker
    models: Callable[[], Mapping[str, str]]
    """Gives the name of each loaded model, and what runs it now."""

    def errors(self, watching: Watching, publisher_problem: str | None, reload_problem: str | None) -> list[str]:
        """What is wrong now, one line each, the remedy in it."""
        problems = [self.store.problem, watching.analysis.problem, publisher_problem, reload_problem]
        if self.store.dropped:
            problems.append(f"{self.store.dropped} rows were lost while nothing could be stored")
        for camera, worker in watching.cameras.items():
            state = worker.state()
            if trouble_of(state) and not (worker.ended or state.is_opening):
                problems.append(f"camera {camera} is {state.trouble or state.status}: {state.reason}")
        return [problem for problem in problems if problem]

    def state(self, errors: list[str], outbox: int | None, heat: Heat, preparing: Preparing | None) -> StatePayload:
        """The `state` topic's document; `preparing` is the model whose engine is being made, and how far that is."""
        models = self.models()
        return messages.state_payload(
            version=__version__,
            uptime_s=self.clock.monotonic_s() - self.started_s,
            backend=backend_of(models),
            models=models,
            clock_ok=self.clock.trusted(),
            outbox=outbox,
            errors=errors,
            at=self.clock.utc_ms(),
            temperature_c=heat.temperature_c,
            throttled=heat.throttled,
            under_voltage=heat.under_voltage,
            preparing=None if preparing is None else preparing_of(preparing),
        )

    def status(
        self, config: Config, watching: Watching, state: Mapping[str, Any], broker: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The whole answer to `edged status --json`."""
        activity = watching.analysis.activity()
        cameras = {
            camera: self._camera(config.camera[camera], worker.state(), activity[camera])
            for camera, worker in watching.cameras.items()
            if camera in config.camera  # a reload replaces the one a moment before the other
        }
        first = watching.analysis.first_frame_s
        return {
            "device": self.device,
            "first_frame_s": None if first is None else round(first - self.started_s, 2),
            "resident_mb": round(resident_mb(), 1),
            **{key: value for key, value in state.items() if key != "v"},
            "broker": dict(broker),
            "cameras": cameras,
        }

    @staticmethod
    def _camera(config: CameraConfig, state: CameraState, activity: CameraActivity) -> dict[str, Any]:
        times = activity.times
        return {
            "name": config.name,
            "profile": config.profile,
            "status": state.status,
            "reason": state.reason,
            "since_s": round(time.monotonic() - state.since_s, 1),
            "reconnects": state.reconnects,
            "frames_seen": state.frames,
            "frames_analysed": activity.frames,
            "frames_faulty": activity.faulty,
            "frame_age_ms": round(activity.age_s * 1000, 1),
            "counts": mask_counts(config.wants, activity),
            "attention": attention_counts(config.wants, activity),
            "static_faces": activity.static,
            "stages_ms": times
            and {stage: round(getattr(times, stage) * 1000, 2) for stage in ("detect", "track", "analyse", "decide")},
        }
