"""The mask vote on plain scores: when a verdict is taken up, given up, and how far back it looks."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.doubles import BARE, SPLIT, WORN, scores_for, track

from edged.config import MaskConfig
from edged.signals.mask import MaskVoter
from edged.types import Face, MaskScores, MaskState, MaskVote

CORRECT, INCORRECT, NONE, UNCERTAIN = MaskState


def look(signals: MaskVoter, time_s: float, scores: MaskScores | None, side: float = 60.0) -> MaskVote:
    (vote,) = signals.update(time_s, [Face(track(1, side), scores)])
    return vote


def look_every(signals: MaskVoter, seconds: float, scores: Iterable[MaskScores | None], start: float = 0.0):
    return [look(signals, start + k * seconds, s) for k, s in enumerate(scores)]


def states(votes: Iterable[MaskVote]) -> list[MaskState]:
    return [vote.state for vote in votes]


def first(votes: list[MaskVote], state: MaskState) -> float:
    return next(vote.time_s for vote in votes if vote.state is state)


# --- taking a verdict up


@pytest.mark.parametrize("fps", [5, 10, 15, 30])
def test_a_verdict_needs_enough_looks_and_must_then_hold(fps):
    votes = look_every(MaskVoter(MaskConfig(least_votes=3, hold_seconds=0.4)), 1 / fps, [BARE] * 2 * fps)
    taken_up = first(votes, NONE)
    assert taken_up == pytest.approx(2 / fps + 0.4, abs=1 / fps)
    assert all(vote.state is UNCERTAIN for vote in votes if vote.time_s < 2 / fps + 0.4 - 1e-9)


def test_fewer_looks_than_the_least_are_no_verdict_however_long_they_hold():
    assert set(states(look_every(MaskVoter(MaskConfig(least_votes=3)), 5.0, [BARE, BARE]))) == {UNCERTAIN}


def test_without_a_hold_the_last_needed_look_decides():
    votes = look_every(MaskVoter(MaskConfig(least_votes=3, hold_seconds=0)), 0.1, [BARE] * 3)
    assert states(votes) == [UNCERTAIN, UNCERTAIN, NONE]


@pytest.mark.parametrize(("score", "state"), [(0.74, UNCERTAIN), (0.76, INCORRECT)])
def test_a_mean_below_the_entry_score_is_no_verdict(score, state):
    votes = look_every(MaskVoter(MaskConfig(enter_score=0.75)), 0.1, [scores_for(INCORRECT, score)] * 30)
    assert votes[-1].state is state


def test_the_hold_begins_anew_when_the_lead_is_lost():
    settings_ = MaskConfig(vote_seconds=0.05, least_votes=1, hold_seconds=0.4)
    votes = look_every(MaskVoter(settings_), 0.1, [BARE, BARE, BARE, SPLIT, BARE, BARE, BARE, BARE, BARE])
    assert states(votes) == [UNCERTAIN] * 8 + [NONE]


@pytest.mark.parametrize("pair", [(BARE, WORN), (BARE, scores_for(INCORRECT)), (SPLIT, SPLIT)])
def test_split_votes_stay_uncertain(pair):
    assert set(states(look_every(MaskVoter(), 0.1, pair * 20))) == {UNCERTAIN}


# --- keeping it and giving it up


def test_a_verdict_is_kept_between_the_two_scores_and_given_up_below_the_lower_one():
    signals = MaskVoter(MaskConfig(enter_score=0.75, leave_score=0.55))
    taken_up = look_every(signals, 0.1, [BARE] * 10)[-1]
    kept = look_every(signals, 0.1, [scores_for(NONE, 0.6)] * 20, start=1.0)[-1]
    given_up = look_every(signals, 0.1, [scores_for(NONE, 0.5)] * 20, start=3.0)[-1]
    assert states([taken_up, kept, given_up]) == [NONE, NONE, UNCERTAIN]
    assert kept.score == pytest.approx(0.6)


def test_one_contrary_look_changes_nothing():
    votes = look_every(MaskVoter(), 0.1, [BARE] * 10 + [WORN] + [BARE] * 10)
    assert set(states(votes[10:])) == {NONE}


def test_from_one_verdict_to_the_other_the_way_leads_through_uncertain():
    votes = look_every(MaskVoter(), 0.1, [BARE] * 15 + [WORN] * 30)
    order = [state for k, state in enumerate(states(votes)) if k == 0 or state is not votes[k - 1].state]
    assert order == [UNCERTAIN, NONE, UNCERTAIN, CORRECT]


@pytest.mark.parametrize("fps", [5, 10, 15, 30])
def test_a_change_is_noticed_in_the_same_time_at_every_frame_rate(fps):
    votes = look_every(MaskVoter(MaskConfig(vote_seconds=1.0)), 1 / fps, [BARE] * 3 * fps + [WORN] * 3 * fps)
    assert first(votes, CORRECT) - 3.0 == pytest.approx(0.75 + 0.4, abs=0.3)


def test_looks_older_than_the_window_do_not_count():
    signals = MaskVoter(MaskConfig(vote_seconds=1.0, least_votes=3))
    look_every(signals, 0.1, [BARE] * 10)
    votes = look_every(signals, 0.1, [WORN] * 12, start=60.0)
    assert votes[-1].state is CORRECT
    assert votes[-1].score == pytest.approx(WORN.correct)


def test_a_settled_face_that_is_looked_at_rarely_keeps_its_verdict():
    signals = MaskVoter(MaskConfig(vote_seconds=0.5))
    look_every(signals, 0.1, [BARE] * 10)
    assert set(states(look_every(signals, 5.0, [BARE, BARE, BARE], start=5.0))) == {NONE}


def test_nor_does_one_contrary_look_take_it_away():
    signals = MaskVoter(MaskConfig(vote_seconds=0.5))
    look_every(signals, 0.1, [BARE] * 10)
    assert states(look_every(signals, 5.0, [WORN, BARE], start=5.0)) == [NONE, NONE]


def test_without_evidence_the_verdict_stands():
    signals = MaskVoter()
    before = look_every(signals, 0.1, [BARE] * 10)[-1]
    after = look_every(signals, 0.1, [None] * 50, start=1.0)[-1]
    assert (after.state, after.score, after.votes) == (before.state, before.score, before.votes)


# --- votes and weights


def test_votes_count_every_look_by_what_it_spoke_for():
    votes = look_every(MaskVoter(MaskConfig(leave_score=0.55)), 0.1, [WORN, BARE, BARE, None, SPLIT])
    assert votes[-1].votes == (1, 0, 2, 1)


def test_a_small_face_weighs_less_than_a_large_one():
    signals = MaskVoter(MaskConfig())
    look(signals, 0.0, WORN, side=12)
    vote = look(signals, 0.1, BARE, side=48)
    assert vote.score == pytest.approx((0.25 * WORN.none + BARE.none) / 1.25)


def test_a_face_larger_than_full_weight_weighs_no_more():
    signals = MaskVoter(MaskConfig())
    look(signals, 0.0, WORN, side=480)
    assert look(signals, 0.1, WORN._replace(correct=0.0), side=48).score == pytest.approx(0.475)


def test_every_track_has_its_own_vote_and_leaves_nothing_behind():
    signals = MaskVoter()
    for k in range(10):
        votes = signals.update(k / 10, [Face(track(1), BARE), Face(track(2), WORN)])
    assert states(votes) == [NONE, CORRECT]
    signals.update(1.0, [])
    assert states(signals.update(1.1, [Face(track(1), BARE)])) == [UNCERTAIN]


def test_looks_kept_are_bounded_whatever_the_window():
    signals = MaskVoter(MaskConfig(vote_seconds=60))
    look_every(signals, 0.01, [BARE] * 500)
    assert len(signals._voters._states[1].recent) == 64


def test_where_masks_are_not_wanted_every_face_stays_uncertain():
    (*_, vote) = look_every(MaskVoter(enabled=False), 0.1, [BARE] * 30)
    assert (vote.state, vote.score, vote.votes) == (UNCERTAIN, 0.0, (0, 0, 0, 0))


@pytest.mark.parametrize(
    "scores", [(math.nan, 0.0, math.inf), (0.0, 0.0, 9e307), (9e307, -9e307, 1.0), (0.0, 0.0, 1.1), (-0.1, 0.1, 1.0)]
)
def test_scores_that_are_no_probabilities_are_no_evidence(scores):
    """Each of 9e307 is a number, and two of them are none any more."""
    (*_, vote) = look_every(MaskVoter(), 0.1, [BARE] * 10 + [MaskScores(*scores)] * 10)
    assert (vote.state, sum(vote.votes)) == (NONE, 10)
    assert 0 <= vote.score <= 1


def test_what_rounding_adds_to_a_probability_is_not_told():
    (*_, vote) = look_every(MaskVoter(), 0.1, [MaskScores(0.0, 0.0, 1.0009)] * 10)
    assert (vote.state, vote.score, sum(vote.votes)) == (NONE, 1.0, 10)


def test_a_clock_that_is_set_back_costs_no_more_than_a_new_vote():
    signals = MaskVoter()
    look_every(signals, 0.1, [BARE] * 10, start=5000.0)
    assert look_every(signals, 0.1, [WORN] * 15)[-1].state is CORRECT


probabilities = st.tuples(*[st.floats(1e-6, 1)] * 3).map(lambda v: MaskScores(*(x / sum(v) for x in v)))
steps = st.tuples(st.floats(0, 3), st.none() | probabilities, st.floats(1, 500))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(steps, max_size=40),
    st.floats(0.1, 5),
    st.floats(0, 2),
    st.integers(1, 20),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
)
def test_any_scores_give_a_score_from_0_to_1_and_count_each_look_once(looks, window, hold, least, thresholds):
    leave, enter = thresholds
    settings_ = MaskConfig(
        enter_score=enter, leave_score=leave, vote_seconds=window, hold_seconds=hold, least_votes=least
    )
    signals, time_s = MaskVoter(settings_), 0.0
    for count, (step, scores, side) in enumerate(looks, 1):
        time_s += step
        vote = look(signals, time_s, scores, side)
        assert math.isfinite(vote.score)
        assert 0 <= vote.score <= 1
        assert sum(vote.votes) == sum(s is not None for _, s, _ in looks[:count])
        assert vote.state is UNCERTAIN or sum(vote.votes) >= least
