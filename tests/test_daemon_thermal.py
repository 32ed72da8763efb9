"""A hot board's cameras run slower, are told why, and run at their rate again when it has cooled."""

from types import SimpleNamespace

import pytest
from support.storing import HandClock

from edged.config import Config
from edged.daemon.cooling import Cooling
from edged.daemon.supervision import Health
from edged.thermal import Heat


class Board:
    """A board whose heat is set by hand, and the rates its camera was told."""

    def __init__(self, fps: float = 20, profile: str = "entrance"):
        camera = {"source": "file:///a.mp4", "fps": fps, "profile": profile}
        config = Config.model_validate({"camera": {"door": camera}})
        self.heat, self.clock, self.limits = Heat(50.0), HandClock(), []
        worker = SimpleNamespace(limit_rate=self.limits.append)
        cameras = {"door": worker, "removed": worker}
        self.cooling = Cooling(self.clock, lambda: (config, cameras), lambda: self.heat)

    def look(self, heat: Heat):
        self.heat = heat
        self.cooling.look()
        return self.limits[-1]


def test_a_cool_board_has_no_limit_and_no_problem():
    board = Board()
    assert board.look(Heat(50.0)) is None
    assert board.cooling.problems() == []


def test_a_hot_board_slows_its_cameras_and_says_so():
    board = Board()
    assert board.look(Heat(81.0)) == 10
    (problem,) = board.cooling.problems()
    assert "81.0 degrees" in problem
    assert "50%" in problem
    assert "fan" in problem


def test_a_weak_power_supply_is_told():
    board = Board()
    board.look(Heat(50.0, under_voltage=True))
    assert "power supply" in board.cooling.problems()[0]


def test_the_state_tells_of_a_weak_power_supply_beside_the_errors():
    health = Health("dev1", 0.0, HandClock(), SimpleNamespace(problem=None, dropped=0), dict)
    weak, good = (health.state([], 0, Heat(50.0, under_voltage=weak), None) for weak in (True, False))
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
    assert board.look(Heat(celsius)) == pytest.approx(limit)
    assert len(board.cooling.problems()) == 1


def test_the_last_step_goes_below_the_least_rate_and_says_what_cannot_be_told():
    board = Board(15, "driver")
    assert board.look(Heat(85.0)) == 3.75
    hot, blind = board.cooling.problems()
    assert "25%" in hot
    assert "drowsiness of camera door" in blind
    assert "attention" not in blind
    board.clock.pass_s(31)
    assert board.look(Heat(70.0)) is None
    assert board.cooling.problems() == []


def test_it_stops_at_once():
    board = Board()
    board.cooling.start()
    assert board.cooling.stop(60)
    assert board.cooling.failure is None
