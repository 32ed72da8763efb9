"""Faces are looked for where it pays: whoever is followed wherever something changes, and nothing new stays unseen for long."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.doubles import ConstantJudge, ScriptedDetector, analyser_settings, sighting, square

from edged.analyse import Analyser
from edged.config import LOST_S
from edged.detect.boxes import iou
from edged.detect.mosaic import MARGIN
from edged.detect.schedule import BUSY_S, FULL_PASS_S, DetectionSchedule
from edged.events import Events
from edged.events.encounters import Encounters
from edged.events.kinds import MaskEvents
from edged.pipeline import Pipeline
from edged.ports import NONE_KNOWN, Detector, Known
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

    def detect(self, image: Image, known: Known = NONE_KNOWN) -> list[Detection]:
        self.everywhere += 1
        return list(self.people)

    def detect_around(self, image: Image, boxes: Sequence[Box], known: Known = NONE_KNOWN) -> list[Detection] | None:
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


FACE = np.random.default_rng(3).integers(0, 255, (8, 8, 3)).astype(np.uint8)


def showing(box: Box) -> Image:
    """The hall with a face in it."""
    image, (x1, y1, x2, y2) = HALL.copy(), (round(value) for value in box)
    seen = cv2.resize(FACE, (x2 - x1, y2 - y1))[max(0, -y1) :, max(0, -x1) :]
    there = image[max(0, y1) : y2, max(0, x1) : x2]
    there[:] = seen[: there.shape[0], : there.shape[1]]
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


DRIVER = HERE._replace(track=1)
PASSENGER = Expected(square(500, 60), clear=True, track=2)


@pytest.mark.parametrize(
    ("one_person", "expected", "every_s"),
    [
        (True, [DRIVER], FULL_PASS_S),
        (True, [DRIVER, PASSENGER], FULL_PASS_S),
        (True, [DRIVER, PASSENGER._replace(clear=False, track=0)], FULL_PASS_S),
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
        def detect(self, image: Image, known: Known = NONE_KNOWN) -> list[Detection]:
            return [coarse, other]

        def detect_around(
            self, image: Image, boxes: Sequence[Box], known: Known = NONE_KNOWN
        ) -> list[Detection] | None:
            return [near]

    assert DetectionSchedule(Two()).detect(0.0, HALL, [HERE]) == [other, near]


# --- faces around which nothing changes


class Watched:
    """Somebody who is followed, and what a schedule makes of pictures at 15 a second."""

    def __init__(self, box: Box, *, track: int = 1, clear: bool = True, one_person: bool = False) -> None:
        self.world, self.number, self.found = World(), 0, Detection(box, 0.9)
        self.schedule = DetectionSchedule(self.world, one_person=one_person)
        self.track, self.clear, self.leap_s = track, clear, 0.0

    def sees(self, image: Image) -> Detection:
        """Show the next picture, which has the face where `world` has it; what was told of it."""
        expected = Expected(self.found.box, self.clear, self.track, self.found if self.number else None)
        found = self.schedule.detect(self.leap_s + self.number / 15, image, [expected])
        assert len(found) == 1
        self.found = found[0]
        self.number += 1
        return self.found

    def looks(self, images: Sequence[Image], box: Box | None = None) -> list[bool]:
        """Whether the face was looked at in each of these pictures; each look makes a new detection."""
        looked = []
        for image in images:
            self.world.forget()
            self.world.people = [Detection(box or self.found.box, 0.9)]
            self.sees(image)
            looked.append(bool(self.world.places or self.world.everywhere))
        return looked


STANDING = square(150, 160, 100)
THERE = showing(STANDING)


def with_noise(image: Image, seed: int, deviation: float = 4.0) -> Image:
    """As a sensor in good light sees it."""
    noise = np.random.default_rng(seed).normal(0, deviation, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def with_change(image: Image, x: int, y: int, side: int) -> Image:
    changed = image.copy()
    changed[y : y + side, x : x + side] += 100  # wraps around: always another colour
    return changed


def test_who_keeps_still_is_looked_at_once_a_second():
    watched = Watched(STANDING)
    looked = watched.looks([with_noise(THERE, seed) for seed in range(300)])
    assert looked[:2] == [True, False]
    assert 20 <= sum(looked) <= 23, "a noisy cell costs a look now and then"


def test_a_blink_is_no_movement():
    """Two eyes are four cells of a face's forty-nine, and of a hundred with what is around."""
    watched = Watched(STANDING)
    watched.looks([THERE])
    assert watched.looks([with_change(with_change(THERE, 128, 144, 28), 176, 144, 28)]) == [False]


@pytest.mark.parametrize("box", [STANDING, square(160, 160, 32)])
def test_whatever_comes_before_a_face_is_looked_at(box: Box):
    watched = Watched(box)
    watched.looks([showing(box)] * 3)
    x, y = round(box.x1), round(box.y1)
    assert watched.looks([with_change(showing(box), x, y, max(24, round(box.width / 2)))]) == [True]


@pytest.mark.parametrize(("track", "clear"), [(0, True), (1, False)], ids=["may be nobody", "hardly seen"])
def test_who_is_not_surely_a_person_and_surely_there_is_looked_at_in_every_picture(track: int, clear: bool):
    assert all(Watched(STANDING, track=track, clear=clear).looks([THERE] * 10))


def test_in_the_dark_everybody_is_looked_at_in_every_picture():
    assert all(Watched(STANDING).looks([THERE // 16] * 10))


def test_a_bright_window_beside_a_dark_face_tells_nothing_of_the_face():
    dark = THERE // 16
    dark[:, 210:] = 255
    assert all(Watched(STANDING).looks([dark] * 10))


def test_who_comes_beside_a_face_is_looked_at_at_once_if_nothing_had_moved_there():
    watched = Watched(STANDING)
    assert watched.looks([THERE] * 17)[-2:] == [True, False]
    assert watched.looks([with_change(THERE, 34, 160, 24)]) == [True]


@pytest.mark.parametrize(("side", "new"), [(60.0, 24), (100.0, 24), (140.0, 32), (200.0, 48)])
@pytest.mark.parametrize("number", [16, 20, 24, 28])
def test_who_appears_close_beside_a_face_is_seen_at_once(side: float, new: int, number: int):
    """Also where the change is small for the face: two lids would be as large."""
    box = square(200, 180, side)
    watched, there = Watched(box), showing(box)
    watched.looks([there] * number)
    assert watched.looks([with_change(there, round(box.x2) + 2, 170, new)]) == [True]


@pytest.mark.parametrize("moves", [False, True], ids=["stands", "moves"])
def test_a_weak_newcomer_beside_somebody_who_stands_is_looked_at_in_every_picture(moves: bool):
    """Until they are sure enough to be followed, or the track of a person would begin late."""
    world = World()
    schedule = DetectionSchedule(world)
    there, looks = Detection(square(200, 180, 120), 0.9), []
    for number in range(30):
        world.forget()
        world.people = [Detection(there.box, 0.9)]
        image = showing(there.box)
        if number >= 17:
            new = square(300 + moves * 2.0 * (number - 17), 180, 40)
            image[160:200, round(new.x1) : round(new.x2)] = 255
            world.people.append(Detection(new, 0.5))
        found = schedule.detect(number / 15, image, [Expected(there.box, True, 1, there)])
        there = next(one for one in found if one.box == there.box)
        looks.append(len(found))
    assert looks[17:] == [2] * 13


def test_the_smallest_faces_are_looked_at_in_every_picture():
    assert all(Watched(square(160, 160, 24)).looks([showing(square(160, 160, 24))] * 5))


def test_in_a_cab_what_moves_beside_the_driver_is_looked_at_once_a_second():
    watched = Watched(STANDING, one_person=True)
    looked = watched.looks([with_change(THERE, 34, 160 + 4 * (number % 8), 20) for number in range(150)])
    assert 10 <= sum(looked) <= 12


def test_after_the_clock_was_set_back_everybody_is_looked_at():
    watched = Watched(STANDING)
    watched.looks([THERE] * 20)
    watched.leap_s = -60.0
    assert watched.looks([THERE] * 3) == [True, False, False]
    moving = [with_change(THERE, 34, 160 + 4 * number, 24) for number in range(6)]
    assert any(watched.looks(moving)), "what changes beside them is looked at in good time"


def test_in_another_scene_no_detection_is_used_again():
    watched = Watched(STANDING)
    watched.looks([THERE] * 3)
    before = watched.found
    watched.schedule.forget()
    assert watched.looks([THERE]) == [True]
    assert watched.found is not before


def test_a_detection_that_passes_to_another_track_grows_no_younger():
    """Two faces so near to each other that the tracker confuses them."""
    one, other = Detection(STANDING, 0.9), Detection(square(300, 160, 100), 0.9)
    image = showing(STANDING) // 2 + showing(other.box) // 2
    world = World()
    world.people = [one, other]
    schedule, looks = DetectionSchedule(world), 0
    for number in range(60):
        world.forget()
        found = (one, other) if number % 2 else (other, one)
        people = [Expected(there.box, True, track + 1, there) for track, there in enumerate(found)]
        schedule.detect(number / 15, image, people)
        looks += bool(world.places or world.everywhere)
    assert looks >= 4


@pytest.mark.parametrize("box", [square(-40, 160, 100), square(640, 20, 140), Box(-300.0, -300.0, -200.0, -200.0)])
def test_a_face_that_goes_on_beyond_the_picture_is_no_error(box: Box):
    watched = Watched(box)
    assert watched.looks([THERE] * 3, box)[0]


def test_where_something_moves_beside_a_face_all_the_time_it_is_looked_at_now_and_then():
    watched = Watched(STANDING)
    looked = watched.looks([with_change(THERE, 34, 160 + 4 * (number % 8), 20) for number in range(150)])
    assert 150 / 15 / BUSY_S * 0.6 <= sum(looked) <= 150 / 15 / BUSY_S + 2


@given(st.floats(0.02, 3.0), st.sampled_from([24.0, 32.0, 60.0, 140.0]), st.booleans(), st.sampled_from([1, 4]))
def test_nobody_drifts_away_unnoticed(speed: float, side: float, upwards: bool, darker: int):
    """However slowly somebody moves, in pixels a picture: what is told of them overlaps with them as a detection does."""
    watched = Watched(square(200, 200, side))
    for number in range(45):
        moved = speed * number
        truth = square(200, 200 - moved, side) if upwards else square(200 + moved, 200, side)
        truth = Box(*(float(round(value)) for value in truth))
        if truth.y1 < 0 or truth.x2 > 640:
            return
        watched.world.people = [Detection(truth, 0.9)]
        found = watched.sees(showing(truth) // darker)
        assert iou(np.array([found.box], np.float64), np.array([truth], np.float64))[0, 0] > (
            0.7 if darker == 1 else 0.5
        )


def test_a_detection_that_is_used_again_gives_way_to_no_other_look_at_the_face():
    """The crop of somebody who moves shows a part of a neighbour who keeps still."""
    still, moving = Detection(STANDING, 0.9), Detection(square(300, 160, 100), 0.9)
    part = Detection(Box(STANDING.x1 + 8, *STANDING[1:]), 0.95)
    world, image = World(), showing(STANDING)
    schedule = DetectionSchedule(world)

    def expected(found: Detection | None, other: Detection | None) -> list[Expected]:
        return [Expected(still.box, True, 1, found), Expected(moving.box, True, 2, other)]

    world.people = [still, moving]
    schedule.detect(0.0, image, expected(None, None))
    world.people = [part, moving]
    found = schedule.detect(0.1, with_change(image, 320, 180, 60), expected(still, moving))
    assert found == [still, moving]
    assert world.places[-1] == moving.box


def test_a_look_at_the_whole_picture_counts_for_who_stays_where_they_were_too():
    """A detector that cannot look at crops."""
    still, moving = Detection(STANDING, 0.9), Detection(square(300, 160, 100), 0.9)
    nearer = Detection(Box(STANDING.x1 + 2, *STANDING[1:]), 0.95)
    schedule, image = DetectionSchedule(ScriptedDetector([[still, moving], [nearer, moving]])), showing(STANDING)
    schedule.detect(0.0, image, [])
    people = [Expected(still.box, True, 1, still), Expected(moving.box, True, 2, moving)]
    assert schedule.detect(0.1, with_change(image, 320, 180, 60), people) == [nearer, moving]


def test_in_a_picture_of_another_size_no_detection_is_used_again():
    watched = Watched(STANDING)
    watched.looks([THERE] * 3)
    assert watched.looks([THERE[:-16]]) == [True]


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
        outcome = line.step(Frame("door", number, number / fps, showing(world.people[0].box)))
        assert len(outcome.detections) == 1
        told |= {face.track.id for face in outcome.faces}
    assert told == {1}


def test_who_stands_is_looked_at_once_a_second_and_stays_the_same_person():
    world, box, told, looks = World(), square(150, 150, 80), set(), 0
    line = line_of(world)
    for number in range(90):
        world.forget()
        world.people = [Detection(box, 0.95)]
        outcome = line.step(Frame("door", number, number / 15, showing(box)))
        looks += bool(world.places or world.everywhere)
        told |= {face.track.id for face in outcome.faces}
        assert len(outcome.detections) == 1
    assert told == {1}
    assert looks <= 6 + 10, "six seconds, and those before the birth"


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
