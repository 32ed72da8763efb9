"""A poster's way through all stages into the record: an alert at first, then nobody; and nobody again when it is found anew."""

import json
import math
from dataclasses import replace
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest
from report_days import HOUR, config, new_store, span, violation
from support.doubles import BARE, ConstantJudge, ScriptedDetector, analyser_settings, sighting
from support.storing import HandClock
from test_assembly import everything

from edged.analyse import Analyser
from edged.analyse.static import StaticFaces
from edged.assembly import build_pipeline
from edged.config import CameraConfig, Config
from edged.events import Events
from edged.events.encounters import Encounters
from edged.events.kinds import InattentionEvents, MaskEvents
from edged.pipeline import Outcome, Pipeline
from edged.report import build_report, list_violations
from edged.signals import Smoother
from edged.store import Store, StoreReader
from edged.store.recorder import Recorder
from edged.track import Tracker
from edged.types import Detection, Frame, Image

FPS = 5
SECONDS = 6.0
WALL = cv2.resize(np.random.default_rng(1).integers(0, 256, (60, 100, 3), np.uint8), (400, 240))
NOBODY = {"correct": 0, "incorrect": 0, "none": 0, "uncertain": 0}


def picture(person: float | None = None) -> Image:
    """A wall with a poster at (100, 100), and somebody whose face is at (`person`, 100)."""
    image = WALL.copy()
    if person is not None:
        left = round(person) - 20
        image[80:120, left : left + 40] = WALL[180:220, 300:340]
    return image


class Site:
    """One camera, its stages, the recorder and the store."""

    def __init__(self, folder: Path) -> None:
        self.faces: list[Detection] = []
        self.judge = ConstantJudge(BARE)
        detector = ScriptedDetector(iter(lambda: self.faces, None))
        self.line = Pipeline(
            "door",
            detector,
            Tracker(),
            Analyser(self.judge, analyser_settings()),
            Smoother(),
            Events(MaskEvents("door"), InattentionEvents("door")),
            Encounters("door"),
            StaticFaces(SECONDS),
        )
        self.clock, self.number = HandClock(), 0
        self.store, self.reader = Store(folder / "edged.db"), StoreReader(folder / "edged.db")
        self._recorder = Recorder(self.clock, self.store.write, publishing=True)

    def watch(self, seconds: float, *faces: float, person: float | None = None) -> Outcome:
        """Show faces at these places for so long; the last frame's outcome."""
        self.faces[:] = [sighting(x) for x in faces]
        for _ in range(round(seconds * FPS)):
            self.clock.pass_s(1 / FPS)
            outcome = self.line.step(Frame("door", self.number, self.clock.monotonic_s(), picture(person)))
            self.number += 1
            self._recorder.record(outcome.events, outcome.encounters)
        return outcome

    def violations(self) -> int:
        return sum(message.topic.endswith("violation") for message in self.reader.outbox_after(0, 1000))

    def encounters(self) -> list[tuple[str, int]]:
        rows = list(self.reader.encounters(0, self.clock.utc_ms() + 1))
        return [(row["state"], row["closed"]) for row in rows]


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.store.close()


def test_a_poster_is_somebody_who_alerts_and_then_nobody_at_all(site):
    before = site.watch(3, 100)
    assert before.counts()["none"] == 1
    assert site.violations() == 1
    assert site.encounters() == [("none", 0)]

    after = site.watch(SECONDS + 2, 100)
    assert after.counts() == NOBODY
    assert after.attention_counts()["present"] == 0
    assert [face.always for face in after.signals.static] == [True]
    (event,) = site.reader.events()
    assert (event["end_reason"], event["ended_at"] is not None) == ("static", True)
    assert site.encounters() == [], "it was no passage"
    ended = json.loads(site.reader.outbox_after(0, 1000)[-1].payload)
    assert (ended["type"], ended["end_reason"]) == ("end", "static")
    looks = len(site.judge.batches)
    site.watch(5, 100)
    assert len(site.judge.batches) == looks, "nobody looks at its mask any more"


def test_a_poster_that_is_lost_and_found_alerts_nobody_again(site):
    site.watch(SECONDS + 5, 100)
    for _ in range(5):
        site.watch(3)
        assert len(site.watch(4, 100).signals.static) == 1
    assert site.violations() == 1
    assert site.encounters() == []


def test_after_the_camera_was_silent_the_poster_is_known(site):
    site.watch(SECONDS + 5, 100)
    site.line.finish(site.clock.monotonic_s(), "camera silent")
    site.clock.pass_s(60)
    assert len(site.watch(4, 100).signals.static) == 1
    assert site.violations() == 1


def test_people_beside_a_poster_are_counted_as_ever(site):
    site.watch(SECONDS + 5, 100)
    for step in range(20):
        outcome = site.watch(0.2, 100, 200 + 3 * step, person=200 + 3 * step)
    assert outcome.counts()["none"] == 1
    assert len(outcome.signals.static) == 1
    assert site.violations() == 2
    site.watch(3, 100)
    assert site.encounters() == [("none", 1)]


def test_a_poster_that_is_taken_away_is_somebody_again(site):
    site.watch(SECONDS + 5, 100)
    for step in range(20):
        outcome = site.watch(0.2, 100 + 3 * step)
    assert outcome.signals.static == ()
    assert outcome.counts()["none"] == 1
    assert site.encounters() == [("none", 0)]


def test_somebody_who_comes_and_then_is_as_still_as_a_picture_was_a_passage(site):
    for step in range(20):
        site.watch(0.2, 200 + 3 * step, person=200 + 3 * step)
    outcome = site.watch(6 * SECONDS, 260, person=260)
    assert [face.always for face in outcome.signals.static] == [False]
    assert site.encounters() == [("none", 1)]
    (event,) = site.reader.events()
    assert event["end_reason"] == "left"


def test_the_config_says_how_long_and_for_whom():
    def faces(profile: str, seconds: float, *, every_frame: bool = False) -> StaticFaces | None:
        settings = CameraConfig(source="file:///x.mp4", profile=profile)
        whole = Config.model_validate({"events": {"static_seconds": seconds}})
        return build_pipeline("door", settings, whole, everything(), every_frame=every_frame).static

    entrance, driver = faces("entrance", 40), faces("driver", 40)
    assert (entrance.seconds, entrance.largest_face) == (40, math.inf)
    assert (driver.seconds, driver.largest_face) == (40, 64), "whoever's eyes are read is somebody"
    assert faces("entrance", 0) is None
    assert faces("entrance", 40, every_frame=True) is None, "`edged analyze` and `bench` tell of every face"


def test_the_report_counts_no_poster_among_the_violations(tmp_path):
    day = date(2026, 6, 1)
    begin, end = span(day)
    start, stop = violation(2, begin + 12 * HOUR)
    with new_store(tmp_path, [*violation(1, begin + 11 * HOUR), start, replace(stop, end_reason="static")]) as store:
        reader = StoreReader(store.path)
        assert [row["event_id"] for row in list_violations(reader, config(), day)] == ["EV00000001"]
        told = build_report(reader, config(), day, end)["violations"]
    assert (told["count"], told["none"], told["static"]) == (1, 1, 1)
