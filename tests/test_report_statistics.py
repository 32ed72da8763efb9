"""Intervals, design effect, differences and bounds against published or hand-worked values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.report.statistics import Range, bounds, design_effect, newcombe, wilson
from edged.report.tally import Blocks, Tally, withhold_unwatched

counts = st.tuples(st.integers(0, 5000), st.integers(1, 5000)).map(lambda pair: (min(pair), pair[1]))


@pytest.mark.parametrize(
    ("correct", "judged", "lower", "upper"),
    [
        (460, 500, 89.3, 94.1),
        (3, 3, 43.9, 100.0),
        (46, 50, 81.2, 96.8),
        (4600, 5000, 91.2, 92.7),
        (0, 20, 0.0, 16.1),  # Newcombe 1998, table I: 0/20
        (81, 263, 25.5, 36.6),  # Newcombe 1998, table I: 81/263
    ],
)
def test_wilson_gives_the_known_values(correct, judged, lower, upper):
    interval = wilson(correct / judged, judged)
    assert (round(100 * interval.lower, 1), round(100 * interval.upper, 1)) == (lower, upper)


@given(counts)
def test_wilson_holds_the_proportion_and_stays_between_nothing_and_all(pair):
    correct, judged = pair
    interval = wilson(correct / judged, judged)
    assert 0 <= interval.lower <= correct / judged <= interval.upper <= 1


@given(counts, st.floats(1.01, 50))
def test_fewer_effective_passages_never_narrow_the_interval(pair, effect):
    correct, judged = pair
    alone, together = wilson(correct / judged, judged), wilson(correct / judged, judged / effect)
    assert together.lower <= alone.lower + 1e-12
    assert together.upper >= alone.upper - 1e-12


def test_blocks_that_differ_widen_and_blocks_that_agree_do_not():
    alike = design_effect([(8, 10)] * 20)
    apart = design_effect([(10, 10), (6, 10)] * 10)
    # v = 20/19 · 20·2² / 200² and p(1-p)/n = 0.8·0.2/200, thus 2.63.
    assert (alike.value, alike.assumed, alike.blocks) == (1.0, False, 20)
    assert apart.value == pytest.approx(20 / 19 * 80 / 40_000 / (0.16 / 200))


@pytest.mark.parametrize("blocks", [[(8, 10)] * 9, [(8, 10)] * 9 + [(0, 0)] * 50, [(10, 10)] * 20, [(0, 10)] * 20, []])
def test_too_few_blocks_or_outcomes_all_alike_are_assumed_to_resemble(blocks):
    effect = design_effect(blocks)
    assert (effect.value, effect.assumed) == (1.5, True)


def test_newcombe_gives_the_published_differences():
    # Newcombe 1998, table II, method 10: 56/70 - 48/80 and 9/10 - 3/10.
    first = newcombe(56 / 70, wilson(56 / 70, 70), 48 / 80, wilson(48 / 80, 80))
    second = newcombe(0.9, wilson(0.9, 10), 0.3, wilson(0.3, 10))
    assert [round(value, 4) for value in first] == [0.2, 0.0524, 0.3339]
    assert [round(value, 4) for value in second] == [0.6, 0.1705, 0.8090]
    assert first.is_clear


@given(counts, counts)
def test_a_difference_turned_round_is_its_negative(one, other):
    p, q = one[0] / one[1], other[0] / other[1]
    forth = newcombe(p, wilson(p, one[1]), q, wilson(q, other[1]))
    back = newcombe(q, wilson(q, other[1]), p, wilson(p, one[1]))
    assert forth.lower == pytest.approx(-back.upper)
    assert forth.lower <= forth.value <= forth.upper


def test_bounds_count_the_uncertain_against_and_then_for():
    found = bounds(460, 500, 41)
    assert (round(100 * found.lower, 1), round(100 * found.upper, 1)) == (85.0, 92.6)
    assert bounds(460, 500, 0) == Range(0.92, 0.92)


@given(counts, st.integers(0, 500))
def test_the_proportion_lies_between_its_bounds(pair, uncertain):
    found = bounds(*pair, uncertain)
    assert found.lower - 1e-12 <= pair[0] / pair[1] <= found.upper + 1e-12


def blocks_of(correct, incorrect=0, uncertain=0):
    blocks = Blocks()
    for n in range(correct + incorrect + uncertain):
        blocks.add(n % 20, "correct" if n < correct else "incorrect" if n < correct + incorrect else "uncertain")
    return blocks


def test_no_percentage_of_fewer_than_thirty_judged_however_many_were_uncertain():
    few = blocks_of(20, 9, 400).figure()
    assert few["withheld"] == "few"
    assert [few[key] for key in ("compliance_percent", "interval", "bounds", "uncertain_percent")] == [None] * 4
    enough = blocks_of(21, 9, 400).figure()
    assert (enough["compliance_percent"], enough["few"], enough["withheld"]) == (70.0, True, None)
    assert not blocks_of(51, 9).figure()["few"]


def test_uncertain_passages_move_the_bounds_and_never_the_percentage():
    without, with_them = blocks_of(46, 4).figure(), blocks_of(46, 4, 10).figure()
    assert without["compliance_percent"] == with_them["compliance_percent"] == 92.0
    assert with_them["bounds"] == {"lower": 76.7, "upper": 93.3}
    assert (with_them["encounters"], with_them["judged"]) == (60, 50)


def test_the_interval_is_of_effective_passages_and_says_so():
    blocks = Blocks()
    for n in range(50):
        blocks.add(n % 9, "correct" if n < 46 else "none")
    interval = blocks.figure()["interval"]
    assert (interval["design_effect"], interval["design_effect_assumed"], interval["blocks"]) == (1.5, True, 9)
    # By hand: Wilson at 0.92 of 33.3 is (0.9776 ± 0.1086) / 1.1152.
    assert (interval["effective_judged"], interval["lower"], interval["upper"]) == (33.3, 77.9, 97.4)


@pytest.mark.parametrize(("watched", "withheld"), [(100.0, None), (50.0, None), (49.9, "coverage"), (None, "coverage")])
def test_a_day_watched_for_less_than_half_has_no_percentage(watched, withheld):
    figure = withhold_unwatched(blocks_of(90, 10).figure(), watched)
    assert figure["withheld"] == withheld
    assert (figure["compliance_percent"] is None) == (withheld is not None)
    assert figure["judged"] == 100


def test_a_state_from_a_later_version_is_no_verdict():
    tally = Tally()
    tally.add("visor")
    assert (tally.judged, tally.uncertain) == (0, 1)
