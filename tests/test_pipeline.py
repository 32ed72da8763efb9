"""One frame's way through all stages, with a scripted detector and judge: their order, their results, their end."""

import itertools

import numpy as np
from support.doubles import BARE, WORN, ConstantJudge, ScriptedDetector, analyser_settings, sighting, track

from edged.analyse import Analyser
from edged.events import Events
from edged.events.encounters import Encounters
from edged.events.kinds import MaskEvents
from edged.pipeline import Outcome, Pipeline
from edged.signals import Smoother
from edged.track import Tracker, TrackerSettings
from edged.types import Attention, Detection, Drowsiness, DrowsinessLevel, Face, Frame, Image, MaskScores, Signals


def pipeline(frames: list[list[Detection]], scores: MaskScores = BARE) -> Pipeline:
    """Whoever is seen is somebody at once."""
    judge = ConstantJudge(scores)
    return Pipeline(
        "door",
        ScriptedDetector(frames),
        Tracker(TrackerSettings(birth_evidence=0)),
        Analyser(judge, analyser_settings()),
        Smoother(),
        Events(MaskEvents("door")),
        Encounters("door"),
    )


def play(line: Pipeline, count: int, start: float = 0.0) -> list[Outcome]:
    picture: Image = np.zeros((48, 64, 3), np.uint8)
    return [line.step(Frame("door", k, start + k / 10, picture)) for k in range(count)]


def test_a_face_goes_from_pixels_to_an_alert_and_an_encounter():
    outcomes = play(pipeline([[sighting(100)]] * 20), 20)
    events = [event for outcome in outcomes for event in outcome.events]
    encounters = [encounter for outcome in outcomes for encounter in outcome.encounters]
    assert [(event.phase, event.state, event.violation) for event in events] == [("start", "none", True)]
    assert {encounter.track for encounter in encounters} == {1}
    assert encounters[-1].state.value == "none"


def test_every_stage_works_on_the_same_frame():
    seen = sighting(100)
    outcomes = play(pipeline([[], [seen]]), 2)
    assert outcomes[0].faces == []
    assert outcomes[0].signals == Signals()
    (face,), (signal,) = outcomes[1].faces, outcomes[1].signals.masks
    assert outcomes[1].detections == [seen]
    assert face.track.detection is seen
    assert face.mask == BARE
    assert (signal.track, signal.time_s, signal.last_seen_s, signal.votes.none) == (1, 0.1, 0.1, 1)


def test_the_detector_gets_the_frames_own_pixels():
    line = pipeline([[]])
    picture: Image = np.zeros((9, 9, 3), np.uint8)
    line.step(Frame("door", 0, 0.0, picture))
    assert line.detector.pictures[0] is picture


def test_people_present_are_counted_by_state():
    outcome = play(pipeline([[sighting(100), sighting(300)]] * 20, WORN), 20)[-1]
    assert outcome.counts() == {"correct": 2, "incorrect": 0, "none": 0, "uncertain": 0}
    assert play(pipeline([]), 1)[0].counts() == {"correct": 0, "incorrect": 0, "none": 0, "uncertain": 0}


def test_the_last_frames_stages_are_timed():
    line = pipeline([[]])
    line.timer = itertools.accumulate([10.0, 1, 2, 4, 8]).__next__
    play(line, 1)
    times = line.times
    assert (times.detect, times.track, times.analyse, times.decide) == (1, 2, 4, 8)


def test_the_end_closes_everything_once():
    line = pipeline([[sighting(100)]] * 40)
    play(line, 20)
    outcome = line.finish(5.0, "stopped")
    assert [(event.phase, event.end_reason, event.time_s) for event in outcome.events] == [("end", "stopped", 5.0)]
    assert [encounter.closed for encounter in outcome.encounters] == [True]
    assert line.finish(6.0, "stopped") == Outcome([], [], Signals(), [], [])


def test_after_a_silence_whoever_is_seen_is_somebody_new():
    line = pipeline([[sighting(100)]] * 40)
    play(line, 20)
    line.finish(2.0, "camera silent")
    outcomes = play(line, 20, start=4.0)
    assert {face.track.id for outcome in outcomes for face in outcome.faces} == {2}
    assert outcomes[1].signals.masks[0].state.value == "uncertain"
    assert min(encounter.first_seen_s for outcome in outcomes for encounter in outcome.encounters) >= 2.0


def test_a_frame_that_comes_twice_costs_nothing_and_tells_nothing_new():
    line = pipeline([[sighting(100)]] * 40)
    play(line, 10)
    calls = len(line.detector.pictures), len(line.analyser.judge.batches)
    picture: Image = np.zeros((48, 64, 3), np.uint8)
    first = line.step(Frame("door", 10, 1.0, picture))
    again = line.step(Frame("door", 10, 1.0, picture))
    assert len(line.detector.pictures) == calls[0] + 1
    assert len(line.analyser.judge.batches) <= calls[1] + 1
    assert (again.faces, again.signals) == (first.faces, first.signals)
    assert again.events == again.encounters == []


def test_the_frame_that_alerts_alerts_once_when_it_comes_twice():
    line = pipeline([[sighting(100)]] * 40)
    picture: Image = np.zeros((48, 64, 3), np.uint8)
    outcomes = [line.step(Frame("door", number // 2, number // 2 / 10, picture)) for number in range(60)]
    assert [event.phase for outcome in outcomes for event in outcome.events] == ["start"]


def test_a_face_is_not_looked_at_again_when_its_frame_comes_twice():
    line = pipeline([[sighting(100)]] * 40)
    play(line, 4)
    picture: Image = np.zeros((48, 64, 3), np.uint8)
    votes = [line.step(Frame("door", 4, 0.4, picture)).signals.masks[0].votes.none for _ in range(3)]
    votes.append(line.step(Frame("door", 5, 0.5, picture)).signals.masks[0].votes.none)
    assert votes == [5, 5, 5, 6]


def attention(number: int, attentive: bool | None) -> Attention:
    return Attention(number, 0.0, attentive, None if attentive is not None else "small", 0.0, 0.0, None, 0.0, 0.0)


def drowsiness(number: int, level: DrowsinessLevel) -> Drowsiness:
    return Drowsiness(number, 0.0, 0.9, False, 0.0, 0.02, 0, 0, 0.1, level, (), ())


def test_people_present_are_counted_by_attention():
    signals = Signals(
        attention=tuple(attention(k, attentive) for k, attentive in enumerate((True, True, False, None))),
        drowsiness=tuple(drowsiness(k, level) for k, level in enumerate(("alarm", "warning", "notice", "unknown"))),
    )
    faces = [Face(track(number)) for number in range(4)]
    counts = Outcome([], faces, signals, [], []).attention_counts()
    assert counts == {"present": 4, "attentive": 2, "away": 1, "drowsy": 2, "unknown": 1}
