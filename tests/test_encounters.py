"""Passages on plain verdicts: who counts, in which state, how often it is told, and that it is closed once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.doubles import square, vote

from edged.config import EventsConfig
from edged.events.encounters import Encounters
from edged.types import (
    Attention,
    AttentionSummary,
    Drowsiness,
    DrowsinessSummary,
    Encounter,
    MaskState,
    MaskVote,
    Signals,
    StaticFace,
)

CORRECT, INCORRECT, NONE, UNCERTAIN = MaskState


def update(encounters: Encounters, time_s: float, votes: list[MaskVote]) -> list[Encounter]:
    return encounters.update(time_s, Signals(masks=tuple(votes)))


def pass_by(encounters: Encounters, states: list[MaskState], step: float = 0.1, start: float = 0.0) -> list[Encounter]:
    told = []
    for k, state in enumerate(states):
        told += update(encounters, start + k * step, [vote(1, start + k * step, state, since=start)])
    return told


def test_a_face_seen_for_too_short_a_time_is_no_encounter():
    encounters = Encounters("door", EventsConfig(encounter_seconds=0.5))
    assert pass_by(encounters, [NONE] * 5) == []
    assert update(encounters, 0.5, []) == []


def test_a_face_that_lasts_is_told_once_it_has_lasted_and_again_when_it_is_gone():
    encounters = Encounters("door", EventsConfig(encounter_seconds=0.5))
    (opened,) = pass_by(encounters, [NONE] * 10)
    (closed,) = update(encounters, 1.0, [])
    assert (opened.key, opened.closed, opened.last_seen_s) == (closed.key, False, 0.5)
    assert (closed.closed, closed.first_seen_s, closed.last_seen_s) == (True, 0.0, 0.9)
    assert update(encounters, 1.1, []) == []
    assert encounters.finish() == []


def test_who_moves_again_after_having_been_as_still_as_a_picture_begins_a_passage_of_their_own():
    encounters = Encounters("door")
    pass_by(encounters, [NONE] * 50)
    still = Signals(static=(StaticFace(1, square(100, 100), always=False),))
    (before,) = encounters.update(5.0, still)
    encounters.update(65.0, still)
    (after,) = [one for k in range(10) for one in update(encounters, 65.1 + k / 10, [vote(1, 65.1 + k / 10, NONE)])]
    assert (before.first_seen_s, before.last_seen_s, before.closed) == (0.0, pytest.approx(4.9), True)
    assert after.first_seen_s == 65.1


def test_who_was_never_a_picture_was_there_all_the_time():
    encounters = Encounters("door")
    pass_by(encounters, [NONE] * 50)
    assert encounters.update(5.0, Signals(static=(StaticFace(1, square(100, 100), always=True),)))[0].static
    assert update(encounters, 65.1, [vote(1, 65.1, NONE)])[0].first_seen_s == 0.0


def test_the_state_is_the_one_worn_longest():
    encounters = Encounters("door")
    pass_by(encounters, [UNCERTAIN] * 30 + [CORRECT] * 5 + [INCORRECT] * 12 + [CORRECT] * 5)
    assert [encounter.state for encounter in encounters.finish()] == [INCORRECT]


def test_longest_is_meant_in_seconds_not_in_frames():
    encounters = Encounters("door")
    pass_by(encounters, [CORRECT] * 10, step=0.03)
    pass_by(encounters, [NONE] * 3, step=0.5, start=0.5)
    assert encounters.finish()[0].state is NONE


def test_uncertain_is_the_state_only_when_no_verdict_ever_stood():
    encounters = Encounters("door")
    pass_by(encounters, [UNCERTAIN] * 10)
    assert encounters.finish()[0].state is UNCERTAIN


def test_the_time_out_of_sight_counts_for_no_state():
    encounters = Encounters("door")
    pass_by(encounters, [CORRECT] * 6)
    for k in range(40):
        update(encounters, 0.6 + k / 10, [vote(1, 0.6 + k / 10, NONE, seen_s=0.5)])
    assert encounters.finish()[0].state is CORRECT


def test_a_change_of_state_is_told_at_once_and_a_steady_one_only_after_a_while():
    encounters = Encounters("door", EventsConfig(encounter_seconds=0.5))
    told = pass_by(encounters, [UNCERTAIN] * 10 + [NONE] * 250)
    assert [round(encounter.last_seen_s, 1) for encounter in told] == [0.5, 1.0, 11.0, 21.0]
    assert [encounter.state for encounter in told] == [UNCERTAIN, NONE, NONE, NONE]


def test_the_faces_smallest_and_largest_size_are_kept():
    encounters = Encounters("door")
    for k, side in enumerate((40.0, 24.04, 90.0, 60.0)):
        update(
            encounters,
            k * 0.3,
            [MaskVote(1, k * 0.3, square(50, 50, side), 0, k * 0.3, NONE, 0.9, vote(1, 0, NONE).votes)],
        )
    (closed,) = encounters.finish()
    assert (closed.smallest_face, closed.largest_face) == (24.0, 90.0)


def test_stopping_closes_everybody_who_lasted():
    encounters = Encounters("door")
    for t in (0.0, 0.6):
        update(encounters, t, [vote(1, t, NONE), vote(2, t, CORRECT), vote(3, t, NONE, since=t)])
    closed = encounters.finish()
    assert [(c.track, c.state, c.closed) for c in closed] == [(1, NONE, True), (2, CORRECT, True)]
    assert encounters.finish() == []


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 2), st.dictionaries(st.integers(1, 4), st.sampled_from(MaskState))), max_size=40)
)
def test_every_passage_told_is_closed_once_and_last(frames):
    encounters, time_s, told, since = Encounters("door"), 0.0, [], {}
    for step, people in frames:
        time_s += step
        since = {person: since.get(person, time_s) for person in people}
        told += update(encounters, time_s, [vote(p, time_s, state, since=since[p]) for p, state in people.items()])
    told += encounters.finish()
    by_key = {encounter.key: [e.closed for e in told if e.key == encounter.key] for encounter in told}
    assert all(closed == [False] * (len(closed) - 1) + [True] for closed in by_key.values())
    assert not encounters._passages


# --- attention and drowsiness


def awake(time_s: float, **known: object) -> Drowsiness:
    values = {"openness": 0.9, "closed": False, "closure_s": 0.0, "perclos": None}
    values |= {"yawns": None, "nods": None, "score": None, "level": "unknown", "reasons": ()}
    return Drowsiness(track=1, time_s=time_s, unavailable=(), **{**values, **known})


def sum_up(*signals: Signals) -> Encounter:
    encounters = Encounters("cab")
    for told in signals:
        encounters.update(told.masks[0].time_s, told)
    (closed,) = encounters.finish()
    return closed


def test_a_profile_without_attention_and_drowsiness_sums_up_neither():
    encounters = Encounters("door")
    pass_by(encounters, [NONE] * 10)
    (closed,) = encounters.finish()
    assert (closed.attention, closed.drowsiness) == (None, None)


def test_attention_is_summed_up_over_the_passage():
    distractions = [None, "long", "long", None, "repeated", "long", None, "long"]
    closed = sum_up(
        *(
            Signals(
                masks=(vote(1, float(k), UNCERTAIN),),
                attention=(Attention(1, float(k), True, None, 0.0, 0.0, one, k * 0.5, k * 0.25),),
            )
            for k, one in enumerate(distractions)
        )
    )
    assert closed.attention == AttentionSummary(attentive_s=3.5, away_s=1.75, unknown_s=1.75, distractions=3)


def test_drowsiness_is_summed_up_with_its_worst():
    looks = [
        awake(0.0), awake(1.0, level="alert", perclos=0.02, yawns=0, nods=0), awake(2.0, yawns=1, nods=0, openness=None),
        awake(3.0, level="alarm", closure_s=2.5, perclos=0.2, yawns=2), awake(4.0, level="notice", yawns=1),
        awake(5.0, yawns=2, perclos=0.1),
    ]  # fmt: skip
    closed = sum_up(*(Signals(masks=(vote(1, one.time_s, UNCERTAIN),), drowsiness=(one,)) for one in looks))
    assert closed.drowsiness == DrowsinessSummary("alarm", 0.2, 2.5, yawns=3, nods=0, valid_s=4.0)


def test_what_could_never_be_read_stays_unknown_in_the_sum():
    looks = [awake(k / 2, openness=None, closed=None) for k in range(4)]
    closed = sum_up(*(Signals(masks=(vote(1, one.time_s, UNCERTAIN),), drowsiness=(one,)) for one in looks))
    assert closed.drowsiness == DrowsinessSummary("unknown", None, 0.0, yawns=None, nods=None, valid_s=0.0)


def test_a_passage_that_is_told_has_lasted():
    encounters = Encounters("door", EventsConfig(encounter_seconds=2))
    (told,) = pass_by(encounters, [NONE] * 25)
    assert told.last_seen_s - told.first_seen_s == pytest.approx(2)
