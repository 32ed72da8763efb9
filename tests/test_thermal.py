"""The board's heat is read from whatever it tells, and the rate falls before the board throttles."""

import pytest

from edged.host.thermal import ThermalState, Throttle, read_thermal_state


def board(tmp_path, *temperatures, flags=None):
    for number, text in enumerate(temperatures):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "temp").write_text(text)
    if flags is not None:
        (tmp_path / "get_throttled").write_text(flags)
    return read_thermal_state(tmp_path, tmp_path / "get_throttled")


def test_the_hottest_zone_counts_and_broken_ones_do_not(tmp_path):
    assert board(tmp_path, "41000\n", "63500\n", "-256000\n", "nonsense", "").temperature_c == 63.5


def test_a_board_that_tells_nothing_is_not_hot(tmp_path):
    heat = board(tmp_path)
    assert heat == ThermalState(None)
    assert Throttle().after(0, heat) == 1.0


@pytest.mark.parametrize(
    ("flags", "throttled", "under_voltage"),
    [("0", False, False), ("50005\n", True, True), ("50000", False, False), ("8", True, False), ("x", False, False)],
)
def test_a_pis_flags_of_now_count_and_those_of_the_past_do_not(tmp_path, flags, throttled, under_voltage):
    heat = board(tmp_path, "50000", flags=flags)
    assert (heat.throttled, heat.under_voltage) == (throttled, under_voltage)


def test_the_rate_falls_with_the_heat_at_once():
    slow = Throttle()
    assert [slow.after(k, ThermalState(celsius)) for k, celsius in enumerate([60, 75.9, 76, 80, 84])] == [
        1,
        1,
        0.67,
        0.5,
        0.25,
    ]


def test_the_rate_comes_back_step_by_step_when_it_is_clearly_cooler():
    slow = Throttle()
    told = [slow.after(second, ThermalState(85 - second / 10)) for second in range(0, 400, 10)]
    assert sorted(set(told)) == [0.25, 0.5, 0.67, 1.0]
    assert told == sorted(told)
    at_full_rate = 85 - told.index(1.0)
    assert at_full_rate < 76 - 5


def test_at_the_edge_the_rate_does_not_flicker():
    slow = Throttle()
    slow.after(0, ThermalState(76))
    assert {slow.after(k * 40, ThermalState(75.5 + k % 2)) for k in range(1, 50)} == {0.67}


def test_a_board_that_throttles_all_the_same_is_slowed():
    slow = Throttle()
    assert slow.after(0, ThermalState(60, throttled=True)) == 0.5
    assert slow.after(10, ThermalState(60)) == 0.5
    assert slow.after(40, ThermalState(60)) == 1.0
