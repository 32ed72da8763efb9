"""Live pictures: made only for those who look, at most five a second, faces hidden and looked for once more, clear by name."""

import json
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.doubles import BARE, ScriptedDetector, sighting, square, track, vote
from support.live_socket import look
from support.mosquitto import PATIENCE_S, until

from edged.assembly import load_detector
from edged.config import ModelsConfig, PrivacyConfig
from edged.errors import ModelError, Unavailable
from edged.live import live_path
from edged.live.clear import LEFT_AFTER_S, ClearViews
from edged.live.faces import backlight, face_rows
from edged.live.hide import MOST_WIDTH, hidden_jpeg, jpeg, pixelate, small_copy
from edged.live.picture import Picture, is_turn
from edged.live.view import ASKED_WITHIN_S, EVERY_S, MOST_VIEWERS, VERIFIER_KEPT_S, LiveView, Source, _Seen
from edged.pipeline import Outcome
from edged.ports import Detector
from edged.readers import SURE_SCORES
from edged.types import Box, Detection, Face, Frame, Image, MaskState, Signals, StaticFace

PEOPLE = Path(__file__).parent / "golden_people"
SURE = SURE_SCORES["edged"]
NOBODY = Outcome([], [], Signals(), [], [])
NOISE: Image = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), np.uint8)


def picture_of(*names: str) -> Image:
    """These people side by side, each about 200 px high, in a picture of a camera's size."""
    scene = np.full((720, 1280, 3), 90, np.uint8)
    for number, name in enumerate(names):
        face = cv2.imread(str(PEOPLE / name))
        height = 320
        face = cv2.resize(face, (round(face.shape[1] * height / face.shape[0]), height), interpolation=cv2.INTER_AREA)
        left = 40 + 420 * number
        scene[200 : 200 + height, left : left + face.shape[1]] = face[:, : 1280 - left]
    return scene


@pytest.fixture(scope="module")
def detector() -> Any:
    try:
        return load_detector(ModelsConfig())
    except ModelError as error:
        pytest.skip(str(error))


class Room:
    """A live view whose frames are the test's, over its real socket."""

    def __init__(self, folder: Path, *, detector: Any = None) -> None:
        self.clear_views: list[tuple[str, str, str, int]] = []
        self.view = LiveView(lambda *told: self.clear_views.append(told))
        self.states: dict[str, tuple[str, str | None]] = {"door": ("online", None)}
        self.loads = 0
        self.detector = detector or ScriptedDetector([])
        self.source = Source(self.states.get, self._load, SURE)
        self.view.configure(self.source, PrivacyConfig())
        self.path = live_path(folder / "edged.db")
        self.server = self.view.server(folder / "edged.db")
        self.server.open()
        self.server.start()
        self.index = 0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def _load(self) -> Any:
        self.loads += 1
        return self.detector

    def see(self, image: Image = NOISE, outcome: Outcome = NOBODY) -> None:
        self.index += 1
        self.view.observe(Frame("door", self.index, time.monotonic(), image), outcome)

    def go_on(self, outcome: Outcome = NOBODY, image: Image = NOISE) -> None:
        """A camera that gives thirty pictures a second."""

        def play() -> None:
            while not self._ending.wait(1 / 30):
                self.see(image, outcome)

        self._thread = threading.Thread(target=play)
        self._thread.start()

    def end(self) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
        self.view.close()
        assert self.server.stop(PATIENCE_S)
        assert self.server.failure is None

    def look(self, **asked: Any) -> tuple[dict[str, Any], bytes]:
        return look(self.path, "door", **asked)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    one = Room(tmp_path)
    yield one
    one.end()


def decoded(data: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def sides(image: Image) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


# Who looks, and who does not


def test_nothing_is_kept_loaded_or_encoded_while_nobody_looks(room: Room) -> None:
    for _ in range(50):
        room.see()
    assert room.view.status() == {"viewers": {}, "encoded": 0, "withheld": 0, "picture_ms": None, "clear": []}
    assert room.view._cameras == {}
    assert room.loads == 0


def test_who_looks_gets_a_picture_of_this_moment_at_most_640_wide(room: Room) -> None:
    room.go_on()
    header, data = room.look()
    assert (header["bytes"], header["clear"], header["error"]) == (len(data), False, None)
    assert sides(decoded(data)) == (header["width"], header["height"]) == (MOST_WIDTH, 360)
    assert (header["camera_width"], header["camera_height"]) == (1280, 720)
    assert 0 <= header["age_ms"] < 1000 * PATIENCE_S
    assert header["camera_state"] == "online"
    assert room.path.stat().st_mode & 0o777 == 0o660


def test_the_next_picture_is_another_and_pictures_come_five_times_a_second_at_most(room: Room) -> None:
    room.go_on()
    began, ids = time.monotonic(), []
    for _ in range(6):
        ids.append(room.look(after=ids[-1] if ids else None)[0]["frame_id"])
    assert len(set(ids)) == 6
    assert time.monotonic() - began >= 5 * EVERY_S * 0.95
    assert room.view.figures.encoded == 6


def test_all_who_look_share_one_encoded_picture(room: Room) -> None:
    room.go_on()
    seen: dict[str, list[int]] = {"a": [], "b": []}

    def watch(viewer: str) -> None:
        for _ in range(5):
            seen[viewer].append(room.look(viewer=viewer, after=(seen[viewer] or [None])[-1])[0]["frame_id"])

    threads = [threading.Thread(target=watch, args=(viewer,)) for viewer in seen]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    most = (time.monotonic() - began) / EVERY_S + 1
    assert room.view.figures.encoded == len({*seen["a"], *seen["b"]}) <= most


def test_a_third_viewer_is_told_that_two_look_already(room: Room) -> None:
    room.go_on()
    for number in range(MOST_VIEWERS):
        assert room.look(viewer=f"tab {number}")[0]["ok"]
    header, data = room.look(viewer="one more")
    assert (header["ok"], data) == (False, b"")
    assert "2 look at door already" in header["error"]
    assert room.view.viewers() == {"door": 2}
    assert room.look(viewer="tab 0")[0]["ok"], "who looks already goes on"
    room.states["door"] = "paused", "by Ada"
    header, data = room.look(viewer="one more")
    assert (header["camera_state"], header["reason"], header["error"], data) == ("paused", "by Ada", None, b"")


def test_who_wants_no_picture_gets_what_was_seen_takes_no_place_and_has_nothing_encoded(room: Room) -> None:
    room.go_on()
    seen = {room.look(picture=False)[0]["frame_id"] for _ in range(5)}
    header, data = room.look(picture=False, after=max(seen))
    assert (data, header["faces"], header["camera_state"]) == (b"", [], "online")
    assert header["frame_id"] > max(seen)
    assert (room.view.figures.encoded, room.loads) == (0, 0)
    for number in range(MOST_VIEWERS):
        assert room.look(viewer=f"tab {number}")[0]["ok"]
    assert room.look(picture=False)[0]["ok"]
    assert "no camera hall" in look(room.path, "hall", picture=False)[0]["error"]


def test_frames_are_let_go_of_when_nobody_looks_any_more(tmp_path: Path) -> None:
    now = [100.0]
    view = LiveView(lambda *_: None, lambda: now[0])
    view.configure(Source({"door": ("online", None)}.get, lambda: ScriptedDetector([]), SURE), PrivacyConfig())
    with view._place("door", "") as camera:
        view.observe(Frame("door", 1, 100.0, NOISE), NOBODY)
    assert camera.newest is not None
    now[0] += ASKED_WITHIN_S + 0.1
    before = camera.newest
    view.observe(Frame("door", 2, 103.1, NOISE), NOBODY)
    assert camera.newest is before, "nothing more is kept"
    view.drop_unused()
    assert (view._cameras, view.viewers()) == ({}, {})


def test_who_waits_is_woken_by_frames_alone_and_analysis_wakes_nobody_where_nobody_looks(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, woken = list[float](), list[float]()
    look_again, notify = room.view._next, room.view._changed.notify_all
    monkeypatch.setattr(room.view, "_next", lambda *asked: looks.append(time.monotonic()) or look_again(*asked))
    monkeypatch.setattr(room.view._changed, "notify_all", lambda: woken.append(time.monotonic()) or notify())
    for _ in range(50):
        room.see()
    assert (looks, woken) == ([], [])
    assert room.look()[1] == b"", "two seconds without a frame"
    assert len(looks) <= 3
    coming = threading.Thread(target=lambda: until(lambda: room.view._cameras["door"].waiting) and room.see())
    coming.start()
    header, data = room.look()
    coming.join(PATIENCE_S)
    assert data
    looks.clear()
    assert room.look(after=header["frame_id"])[1] == b""
    assert len(looks) <= 5


def test_whoever_waits_is_answered_at_once_when_the_daemon_ends(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.live.view.WAIT_S", 600.0)  # else it would be answered then
    answers: list[bytes] = []
    waiting = threading.Thread(target=lambda: answers.append(room.look()[1]))
    waiting.start()
    assert until(lambda: room.view.viewers() == {"door": 1})
    room.view.close()
    waiting.join(PATIENCE_S)
    assert answers == [b""]


@pytest.mark.parametrize(
    ("came_s", "asked_s", "now_s", "taken"),
    [
        (10.15, 10.05, 10.15, False),  # five a second at most
        (10.15, 10.05, 10.20, False),  # who waits gets the one that comes next, not one that is old already
        (10.15, 10.05, 10.31, True),  # but for long there is none
        (10.195, 10.05, 10.195, True),  # cameras are a little early now and then
        (10.25, 10.05, 10.25, True),
        (10.15, 10.22, 10.22, True),  # who was late has waited enough
    ],
)
def test_a_picture_is_of_a_frame_that_has_just_come(came_s: float, asked_s: float, now_s: float, taken: bool) -> None:
    made = Picture(1, 9.9, 10.0, EVERY_S, 9.95, 10.05, {}, b"")
    assert is_turn(made, came_s, asked_s, now_s) is taken


def test_the_verifier_is_dropped_a_while_after_the_last_picture_and_loaded_anew(tmp_path: Path) -> None:
    now = [100.0]
    view, loads = LiveView(lambda *_: None, lambda: now[0]), list[Detector]()

    def load() -> Detector:
        loads.append(ScriptedDetector([]))
        return loads[-1]

    view.configure(Source({"door": ("online", None)}.get, load, SURE), PrivacyConfig())
    assert view._make(_Seen(Frame("door", 1, 100.0, NOISE), NOBODY, 100.1), clear=False).data
    loaded = weakref.ref(loads.pop())
    now[0] += VERIFIER_KEPT_S - 1
    view.drop_unused()
    assert loaded() is not None
    now[0] += 1
    with view._making:
        view.drop_unused()
        assert loaded() is not None, "a picture is being made"
    view.drop_unused()
    assert loaded() is None
    assert view._make(_Seen(Frame("door", 2, now[0], NOISE), NOBODY, now[0]), clear=False).data
    assert len(loads) == 1


def test_while_pictures_are_made_free_memory_is_given_back_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the heap of a daemon that is looked at grows by 10 MB an hour and more."""
    now, given_back = [100.0], list[float]()
    view = LiveView(lambda *_: None, lambda: now[0])
    view.configure(Source({"door": ("online", None)}.get, lambda: ScriptedDetector([]), SURE), PrivacyConfig())
    view.drop_unused()
    monkeypatch.setattr("edged.live.view.give_back", lambda: given_back.append(now[0]))
    for second in range(130):
        now[0] = 100.0 + second
        if second < 100:
            view._make(_Seen(Frame("door", second, now[0], NOISE), NOBODY, now[0]), clear=True)
        view.drop_unused()
    assert given_back == [100.0, 160.0, 220.0]
    now[0] = 1000.0
    view.drop_unused()
    assert len(given_back) == 3, "nothing was made since"


def test_a_silent_camera_is_answered_without_a_picture_and_with_the_reason(room: Room) -> None:
    room.states["door"] = ("stalled", "no picture for 9 s")
    header, data = room.look()
    assert (data, header["camera_state"], header["reason"]) == (b"", "stalled", "no picture for 9 s")
    assert (header["frame_id"], header["faces"]) == (None, [])


def test_a_picture_is_given_once_to_who_has_it_already(room: Room) -> None:
    waiting = threading.Thread(target=lambda: until(room.view.viewers) and room.see())
    waiting.start()
    first, data = room.look()
    waiting.join(PATIENCE_S)
    assert data
    assert room.look(after=first["frame_id"])[1] == b""
    assert room.look(after=first["frame_id"] + 10**9)[1] == data, "a number from before the machine's restart is old"


def test_a_camera_that_is_not_there_and_a_daemon_that_is_not_there_are_said(room: Room, tmp_path: Path) -> None:
    assert "no camera hall" in look(room.path, "hall")[0]["error"]
    with pytest.raises(Unavailable, match="no daemon gives pictures"):
        look(live_path(tmp_path / "other.db"), "door")


# What is hidden


def test_people_are_hidden_before_the_picture_is_encoded(detector: Any, tmp_path: Path) -> None:
    scene = picture_of("beard.jpg", "nose-out.jpg", "cap.jpg")
    found = detector.detect(scene)
    assert sum(face.score >= SURE for face in found) >= 3, "they are seen, or this test shows nothing"
    room = Room(tmp_path, detector=detector)
    try:
        room.go_on(replace(NOBODY, detections=found), scene)
        _, data = room.look()
    finally:
        room.end()
    assert [face for face in detector.detect(decoded(data)) if face.score >= SURE] == []
    small = small_copy(scene)
    for face in found:
        x, y = (round(value / 2) for value in face.box.centre)
        shown, was = decoded(data)[y - 12 : y + 12, x - 12 : x + 12], small[y - 12 : y + 12, x - 12 : x + 12]
        assert np.abs(shown.astype(int) - was).mean() > 3, "nothing of the face is left"


def test_a_face_that_analysis_has_missed_is_found_by_the_second_look_and_hidden(detector: Any, tmp_path: Path) -> None:
    scene = picture_of("beard.jpg", "sunglasses.jpg")
    plain = detector.detect(decoded(jpeg(small_copy(scene))))
    assert sum(face.score >= SURE for face in plain) >= 2, "unhidden they would be seen"
    room = Room(tmp_path, detector=detector)
    try:
        room.go_on(NOBODY, scene)
        header, data = room.look()
    finally:
        room.end()
    assert [face for face in detector.detect(decoded(data)) if face.score >= SURE] == []
    assert header["faces"] == []


def test_a_picture_whose_faces_cannot_be_hidden_is_withheld() -> None:
    always = [Detection(square(100, 100), 0.9)]
    assert hidden_jpeg(NOISE[:360, :640].copy(), [], ScriptedDetector([always] * 9), SURE) is None
    assert hidden_jpeg(NOISE[:360, :640].copy(), [], ScriptedDetector([always, [], always]), SURE) is not None
    weak = [Detection(square(100, 100), SURE - 0.01)]
    assert hidden_jpeg(NOISE[:360, :640].copy(), [], ScriptedDetector([weak] * 9), SURE) is not None


def test_what_is_withheld_comes_without_a_picture_and_says_why(tmp_path: Path) -> None:
    room = Room(tmp_path, detector=ScriptedDetector([[Detection(square(100, 100), 0.9)]] * 99))
    try:
        room.go_on()
        header, data = room.look()
        assert (data, header["reason"]) == (b"", "a face in the picture could not be hidden")
        assert header["frame_id"] is not None
        assert room.view.figures.withheld >= 1
        assert room.view.figures.encoded == 0
    finally:
        room.end()


def test_without_the_second_look_there_is_no_picture(tmp_path: Path) -> None:
    room = Room(tmp_path)

    def load() -> Any:
        raise ModelError("detector.onnx: is missing; install edged again")

    room.view.configure(replace(room.source, load_detector=load), PrivacyConfig())
    try:
        room.go_on()
        header, data = room.look()
        assert data == b""
        assert "install edged again" in header["reason"]
    finally:
        room.end()


@given(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4), st.integers(1, 6))
@settings(deadline=None)
def test_any_box_is_pixelated_within_the_picture(corners: list[float], blocks: int) -> None:
    image = NOISE[:40, :60].copy()
    x1, y1, x2, y2 = corners
    pixelate(image, square(0, 0)._replace(x1=min(x1, x2), y1=min(y1, y2), x2=max(x1, x2), y2=max(y1, y2)), blocks)
    assert image.shape == (40, 60, 3)


def test_the_cameras_own_picture_is_not_written_to() -> None:
    small = NOISE[:100, :200].copy()
    before = small.copy()
    hidden_jpeg(small_copy(small), [square(50, 50)], ScriptedDetector([]), SURE)
    assert (small == before).all()


def test_the_boxes_are_those_of_the_very_picture_with_what_the_models_said() -> None:
    person, weak = track(7, side=120, x=200), sighting(900, score=0.4)
    assert person.detection is not None
    outcome = replace(
        NOBODY,
        detections=[person.detection, weak],
        faces=[Face(person, BARE, unread="small")],
        signals=Signals(masks=(vote(7, 1.0, MaskState.NONE),), static=(StaticFace(9, square(600, 300), True),)),
    )
    seen, static, unfollowed = face_rows(outcome, 1280, 720)
    assert seen["box"] == [0.1094, 0.0556, 0.2031, 0.2222]
    assert (seen["track"], seen["state"], seen["score"], seen["width_px"]) == (7, "none", 0.9, 120.0)
    assert (seen["mask"], seen["why_not_judged"], seen["why_not_read"]) == ([0.02, 0.03, 0.95], None, "small")
    assert (static["state"], static["track"]) == ("static", 9)
    assert (unfollowed["track"], unfollowed["state"], unfollowed["found"]) == (None, None, 0.4)
    assert seen.keys() == static.keys() == unfollowed.keys()
    json.dumps([seen, static, unfollowed], allow_nan=False)


# Clear views


def test_the_clear_picture_needs_a_name_and_a_reason_and_is_recorded_once(room: Room) -> None:
    room.go_on()
    header, data = room.look(clear=True)
    assert (header["clear"], header["ok"], bool(data)) == (False, False, True), (
        "refused, and the hidden picture goes on"
    )
    assert "needs who asks, and a reason" in header["error"]
    for _ in range(3):
        header, data = room.look(clear=True, who="Ada", reason="aiming")
        assert (header["clear"], header["error"], bool(data)) == (True, None, True)
    assert room.clear_views == [("door", "Ada", "aiming", 10)]
    (shown,) = room.view.status()["clear"]
    assert (shown["camera"], shown["who"], shown["reason"]) == ("door", "Ada", "aiming")


def test_clear_pictures_can_be_forbidden(room: Room) -> None:
    room.view.configure(room.source, PrivacyConfig(clear_view=False))
    room.go_on()
    header, _ = room.look(clear=True, who="Ada", reason="aiming")
    assert (header["clear"], "privacy.clear_view = false" in header["error"]) == (False, True)
    assert room.clear_views == []


def test_a_clear_picture_is_not_given_to_who_asked_for_a_hidden_one(detector: Any, tmp_path: Path) -> None:
    room = Room(tmp_path, detector=detector)
    scene = picture_of("beard.jpg")
    try:
        room.go_on(NOBODY, scene)
        _, clear = room.look(clear=True, who="Ada", reason="aiming")
        _, hidden = room.look()
    finally:
        room.end()
    faces: Callable[[bytes], int] = lambda data: sum(  # noqa: E731
        face.score >= SURE for face in detector.detect(decoded(data))
    )
    assert (faces(clear), faces(hidden)) == (1, 0)


def test_a_clear_view_ends_by_itself_and_is_not_gone_on_with() -> None:
    told: list[Any] = []
    views = ClearViews(lambda *what: told.append(what))
    for second in range(600):
        assert views.ask("door", "Ada", "aiming", float(second)) is None
    for second in range(600, 700):
        assert "has ended" in str(views.ask("door", "Ada", "aiming", float(second)))
        assert views.standing(float(second)) == []
    assert len(told) == 1
    assert views.ask("door", "Ada", "aiming", 699 + LEFT_AFTER_S + 1) is None, "who has left may ask anew"
    assert len(told) == 2


def test_the_time_of_clear_views_is_counted() -> None:
    views = ClearViews(lambda *_: None)
    for second in range(5):
        views.ask("door", "Ada", "aiming", float(second))
        views.standing(float(second))
    assert views.seconds == 4.0


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=250) | st.lists(st.none(), max_size=2)
)
QUESTION = st.fixed_dictionaries(
    {"camera": st.just("door") | VALUES},
    optional=dict.fromkeys(("after", "viewer", "clear", "who", "reason"), VALUES),
).map(lambda asked: json.dumps(asked).encode(errors="surrogatepass"))


@given(st.binary(max_size=200) | QUESTION)
@settings(deadline=None, max_examples=300)
def test_any_line_is_answered_with_a_header(line: bytes) -> None:
    view = LiveView(lambda *_: None)
    view.configure(Source({"door": ("online", None)}.get, lambda: ScriptedDetector([]), SURE), PrivacyConfig())
    view.close()  # nobody waits
    head, _, data = view.answer(line).partition(b"\n")
    assert json.loads(head, parse_constant=pytest.fail)["bytes"] == len(data) == 0


def test_what_analysis_has_found_is_pixelated_also_where_the_second_look_is_blind() -> None:
    image = NOISE[:360, :640].copy()
    data = hidden_jpeg(image, [square(100, 100, 80)], ScriptedDetector([]), SURE)
    assert data is not None
    inside, outside = decoded(data)[80:120, 80:120], decoded(data)[250:290, 400:440]
    assert np.abs(np.diff(inside.astype(int), axis=1)).mean() * 3 < np.abs(np.diff(outside.astype(int), axis=1)).mean()


def test_a_picture_that_was_being_made_when_a_pause_began_is_not_given(tmp_path: Path) -> None:
    class Pausing:
        def detect(self, image: Image) -> list[Detection]:
            room.view.suspend()
            return []

    room = Room(tmp_path, detector=Pausing())
    try:
        room.go_on()
        header, data = room.look()
    finally:
        room.end()
    assert (data, header["frame_id"]) == (b"", None)


@pytest.mark.parametrize("picture", [True, False])
def test_who_asked_just_before_the_cameras_change_has_nothing_kept_of_what_they_still_show(
    room: Room, picture: bool
) -> None:
    def state(name: str) -> tuple[str, str | None]:
        room.view.suspend()
        room.see()
        return "online", None

    room.view.configure(replace(room.source, states=state), PrivacyConfig())
    header, data = room.look(picture=picture)
    assert (header["ok"], data) == (False, b"")
    assert "busy: the cameras are being changed" in header["error"]
    assert room.view._cameras == {}
    assert "busy: the cameras are being changed" in room.look(picture=picture)[0]["error"], "and so until they are"


@pytest.mark.parametrize(("face", "times"), [(50, 4.0), (200, 1.0), (0, 200.0)])
def test_the_light_behind_people_is_how_much_brighter_the_picture_is_than_the_face(face: int, times: float) -> None:
    picture = np.full((100, 200, 3), 200, np.uint8)
    picture[20:60, 40:80] = face
    assert backlight(picture, [Box(0, 0, 10, 10), Box(40, 20, 80, 60)]) == pytest.approx(times)
    assert backlight(picture, [Box(300, 20, 340, 60)]) is None
    assert backlight(picture, [Box(-10, -10, 400, 400)]) is None
    assert backlight(picture, []) is None
