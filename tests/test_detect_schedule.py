"""Faces are looked for where it pays: whoever is followed in every picture, and nothing new stays unseen for long."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.doubles import ConstantJudge, ScriptedDetector, analyser_settings, sighting, square

from edged.analyse import Analyser
from edged.config import LOST_S
from edged.detect.mosaic import MARGIN
from edged.detect.schedule import BUSY_S, FULL_PASS_S, DetectionSchedule
from edged.events import Events
from edged.events.encounters import Encounters
from edged.events.kinds import MaskEvents
from edged.pipeline import Pipeline
from edged.ports import Detector
from edged.signals import Smoother
from edged.track import Tracker
from edged.types import Box, Detection, Expected, Frame, Image

HALL = np.random.default_rng(1).integers(40, 200, (23, 40, 3)).astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)


class World:
    """Implements `edged.ports.NearbyDetector`: finds whoever stands in `people`, and remembers each look since `forget`."""

    def __init__(self) -> None:
        self.people: list[Detection] = []
        self.everywhere = 0
        self.places: list[Box] = []

    def detect(self, image: Image, known: Sequence[Box] = ()) -> list[Detection]:
        self.everywhere += 1
        return list(self.people)

    def detect_around(self, image: Image, boxes: Sequence[Box], known: Sequence[Box] = ()) -> list[Detection] | None:
        self.places += boxes
        return [one for one in self.people if any(_is_near(one.box, box) for box in boxes)]

    def forget(self) -> None:
        self.everywhere, self.places = 0, []


def _is_near(face: Box, place: Box) -> bool:
    margin = MARGIN * max(place.width, place.height)
    inside = place.x1 - margin <= face.x1 and face.x2 <= place.x2 + margin
    return inside and place.y1 - margin <= face.y1 and face.y2 <= place.y2 + margin


def with_patch(x: int, y: int, side: int = 48, value: int = 255) -> Image:
    """The hall with something in it."""
    image = HALL.copy()
    image[y : y + side, x : x + side] = value
    return image


PATCHES = [HALL, *(with_patch(x, y, value=value) for x, y, value in ((16, 16, 255), (300, 200, 0), (560, 300, 255)))]
HERE = Expected(square(120, 120), clear=True)
"""Far from all patches."""

steps = st.lists(st.tuples(st.floats(0.02, 0.45), st.integers(0, len(PATCHES) - 1)), min_size=1, max_size=60)


@given(steps, st.booleans())
def test_whatever_happens_everything_is_looked_at_in_good_time(steps: list[tuple[float, int]], followed: bool):
    """Every second, and of what changes elsewhere nothing stays unseen for longer than BUSY_S."""
    world, expected = World(), [HERE] if followed else []
    world.people = [Detection(HERE.box, 0.9)] if followed else []
    schedule, time_s, looked_s, looked_at = DetectionSchedule(world), 0.0, -1e9, -1
    for step, shown in steps:
        time_s += step
        world.forget()
        found = schedule.detect(time_s, PATCHES[shown], expected)
        assert [one.box for one in found] == [one.box for one in world.people if followed or world.everywhere]
        if world.everywhere:
            looked_s, looked_at = time_s, shown
        assert time_s - looked_s < FULL_PASS_S
        assert shown == looked_at or time_s - looked_s < BUSY_S
        if followed:
            assert world.everywhere or HERE.box in world.places


@given(x=st.integers(0, 640 - 24), y=st.integers(0, 368 - 24), rested=st.integers(5, 25), followed=st.booleans())
def test_what_appears_where_nothing_moved_is_looked_at_in_that_very_picture(
    x: int, y: int, rested: int, followed: bool
):
    world, expected = World(), [HERE] if followed else []
    world.people = [Detection(HERE.box, 0.9)] if followed else []
    schedule = DetectionSchedule(world)
    for number in range(rested):
        schedule.detect(number / 15, HALL, expected)
    new = Box(x, y, x + 24, y + 24)
    there = HALL.copy()
    there[y : y + 24, x : x + 24] = np.where(there[y : y + 24, x : x + 24] > 120, 40, 200)
    world.people.append(Detection(new, 0.9))
    found = schedule.detect(rested / 15, there, expected)
    assert new in [one.box for one in found]


def test_a_hall_where_something_moves_all_the_time_is_not_looked_at_in_every_picture():
    world, rng = World(), np.random.default_rng(2)
    schedule = DetectionSchedule(world)
    for number in range(150):
        schedule.detect(number / 15, with_patch(*(int(v) for v in rng.integers(0, 300, 2))), [])
    assert world.everywhere <= 150 / 15 / BUSY_S + 1


DRIVER = HERE._replace(born=True)
PASSENGER = Expected(square(500, 60), clear=True, born=True)


@pytest.mark.parametrize(
    ("one_person", "expected", "every_s"),
    [
        (True, [DRIVER], FULL_PASS_S),
        (True, [DRIVER, PASSENGER], FULL_PASS_S),
        (True, [DRIVER, PASSENGER._replace(clear=False, born=False)], FULL_PASS_S),
        (True, [DRIVER._replace(clear=False)], BUSY_S),
        (True, [DRIVER._replace(clear=False), PASSENGER], BUSY_S),
        (True, [HERE], BUSY_S),
        (True, [], BUSY_S),
        (False, [DRIVER], BUSY_S),
    ],
    ids=[
        "the driver is seen", "all are seen", "somebody who may be nobody is not seen", "the driver is hardly seen",
        "a passenger is seen, the driver is not", "who is seen may be nobody", "nobody is followed", "everybody counts",
    ],
)  # fmt: skip
def test_in_a_cab_changes_wait_while_everybody_is_seen(one_person, expected, every_s):
    world, rng = World(), np.random.default_rng(2)
    world.people = [Detection(one.box, 0.9) for one in expected]
    schedule = DetectionSchedule(world, one_person=one_person)
    for number in range(150):
        schedule.detect(number / 15, with_patch(*(int(v) for v in rng.integers(200, 340, 2)), side=24), expected)
    assert 0.6 * 10 / every_s <= world.everywhere <= 10 / every_s + 1


def test_in_a_cab_the_first_change_after_a_rest_is_looked_at_at_once():
    world = World()
    world.people = [Detection(HERE.box, 0.9)]
    schedule = DetectionSchedule(world, one_person=True)
    for number in range(65):
        schedule.detect(number / 15, HALL, [DRIVER])
    world.forget()
    schedule.detect(65 / 15, with_patch(300, 200), [DRIVER])
    assert world.everywhere == 1


def test_where_one_person_is_followed_and_lost_the_whole_picture_is_looked_at_at_once():
    world = World()
    world.people = [Detection(HERE.box, 0.9)]
    schedule = DetectionSchedule(world, one_person=True)
    for number in range(10):
        schedule.detect(number / 15, HALL, [DRIVER])
    world.forget()
    world.people = [Detection(square(500, 300), 0.9)]
    assert schedule.detect(10 / 15, HALL, [DRIVER]) == world.people


def test_whoever_is_not_where_they_were_expected_is_looked_for_everywhere_at_once():
    world = World()
    schedule = DetectionSchedule(world)
    schedule.detect(0.0, HALL, [])
    far = Detection(square(500, 300), 0.9)
    world.people = [far]
    world.forget()
    assert schedule.detect(0.05, HALL, [HERE]) == [far]
    assert schedule.detect(0.10, HALL, [HERE._replace(clear=False)]) == [far], (
        "a find that nobody follows yet is looked at too"
    )
    assert world.everywhere == 1, "who was not seen clearly is looked for nearby only"


def test_whoever_is_found_a_little_beside_the_place_is_found():
    world = World()
    schedule = DetectionSchedule(world)
    schedule.detect(0.0, HALL, [])
    world.people = [Detection(square(132, 132), 0.9)]
    world.forget()
    assert schedule.detect(0.05, HALL, [HERE]) == world.people
    assert world.everywhere == 0, "an overlap of 0.32 is enough"


def test_a_find_that_somebody_follows_by_now_gets_no_second_crop():
    world = World()
    world.people = [Detection(square(123, 120), 0.9), sighting(400)]
    schedule = DetectionSchedule(world)
    schedule.detect(0.0, HALL, [])
    world.forget()
    schedule.detect(0.05, HALL, [HERE])
    assert world.places == [HERE.box, sighting(400).box]


def test_who_is_seen_in_both_looks_is_one_and_the_nearer_look_counts():
    near, coarse, other = Detection(square(120, 120), 0.8), Detection(square(123, 121, 44), 0.9), sighting(400)

    class Two(World):
        def detect(self, image: Image, known: Sequence[Box] = ()) -> list[Detection]:
            return [coarse, other]

        def detect_around(
            self, image: Image, boxes: Sequence[Box], known: Sequence[Box] = ()
        ) -> list[Detection] | None:
            return [near]

    assert DetectionSchedule(Two()).detect(0.0, HALL, [HERE]) == [other, near]


@pytest.mark.parametrize("time_s", [FULL_PASS_S, 60.0, -0.1, float("nan")])
def test_no_picture_tells_about_another_for_long_or_backwards(time_s: float):
    world = World()
    schedule = DetectionSchedule(world)
    schedule.detect(0.0, HALL, [])
    schedule.detect(time_s, HALL, [])
    assert world.everywhere == 2


def test_a_picture_of_another_size_and_another_scene_are_looked_at():
    world = World()
    schedule = DetectionSchedule(world)
    schedule.detect(0.0, HALL, [])
    schedule.detect(0.1, HALL[:-16], [])
    schedule.forget()
    schedule.detect(0.2, HALL[:-16], [])
    schedule.detect(0.3, HALL[:0], [])
    assert world.everywhere == 4


def test_a_detector_that_knows_no_neighbourhoods_is_asked_whenever_somebody_is_expected():
    detector = ScriptedDetector([])
    schedule = DetectionSchedule(detector)
    for number in range(10):
        schedule.detect(number / 15, HALL, [HERE] if number >= 5 else [])
    assert len(detector.pictures) == 6


# --- in the pipeline


def line_of(detector: Detector) -> Pipeline:
    stages = (
        Tracker(),
        Analyser(ConstantJudge(), analyser_settings()),
        Smoother(),
        Events(MaskEvents("door")),
        Encounters("door"),
    )
    return Pipeline("door", detector, *stages, schedule=DetectionSchedule(detector))


def walk(speed: float, fps: float, side: float = 40.0) -> Callable[[float], Box]:
    """Where somebody is who crosses the picture at so many face sizes a second, from the first picture on."""
    return lambda time_s: square(30 + speed * side * time_s, 150, side)


@pytest.mark.parametrize("speed", [0.0, 2.0, 5.0, 9.0])
@pytest.mark.parametrize("fps", [10.0, 15.0, 30.0])
def test_a_walker_is_seen_in_every_picture_and_is_one_person(speed: float, fps: float):
    world, place = World(), walk(speed, fps)
    line, told = line_of(world), set()
    for number in range(round(1.5 * fps)):
        world.people = [Detection(place(number / fps), 0.95)]
        outcome = line.step(Frame("door", number, number / fps, HALL))
        assert len(outcome.detections) == 1
        told |= {face.track.id for face in outcome.faces}
    assert told == {1}


def test_an_empty_hall_is_looked_at_once_a_second():
    detector = ScriptedDetector([])
    line = line_of(detector)
    for number in range(50):
        assert line.step(Frame("door", number, number / 10, HALL)).detections == []
    assert len(detector.pictures) == 5


def test_whoever_is_followed_is_looked_for_in_every_picture_also_out_of_sight():
    """Ten pictures a second: nobody, somebody in pictures 2 and 3, whom the detector then misses until the track is lost."""
    detector = ScriptedDetector([[], [sighting(100)], [sighting(100)]])
    line, there, looked = line_of(detector), with_patch(80, 80, 40), []
    for number in range(20):
        before = len(detector.pictures)
        line.step(Frame("door", number, number / 10, HALL if number < 2 else there))
        looked.append(len(detector.pictures) > before)
    lost = 3 + round(LOST_S * 10)
    assert looked[0]
    assert not looked[1]
    assert all(looked[3:lost])
    assert not any(looked[lost + 3 :]), "nobody again, and nothing changes"


def test_a_new_face_that_is_missed_once_is_looked_for_again():
    line = line_of(ScriptedDetector([[sighting(100)], [], *[[sighting(100)]] * 6]))
    outcomes = [line.step(Frame("door", number, number / 10, HALL)) for number in range(8)]
    assert len(outcomes[-1].faces) == 1


def test_weak_finds_that_nobody_follows_are_looked_at_in_every_picture():
    world = World()
    world.people = [sighting(100, score=0.5)]
    line = line_of(world)
    for number in range(10):
        assert line.step(Frame("door", number, number / 15, HALL)).detections == world.people
    assert world.everywhere == 1


def test_events_and_encounters_end_in_time_while_nothing_changes():
    line = line_of(ScriptedDetector([[sighting(100)]] * 20))
    outcomes = [line.step(Frame("door", number, number / 10, HALL)) for number in range(80)]
    ends = [event for outcome in outcomes for event in outcome.events if event.phase == "end"]
    assert len(ends) == 1
    assert any(encounter.closed for outcome in outcomes for encounter in outcome.encounters)
