"""Keypoints that are anything, at any time: no stage fails, no message holds what is no number, nothing is told that was not."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.doubles import BARE, SPLIT, WORN, sighting
from support.keypoints import (
    ANGLES,
    DEVIATIONS,
    KEYPOINTS,
    LENS,
    PICTURE_SIZE,
    ToldCamera,
    ToldEngine,
    head,
    no_heads,
    pose_row,
)
from support.lives import check_lives
from support.storing import HandClock

from edged.analyse.align import square_around_landmarks
from edged.analyse.eyes import EyeClassifier
from edged.analyse.pose.fused import FusedPose
from edged.analyse.pose.landmark_pose import solve
from edged.analyse.ratios import eye_aspect_ratios, eye_widths, mouth_ratio
from edged.baselines.heatmap_pose import HeatmapPose
from edged.baselines.six_point_pose import SixPointPose
from edged.pipeline import Outcome
from edged.store import Change, EncounterRow, Message
from edged.store.recorder import Recorder
from edged.types import Box, Detection, Event, Landmarks, Lens

BLANK = np.zeros((*PICTURE_SIZE[::-1], 3), np.uint8)
LENSES = st.sampled_from([LENS, Lens(4000.0, 0.0, 0.0), Lens(20.0, 10.0, 10.0)])


def examples(few: int, many: int) -> pytest.MarkDecorator:
    """How many examples are tried: a few always, many with --long."""
    return pytest.mark.parametrize("count", [few, pytest.param(many, marks=pytest.mark.long)])


def try_all(count: int, check: Callable[..., None], *anything: st.SearchStrategy) -> None:
    """Try `check` on so many examples of `anything`."""
    limits = settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))
    limits(given(*anything)(check))()


# --- one picture


@examples(few=200, many=10_000)
def test_any_keypoints_are_read_or_not_and_never_as_what_is_no_number(count):
    try_all(count, read_everything, KEYPOINTS, DEVIATIONS, st.booleans(), LENSES, ANGLES)


def read_everything(points, deviations, masked, lens, angles):
    face, detection = Landmarks(points, deviations), sighting(160, 120, 120)
    for measure in (*eye_aspect_ratios(points), *eye_widths(points), mouth_ratio(points)):
        assert measure is None or 0 <= measure < math.inf
    if np.isfinite(points).all():
        assert all(math.isfinite(value) for value in square_around_landmarks(points, 1.3))
    solved = solve([face], [masked], lens)
    assert np.isfinite(solved.rotations).all()
    assert np.isfinite(solved.deviations).all()
    readers = [SixPointPose(), HeatmapPose(ToldEngine(angles=angles)), FusedPose(ToldEngine(**pose_row(angles)))]
    poses = [reader.read(BLANK, [detection], [face], [masked], lens)[0] for reader in readers]
    for pose in poses:
        assert pose is None or all(math.isfinite(value) for value in asdict(pose).values())
    eyes = EyeClassifier(ToldEngine(probabilities=[0.5, 0.3, 0.2]))
    for look in eyes.read(BLANK, [face] * 4, [*poses, None]):
        assert (look.open_probability is None) == (look.unavailable is not None)
        assert look.open_probability is None or 0 <= look.open_probability <= 1
        assert look.aspect_ratio is None or 0 <= look.aspect_ratio < math.inf


# --- over time, through the whole pipeline of a cab


class Books:
    """What a camera tells, recorded as the daemon records it: everything must be JSON without NaN and infinity."""

    def __init__(self) -> None:
        self.clock, self.rows, self.events = HandClock(), [], list[Event]()
        self.recorder = Recorder(self.clock, self._keep, publishing=True)

    def _keep(self, changes: list[Change]) -> None:
        self.rows += changes

    def enter(self, time_s: float, outcome: Outcome) -> None:
        self.clock.monotonic = time_s
        json.dumps(asdict(outcome.signals), allow_nan=False, default=repr)
        self.events += outcome.events
        self.recorder.record(outcome.events, outcome.encounters)

    def close(self) -> None:
        for row in self.rows:
            if isinstance(row, EncounterRow):
                json.dumps([row.score, row.votes, row.attention, row.drowsiness, row.smallest_face], allow_nan=False)
                assert row.first_seen <= row.last_seen
            elif isinstance(row, Message):
                json.loads(row.payload, parse_constant=pytest.fail)
        check_lives(self.events)


BOXES = st.sampled_from(
    [
        sighting(160, 120, 120),
        sighting(160, 120, 120),
        sighting(165, 118, 124),
        sighting(0, 0, 90),
        sighting(330, 250, 120),
        sighting(-400, 120, 120),
        sighting(160, 120, 5),
        Detection(Box(100.0, 100.0, 100.0, 100.0), 0.9),
    ]
)
FACES = st.lists(BOXES, max_size=2)
EYES = st.sampled_from([[0.97, 0.02, 0.01], [0.01, 0.98, 0.01], [0.01, 0.98, 0.01], [0.1, 0.1, 0.8], [0.0, 0.0, 1.0]])
POSES = st.builds(pose_row, ANGLES, st.sampled_from([3.0, 8.0, 40.0, 0.0, -1.0, 1e9]))
STEPS = st.sampled_from([0.05, 0.1, 0.1, 0.2, 0.2, 1.0, 1.9, 0.0, -0.1, 3.0, -50.0, 1e6])
MASKS = st.sampled_from([BARE, BARE, WORN, SPLIT])
SCENES = st.tuples(KEYPOINTS, DEVIATIONS, FACES, EYES, POSES, MASKS, st.lists(STEPS, min_size=1, max_size=8))


@examples(few=60, many=10_000)
def test_any_keypoints_at_any_time_are_told_as_numbers_and_every_event_ends_once(count):
    try_all(count, play_scenes, st.lists(SCENES, min_size=1, max_size=4))


def play_scenes(scenes):
    camera, books, time_s = ToldCamera(), Books(), 1000.0
    for points, deviations, faces, eyes, pose, scores, steps in scenes:
        camera.landmarks.told, camera.detector.told = Landmarks(points, deviations), faces
        camera.eyes.row, camera.pose.row = {"probabilities": eyes}, pose
        camera.judge.scores = scores
        for step in steps:
            time_s += step
            books.enter(time_s, camera.show(time_s))
    books.enter(time_s, camera.pipeline.finish(time_s, "stopped"))
    books.close()


@examples(few=8, many=2_500)
def test_keypoints_that_are_no_head_are_no_event(count):
    """For sixteen seconds, four times 20 frames: who looks ahead with open eyes by the pixels stays who does."""
    try_all(count, hold_nonsense, st.lists(st.tuples(no_heads(), DEVIATIONS), min_size=4, max_size=4))


def hold_nonsense(held):
    camera, books = ToldCamera(), Books()
    for k in range(80):
        camera.landmarks.told = Landmarks(*held[k // 20])
        books.enter(k / 5, camera.show(k / 5))
    assert books.events == []


@examples(few=6, many=1_000)
def test_clocks_that_jump_and_frames_that_come_late_or_twice_are_no_event(count):
    """Somebody who is awake blinks and looks into the mirror; what the frames' times say is anything."""
    odd = st.sampled_from([0.0, 0.0, -0.2, -0.35, -1.9, 2.5, 60.0, -3.0, -50.0, 86_400.0])
    try_all(count, jump, st.dictionaries(st.integers(0, 149), odd, max_size=30), st.booleans())


def jump(jumps, set_for_good):
    camera, books, time_s = ToldCamera(), Books(), 1e6
    for k in range(150):
        time_s += jumps.get(k, 0.2) if set_for_good else 0.2
        shown_s = time_s if set_for_good else time_s + jumps.get(k, 0.0)
        camera.person((35.0, 0.0, 0.0) if k % 50 in range(20, 28) else (0.0, 0.0, 0.0), shut=k % 20 == 9)
        books.enter(shown_s, camera.show(shown_s))
    assert books.events == []


# --- what the properties rest on


def test_somebody_who_sleeps_or_looks_away_is_told_of():
    """Else the properties above could not fail."""
    camera, books = ToldCamera(), Books()
    for k in range(100):
        camera.person((60.0, 0.0, 0.0) if k >= 60 else (0.0, 0.0, 0.0), shut=25 <= k < 45)
        books.enter(k / 5, camera.show(k / 5))
    books.enter(20.0, camera.pipeline.finish(20.0, "stopped"))
    books.close()
    assert {(event.kind, event.state) for event in books.events} >= {("drowsiness", "sleep"), ("inattention", "long")}
    assert len([row for row in books.rows if isinstance(row, Message)]) >= 4


def test_nonsense_is_no_head_and_a_head_is_one():
    found = []

    def note(points):
        found.append(bool(solve([Landmarks(points, np.ones(68, np.float32))], [False], LENS).found[0]))

    try_all(100, note, no_heads())
    assert not any(found)
    assert solve([Landmarks(head((20.0, 10.0, 5.0)), np.ones(68, np.float32))], [False], LENS).found[0]
