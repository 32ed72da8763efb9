"""Pictures of faces are told from people by looking the very same for long; here with patterns that do known things."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from support.doubles import square

from edged.analyse.static import MOST_PLACES, StaticFaces, correlation, mean_patch, patch_at
from edged.types import Box, Detection, Image, StaticFace, Track

FPS = 5.0
SIDE = 60.0
CENTRE = (100.0, 70.0)
SECONDS = 20.0
SOON = SECONDS + 6.0
"""The first blocks are what the later ones are held against."""


def pattern(seed: int) -> np.ndarray:
    """Something with the contrast of a face, 90 x 90, values around 120."""
    coarse = np.random.default_rng(seed).normal(0, 1, (9, 9)).astype(np.float32)
    smooth = cv2.resize(coarse, (90, 90), interpolation=cv2.INTER_CUBIC)
    return 120 + 40 * smooth


FACE, OTHER = pattern(1), pattern(2)
WALL = cv2.resize(pattern(3), (200, 140))


@dataclass
class Camera:
    """Shows one face before a wall, with what real cameras add to it."""

    noise: float = 4.0
    flicker: float = 0.0
    trembling: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.grain = self.random.normal(0, self.noise, (200, 260))

    def picture(
        self, time_s: float, face: np.ndarray | None = FACE, x: float = 0.0, y: float = 0.0, light: float = 1.0
    ) -> Image:
        """The face's centre is CENTRE moved by (x, y) pixels."""
        grey = WALL.copy()
        if face is not None:
            patch = cv2.resize(face, (60, 60), interpolation=cv2.INTER_AREA)
            dx, dy = CENTRE[0] - 30 + x, CENTRE[1] - 30 + y
            where = np.float32([[1, 0, dx], [0, 1, dy]])
            shape = (grey.shape[1], grey.shape[0])
            cv2.warpAffine(patch, where, shape, dst=grey, borderMode=cv2.BORDER_TRANSPARENT)
        if self.trembling:
            shift = np.float32([[1, 0, self.random.normal(0, self.trembling)], [0, 1, 0]])
            grey = cv2.warpAffine(grey, shift, (grey.shape[1], grey.shape[0]), borderMode=cv2.BORDER_REPLICATE)
        grey = grey * light * (1 + self.flicker * math.sin(2 * math.pi * 3.7 * time_s))
        top, left = self.random.integers(0, 60, 2)
        grey = np.clip(grey + self.grain[top : top + 140, left : left + 200], 0, 255).astype(np.uint8)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)


@dataclass
class Watch:
    """A watched scene: time, tracks and what was told of them."""

    faces: StaticFaces
    time_s: float = 1000.0
    first_seen_s: float = 1000.0
    track: int = 1

    def see(self, image: Image, x: float = 0.0, y: float = 0.0, *, seen: bool = True, jitter: float = 0.0) -> bool:
        """One frame with one face whose box is moved by (x, y); whether it is static."""
        return bool(self.told(image, x, y, seen=seen, jitter=jitter))

    def told(
        self, image: Image, x: float = 0.0, y: float = 0.0, *, seen: bool = True, jitter: float = 0.0
    ) -> tuple[StaticFace, ...]:
        wobble = jitter * SIDE * math.sin(self.time_s * 12.9)
        box = square(CENTRE[0] + x + wobble, CENTRE[1] + y - wobble, SIDE * (1 + jitter * math.cos(self.time_s * 7.7)))
        face = Track(self.track, box, self.first_seen_s, self.time_s, 2, Detection(box, 0.9) if seen else None)
        self.time_s += 1 / FPS
        return self.faces.update(face.last_seen_s, image, [face])

    def watch(self, seconds: float, show: Callable[[float], Image], **how: float) -> Iterator[tuple[float, bool]]:
        """Seconds since the start, and whether it is static, for each frame; `show` gets the seconds."""
        for number in range(round(seconds * FPS)):
            yield number / FPS, self.see(show(number / FPS), **how)

    def leaves(self, camera: Camera, seconds: float = 2.0) -> None:
        """Its track is lost; whoever comes next has another."""
        for _ in range(round(seconds * FPS)):
            self.faces.update(self.time_s, camera.picture(self.time_s, None), [])
            self.time_s += 1 / FPS
        self.track, self.first_seen_s = self.track + 1, self.time_s


def watch() -> Watch:
    return Watch(StaticFaces(SECONDS))


def poster(camera: Camera | None = None) -> Watch:
    """A watch over a poster that is known for one."""
    camera, seen = camera or Camera(), watch()
    told = [static for _, static in seen.watch(SOON, camera.picture)]
    assert told[-1]
    return seen


# --- looks


def test_a_look_is_the_same_in_another_light_and_another_for_another_face():
    camera, box = Camera(noise=2.0), square(*CENTRE, SIDE)
    look = patch_at(camera.picture(0), box)
    dim = patch_at(camera.picture(0, light=0.4), box)
    other = patch_at(camera.picture(0, OTHER), box)
    assert correlation(look, dim) > 0.99
    assert correlation(look, other) < 0.7
    assert correlation(mean_patch([look, dim]), look) > 0.99


@pytest.mark.parametrize(
    "box", [Box(0, 0, 5, 60), Box(300, 300, 360, 360), Box(-90, 10, -10, 90), Box(190, 100, 220, 103)]
)
def test_where_there_is_nothing_to_see_there_is_no_look(box):
    assert patch_at(Camera().picture(0), box) is None


def test_in_the_dark_there_is_no_look():
    assert patch_at(np.full((140, 200, 3), 7, np.uint8), square(*CENTRE, SIDE)) is None


def test_a_box_that_reaches_out_of_the_picture_is_looked_at_as_far_as_it_goes():
    assert patch_at(Camera().picture(0), Box(150, 90, 230, 170)) is not None


# --- pictures of faces


def test_a_poster_is_a_person_at_first_and_a_picture_after_the_time():
    seen = list(watch().watch(SOON, Camera().picture))
    first = next(second for second, static in seen if static)
    assert SECONDS <= first <= SOON
    assert all(static for second, static in seen if second >= first)


@pytest.mark.parametrize(
    "camera",
    [Camera(noise=12), Camera(flicker=0.08), Camera(noise=6, trembling=0.4), Camera(noise=0)],
    ids=["noise", "flicker", "trembling", "none"],
)
def test_what_a_camera_adds_does_not_bring_a_poster_to_life(camera):
    assert poster(camera).see(camera.picture(0))


def test_a_detectors_trembling_does_not_bring_a_poster_to_life():
    told = [static for _, static in watch().watch(SOON, Camera().picture, jitter=0.06)]
    assert told[-1]


def test_the_light_may_change_slowly_before_and_suddenly_after():
    camera, seen = Camera(), watch()
    told = [static for _, static in seen.watch(SOON, lambda s: camera.picture(s, light=1 - 0.01 * s))]
    assert told[-1]
    lamp = np.linspace(0.3, 1.3, 90, dtype=np.float32)[None]
    assert all(static for _, static in seen.watch(60, lambda s: camera.picture(s, FACE * lamp)))
    seen.leaves(camera)
    assert seen.see(camera.picture(0, FACE * lamp)), "it is known in the new light"


def test_the_sun_may_go_round_while_a_poster_hangs():
    camera, seen = Camera(), poster()
    side = np.linspace(-1, 1, 90, dtype=np.float32)[None]
    sun: Callable[[float], np.ndarray] = lambda s: FACE * (1 + 0.7 * math.cos(s / 60) * side)  # noqa: E731
    assert all(static for _, static in seen.watch(190, lambda s: camera.picture(s, sun(s))))
    seen.leaves(camera)
    assert seen.see(camera.picture(0, sun(190)))


def test_a_poster_that_is_half_hidden_when_it_is_found_is_known_as_soon_as_it_is_free():
    camera, seen = Camera(), poster()
    seen.leaves(camera)
    hidden = FACE.copy()
    hidden[40:] = OTHER[40:]
    told = list(seen.watch(6, lambda s: camera.picture(s, hidden if s < 1 else FACE)))
    assert not told[0][1]
    assert all(static for second, static in told if second > 3)


def test_a_poster_that_is_lost_and_found_is_known_at_once():
    camera, seen = Camera(), poster()
    for _ in range(3):
        seen.leaves(camera, 30)
        (face,) = seen.told(camera.picture(0))
        assert face.track == seen.track
        assert face.always
        assert all(static for _, static in seen.watch(5, camera.picture))


def test_a_poster_found_only_now_and_then_is_known_after_the_same_time_in_sight():
    camera, seen, in_sight = Camera(), watch(), 0.0
    while in_sight < 2 * SECONDS:
        told = [static for _, static in seen.watch(8, camera.picture)]
        in_sight += 8
        if told[-1]:
            break
        seen.leaves(camera, 3)
    assert SECONDS < in_sight <= 2 * SECONDS


def test_a_poster_out_of_sight_for_a_moment_stays_one():
    seen = poster()
    assert seen.see(Camera().picture(0, None), seen=False)


def test_after_a_silence_of_the_camera_pictures_hang_where_they_hung():
    seen = poster()
    seen.time_s += 3600
    seen.track, seen.first_seen_s = 9, seen.time_s
    assert seen.see(Camera().picture(0))


# --- people


def sway(camera: Camera, share: float) -> Callable[[float], Image]:
    """A head that goes to and fro by so much of a face, in eight and in eleven seconds."""
    by = share * SIDE
    return lambda s: camera.picture(s, x=by * math.sin(2 * math.pi * s / 8), y=by / 2 * math.sin(2 * math.pi * s / 11))


def talk(camera: Camera) -> Callable[[float], Image]:
    """The lower half changes every five seconds, as that of somebody who speaks now and then."""

    def face(second: float) -> np.ndarray:
        mixed = FACE.copy()
        mixed[60:] = 0.8 * FACE[60:] + 0.2 * pattern(int(second / 5))[60:]
        return mixed

    return lambda s: camera.picture(s, face(s))


def turn(camera: Camera) -> Callable[[float], Image]:
    """The head turns a little for three seconds in every fifteen."""
    return lambda s: camera.picture(s, 0.75 * FACE + 0.25 * OTHER if s % 15 < 3 else FACE)


def glance(camera: Camera) -> Callable[[float], Image]:
    """A short glance to the side, now and then."""
    return lambda s: camera.picture(s, OTHER if 0.1 < s % 4 < 0.9 else FACE)


@pytest.mark.parametrize("life", [lambda c: sway(c, 0.02), lambda c: sway(c, 0.04), talk, turn, glance])
def test_somebody_who_sits_still_is_a_person_for_ever(life):
    assert not any(static for _, static in watch().watch(8 * SECONDS, life(Camera())))


def test_a_poster_that_is_carried_away_is_not_one_from_then_on():
    seen, camera = poster(), Camera()
    assert not seen.see(camera.picture(0, x=20), x=20)
    told = [static for _, static in seen.watch(SECONDS * 2, lambda s: camera.picture(s, x=20), x=20)]
    assert not any(told), "what was seen to move takes longer"


def test_what_moved_before_must_be_still_for_much_longer_and_was_somebody():
    camera, seen = Camera(), watch()
    for step in range(20):
        assert not seen.see(camera.picture(0, x=-40 + 2 * step), x=-40 + 2 * step)
    told = list(seen.watch(6 * SECONDS, camera.picture))
    first = next(second for second, static in told if static)
    assert first > 5 * SECONDS - 1
    (face,) = seen.told(camera.picture(0))
    assert not face.always


def test_a_picture_that_goes_on_changing_is_a_person_again():
    seen, camera = poster(), Camera()
    told = list(seen.watch(20, lambda s: camera.picture(s, pattern(10 + int(s / 2)))))
    assert not any(static for second, static in told if second > 8)


def test_somebody_who_stands_before_a_poster_is_a_person_and_the_poster_none():
    camera, seen = Camera(), poster()
    seen.leaves(camera)
    assert not any(static for _, static in seen.watch(15, lambda s: camera.picture(s, OTHER)))
    seen.leaves(camera)
    assert seen.see(camera.picture(0))


def test_a_poster_that_takes_over_a_persons_track_is_known_and_that_person_was_one():
    camera, seen = Camera(), poster()
    seen.leaves(camera)
    for step in range(15):
        seen.see(camera.picture(0, OTHER, x=-60 + step), x=-60 + step)
    (face,) = seen.told(camera.picture(0))
    assert (face.track, face.always) == (seen.track, False)


def test_faces_large_enough_to_have_their_eyes_read_are_people():
    seen = Watch(StaticFaces(SECONDS, largest_face=SIDE))
    assert not any(static for _, static in seen.watch(3 * SECONDS, Camera().picture))


# --- odd things


def test_a_clock_that_is_set_back_does_no_harm():
    seen, camera = poster(), Camera()
    seen.time_s -= 500
    seen.first_seen_s = seen.time_s
    assert all(static for _, static in seen.watch(10, camera.picture))


def test_pictures_of_another_size_begin_anew():
    seen = poster()
    larger = cv2.copyMakeBorder(Camera().picture(0), 0, 20, 0, 20, cv2.BORDER_REPLICATE)
    assert not seen.see(larger)


def test_the_places_remembered_are_bounded_and_the_newest_pictures_stay():
    faces, grain = StaticFaces(0.5), np.random.default_rng(4).integers(0, 256, (100, 250, 3), np.uint8)
    image = cv2.resize(grain, (1000, 400))

    def shown(number: int, frames: int) -> tuple[StaticFace, ...]:
        box, began = square(20 + number % 24 * 40, 20 + number // 24 * 40, 24), number * 100.0
        for step in range(frames):
            time_s = began + step / FPS
            told = faces.update(time_s, image, [Track(number + 1, box, began, time_s, 2, Detection(box, 0.9))])
        return told

    posters = MOST_PLACES + 20
    assert all(shown(number, 25) for number in range(posters))
    shown(posters, 3)  # somebody who stays for a moment takes no picture's place
    assert len(faces._places) <= MOST_PLACES + 1
    assert sum(place.known is not None for place in faces._places) >= MOST_PLACES
    assert [bool(shown(number, 1)) for number in (posters - 1, 0)] == [True, False]
