"""A camera's troubles become one event each from start to end, a status with the reason in words, and an error of the device."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from support.storing import HandClock

from edged.capture import CameraState
from edged.capture.state import NOT_OPENED
from edged.config import Config
from edged.daemon.analysis import NO_PEOPLE, CameraActivity
from edged.daemon.state import CameraWatch, Health
from edged.outputs.units import OutputState

CONFIG = Config.model_validate({"camera": {"door": {"source": "file:///a.mp4", "stall_seconds": 5}}})


class Site:
    """One camera whose state is set by hand, and what is recorded and published of it."""

    def __init__(self):
        self.clock, self.steps, self.told = HandClock(), [], []
        self.frames = self.seen = 0
        self.finished = []
        recorder = SimpleNamespace(
            camera_event=self._record, utc_ms=lambda s: 0, seen=self._count, finish=self.finished.append
        )
        self.watch = CameraWatch(recorder, self.clock, lambda message: self.told.append(json.loads(message.payload)))
        self._state = None
        camera = SimpleNamespace(state=lambda: self._state, ended=False)
        self.activity: dict[str, CameraActivity] = {}
        analysis = SimpleNamespace(activity=lambda: self.activity, problem=None)
        self.cameras = SimpleNamespace(
            workers={"door": camera}, inbox=SimpleNamespace(take_dropped=lambda _: 0), analysis=analysis
        )

    def look(self, status="online", trouble=None, reason=None):
        self._state = CameraState(status, self.clock.monotonic, 0, reason, self.frames, trouble)
        self.watch.supervise(CONFIG, self.cameras)
        return self.steps

    def finish(self, successor=None):
        self._state = replace(self._state, frames=self.frames)
        self.watch.finish(self.cameras, "stopped", successor)
        return self.steps

    def _count(self, camera, frames, dropped, status):
        self.seen += frames

    def _record(self, camera, phase, state, details, key, end_reason=None, began_s=None):
        self.steps.append((phase, state, details.get("reason") or end_reason))
        self.began_s = began_s


@pytest.mark.parametrize("trouble", ["frozen", "black", "covered"])
def test_bad_pictures_are_an_event_until_they_are_good(trouble):
    site = Site()
    assert site.look() == []
    for _ in range(3):
        site.look(trouble=trouble, reason="it shows nothing")
    assert site.steps == [("start", trouble, "it shows nothing")]
    site.look()
    assert site.steps[1:] == [("end", trouble, "back")]
    assert [payload["reason"] for payload in site.told] == [None, "it shows nothing", None]
    assert {payload["status"] for payload in site.told} == {"online"}


def test_a_trouble_that_becomes_another_is_one_event():
    site = Site()
    site.look(trouble="frozen", reason="the same again and again")
    site.look("stalled", reason="no picture for 5 s")
    site.look("reconnecting", reason="no luck")
    site.look()
    assert [step[:2] for step in site.steps] == [
        ("start", "frozen"), ("update", "stalled"), ("update", "lost"), ("end", "lost"),
    ]  # fmt: skip


def test_at_the_end_the_event_ends_and_the_frames_since_the_last_look_are_counted():
    site = Site()
    site.frames = 10
    site.look(trouble="frozen", reason="the same again and again")
    site.frames = 25
    assert site.finish()[1:] == [("end", "frozen", "stopped")]
    assert (site.seen, site.finished) == (25, ["door"])


def test_the_event_of_a_camera_that_a_reload_keeps_goes_on_and_no_frame_is_counted_twice():
    site = Site()
    site.frames = 10
    site.look(trouble="frozen", reason="the same again and again")
    assert site.finish(successor=site.cameras) == [("start", "frozen", "the same again and again")]
    site.look(trouble="frozen", reason="the same again and again")
    site.look()
    assert [step[:2] for step in site.steps] == [("start", "frozen"), ("end", "frozen")]
    assert site.seen == 10


def test_a_camera_that_is_lost_for_a_moment_is_no_event():
    site = Site()
    site.look("reconnecting", reason="no luck")
    site.look()
    assert site.steps == []


def test_bad_pictures_are_an_error_of_the_device():
    site = Site()
    site.look(trouble="black", reason="its pictures are black")
    health = Health("dev1", 0.0, site.clock, SimpleNamespace(problem=None, shortage=None, dropped=0))
    assert health.errors(site.cameras, None, None) == ["camera door is black: its pictures are black"]
    site.look()
    assert health.errors(site.cameras, None, None) == []


def test_a_lost_camera_was_in_trouble_before_its_event_was_told():
    site = Site()
    since_s = site.clock.monotonic
    site._state = CameraState("reconnecting", since_s, 0, "no luck", 0, None)
    site.watch.supervise(CONFIG, site.cameras)
    assert site.steps == []
    site.clock.pass_s(6)
    site.watch.supervise(CONFIG, site.cameras)
    assert (site.steps, site.began_s) == ([("start", "lost", "no luck")], since_s)


def test_a_camera_that_is_silent_is_one_error_whose_line_does_not_change_every_second():
    site, said = Site(), set()
    health = Health("dev1", 0.0, site.clock, SimpleNamespace(problem=None, shortage=None, dropped=0))
    for seconds in (5, 6, 7):
        site.look("stalled", reason=f"no picture for {seconds} s")
        said.add(tuple(health.errors(site.cameras, None, None)))
    assert said == {("camera door is stalled: no picture comes",)}


def present(site):
    return [payload["present"] for payload in site.told if "present" in payload]


@pytest.mark.parametrize(
    ("status", "reason", "activity"),
    [
        ("reconnecting", "cannot be opened", CameraActivity()),
        ("stalled", "no picture for 5 s", CameraActivity()),
        ("online", None, CameraActivity(faulty=1)),
    ],
)
def test_while_a_camera_has_given_nothing_nobody_is_present(status, reason, activity):
    """The broker keeps the counts of before a power cut, or before a reload."""
    site = Site()
    site.activity = {"door": CameraActivity()}
    site.look("reconnecting", reason=NOT_OPENED)
    site.look("online")
    assert present(site) == [], "it may give its first picture in a moment"
    site.activity = {"door": activity}
    site.look(status, reason=reason)
    site.look(status, reason=reason)
    assert present(site) == [0]
    site.activity = {"door": replace(activity, counts={**NO_PEOPLE.counts, "correct": 2})}
    site.look("online")
    assert present(site) == [0, 2]


def test_an_output_that_was_taken_away_and_is_back_is_published_again():
    site = Site()
    lamp = {"lamp": OutputState("gpio", True)}
    for states in (lamp, lamp, {}, {}, lamp):
        site.watch.publish_outputs(states)
    assert [payload["on"] for payload in site.told] == [True, True]
