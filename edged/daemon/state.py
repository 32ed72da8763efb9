"""What the supervisor derives from the threads it watches: camera events, counts, the state document, the status answer."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edged import __version__, messages
from edged.backends import BuildProgress
from edged.capture import CameraState, CameraWorker
from edged.config import CameraConfig, Config, Tasks
from edged.daemon.analysis import NO_PEOPLE, CameraActivity
from edged.daemon.cameras import Cameras
from edged.host.device import resident_mb
from edged.host.thermal import ThermalState
from edged.outputs.units import OutputState
from edged.payloads.mqtt import Preparation, StatePayload
from edged.pipeline import STAGES
from edged.ports import Clock
from edged.records import Message
from edged.store.recorder import Recorder
from edged.store.worker import StoreWorker

Retain = Callable[[Message], None]

OUTPUT_KEY = "output "
"""What an output's name begins with among those of cameras, which have no spaces."""


@dataclass(slots=True)
class CameraWatch:
    """Follows the cameras' states through all reloads: publishes them, and records trouble and coverage."""

    recorder: Recorder
    clock: Clock
    retain: Retain
    _published: dict[str, dict[str, str]] = field(default_factory=dict)
    """By camera or output, and kind of document: what was published last."""
    _events: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By camera: key and state of its open event."""
    _frames: dict[str, int] = field(default_factory=dict)
    _number: int = 0

    def supervise(self, config: Config, cameras: Cameras) -> None:
        """Take in every camera's present state; call about once a second."""
        for camera, worker in cameras.workers.items():
            state = worker.state()
            self._publish_status(camera, state)
            if not worker.ended:
                self._follow_event(camera, state, config.camera[camera].stall_seconds)
        self._count_frames(cameras)
        silent = {camera for camera, worker in cameras.workers.items() if _gives_nothing(worker)}
        for camera, activity in cameras.analysis.activity().items():
            # Else the broker would keep those of before, say of before a power cut, for as long as the camera does not work.
            nothing_comes = activity.counts is None and (activity.faulty or camera in silent)
            self._publish_people(camera, config.camera[camera].tasks, NO_PEOPLE if nothing_comes else activity)

    def publish_outputs(self, states: Mapping[str, OutputState]) -> None:
        """Publish every output's state that has changed; call about once a second.

        One that is gone is forgotten: the broker has forgotten it too, and hears of it again if it comes back.
        """
        gone = [
            key for key in self._published if key.startswith(OUTPUT_KEY) and key.removeprefix(OUTPUT_KEY) not in states
        ]
        for key in gone:
            del self._published[key]
        for name, state in states.items():
            if self._has_changed(f"{OUTPUT_KEY}{name}", "state", repr(state)):
                payload = messages.output_payload(asdict(state), self.clock.utc_ms())
                self.retain(messages.OUTPUT.message(payload, name))

    def finish(self, cameras: Cameras, reason: str, successor: Cameras | None = None) -> None:
        """These cameras have stopped, but for those that `successor` keeps: count the frames since the last `supervise`, store
        their last minute, end the events of those in trouble.
        """
        self._count_frames(cameras)
        for camera, worker in cameras.workers.items():
            if successor is not None and successor.workers.get(camera) is worker:
                continue
            if camera in self._events:
                self._end_event(camera, reason)
            self._frames.pop(camera, None)
            self._published.pop(camera, None)
            self.recorder.finish(camera)

    def publish_again(self) -> None:
        """Publish everything again at the next `supervise`: there is another connection to the broker."""
        self._published.clear()

    def _count_frames(self, cameras: Cameras) -> None:
        """Record how many frames each camera gave since the last time."""
        for camera, worker in cameras.workers.items():
            state = worker.state()
            frames = state.frames - self._frames.get(camera, 0)
            self._frames[camera] = state.frames
            self.recorder.seen(camera, max(0, frames), cameras.inbox.take_dropped(camera), state.status)

    def _publish_status(self, camera: str, state: CameraState) -> None:
        """Publish on a change of status or reason, not of the seconds in it."""
        key = f"{state.status}/{state.reconnects}/{state.reason if state.status != 'stalled' else ''}"
        if self._has_changed(camera, "status", key):
            payload = messages.status_payload(
                state.status, self.recorder.utc_ms(state.since_s), self.clock.utc_ms(), state.reconnects, state.reason
            )
            self.retain(messages.CAMERA_STATUS.message(payload, camera))

    def _publish_people(self, camera: str, tasks: Tasks, activity: CameraActivity) -> None:
        """Publish how many are present, by what the camera's profile follows, when that has changed."""
        now, static = self.clock.utc_ms(), activity.static
        masks, attention = mask_counts(tasks, activity), attention_counts(tasks, activity)
        if masks is not None and self._has_changed(camera, "counts", f"{masks} {static}"):
            self.retain(messages.CAMERA_COUNTS.message(messages.counts_payload(masks, now, static), camera))
        if attention is not None and self._has_changed(camera, "attention", f"{attention} {static}"):
            self.retain(messages.CAMERA_ATTENTION.message(messages.attention_payload(attention, now, static), camera))

    def _has_changed(self, camera: str, document: str, content: str) -> bool:
        """Whether this differs from what was published last; takes note of it."""
        published = self._published.setdefault(camera, {})
        if published.get(document) == content:
            return False
        published[document] = content
        return True

    def _follow_event(self, camera: str, state: CameraState, stall_seconds: float) -> None:
        """A camera lost for `stall_seconds`, silent for as long, or with bad pictures is an event until it is well."""
        opened, trouble = self._events.get(camera), trouble_of(state)
        if trouble is None:
            if opened is not None:
                self._end_event(camera, "back")
        elif opened is None:
            if trouble != "lost" or self.clock.monotonic_s() - state.since_s >= stall_seconds:
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


def _gives_nothing(worker: CameraWorker) -> bool:
    """Whether a camera that has given no picture yet was tried, and gives none."""
    state = worker.state()
    return worker.ended or (trouble_of(state) is not None and not state.is_opening)


def trouble_of(state: CameraState) -> str | None:
    """What a camera event calls the camera's present trouble: "lost", "stalled", or what is wrong with its pictures."""
    if state.status in ("online", "paused"):
        return state.trouble
    return "stalled" if state.status == "stalled" else "lost"


def kept_topics(camera: str, tasks: Tasks) -> list[str]:
    """The relative topics of a camera with such a profile whose last value the broker keeps."""
    asked = {
        messages.CAMERA_STATUS: True,
        messages.CAMERA_COUNTS: tasks.mask,
        messages.CAMERA_ATTENTION: tasks.landmarks,
    }
    return [topic.at(camera) for topic, kept in asked.items() if kept]


def mask_counts(tasks: Tasks, activity: CameraActivity) -> Mapping[str, int] | None:
    """People present by mask state; None before the first frame, and where the profile follows no masks."""
    return activity.counts if tasks.mask else None


def attention_counts(tasks: Tasks, activity: CameraActivity) -> Mapping[str, int | None] | None:
    """People present by attention, each count None that the profile does not follow; None as a whole where it follows none."""
    if activity.attention is None or not tasks.landmarks:
        return None
    asked = {"present": True, "drowsy": tasks.drowsiness}
    return {key: count if asked.get(key, tasks.attention) else None for key, count in activity.attention.items()}


def backend_of(models: Mapping[str, str]) -> str:
    """What runs them all, or "mixed"."""
    backends = set(models.values())
    return backends.pop() if len(backends) == 1 else "mixed"


def preparing_of(building: BuildProgress) -> Preparation:
    """As it is published; in steps of ten percent, since each step is a message."""
    return {"model": building.model, "step": building.step, "percent": int(building.part * 10) * 10}


@dataclass(frozen=True, slots=True)
class Health:
    """The daemon's own state, for MQTT, `edged status` and systemd's status line."""

    device: str
    started_s: float
    clock: Clock
    store: StoreWorker

    def errors(self, cameras: Cameras, publisher_problem: str | None, reload_problem: str | None) -> list[str]:
        """What is wrong now, one line each, the remedy in it."""
        problems = [
            self.store.problem or self.store.shortage,
            cameras.analysis.problem,
            publisher_problem,
            reload_problem,
        ]
        if self.store.dropped:
            problems.append(
                f"{self.store.dropped} rows were lost while nothing could be stored; `edged doctor` says whether it"
                " can now, and the log why not"
            )
        for camera, worker in cameras.workers.items():
            state = worker.state()
            if trouble_of(state) and not (worker.ended or state.is_opening):
                # Not since how many seconds: the state is published anew whenever a line of this is another.
                reason = "no picture comes" if state.status == "stalled" else state.reason
                problems.append(f"camera {camera} is {state.trouble or state.status}: {reason}")
        return [problem for problem in problems if problem]

    def state(
        self,
        models: Mapping[str, str],
        errors: list[str],
        outbox: int | None,
        thermal: ThermalState,
        building: BuildProgress | None,
        paused_until: str | None = None,
    ) -> StatePayload:
        """The `state` topic's document. `models` maps the name of each loaded model to what runs it; `building` is the
        model whose engine is being built, and its progress.
        """
        return messages.state_payload(
            version=__version__,
            uptime_s=self.clock.monotonic_s() - self.started_s,
            backend=backend_of(models),
            models=models,
            clock_ok=self.clock.trusted(),
            outbox=outbox,
            errors=errors,
            at=self.clock.utc_ms(),
            temperature_c=thermal.temperature_c,
            throttled=thermal.throttled,
            under_voltage=thermal.under_voltage,
            preparing=None if building is None else preparing_of(building),
            paused_until=paused_until,
        )

    def status(
        self, config: Config, cameras: Cameras, state: Mapping[str, Any], broker: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The whole answer to `edged status --json`."""
        activity = cameras.analysis.activity()
        first = cameras.analysis.first_frame_s
        return {
            "device": self.device,
            "first_frame_s": None if first is None else round(first - self.started_s, 2),
            "resident_mb": round(resident_mb(), 1),
            **{key: value for key, value in state.items() if key != "v"},
            "broker": dict(broker),
            "cameras": {
                camera: self._camera(config.camera[camera], worker.state(), activity[camera])
                for camera, worker in cameras.workers.items()
            },
        }

    @staticmethod
    def _camera(config: CameraConfig, state: CameraState, activity: CameraActivity) -> dict[str, Any]:
        times = activity.times
        return {
            "name": config.name,
            "profile": config.profile,
            "fps": config.fps,
            "status": state.status,
            "reason": state.reason,
            "since_s": round(time.monotonic() - state.since_s, 1),
            "reconnects": state.reconnects,
            "frames_seen": state.frames,
            "frames_analysed": activity.frames,
            "frames_faulty": activity.faulty,
            "analysed_per_second": round(activity.per_second, 1),
            "frame_age_ms": round(activity.age_s * 1000, 1),
            "counts": mask_counts(config.tasks, activity),
            "attention": attention_counts(config.tasks, activity),
            "static_faces": activity.static,
            "stages_ms": times and {stage: round(getattr(times, stage) * 1000, 2) for stage in STAGES},
        }
