"""A hot board's cameras run slower, are told why, and run at their rate again when it has cooled."""

from types import SimpleNamespace

import pytest
from support.storing import HandClock

from edged.config import Config
from edged.daemon.state import Health
from edged.daemon.thermal import ThermalMonitor, limit_rates
from edged.host.thermal import ThermalState


class Board:
    """A board whose heat is set by hand, and the rates its camera was told."""

    def __init__(self, fps: float = 20, profile: str = "entrance"):
        camera = {"source": "file:///a.mp4", "fps": fps, "profile": profile}
        config = Config.model_validate({"camera": {"door": camera}})
        self.state, self.clock, self.limits = ThermalState(50.0), HandClock(), []
        worker = SimpleNamespace(limit_rate=self.limits.append)
        self.monitor = ThermalMonitor(self.clock, lambda: self.state)
        self._limit = lambda: limit_rates(config, {"door": worker}, self.monitor.share)

    def look(self, state: ThermalState):
        self.state = state
        self.monitor.sample()
        self.too_slow = self._limit()
        return self.limits[-1]

    @property
    def problems(self):
        return self.monitor.problems() + self.too_slow


def test_a_cool_board_has_no_limit_and_no_problem():
    board = Board()
    assert board.look(ThermalState(50.0)) is None
    assert board.problems == []


def test_a_hot_board_slows_its_cameras_and_says_so():
    board = Board()
    assert board.look(ThermalState(81.0)) == 10
    (problem,) = board.problems
    assert "50%" in problem
    assert "fan" in problem


def test_what_is_said_of_a_hot_board_does_not_change_with_each_degree():
    board, said = Board(), set()
    for degrees in (81.0, 81.4, 80.9):
        board.look(ThermalState(degrees))
        said.add(tuple(board.problems))
    assert len(said) == 1


def test_a_weak_power_supply_is_told():
    board = Board()
    board.look(ThermalState(50.0, under_voltage=True))
    assert "power supply" in board.problems[0]


def test_the_state_tells_of_a_weak_power_supply_beside_the_errors():
    health = Health("dev1", 0.0, HandClock(), SimpleNamespace(problem=None, dropped=0))
    weak, good = (health.state({}, [], 0, ThermalState(50.0, under_voltage=weak), None) for weak in (True, False))
    assert (weak["under_voltage"], good["under_voltage"]) == (True, False)


@pytest.mark.parametrize(
    ("profile", "fps", "celsius", "limit"),
    [
        ("driver", 15, 77, 15 * 0.67),
        ("driver", 8, 81, 5.0),  # half would be 4
        ("classroom", 3, 81, 2.0),
        ("entrance", 3, 81, 1.5),
    ],
)
def test_a_hot_board_leaves_what_cameras_follow_its_least_rate(profile, fps, celsius, limit):
    board = Board(fps, profile)
    assert board.look(ThermalState(celsius)) == pytest.approx(limit)
    assert len(board.problems) == 1


def test_the_last_step_goes_below_the_least_rate_and_says_what_cannot_be_followed():
    board = Board(15, "driver")
    assert board.look(ThermalState(85.0)) == 3.75
    hot, blind = board.problems
    assert "25%" in hot
    assert "drowsiness of camera door" in blind
    assert "attention" not in blind
    board.clock.pass_s(31)
    assert board.look(ThermalState(70.0)) is None
    assert board.problems == []


def test_it_stops_at_once():
    board = Board()
    board.monitor.start()
    assert board.monitor.stop(60)
    assert board.monitor.failure is None
