"""Distractions as events: begun once, changed, ended once, and told to people no more than they ask for."""

import pytest
from support.doubles import vote
from support.lives import check_lives
from support.traces import Camera, Move, Script

from edged.config import AttentionConfig, EventsConfig
from edged.events import Events
from edged.events.kinds import InattentionEvents
from edged.signals import Smoother
from edged.signals.attention import AttentionMonitor
from edged.types import Attention, Event, MaskState

RATES = pytest.mark.parametrize("fps", [5, 10, 15, 30])


def attention(track: int, time_s: float, distraction: str | None, *, away_s: float = 0.0) -> Attention:
    away = distraction is not None
    return Attention(track, time_s, not away, None, away_s, away_s, distraction, 0.0, away_s)


def show(events: InattentionEvents, distractions: list[str | None], start: float = 0.0, number: int = 1) -> list[Event]:
    """One track's distractions, ten frames a second."""
    told = []
    for k, one in enumerate(distractions):
        time_s = start + k / 10
        seen = vote(number, time_s, MaskState.UNCERTAIN, since=start)
        told += events.update(time_s, [seen], [attention(number, time_s, one, away_s=k / 10)])
    return told


def steps(told: list[Event]) -> list[tuple[str, str, str | None]]:
    return [(event.phase, event.state, event.end_reason) for event in told]


def film(fps: float, *scripts: Script, settings_: AttentionConfig | None = None) -> list[Event]:
    """The events of whole scripts, through the signals, with everything ended at the end."""
    smoother = Smoother(attention=AttentionMonitor(AttentionConfig(target_yaw=0, target_pitch=0)))
    events = Events(inattention=InattentionEvents("cab", settings_ or AttentionConfig()))
    told, time_s = [], 0.0
    for time_s, faces in Camera(fps).film(*scripts):
        told += events.update(time_s, smoother.update(time_s, faces))
    told += events.finish(time_s, "stopped")
    check_lives(told)
    return told


def test_a_distraction_is_an_event_from_its_limit_to_the_return():
    told = show(InattentionEvents("cab"), [None] * 5 + ["long"] * 20 + [None] * 5)
    assert steps(told) == [("start", "long", None), ("end", "long", "recovered")]
    assert [event.violation for event in told] == [True, False]
    assert told[0].kind == "inattention"
    assert told[1].details == {"away_s": 2.4, "away_recent_s": 2.4}


def test_who_is_not_followed_any_more_though_here_has_no_open_event():
    """In a cab another face is taken for the driver: nothing would end what the first one began."""
    events, told = InattentionEvents("cab"), list[Event]()
    for time_s, followed in ((0.0, 1), (0.1, 1), (0.2, 2), (0.3, 2)):
        votes = [vote(number, time_s, MaskState.UNCERTAIN, since=0.0) for number in (1, 2)]
        one = attention(followed, time_s, "long" if followed == 1 else None, away_s=time_s)
        told += events.update(time_s, votes, [one])
    assert steps(told) == [("start", "long", None), ("end", "long", "left")]


def test_a_repeated_one_that_becomes_a_long_one_is_the_same_event():
    told = show(InattentionEvents("cab"), ["repeated"] * 5 + ["long"] * 5 + [None])
    assert steps(told) == [("start", "repeated", None), ("update", "long", None), ("end", "long", "recovered")]


def test_only_the_distractions_that_are_asked_for_are_events():
    only_long = AttentionConfig(distractions=frozenset({"long"}))
    told = show(InattentionEvents("cab", only_long), ["repeated"] * 5 + ["long"] * 5 + [None] * 2)
    assert steps(told) == [("start", "long", None), ("end", "long", "recovered")]


def test_where_nobody_wants_alerts_events_are_recorded_only():
    told = show(InattentionEvents("room", AttentionConfig(alerts=False)), ["long"] * 5 + [None])
    assert [event.violation for event in told] == [False, False]
    assert told[0].details["held_back"] == "not wanted"


def test_alerts_keep_their_cooldown_and_their_cap():
    events = InattentionEvents("cab", AttentionConfig(cooldown_seconds=10, most_alerts_per_minute=2))
    starts = [show(events, ["long", None], start=start)[0] for start in (0.0, 5.0, 11.0, 22.0)]
    assert [event.details.get("held_back") for event in starts] == [None, "cooldown", None, "too many"]


def test_who_still_looks_away_when_the_cooldown_is_over_alerts_then():
    events = InattentionEvents("cab", AttentionConfig(cooldown_seconds=10))
    show(events, ["long", None])
    told = show(events, ["long"] * 200, start=1.0)
    assert [(event.phase, event.violation, event.time_s) for event in told] == [
        ("start", False, 1.0), ("update", True, 10.0),
    ]  # fmt: skip


def test_who_leaves_ends_the_event_as_of_the_last_sighting():
    events = InattentionEvents("cab")
    show(events, ["long"] * 5)
    seen = vote(1, 0.9, MaskState.UNCERTAIN, seen_s=0.4)
    events.update(0.9, [seen], [attention(1, 0.9, "long")])
    (end,) = events.update(1.5, [], [])
    assert (end.phase, end.end_reason, end.time_s) == ("end", "left", 0.4)


def test_a_very_long_one_is_ended_and_begins_again_only_while_somebody_is_seen_to_look_away():
    events = InattentionEvents("cab", limits=EventsConfig(longest_seconds=10))
    told = show(events, ["long"] * 101)
    assert steps(told) == [("start", "long", None), ("end", "long", "longest")]
    unknown = Attention(1, 10.1, None, "out of sight", 0, 0, "long", 0, 0)
    assert events.update(10.1, [vote(1, 10.1, MaskState.UNCERTAIN)], [unknown]) == []
    assert steps(show(events, ["long"], start=10.2)) == [("start", "long", None)]


def test_a_number_that_changes_is_not_another_person():
    events = InattentionEvents("cab")
    show(events, ["long"] * 5)
    (end, start) = show(events, ["long"], start=0.9, number=2)
    assert (end.end_reason, start.details["held_back"]) == ("left", "cooldown")


# --- from heads to events


@RATES
def test_a_drive_gives_exactly_its_events(fps):
    script = Script(
        90,
        moves=[
            Move(5, 6, yaw=40), Move(12, 14.3, yaw=-50), Move(20, 24, yaw=60), Move(35, 37, pitch=-35),
            *(Move(start, start + 1.8, yaw=45) for start in (50, 53, 56, 59, 62, 65)),
        ],
    )  # fmt: skip
    told = film(fps, script)
    assert [(event.phase, event.state) for event in told] == [
        ("start", "long"), ("end", "long"), ("start", "repeated"), ("end", "repeated"),
    ]  # fmt: skip
    times = [event.time_s - 1000 for event in told]
    assert times[:2] == [pytest.approx(23.1, abs=2.5 / fps), pytest.approx(25.3, abs=0.1 + 2.5 / fps)]
    assert times[2:] == [pytest.approx(66.15, abs=0.3 + 2 / fps), pytest.approx(68.95, abs=0.2 + 2 / fps)]
    # The second comes after the cooldown of thirty seconds.
    assert [event.violation for event in told] == [True, False, True, False]


@RATES
def test_a_class_gives_each_pupils_own_events(fps):
    told = film(fps, Script(20, moves=[Move(3, 8, yaw=60)]), Script(20), Script(12, moves=[Move(5, 11, pitch=-50)]))
    assert {event.track for event in told} == {1, 3}
    assert sum(event.phase == "start" for event in told) == 2


@RATES
@pytest.mark.parametrize("roll", [180, -150])
def test_a_face_upside_down_is_no_event(fps, roll):
    assert film(fps, Script(30, roll=roll, moves=[Move(5, 20, yaw=60)])) == []


def test_a_profile_without_attention_has_none():
    assert Events().update(0.0, Smoother().update(0.0, [])) == []
    assert Events().finish(0.0, "stopped") == []
