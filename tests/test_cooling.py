"""A hot board's cameras run slower, are told why, and run at their rate again when it has cooled."""

from types import SimpleNamespace

from support.storing import HandClock

from edged.config import Config
from edged.daemon.cooling import Cooling
from edged.thermal import Heat

CONFIG = Config.model_validate({"camera": {"door": {"source": "file:///a.mp4", "fps": 20}}})


class Board:
    """A board whose heat is set by hand, and the rates its cameras were told."""

    def __init__(self):
        self.heat, self.clock, self.limits = Heat(50.0), HandClock(), []
        worker = SimpleNamespace(limit_rate=self.limits.append)
        cameras = {"door": worker, "removed": worker}
        self.cooling = Cooling(self.clock, lambda: (CONFIG, cameras), lambda: self.heat)

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


def test_it_stops_at_once():
    board = Board()
    board.cooling.start()
    assert board.cooling.stop(1.0)
    assert board.cooling.failure is None
