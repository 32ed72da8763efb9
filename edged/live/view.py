"""The live view of all cameras: keeps the newest frame of one that has viewers, and makes a picture of it for them.

Analysis only leaves a reference here, and wakes who waits for one. A picture is made in the thread of whoever asks, one at a
time, at most five a second for each camera, and once for all viewers.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edged.capture.examine import judged
from edged.config import PrivacyConfig
from edged.errors import EdgedError
from edged.host.memory import give_back
from edged.live import live_path
from edged.live.clear import ClearViews, Record
from edged.live.faces import backlight, face_rows, hidden_boxes
from edged.live.hide import NOT_HIDDEN, hidden_jpeg, jpeg, small_copy
from edged.live.picture import Picture, due_s, is_turn, spent_ms
from edged.live.question import parsed_question
from edged.pipeline import Outcome
from edged.ports import Detector
from edged.sockets import LineServer
from edged.types import Box, Frame

ASKED_WITHIN_S = 3.0
"""Frames are kept for those who have asked within this time."""
WAIT_S = 2.0
EVERY_S = 0.2
FACES_EVERY_S = 0.05
"""For those who ask for what was seen and no picture: nothing is encoded for them."""
VERIFIER_KEPT_S = 60.0
"""The verifier stays loaded for so long after the last picture: who goes from page to page does not wait for it each time."""
GIVE_BACK_S = 60.0
"""So often free memory is given back while pictures are made: they are large, live for moments, and leave holes in the heap."""
MOST_VIEWERS = 2
MOST_CLIENTS = 32
CHANGING = "busy: the cameras are being changed; ask again in a moment"

State = tuple[str, str | None]
States = Callable[[str], State | None]
"""A camera's state and the reason for it; None of a camera that is not there."""


@dataclass(frozen=True, slots=True)
class Source:
    """What pictures are made with: changes with the config."""

    states: States
    load_detector: Callable[[], Detector]
    """Loads a detector of its own, which verifies that faces are hidden."""
    sure: float
    """The score from which on a detection may be a new face."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A frame with what was found in it, and when analysis had done with it."""

    frame: Frame
    outcome: Outcome
    came_s: float


@dataclass(slots=True)
class _Camera:
    """What is kept of one that has viewers."""

    asked_s: float = float("-inf")
    newest: "_Seen | None" = None
    made: dict[bool | None, Picture] = field(default_factory=dict)
    """By whether it is clear; None: what was seen, without a picture."""
    viewers: dict[str, float] = field(default_factory=dict)
    """When each has asked last."""
    waiting: int = 0


@dataclass(slots=True)
class Figures:
    """Counted since the start."""

    encoded: int = 0
    withheld: int = 0
    made_s: float = 0.0
    """Time that making pictures took, verification included."""

    @property
    def made(self) -> int:
        return self.encoded + self.withheld


class LiveView:
    """Thread-safe. Analysis calls `observe`, the main thread `configure` and `drop_unused`, clients' threads `answer`."""

    def __init__(self, record_clear: Record, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self.clear = ClearViews(record_clear)
        self.figures = Figures()
        self._now_s = monotonic_s
        self._source: Source | None = None
        self._detector: tuple[Source, Detector] | None = None
        self._verified_s = 0.0
        self._gave_back_s, self._gave_back_after = 0.0, 0
        self._cameras: dict[str, _Camera] = {}
        self._closed = False
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        """Told when a camera that somebody looks at has a newer frame, and when nobody is to wait any more."""
        self._making = threading.Lock()

    def server(self, database: Path) -> LineServer:
        """The socket for live pictures; not open yet."""
        busy = _head({"ok": False, "error": "busy; ask again in a moment", "bytes": 0})
        return LineServer(
            "live", live_path(database), self.answer, use="the live view", busy=busy, most_clients=MOST_CLIENTS
        )

    def configure(self, source: Source, privacy: PrivacyConfig) -> None:
        """Another config is in force."""
        with self._lock:
            self._source, self.clear.privacy = source, privacy

    def suspend(self) -> None:
        """The cameras are about to change: nothing of what they showed is given from now on."""
        with self._changed:
            self._source = None
            self._cameras.clear()
            self._changed.notify_all()

    def close(self) -> None:
        """From now on no call waits any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def observe(self, frame: Frame, outcome: Outcome) -> None:
        """Keep them, if that camera has viewers, and wake these; does nothing else, and never waits for a picture."""
        camera, now_s = self._cameras.get(frame.camera), self._now_s()
        if camera is not None and frame.image.size and now_s - camera.asked_s <= ASKED_WITHIN_S:
            with self._changed:
                camera.newest = _Seen(frame, outcome, now_s)
                self._changed.notify_all()

    def drop_unused(self) -> None:
        """Once a second: drop what has no viewer any more."""
        now_s = self._now_s()
        with self._lock:
            for name, camera in list(self._cameras.items()):
                if now_s - camera.asked_s > ASKED_WITHIN_S:
                    del self._cameras[name]
        self.clear.standing(now_s)
        self._unload(now_s)
        if self.figures.made != self._gave_back_after and now_s - self._gave_back_s >= GIVE_BACK_S:
            self._gave_back_s, self._gave_back_after = now_s, self.figures.made
            give_back()

    def viewers(self) -> dict[str, int]:
        """How many viewers each camera has."""
        now_s = self._now_s()
        with self._lock:
            asked = {name: camera for name, camera in self._cameras.items() if now_s - camera.asked_s <= ASKED_WITHIN_S}
        return {name: max(1, len(_present(camera, now_s)), camera.waiting) for name, camera in asked.items()}

    def status(self) -> dict[str, Any]:
        """For the status."""
        figures, made = self.figures, self.figures.made
        return {
            "viewers": self.viewers(),
            "encoded": figures.encoded,
            "withheld": figures.withheld,
            "picture_ms": round(1000 * figures.made_s / made, 1) if made else None,
            "clear": [
                {"camera": one.camera, "who": one.who, "reason": one.reason, "left_s": round(one.left_s)}
                for one in self.clear.standing(self._now_s())
            ],
        }

    def answer(self, line: bytes) -> bytes:
        """A header's line and a JPEG, for a line of JSON, whose keys `question.py` reads. Raises nothing, whatever the bytes."""
        try:
            asked = parsed_question(line)
            if not asked["picture"]:
                return self._answer(asked, self._faces_only(asked["camera"]))
            with self._place(asked["camera"], asked["viewer"]) as camera:
                return self._answer(asked, camera)
        except ValueError as error:
            return _head({"ok": False, "error": str(error), "bytes": 0})

    def _faces_only(self, name: str) -> _Camera:
        """For one that asks for no picture, and takes no place. Raise ValueError as `_states`."""
        source, _ = self._states(name)
        with self._lock:
            camera = self._kept(name, source)
            camera.asked_s = self._now_s()
        return camera

    @contextmanager
    def _place(self, name: str, viewer: str) -> Iterator[_Camera]:
        """A viewer's place at a camera. Raise ValueError when there is none."""
        source, state = self._states(name)
        if state[0] == "paused":
            yield _Camera()  # no place is needed where there is nothing to see
            return
        now_s = self._now_s()
        with self._lock:
            camera = self._kept(name, source)
            others = _present(camera, now_s) - {viewer}
            if camera.waiting >= MOST_VIEWERS or (viewer and len(others) >= MOST_VIEWERS):
                raise ValueError(f"busy: {MOST_VIEWERS} look at {name} already; ask again when one has left")
            camera.asked_s = now_s
            camera.waiting += 1
            if viewer:
                camera.viewers = {**{other: camera.viewers[other] for other in others}, viewer: now_s}
        try:
            yield camera
        finally:
            with self._lock:
                camera.waiting -= 1

    def _states(self, name: str) -> tuple[Source, State]:
        """Who knows the camera, and its state. Raise ValueError while cameras are changed, or where there is no such one."""
        source = self._source  # it may go meanwhile
        if source is None:
            raise ValueError(CHANGING)
        state = source.states(name)
        if state is None:
            raise ValueError(f"there is no camera {name}")
        return source, state

    def _kept(self, name: str, source: Source) -> _Camera:
        """What is kept of the camera from now on; call with the lock. Raise ValueError where `source` has gone meanwhile:

        the analysis of before may still run, and nothing that it sees is to be kept.
        """
        if self._source is not source:
            raise ValueError(CHANGING)
        return self._cameras.setdefault(name, _Camera())

    def _answer(self, asked: Mapping[str, Any], camera: _Camera) -> bytes:
        name, refused = asked["camera"], None
        if asked["clear"]:
            refused = self.clear.ask(name, asked["who"], asked["reason"], self._now_s())
        clear = asked["clear"] and refused is None
        picture = self._await(camera, asked["after"], clear if asked["picture"] else None)
        if self._cameras.get(name) is not camera:
            picture = None  # of before a pause or a reload
        status, reason = self._state(name)
        about: dict[str, Any] = {"ok": refused is None, "error": refused, "camera_state": status, "reason": reason}
        if picture is None:
            return _head({**about, "frame_id": None, "age_ms": None, "faces": [], "clear": clear, "bytes": 0})
        about["reason"] = picture.withheld or reason
        now_s = self._now_s()
        age_ms = round(1000 * (now_s - picture.time_s))
        sized = {"frame_id": picture.frame_id, "age_ms": age_ms, "clear": clear, "bytes": len(picture.data)}
        about["spent_ms"] = spent_ms(picture, now_s)
        return _head({**about, **picture.about, **sized}) + picture.data

    def _state(self, name: str) -> State:
        source = self._source
        state = source.states(name) if source else None
        return state or ("offline", "the cameras are being changed")

    def _await(self, camera: _Camera, after: int | None, clear: bool | None) -> Picture | None:
        """The next picture after `after`, made now if need be; None when there is none in time."""
        asked_s = self._now_s()
        until_s = asked_s + WAIT_S
        while True:
            seen = camera.newest
            with self._making if clear is not None else nullcontext():
                picture = self._next(camera, after, clear, asked_s)
            now_s = self._now_s()
            if picture is not None or now_s >= until_s or self._closed:
                return picture
            made = camera.made.get(clear)
            wakes_s = min(at for at in (*(due_s(made) if made else ()), until_s) if at > now_s)
            with self._changed:
                self._changed.wait_for(lambda: self._woken(camera, seen), wakes_s - now_s)  # noqa: B023

    def _woken(self, camera: _Camera, seen: _Seen | None) -> bool:
        return self._closed or camera.newest is not seen

    def _next(self, camera: _Camera, after: int | None, clear: bool | None, asked_s: float) -> Picture | None:
        made, newest = camera.made.get(clear), camera.newest
        if newest is None:
            return None
        if made is None or (
            made.frame_id != _id(newest.frame) and is_turn(made, newest.came_s, asked_s, self._now_s())
        ):
            made = camera.made[clear] = self._make(newest, clear=clear)
        return None if made.frame_id == after else made

    def _make(self, newest: _Seen, *, clear: bool | None) -> Picture:
        frame, outcome, began_s = newest.frame, newest.outcome, self._now_s()
        height, width = frame.image.shape[:2]
        if clear is None:
            seen_only = {"faces": face_rows(outcome, width, height)}
            return Picture(
                _id(frame), frame.time_s, began_s, FACES_EVERY_S, newest.came_s, self._now_s(), seen_only, b""
            )
        image = small_copy(frame.image)
        seen, scale = judged(image, None, 0.0), (image.shape[1] / width, image.shape[0] / height)
        about = {
            "width": image.shape[1],
            "height": image.shape[0],
            "camera_width": width,
            "camera_height": height,
            "faces": face_rows(outcome, width, height),
            "brightness": round(seen.brightness, 1),
            "sharpness": round(seen.sharpness, 1),
            "backlight": backlight(image, [_scaled(face.track.box, *scale) for face in outcome.faces]),
        }
        data, withheld = b"", None
        try:
            if clear:
                data = jpeg(image)
            else:
                boxes = [_scaled(box, *scale) for box in hidden_boxes(outcome)]
                detector, sure = self._verifier()
                data = hidden_jpeg(image, boxes, detector, sure) or b""
                withheld = None if data else NOT_HIDDEN
        except EdgedError as error:
            withheld = f"the picture cannot be searched for faces: {error}"
        self.figures.encoded += bool(data)
        self.figures.withheld += withheld is not None
        done_s = self._now_s()
        self.figures.made_s += done_s - began_s
        return Picture(_id(frame), frame.time_s, began_s, EVERY_S, newest.came_s, done_s, about, data, withheld)

    def _unload(self, now_s: float) -> None:
        """Without viewers the verifier's memory is free again. Waits for nobody who makes a picture."""
        if (
            self._detector is None
            or now_s - self._verified_s < VERIFIER_KEPT_S
            or not self._making.acquire(blocking=False)
        ):
            return
        try:
            self._detector = None
        finally:
            self._making.release()
        give_back()

    def _verifier(self) -> tuple[Detector, float]:
        """Loaded when a picture is made, kept for a while: without viewers it costs nothing."""
        source = self._source
        if source is None:
            raise EdgedError("the daemon is starting")
        if self._detector is None or self._detector[0] is not source:
            self._detector = None  # of before a reload: never are two of them there at once
            self._detector = source, source.load_detector()
            give_back()  # reading a model takes several times its size
        self._verified_s = self._now_s()
        return self._detector[1], source.sure


def _present(camera: _Camera, now_s: float) -> set[str]:
    return {viewer for viewer, asked_s in camera.viewers.items() if now_s - asked_s <= ASKED_WITHIN_S}


def _id(frame: Frame) -> int:
    """Milliseconds since the machine's start: no restart of the daemon begins anew."""
    return round(frame.time_s * 1000)


def _scaled(box: Box, x: float, y: float) -> Box:
    return Box(box.x1 * x, box.y1 * y, box.x2 * x, box.y2 * y)


def _head(header: Mapping[str, Any]) -> bytes:
    return json.dumps({"v": 1, **header}).encode() + b"\n"
