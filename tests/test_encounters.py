"""Passages on plain verdicts: who counts, in which state, how often it is told, and that it is closed once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.doubles import square, vote

from edged.encounters import Encounters, EncounterSettings
from edged.types import Encounter, MaskState, MaskVote, Signals

CORRECT, INCORRECT, NONE, UNCERTAIN = MaskState


def update(encounters: Encounters, time_s: float, votes: list[MaskVote]) -> list[Encounter]:
    return encounters.update(time_s, Signals(masks=tuple(votes)))


def pass_by(encounters: Encounters, states: list[MaskState], step: float = 0.1, start: float = 0.0) -> list[Encounter]:
    told = []
    for k, state in enumerate(states):
        told += update(encounters, start + k * step, [vote(1, start + k * step, state, since=start)])
    return told


def test_a_face_seen_for_too_short_a_time_is_no_encounter():
    encounters = Encounters("door", EncounterSettings(encounter_seconds=0.5))
    assert pass_by(encounters, [NONE] * 5) == []
    assert update(encounters, 0.5, []) == []


def test_a_face_that_lasts_is_told_once_it_has_lasted_and_again_when_it_is_gone():
    encounters = Encounters("door", EncounterSettings(encounter_seconds=0.5))
    (opened,) = pass_by(encounters, [NONE] * 10)
    (closed,) = update(encounters, 1.0, [])
    assert (opened.key, opened.closed, opened.last_seen_s) == (closed.key, False, 0.5)
    assert (closed.closed, closed.first_seen_s, closed.last_seen_s) == (True, 0.0, 0.9)
    assert update(encounters, 1.1, []) == []
    assert encounters.finish() == []


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
    encounters = Encounters("door", EncounterSettings(encounter_seconds=0.5, refresh_seconds=10))
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


def test_a_passage_that_is_told_has_lasted():
    encounters = Encounters("door", EncounterSettings(encounter_seconds=2))
    (told,) = pass_by(encounters, [NONE] * 25)
    assert told.last_seen_s - told.first_seen_s == pytest.approx(2)
