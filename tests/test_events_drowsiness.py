"""Drowsiness as events: the gravest reason is the state, levels decide on alerts, and each begins and ends once."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.doubles import square, track, vote
from support.lives import check_lives
from support.traces import Camera, Move, Script, every

from edged.config import AttentionConfig, DrowsinessConfig, EventsConfig
from edged.events import Events
from edged.events.encounters import Encounters
from edged.events.kinds import DrowsinessEvents, InattentionEvents, MaskEvents
from edged.signals import Smoother
from edged.signals.attention import AttentionMonitor
from edged.signals.drowsiness import DrowsinessMonitor
from edged.types import Drowsiness, Event, EyeReading, Face, HeadPose, MaskScores, MaskState

RATES = pytest.mark.parametrize("fps", [5, 10, 15, 30])
BLINKS = every(4, 0.15, 1.5, 3600)


def drowsiness(time_s: float, level: str, *reasons: str, closure_s: float = 0.0, number: int = 1) -> Drowsiness:
    score = {"unknown": None, "alert": 0.1, "notice": 0.3, "warning": 0.6, "alarm": 0.8}[level]
    return Drowsiness(number, time_s, 0.9, False, closure_s, 0.05, 0, 0, score, level, reasons, ())


def show(events: DrowsinessEvents, *shown: tuple[str, ...], start: float = 0.0) -> list[Event]:
    """One track's levels and reasons, ten frames a second."""
    told = []
    for k, (level, *reasons) in enumerate(shown):
        time_s = start + k / 10
        seen = vote(1, time_s, MaskState.UNCERTAIN, since=start)
        told += events.update(time_s, [seen], [drowsiness(time_s, level, *reasons, closure_s=k / 10)])
    return told


def steps(told: list[Event]) -> list[tuple[str, str, str | None]]:
    return [(event.phase, event.state, event.end_reason) for event in told]


def film(fps: float, *scripts: Script) -> list[Event]:
    """The drowsiness events of whole scripts, through the signals, with everything ended at the end."""
    smoother, events = Smoother(drowsiness=DrowsinessMonitor()), Events(drowsiness=DrowsinessEvents("cab"))
    told, time_s = [], 0.0
    for time_s, faces in Camera(fps).film(*scripts):
        told += events.update(time_s, smoother.update(time_s, faces))
    told += events.finish(time_s, "stopped")
    check_lives(told)
    return told


def test_who_is_not_taken_for_the_driver_any_more_has_no_open_event():
    """Nothing else would end the alarm: their own face is still there, and nobody judges it."""
    events, told = DrowsinessEvents("cab"), list[Event]()
    for time_s, followed in ((0.0, 1), (0.1, 1), (0.2, 2), (0.3, 2)):
        votes = [vote(number, time_s, MaskState.UNCERTAIN, since=0.0) for number in (1, 2)]
        level = ("alarm", "sleep") if followed == 1 else ("alert",)
        told += events.update(time_s, votes, [drowsiness(time_s, *level, number=followed)])
    assert steps(told) == [("start", "sleep", None), ("end", "sleep", "left")]


def test_the_gravest_reason_is_the_state_and_the_end_tells_the_worst():
    told = show(
        DrowsinessEvents("cab"),
        ("warning", "microsleep"), ("alarm", "microsleep"), ("alarm", "sleep", "perclos"), ("notice", "perclos"), ("alert",),
    )  # fmt: skip
    assert steps(told) == [
        ("start", "microsleep", None),
        ("update", "sleep", None),
        ("end", "sleep", "recovered"),
    ]
    assert [event.violation for event in told] == [True, False, False]
    assert told[-1].details == {
        "level": "alarm", "perclos": 0.05, "closure_s": 0.3, "reasons": ["sleep", "microsleep", "perclos"],
    }  # fmt: skip
    assert told[-1].score == 0.8


def test_another_reason_is_an_update_and_the_state_stays_the_gravest():
    told = show(DrowsinessEvents("cab"), ("alarm", "sleep"), ("alarm", "sleep", "nodding"), ("warning", "nodding"))
    assert steps(told) == [("start", "sleep", None), ("update", "sleep", None)]
    assert told[1].details["reasons"] == ["sleep", "nodding"]


def test_below_the_alert_level_an_event_is_recorded_and_alerts_once_it_gets_there():
    told = show(
        DrowsinessEvents("cab"), ("notice", "yawning"), ("warning", "yawning"), ("alarm", "yawning"), ("alert",)
    )
    assert steps(told) == [("start", "yawning", None), ("update", "yawning", None), ("end", "yawning", "recovered")]
    assert [event.violation for event in told] == [False, True, False]
    assert [event.details.get("held_back") for event in told] == ["level", None, None]


def test_the_alert_level_is_that_of_the_settings():
    told = show(
        DrowsinessEvents("cab", DrowsinessConfig(alert_level="alarm")), ("warning", "sleep"), ("alarm", "sleep")
    )
    assert steps(told) == [("start", "sleep", None), ("update", "sleep", None)]
    assert [event.violation for event in told] == [False, True]


def test_within_the_cooldown_there_is_no_second_alert():
    events = DrowsinessEvents("cab", DrowsinessConfig(cooldown_seconds=10))
    show(events, ("warning", "microsleep"), ("alert",))
    assert show(events, ("alarm", "sleep"), ("alert",), start=5.0)[0].details["held_back"] == "cooldown"
    assert show(events, ("alarm", "sleep"), ("alert",), start=11.0)[0].violation


def test_what_was_held_back_at_its_start_alerts_once_when_it_lasts_longer_than_the_cooldown():
    events = DrowsinessEvents("cab", DrowsinessConfig(cooldown_seconds=10))
    show(events, ("warning", "microsleep"), ("alert",))
    told = show(events, *[("alarm", "sleep")] * 190, start=5.0)
    assert steps(told) == [("start", "sleep", None), ("update", "sleep", None)]
    assert [(event.violation, event.time_s) for event in told] == [(False, 5.0), (True, 10.0)]


def test_what_becomes_grave_within_the_cooldown_alerts_after_it_while_it_is_still_grave():
    events = DrowsinessEvents("cab", DrowsinessConfig(cooldown_seconds=10))
    show(events, ("warning", "microsleep"), ("alert",))
    told = show(
        events,
        *[("notice", "perclos")] * 10, *[("warning", "perclos")] * 10, *[("notice", "perclos")] * 60,
        *[("warning", "perclos")] * 10,
        start=5.0,
    )  # fmt: skip
    assert [(event.details.get("held_back"), event.violation, event.time_s) for event in told] == [
        ("level", False, 5.0), ("cooldown", False, 6.0), (None, True, 13.0),
    ]  # fmt: skip


def test_who_leaves_and_who_lasts_too_long_ends_the_event():
    events = DrowsinessEvents("cab", limits=EventsConfig(longest_seconds=10))
    assert steps(show(events, *[("warning", "perclos")] * 102)) == [
        ("start", "perclos", None),
        ("end", "perclos", "longest"),
        ("start", "perclos", None),
    ]
    assert [event.end_reason for event in events.update(11.0, [], [])] == ["left"]
    assert not events._worst


# --- from eyes to events


@RATES
def test_a_night_gives_exactly_its_events(fps):
    script = Script(
        330,
        shut=[
            *BLINKS[:12], (50, 51.5), (60, 60.7), (100, 104), (118, 118.2), *every(4, 0.15, 120, 235),
            (240, 242.2), (250, 252.2), *every(4, 0.15, 254, 330),
        ],
        yawns=[(140, 143), (155, 158), (170, 173)],
        moves=[
            Move(30, 33, pitch=-35), Move(75, 76, yaw=50),
            Move(241, 241.9, pitch=-25, over=0.5), Move(251, 251.9, pitch=-25, over=0.5),
        ],
    )  # fmt: skip
    told = film(fps, script)
    assert [(event.phase, event.state, event.violation) for event in told] == [
        ("start", "microsleep", True), ("end", "microsleep", False),
        ("start", "microsleep", True), ("update", "sleep", False), ("update", "sleep", False), ("end", "sleep", False),
        ("start", "yawning", False), ("end", "yawning", False),
        ("start", "microsleep", True), ("update", "microsleep", False), ("end", "microsleep", False),
    ]  # fmt: skip
    expected = (51, 61.5, 101, 103, 112.3, 171, 173, 233, 241, 252.2, 302)
    for event, time_s in zip(told, expected, strict=True):
        assert event.time_s - 1000 == pytest.approx(time_s, abs=1.3 + 2 / fps)
    assert [event.details["reasons"] for event in told if event.phase == "end"] == [
        ["microsleep"], ["sleep", "microsleep", "perclos"], ["yawning"], ["microsleep", "nodding"],
    ]  # fmt: skip
    assert {event.end_reason for event in told if event.phase == "end"} == {"recovered"}


@RATES
def test_who_is_awake_causes_none(fps):
    script = Script(
        120,
        shut=BLINKS,
        talks=[(20, 60)],
        moves=[Move(start, end, pitch=-35) for start, end in every(15, 2.5, 9, 120)],
        lowered=[(70, 71.5)],
    )
    assert film(fps, script) == []


@RATES
def test_a_face_that_vanishes_in_a_nod_and_one_upside_down_cause_none(fps):
    vanishing = Script(
        70, shut=[*BLINKS[:15], (62, 63)], moves=[Move(62.4, 90, pitch=-40, over=0.5)], unseen=[(63, 70)]
    )
    assert film(fps, vanishing, Script(70, roll=180, shut=[(30, 60)])) == []


# --- anything at all, through everything

ANY = st.floats(allow_nan=True, allow_infinity=True)
SHARE = st.floats(0, 1)
LOOKS = st.none() | st.builds(EyeReading, st.none() | ANY, st.none() | ANY) | st.sampled_from(
    [EyeReading(0.02, 0.08), EyeReading(0.02, 0.08), EyeReading(0.98, 0.3), EyeReading(None, None, "hidden")]
)  # fmt: skip
NEAR = st.floats(-80, 80)
POSES = st.none() | st.builds(HeadPose, *[ANY] * 6) | st.builds(HeadPose, *[NEAR] * 5, st.just(3.0))
MASKS = st.none() | st.builds(MaskScores, ANY, ANY, ANY) | st.just(MaskScores(0.01, 0.01, 0.98))
PEOPLE = st.dictionaries(
    st.integers(1, 3), st.tuples(LOOKS, POSES, st.none() | SHARE | ANY, MASKS, st.booleans()), max_size=3
)
STEPS = st.sampled_from([0.1, 0.2, 0.2, 1.0, 1.9, 0.0, -0.1, 3.0, -50.0, 1e6])


def person(number: int, since: float, time_s: float, look, pose, mouth, mask, seen) -> Face:
    box = square(200.0 * number, 100, 100)
    last_seen_s = time_s if seen else max(since, time_s - 0.5)
    known = track(number, 100, seen=seen)
    there = type(known)(number, box, since, last_seen_s, 3, known.detection)
    return Face(there, mask=mask, pose=pose, eyes=look, mouth_ratio=mouth)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(STEPS, PEOPLE), max_size=50))
@example([(0.1, {1: (None, None, None, MaskScores(0.0, 0.0, 9e307), True)})] * 20)
def test_whatever_is_read_whenever_every_event_starts_and_ends_once_and_no_number_is_none(frames):
    quick = DrowsinessConfig(window_seconds=20).model_copy(update={"least_valid": 0.05})
    smoother = Smoother(
        attention=AttentionMonitor(AttentionConfig(target_yaw=0, target_pitch=0, long_seconds=0.5)),
        drowsiness=DrowsinessMonitor(quick),
    )
    events = Events(MaskEvents("cab"), InattentionEvents("cab"), DrowsinessEvents("cab"))
    encounters, told, time_s, since, passages = Encounters("cab"), [], 0.0, {}, []
    for step, people in frames:
        time_s += step
        since = {number: since.get(number, time_s) for number in people}
        faces = [person(number, since[number], time_s, *shown) for number, shown in people.items()]
        signals = smoother.update(time_s, faces)
        assert [one.track for one in signals.drowsiness] == [one.track for one in signals.attention] == list(people)
        told += events.update(time_s, signals)
        passages += encounters.update(time_s, signals)
    told += events.finish(time_s, "stopped")
    passages += encounters.finish()
    check_lives(told)
    for passage in passages:
        assert "nan" not in repr(passage)
        assert "inf" not in repr(passage)
