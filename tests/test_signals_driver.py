"""One driver a cab: the largest face that stays, whose own face alone is asked and teaches."""

import pytest
from support.doubles import square

from edged.config import CameraConfig
from edged.signals import Smoother
from edged.signals.attention import AttentionMonitor
from edged.signals.driver import DriverFinder
from edged.types import Detection, Face, HeadPose, Track


def face(number: int, side: float, x: float, yaw: float = 0.0) -> Face:
    box = square(x, 100, side)
    return Face(Track(number, box, 0.0, 0.0, 2, Detection(box, 0.9)), pose=HeadPose(yaw, 0, 0, yaw, 0, 3.0))


def follow(finder: DriverFinder, frames: list[list[Face]], start: float = 0.0, fps: float = 10) -> list[int | None]:
    found = [finder.among(start + k / fps, faces) for k, faces in enumerate(frames)]
    return [one and one.track.id for one in found]


DRIVER, PASSENGER = face(1, 120, 100), face(2, 100, 400)


def test_the_largest_face_drives():
    assert follow(DriverFinder(), [[PASSENGER, DRIVER]] * 20) == [1] * 20


def test_a_passenger_who_leans_forward_for_a_moment_does_not_drive():
    close = face(2, 200, 400)
    assert (
        follow(DriverFinder(), [[DRIVER, PASSENGER]] * 20 + [[DRIVER, close]] * 20 + [[DRIVER, PASSENGER]] * 20)
        == [1] * 60
    )


def test_a_face_that_is_larger_for_long_drives():
    assert follow(DriverFinder(), [[PASSENGER]] * 20 + [[face(3, 180, 100), PASSENGER]] * 60)[-1] == 3


def test_while_the_driver_is_out_of_sight_nobody_else_drives():
    finder = DriverFinder()
    frames = [[DRIVER, PASSENGER]] * 20 + [[PASSENGER]] * 40 + [[PASSENGER, face(5, 110, 110)]] * 5
    assert follow(finder, frames) == [1] * 20 + [None] * 40 + [5] * 5


def test_after_a_while_somebody_else_may_drive():
    assert follow(DriverFinder(), [[DRIVER, PASSENGER]] * 20 + [[PASSENGER]] * 120)[-1] == 2


def test_without_faces_nobody_drives():
    assert follow(DriverFinder(), [[], [], [DRIVER]]) == [None, None, 1]


def test_passengers_do_not_shift_where_ahead_is():
    """Three passengers look aside; the driver looks ahead, then to the left for a second and a half."""
    smoother, told = Smoother(attention=AttentionMonitor(), driver=DriverFinder()), []
    for k in range(150):
        aside = [face(number, 90, 100 + 150 * number, yaw=-45) for number in (2, 3, 4)]
        told.append(smoother.update(k / 10, [*aside, face(1, 120, 100, yaw=30 if 100 <= k < 115 else 0)]).attention)
    assert {one.track for attention in told for one in attention} == {1}
    assert {attention[0].attentive for attention in told[60:100]} == {True}
    assert told[112][0].attentive is False


def test_what_a_passenger_taught_is_forgotten_once_the_driver_is_found():
    smoother, told = Smoother(attention=AttentionMonitor(), driver=DriverFinder()), []
    for k in range(250):
        passenger, driver = face(2, 90, 400, yaw=-45), face(1, 150, 100)
        told.append(smoother.update(k / 10, [passenger] if k < 100 else [passenger, driver]).attention)
    assert told[-1][0].track == 1
    assert not any(one.distraction for attention in told for one in attention)


@pytest.mark.parametrize(("profile", "one_person"), [("driver", True), ("classroom", False), ("entrance", False)])
def test_only_a_cab_has_one_driver(profile, one_person):
    assert CameraConfig(source="file:///a.mp4", profile=profile).tasks.one_person is one_person
