"""Events on plain verdicts: each starts once and ends once, and people are alerted neither twice nor too often."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.doubles import vote

from edged.config import EventsConfig, MaskConfig
from edged.events.kinds import MaskEvents
from edged.types import Event, MaskState

CORRECT, INCORRECT, NONE, UNCERTAIN = MaskState


def show(
    events: MaskEvents, states: list[MaskState], start: float = 0.0, number: int = 1, **place: float
) -> list[Event]:
    """One track's verdicts, ten a second."""
    told = []
    for k, state in enumerate(states):
        time_s = start + k / 10
        told += events.update(time_s, [vote(number, time_s, state, **{"since": start, **place})])
    return told


def steps(told: list[Event]) -> list[tuple[str, str]]:
    return [(event.phase, event.state) for event in told]


def alerts(told: list[Event]) -> list[Event]:
    return [event for event in told if event.violation]


# --- start, update, end


@pytest.mark.parametrize("state", [NONE, INCORRECT])
def test_a_violation_starts_one_event_and_alerts_once(state):
    told = show(MaskEvents("door"), [UNCERTAIN] * 5 + [state] * 20)
    assert steps(told) == [("start", state.value)]
    assert told[0].violation


@pytest.mark.parametrize("state", [CORRECT, UNCERTAIN])
def test_no_other_state_is_an_event(state):
    assert show(MaskEvents("door"), [state] * 20) == []


def test_uncertain_neither_ends_nor_changes_an_event():
    assert steps(show(MaskEvents("door"), [NONE, *[UNCERTAIN] * 50, NONE])) == [("start", "none")]


def test_another_violation_is_an_update_of_the_same_event_and_no_second_alert():
    told = show(MaskEvents("door"), [NONE, INCORRECT, UNCERTAIN, INCORRECT, NONE])
    assert steps(told) == [("start", "none"), ("update", "incorrect"), ("update", "none")]
    assert {event.key for event in told} == {"door-mask-1"}
    assert len(alerts(told)) == 1


def test_a_mask_put_right_ends_the_event():
    start, end = show(MaskEvents("door"), [NONE, NONE, CORRECT, CORRECT])
    assert (end.phase, end.end_reason, end.key, end.time_s) == ("end", "corrected", start.key, 0.2)
    assert end.state == "none"


def test_who_is_gone_ends_the_event_as_of_the_last_sighting():
    events = MaskEvents("door")
    show(events, [NONE] * 5)
    events.update(0.9, [vote(1, 0.9, NONE, seen_s=0.4)])
    (end,) = events.update(1.3, [])
    assert (end.phase, end.end_reason, end.time_s) == ("end", "left", 0.4)


def test_no_event_ends_before_it_started():
    events = MaskEvents("door")
    (start,) = events.update(2.0, [vote(1, 2.0, NONE, seen_s=1.5)])
    (end,) = events.update(2.1, [])
    assert end.time_s == start.time_s == 2.0


def test_a_very_long_event_is_ended_and_goes_on_as_another():
    told = show(MaskEvents("door", MaskConfig(cooldown_seconds=0), EventsConfig(longest_seconds=10)), [NONE] * 150)
    assert [(event.phase, event.end_reason) for event in told] == [("start", None), ("end", "longest"), ("start", None)]
    assert told[0].key != told[2].key


def test_stopping_ends_every_open_event_with_its_reason():
    events = MaskEvents("door")
    events.update(0.0, [vote(1, 0.0, NONE), vote(2, 0.0, CORRECT), vote(3, 0.0, INCORRECT)])
    ended = events.finish(1.0, "stopped")
    assert [(e.track, e.phase, e.end_reason, e.time_s) for e in ended] == [
        (1, "end", "stopped", 1.0),
        (3, "end", "stopped", 1.0),
    ]
    assert events.finish(2.0, "stopped") == []
    assert events.update(2.1, []) == []


def test_a_state_that_is_allowed_starts_no_event_and_ends_one():
    events = MaskEvents("door", MaskConfig(violations=frozenset({"none"})))
    told = show(events, [INCORRECT] * 3 + [NONE] * 3 + [INCORRECT] * 3)
    assert [(event.phase, event.state, event.end_reason) for event in told] == [
        ("start", "none", None),
        ("end", "none", "corrected"),
    ]


# --- alerts


def test_within_the_cooldown_the_same_face_is_an_event_without_an_alert():
    events = MaskEvents("door", MaskConfig(cooldown_seconds=30))
    told = show(events, [NONE, CORRECT] * 5)
    assert [event.violation for event in told if event.phase == "start"] == [True, False, False, False, False]
    held_back = [event.details.get("held_back") for event in told if event.phase == "start"]
    assert held_back == [None, *["cooldown"] * 4]


def test_after_the_cooldown_the_same_face_alerts_again():
    events = MaskEvents("door", MaskConfig(cooldown_seconds=30))
    show(events, [NONE, *[CORRECT] * 300])
    assert len(alerts(events.update(30.1, [vote(1, 30.1, NONE)]))) == 1


def test_what_the_cooldown_held_back_alerts_once_where_it_goes_on_past_its_end():
    events = MaskEvents("door", MaskConfig(cooldown_seconds=30))
    told = show(events, [NONE, CORRECT, *[NONE] * 500])
    assert steps(told) == [("start", "none"), ("end", "none"), ("start", "none"), ("update", "none")]
    assert [event.violation for event in told] == [True, False, False, True]
    assert (told[3].key, told[3].time_s, told[3].details) == (told[2].key, 30.0, {})


def test_it_alerts_only_while_it_is_seen():
    events = MaskEvents("door", MaskConfig(cooldown_seconds=30))
    show(events, [NONE, CORRECT, *[NONE] * 200, *[UNCERTAIN] * 150])
    assert not events.update(35.3, [vote(1, 35.3, NONE, seen_s=35.2)])
    assert [event.violation for event in show(events, [NONE] * 5, start=35.4)] == [True]


def test_what_ends_with_the_cooldown_does_not_alert():
    events = MaskEvents("door", MaskConfig(cooldown_seconds=30))
    assert len(alerts(show(events, [NONE, CORRECT, *[NONE] * 298, *[CORRECT] * 50]))) == 1


def test_another_number_alerts_too_once_the_cooldown_that_it_took_over_is_over():
    events = MaskEvents("door", MaskConfig(cooldown_seconds=30))
    leave_bare(events)
    told = show(events, [NONE, *[INCORRECT] * 400], start=1.5, number=2)
    assert [(event.phase, event.violation) for event in told] == [
        ("end", False), ("start", False), ("update", False), ("update", True),
    ]  # fmt: skip
    assert told[-1].time_s == pytest.approx(30.0)


def test_what_the_cap_holds_back_stays_without_an_alert():
    events = MaskEvents("door", MaskConfig(most_alerts_per_minute=1))
    show(events, [NONE])
    assert not alerts(show(events, [NONE] * 1200, number=2, x=500.0))


def test_a_cooldown_that_ends_in_a_flood_of_alerts_says_so():
    events = MaskEvents("door", MaskConfig(cooldown_seconds=5, most_alerts_per_minute=1))
    told = show(events, [NONE, CORRECT, *[NONE] * 700])
    assert [event.details.get("held_back") for event in told] == [None, None, "cooldown", "too many"]
    assert len(alerts(told)) == 1


def test_a_clock_set_back_makes_no_cooldown_longer():
    events = MaskEvents("door", MaskConfig(cooldown_seconds=30))
    show(events, [NONE, CORRECT], start=1000.0)
    assert not alerts(show(events, [NONE, CORRECT], start=0.0))
    assert alerts(show(events, [NONE], start=31.0))


def test_a_clock_set_back_a_little_makes_no_alert_of_before_newer_and_passes_by_who_has_none():
    events = MaskEvents("door", MaskConfig(cooldown_seconds=30))
    show(events, [NONE, CORRECT], start=0.0)
    show(events, [CORRECT], start=25.0, number=2, x=500.0)
    show(events, [CORRECT], start=20.0, number=2, x=500.0)
    assert alerts(show(events, [NONE], start=31.0))


def test_a_clock_set_back_holds_no_alerts_back_for_longer_than_a_minute():
    events = MaskEvents("door", MaskConfig(most_alerts_per_minute=1))
    assert alerts(show(events, [NONE], start=1000.0))
    assert not alerts(show(events, [NONE], start=0.0, number=2, x=500.0))
    assert alerts(show(events, [NONE], start=61.0, number=3, x=900.0))


def test_one_cameras_alerts_a_minute_are_capped_and_the_rest_held_back():
    events = MaskEvents("door", MaskConfig(most_alerts_per_minute=3))
    told = events.update(0.0, [vote(k, 0.0, NONE, x=200.0 * k) for k in range(1, 6)])
    assert [event.details.get("held_back") for event in told] == [None, None, None, "too many", "too many"]
    assert not alerts(events.update(59.9, [vote(10, 59.9, NONE, since=59.0)]))
    assert alerts(events.update(60.0, [vote(11, 60.0, NONE, since=59.5)]))


def test_who_was_taken_for_a_static_face_meanwhile_keeps_the_cooldown():
    events = MaskEvents("door")
    told = show(events, [NONE] * 11)
    told += events.end_static([1], 1.1)
    told += show(events, [NONE], start=20.0, since=0.0)
    assert [event.end_reason or event.details.get("held_back") for event in told] == [None, "static", "cooldown"]


# --- the same person under another number


def leave_bare(events: MaskEvents, until_s: float = 1.0, **place: float) -> None:
    """Track 1 alerts at the start, is last seen at `until_s`, and is kept out of sight a while."""
    show(events, [NONE] * (round(until_s * 10) + 1), **place)


def test_a_face_that_gets_another_number_does_not_alert_again():
    events = MaskEvents("door")
    leave_bare(events)
    told = show(events, [UNCERTAIN] * 5 + [NONE], start=1.8, number=2)
    assert told[-1].details == {"held_back": "cooldown"}


def test_nor_does_it_when_the_old_number_is_still_waited_for():
    events = MaskEvents("door")
    leave_bare(events)
    told = events.update(1.3, [vote(1, 1.3, NONE, seen_s=1.0), vote(2, 1.3, UNCERTAIN, since=1.2)])
    told += events.update(1.7, [vote(1, 1.7, NONE, seen_s=1.0), vote(2, 1.7, NONE, since=1.2)])
    assert [event.details for event in told] == [{"held_back": "cooldown"}]


def test_nor_when_it_has_walked_on_before_its_verdict():
    events = MaskEvents("door")
    leave_bare(events)
    events.update(1.5, [vote(2, 1.5, UNCERTAIN, since=1.4)])
    told = events.update(2.5, [vote(2, 2.5, NONE, since=1.4, x=600)])
    assert told[-1].details == {"held_back": "cooldown"}


def test_nor_when_it_was_uncertain_as_it_turned_away():
    events = MaskEvents("door")
    leave_bare(events)
    show(events, [UNCERTAIN] * 3, start=1.1, since=0.0)
    assert not alerts(show(events, [NONE], start=1.8, number=2))


def test_nor_when_its_state_had_changed_since_the_alert():
    events = MaskEvents("door")
    show(events, [NONE] * 5 + [INCORRECT] * 5)
    assert not alerts(show(events, [INCORRECT], start=1.5, number=2))


def test_nor_when_it_changes_its_number_twice():
    events = MaskEvents("door")
    leave_bare(events)
    show(events, [UNCERTAIN] * 3, start=1.5, number=2)
    assert not alerts(show(events, [NONE], start=2.5, number=3))


@pytest.mark.parametrize(
    ("state", "gap_s", "x"), [(INCORRECT, 0.5, 100), (NONE, 1.6, 100), (NONE, 0.5, 145)], ids=["state", "late", "place"]
)
def test_another_state_time_or_place_is_another_person(state, gap_s, x):
    events = MaskEvents("door", MaskConfig())
    leave_bare(events)
    events.update(1.1, [])
    assert alerts(events.update(1.0 + gap_s, [vote(2, 1.0 + gap_s, state, since=1.0 + gap_s, x=x)]))


def test_two_faces_in_sight_at_the_same_time_are_two_people():
    events = MaskEvents("door")
    events.update(1.0, [vote(1, 1.0, NONE)])
    told = events.update(1.1, [vote(1, 1.1, NONE, seen_s=1.0), vote(2, 1.1, NONE, since=1.0)])
    assert len(alerts(told)) == 1


def test_what_is_remembered_of_those_who_are_gone_is_bounded():
    events = MaskEvents("door", MaskConfig(cooldown_seconds=0, most_alerts_per_minute=600))
    for number in range(500):
        events.update(number / 5, [vote(number, number / 5, NONE, since=number / 5)])
    assert (len(events._seen), len(events._open), len(events._gone)) == (1, 1, 64)
    assert len(events._recent_alerts_s) <= 600


# --- any life at all


class Life(RuleBasedStateMachine):
    """People come, change and go; a small model keeps the books."""

    COOLDOWN_S, PER_MINUTE, LONGEST_S = 5.0, 4, 20.0

    def __init__(self) -> None:
        super().__init__()
        settings_ = MaskConfig(cooldown_seconds=self.COOLDOWN_S, most_alerts_per_minute=self.PER_MINUTE)
        self.events = MaskEvents("door", settings_, EventsConfig(longest_seconds=self.LONGEST_S))
        self.time_s, self.people, self.since, self.next = 0.0, {}, {}, 1
        self.open: dict[int, Event] = {}
        self.phases: dict[str, list[str]] = {}
        self.alerted: list[tuple[float, int]] = []
        self.held_back: set[str] = set()
        """Keys of events that the cooldown keeps from alerting."""

    def take_in(self, told: list[Event]) -> None:
        for event in told:
            self.phases.setdefault(event.key, []).append(event.phase)
            if event.phase == "start":
                assert event.track not in self.open
                self.open[event.track] = event
            else:
                assert self.open[event.track].key == event.key
                assert event.time_s >= self.open[event.track].time_s
            if event.violation:  # at the start, or once the cooldown that held it back is over
                assert event.phase == "start" or (event.phase == "update" and event.key in self.held_back)
            if event.details.get("held_back") == "cooldown":
                self.held_back.add(event.key)
            else:
                self.held_back.discard(event.key)
            if event.phase == "end":
                started = self.open.pop(event.track)
                assert event.end_reason
                assert event.time_s - started.time_s <= self.LONGEST_S + 10
            if event.violation:
                self.alerted.append((event.time_s, event.track))

    def step(self) -> None:
        self.take_in(
            self.events.update(
                self.time_s,
                [vote(p, self.time_s, s, since=self.since[p], x=90.0 * p) for p, s in self.people.items()],
            )
        )

    @rule(state=st.sampled_from(MaskState))
    def come(self, state: MaskState) -> None:
        self.people[self.next], self.since[self.next] = state, self.time_s
        self.next += 1
        self.step()

    @precondition(lambda self: self.people)
    @rule(data=st.data(), state=st.sampled_from(MaskState))
    def change(self, data: st.DataObject, state: MaskState) -> None:
        self.people[data.draw(st.sampled_from(sorted(self.people)))] = state
        self.step()

    @precondition(lambda self: self.people)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        del self.people[data.draw(st.sampled_from(sorted(self.people)))]
        self.step()

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 4.9, 10.0]))
    def wait(self, seconds: float) -> None:
        self.time_s += seconds
        self.step()

    @rule()
    def fall_silent(self) -> None:
        self.take_in(self.events.finish(self.time_s, "camera silent"))
        assert not self.open

    @invariant()
    def only_people_in_sight_have_open_events(self) -> None:
        assert self.open.keys() <= self.people.keys()

    @invariant()
    def who_is_correct_has_no_open_event(self) -> None:
        for person in self.open:
            assert self.people[person] is not CORRECT

    @invariant()
    def alerts_keep_cooldown_and_cap(self) -> None:
        times = [time_s for time_s, _ in self.alerted]
        assert all(later - t >= 60 for t, later in zip(times, times[self.PER_MINUTE :], strict=False))
        for person in {person for _, person in self.alerted}:
            own = [time_s for time_s, p in self.alerted if p == person]
            assert all(later - t >= self.COOLDOWN_S for t, later in pairwise(own))

    def teardown(self) -> None:
        self.take_in(self.events.finish(self.time_s, "stopped"))
        assert not self.open
        for phases in self.phases.values():
            assert phases[0] == "start"
            assert phases[-1] == "end"
            assert set(phases[1:-1]) <= {"update"}
            assert Counter(phases)["start"] == Counter(phases)["end"] == 1


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyLife = Life.TestCase
