"""The analyser with a judge and readers that are lists: who is looked at, how often, and in which order it is told."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from support.doubles import (
    AHEAD,
    BARE,
    BLACK,
    MOUTH_RATIO,
    OPEN,
    SPLIT,
    WORN,
    BoxLandmarks,
    ConstantEyes,
    ConstantJudge,
    ConstantPose,
    analyser_settings,
    landmarks_in,
    scores_for,
    square,
    track,
)

from edged.analyse.analyser import (
    FRESH_S,
    MOST_FOLLOWED,
    NEAR,
    POSED_S,
    UNMOVED,
    Analyser,
    AnalyserSettings,
    Readers,
    is_masked,
)
from edged.types import (
    MOST_DEVIATION,
    Box,
    Detection,
    Face,
    HeadPose,
    Image,
    Landmarks,
    Lens,
    MaskScores,
    MaskState,
    Points,
    Track,
)


def looks(frames: list[list[Face]], number: int = 1) -> int:
    return sum(face.mask is not None for frame in frames for face in frame if face.track.id == number)


def watch(analyser: Analyser, times: list[float], *tracks) -> list[list[Face]]:
    return [analyser.analyse(t, BLACK, tracks) for t in times]


def test_a_new_face_is_looked_at_in_every_frame_until_it_settles():
    judge = ConstantJudge()
    faces = watch(Analyser(judge, analyser_settings(judgements_until_settled=8)), [k / 10 for k in range(8)], track(1))
    assert [face.mask for (face,) in faces] == [BARE] * 8
    assert all(len(batch) == 1 for batch in judge.batches)


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_a_settled_face_is_looked_at_twice_a_second_at_every_frame_rate(fps):
    analyser = Analyser(ConstantJudge(), analyser_settings(judgements_until_settled=3, settled_interval_s=0.5))
    watch(analyser, [k / fps for k in range(3)], track(1))
    later = watch(analyser, [3 / fps + k / fps for k in range(10 * fps)], track(1))
    assert 16 <= looks(later) <= 20
    assert {face.unjudged for (face,) in later} == {None, "not due"}


def test_a_clock_that_is_set_back_does_not_end_the_looks():
    analyser = Analyser(ConstantJudge(), analyser_settings(judgements_until_settled=1, settled_interval_s=0.5))
    watch(analyser, [1000.0], track(1))
    later = watch(analyser, [k / 10 for k in range(20)], track(1))
    assert looks(later) == 4


def test_faces_that_cannot_be_judged_say_why_and_the_judge_is_left_alone():
    judge = ConstantJudge()
    faces = Analyser(judge, analyser_settings()).analyse(0.0, BLACK, [track(1, side=23.9), track(2, seen=False)])
    assert [(face.mask, face.unjudged) for face in faces] == [(None, "small"), (None, "out of sight")]
    assert judge.batches == []


def test_a_face_of_exactly_the_smallest_side_is_judged():
    (face,) = Analyser(ConstantJudge(), analyser_settings(smallest_face=24)).analyse(0.0, BLACK, [track(1, side=24)])
    assert face.mask == BARE


def test_faces_come_in_the_order_of_their_tracks_with_their_own_scores():
    judge = ConstantJudge()
    tracks = [track(3, side=30, x=30), track(1, side=90, x=10), track(2, side=10), track(4, side=60, x=40)]
    faces = Analyser(judge, analyser_settings(most_faces=2)).analyse(0.0, BLACK, tracks)
    assert [face.track.id for face in faces] == [3, 1, 2, 4]
    assert [face.unjudged for face in faces] == ["not due", None, "small", None]
    assert judge.batches == [[tracks[1].box, tracks[3].box]]


@pytest.mark.parametrize("interval_s", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("fps", [1, 5, 30])
def test_in_a_crowd_beyond_the_cap_nobody_waits_for_ever(interval_s, fps):
    analyser = Analyser(ConstantJudge(), analyser_settings(most_faces=4, settled_interval_s=interval_s))
    crowd = [track(number, side=30 + number) for number in range(1, 11)]
    frames = watch(analyser, [k / fps for k in range(60)], *crowd)
    assert min(looks(frames, number) for number in range(1, 11)) >= 8


def test_no_frame_has_more_looks_than_the_cap():
    judge = ConstantJudge()
    watch(Analyser(judge, analyser_settings(most_faces=4)), [0.0, 0.1], *[track(n) for n in range(1, 10)])
    assert [len(batch) for batch in judge.batches] == [4, 4]


def test_a_track_that_was_gone_begins_anew_and_nothing_is_kept_of_it():
    analyser = Analyser(ConstantJudge(), analyser_settings(judgements_until_settled=1, settled_interval_s=100))
    for number in range(1000):
        analyser.analyse(number / 10, BLACK, [track(number)])
    assert len(analyser._known) == 1
    analyser.analyse(100.0, BLACK, [])
    assert analyser._known == {}


# --- landmarks, pose and eyes


def reading(settings: AnalyserSettings | None = None, scores: MaskScores = BARE) -> tuple[Analyser, Readers]:
    readers = Readers(BoxLandmarks(), ConstantPose(), ConstantEyes())
    return Analyser(ConstantJudge(scores), settings or analyser_settings(), readers), readers


def test_a_profile_without_readers_reads_nobody_and_says_so():
    (face,) = Analyser(ConstantJudge(), analyser_settings()).analyse(0.0, BLACK, [track(1)])
    assert (face.landmarks, face.pose, face.eyes, face.mouth_ratio) == (None,) * 4
    assert face.unread == "not wanted"


def test_a_face_is_read_in_every_frame_although_its_mask_has_settled():
    analyser, readers = reading(analyser_settings(judgements_until_settled=2, settled_interval_s=100))
    faces = watch(analyser, [k / 10 for k in range(10)], track(1))
    assert looks(faces) == 2
    assert [face.unread for (face,) in faces] == [None] * 10
    assert len(readers.landmarks.batches) == len(readers.eyes.batches) == 10
    assert {face.pose for (face,) in faces} == {AHEAD}


def test_what_was_read_is_in_the_face():
    analyser, _ = reading()
    (face,) = analyser.analyse(0.0, BLACK, [track(1)])
    assert (face.landmarks.points == landmarks_in(track(1).box)).all()
    assert (face.pose, face.eyes, face.unread) == (AHEAD, OPEN, None)
    assert face.mouth_ratio == pytest.approx(MOUTH_RATIO, abs=0.01)


def test_all_faces_of_a_frame_are_read_in_one_run_of_each_reader():
    analyser, readers = reading()
    analyser.analyse(0.0, BLACK, [track(1), track(2, side=31.9), track(3, seen=False), track(4, side=32)])
    ((first, second),) = readers.landmarks.batches
    assert (first.box, second.box) == (track(1).box, track(4, side=32).box)
    assert (len(readers.pose.masked), readers.eyes.batches) == (1, [[AHEAD, AHEAD]])


def spared(readers: Readers) -> list[list[bool]]:
    """By reading, whose landmarks of the frame before were given."""
    return [[points is not None for points in before] for before in readers.landmarks.befores]


def test_a_face_is_looked_for_where_it_was_a_frame_before():
    analyser, readers = reading()
    watch(analyser, [0.0], track(1))
    watch(analyser, [0.1], track(1), track(2))
    assert spared(readers) == [[False], [True, False]]
    assert (readers.landmarks.befores[1][0] == landmarks_in(track(1).box)).all()


def test_a_face_is_looked_for_from_the_detectors_box_at_times_so_that_no_mistake_lasts():
    analyser, readers = reading()
    watch(analyser, [k / 10 for k in range(3 * (MOST_FOLLOWED + 1))], track(1))
    assert [known for (known,) in spared(readers)] == ([False] + [True] * MOST_FOLLOWED) * 3


def test_a_face_that_jumped_or_was_not_read_for_long_is_looked_for_anew():
    analyser, readers = reading()
    watch(analyser, [0.0], track(1))
    watch(analyser, [0.1], track(1, x=60))
    watch(analyser, [0.1 + FRESH_S + 0.01], track(1, x=60))
    assert spared(readers) == [[False], [False], [False]]


def test_a_clock_that_is_set_back_has_a_face_looked_for_anew():
    analyser, readers = reading()
    watch(analyser, [100.0, 50.0], track(1))
    assert spared(readers) == [[False], [False]]


def test_doubtful_landmarks_are_not_where_a_face_is_looked_for():
    analyser, readers = reading()
    faces = watch(analyser, [0.0, 0.1], track(1, x=30.0))
    assert [face.unread for (face,) in faces] == ["cut off"] * 2
    assert spared(readers) == [[False], [False]]


def test_a_face_that_moved_a_little_less_than_is_near_is_followed_and_one_that_moved_more_is_not():
    analyser, readers = reading()
    for time_s, x in ((0.0, 200.0), (0.1, 200 + 0.99 * NEAR * 60), (0.2, 200 + 2.01 * NEAR * 60)):
        watch(analyser, [time_s], track(1, x=x))
    assert spared(readers) == [[False], [True], [False]]


def test_a_face_that_is_suddenly_larger_is_looked_for_anew():
    analyser, readers = reading()
    watch(analyser, [0.0], track(1, side=40))
    watch(analyser, [0.1], track(1, side=60))
    assert spared(readers) == [[False], [False]]


class StuckLandmarks(BoxLandmarks):
    """Finds every face in one box, wherever it is."""

    def __init__(self, box: Box) -> None:
        super().__init__()
        self.box = box

    def read(
        self, image: Image, detections: Sequence[Detection], before: Sequence[Points | None] = ()
    ) -> list[Landmarks]:
        return super().read(image, [replace(face, box=self.box) for face in detections], before)


def stuck(box: Box) -> tuple[Analyser, Readers]:
    readers = Readers(StuckLandmarks(box))
    return Analyser(ConstantJudge(), analyser_settings(), readers), readers


@pytest.mark.parametrize("box", [square(235, 100, 60), square(200, 135, 60), square(200, 100, 130)])
def test_landmarks_beside_the_face_or_of_another_size_are_not_where_it_is_looked_for_next(box):
    """What was found in a wrong place must not be what leads there again."""
    analyser, readers = stuck(box)
    watch(analyser, [0.0, 0.1, 0.2], track(1, x=200))
    assert spared(readers) == [[False]] * 3


def test_a_face_that_creeps_away_from_its_landmarks_is_looked_for_anew():
    analyser, readers = stuck(track(1, x=200).box)
    for k in range(6):
        watch(analyser, [k / 10], track(1, x=200 + 9.0 * k))
    assert [known for (known,) in spared(readers)] == [False, True, True, True, True, False]


def test_faces_that_take_turns_are_looked_for_each_where_it_was_itself():
    analyser, readers = reading(analyser_settings(most_read=2))
    watch(analyser, [0.0, 0.1, 0.2, 0.3], *(track(number, x=60 + 90.0 * number) for number in (1, 2, 3)))
    assert spared(readers) == [[False, False], [False, True], [True, True], [True, True]]
    for faces, before in zip(readers.landmarks.batches, readers.landmarks.befores, strict=True):
        for face, points in zip(faces, before, strict=True):
            assert points is None or (points == landmarks_in(face.box)).all()


def test_faces_that_cannot_be_read_say_why_and_the_readers_are_left_alone():
    analyser, readers = reading()
    faces = analyser.analyse(0.0, BLACK, [track(1, side=31.9), track(2, seen=False)])
    assert [(face.landmarks, face.unread) for face in faces] == [(None, "small"), (None, "out of sight")]
    assert readers.landmarks.batches == []


@pytest.mark.parametrize(
    ("x", "y", "cut_off"),
    [(320, 240, False), (31.3, 240, False), (31, 240, True), (609, 240, True), (320, 30, True), (320, 455, True)],
)
def test_of_a_face_at_the_border_only_the_eyes_are_believed(x, y, cut_off):
    """Boxes end at the border, wherever the face does."""
    analyser, _ = reading()
    box = square(x, y, 60)
    (face,) = analyser.analyse(0.0, BLACK, [Track(1, box, 0.0, 0.0, 2, Detection(box, 0.9))])
    assert face.eyes == OPEN
    assert face.pose == (replace(AHEAD, deviation=90) if cut_off else AHEAD)
    assert face.unread == ("cut off" if cut_off else None)
    assert (face.mouth_ratio is None) is cut_off


@pytest.mark.parametrize(
    ("x", "side", "covered"), [(360, 60, True), (360, 90, False), (387, 60, False), (386, 60, True)]
)
def test_a_face_close_to_a_larger_one_may_be_behind_it(x, side, covered):
    analyser, _ = reading()
    boxes = square(320, 240, 61), square(x, 240, side)
    faces = analyser.analyse(
        0.0, BLACK, [Track(k, box, 0.0, 0.0, 2, Detection(box, 0.9)) for k, box in enumerate(boxes)]
    )
    assert (faces[1].unread == "covered") is covered
    assert (faces[0].unread == "covered") is (side > 61)


def test_who_is_not_read_may_hide_the_one_who_is():
    analyser, readers = reading()
    analyser.only = lambda: 1
    boxes = square(320, 240, 90), square(360, 240, 60)
    faces = analyser.analyse(
        0.0, BLACK, [Track(k, box, 0.0, 0.0, 2, Detection(box, 0.9)) for k, box in enumerate(boxes)]
    )
    assert [face.unread for face in faces] == ["not wanted", "covered"]
    assert [len(batch) for batch in readers.landmarks.batches] == [1]


def test_a_profile_that_wants_no_eyes_gets_none():
    analyser = Analyser(ConstantJudge(), analyser_settings(), Readers(BoxLandmarks(), ConstantPose()))
    (face,) = analyser.analyse(0.0, BLACK, [track(1)])
    assert (face.pose, face.eyes, face.unread) == (AHEAD, None, None)


@pytest.mark.parametrize("count", [4, 9, 12])
def test_beyond_the_limit_those_not_read_for_longest_come_first(count):
    analyser, readers = reading(analyser_settings(most_read=4))
    crowd = [track(number, side=40 + number) for number in range(count)]
    frames = watch(analyser, [k / 5 for k in range(count)], *crowd)
    assert {len(batch) for batch in readers.landmarks.batches} == {4}
    reads = Counter(face.track.id for frame in frames for face in frame if face.landmarks)
    assert len(reads) == count
    assert max(reads.values()) - min(reads.values()) <= 2, "everybody has as many turns"
    first = {face.track.id for face in frames[0] if face.landmarks}
    assert first == set(range(count - 4, count)), "of equals the largest"
    assert {face.unread for frame in frames for face in frame} <= {None, "not due", "covered"}, "all stand in one place"


@pytest.mark.parametrize(("scores", "masked"), [(BARE, False), (WORN, True), (scores_for(MaskState.INCORRECT), True)])
def test_the_mask_is_looked_at_first_and_hides_the_mouth(scores, masked):
    analyser, readers = reading(scores=scores)
    (face,) = analyser.analyse(0.0, BLACK, [track(1)])
    assert readers.pose.masked == [[masked]]
    assert (face.mouth_ratio is None) is masked


@pytest.mark.parametrize(
    ("scores", "masked"), [(MaskScores(0.3, 0.25, 0.45), True), (MaskScores(0.2, 0.25, 0.55), False), (SPLIT, True)]
)
def test_some_mask_is_there_when_that_is_more_probable_than_none(scores, masked):
    assert is_masked(scores) is masked


def test_between_looks_the_last_scores_say_whether_the_mouth_is_hidden():
    analyser, readers = reading(analyser_settings(judgements_until_settled=1, settled_interval_s=1.0))
    for time_s, scores in ((0.0, WORN), (0.5, BARE), (1.0, BARE)):
        analyser.judge.scores = scores
        analyser.analyse(time_s, BLACK, [track(1)])
    assert readers.pose.masked == [[True], [True], [False]]


class PlacedLandmarks(BoxLandmarks):
    """Gives the landmarks that it is told to, one set a frame."""

    def __init__(self, *frames: Points) -> None:
        super().__init__()
        self.frames = iter(frames)

    def read(
        self, image: Image, detections: Sequence[Detection], before: Sequence[Points | None] = ()
    ) -> list[Landmarks]:
        return [replace(marks, points=next(self.frames)) for marks in super().read(image, detections, before)]


FACE = landmarks_in(track(1).box)
EYES_PX = math.dist(FACE[36], FACE[45])


def with_moved(rows: Sequence[int], share: float) -> Points:
    """FACE with some of the landmarks further right, by this share of the outer eye corners' distance."""
    points = FACE.copy()
    points[list(rows), 0] += np.float32(share * EYES_PX)
    return points


def poses_read(*frames: Points, fps: float = 15, pose: HeadPose | None = AHEAD) -> int:
    """How often the pose of a face is read that has these landmarks in turn."""
    readers = Readers(PlacedLandmarks(*frames), ConstantPose(pose), ConstantEyes())
    analyser = Analyser(ConstantJudge(), analyser_settings(), readers)
    for number in range(len(frames)):
        (face,) = analyser.analyse(number / fps, BLACK, [track(1)])
        assert face.pose == pose
    return len(readers.pose.masked)


EVERYWHERE = range(68)


@pytest.mark.parametrize(
    ("moved", "share", "times"),
    [
        (EVERYWHERE, 0.0, 2),
        (EVERYWHERE, 0.9 * UNMOVED, 2),
        (EVERYWHERE, 1.1 * UNMOVED, 3),
        ([30], 1.1 * UNMOVED, 3),
        ([33], 1.1 * UNMOVED, 3),
        ([36], 0.9 * UNMOVED, 2),
        ([45], 1.1 * UNMOVED, 3),
        ([*range(17, 27), 37, 38, 40, 41, 43, 44, 46, 47, *range(48, 68)], 0.5, 2),
    ],
    ids=[
        "nothing",
        "a little",
        "all",
        "the nose's tip",
        "its foot",
        "a corner a little",
        "a corner",
        "brows, lids, lips",
    ],
)
def test_a_pose_holds_while_the_head_has_not_moved(moved, share, times):
    """Two readings that agree come first."""
    assert poses_read(FACE, FACE, with_moved(moved, share)) == times


def test_small_movements_that_add_up_end_a_pose():
    assert poses_read(FACE, FACE, with_moved(EVERYWHERE, 0.6 * UNMOVED), with_moved(EVERYWHERE, 1.2 * UNMOVED)) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_landmarks_that_are_no_places_end_a_pose(value):
    odd = np.full_like(FACE, value)
    assert poses_read(FACE, FACE, odd, FACE, odd) == 5


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e25])
def test_a_pose_of_landmarks_of_which_one_is_no_place_does_not_hold(value):
    odd = FACE.copy()
    odd[36, 0] = value
    assert poses_read(odd, odd, FACE, FACE) == 3


def test_a_tilt_of_179_degrees_agrees_with_one_of_181():
    class Upside(ConstantPose):
        def read(self, *asked):
            self.pose = replace(AHEAD, roll=179.0 if len(self.masked) % 2 else -179.0)
            return super().read(*asked)

    readers = Readers(BoxLandmarks(), Upside(), ConstantEyes())
    analyser = Analyser(ConstantJudge(), analyser_settings(), readers)
    watch(analyser, [0.0, 0.05, 0.1], track(1))
    assert len(readers.pose.masked) == 2


def test_a_guess_agrees_with_nothing():
    class Guess(ConstantPose):
        def read(self, *asked):
            self.pose = replace(AHEAD, deviation=MOST_DEVIATION) if not self.masked else AHEAD
            return super().read(*asked)

    readers = Readers(BoxLandmarks(), Guess(), ConstantEyes())
    analyser = Analyser(ConstantJudge(), analyser_settings(), readers)
    watch(analyser, [0.0, 0.05, 0.1], track(1))
    assert len(readers.pose.masked) == 3


@pytest.mark.parametrize("fps", [3, 5, 8, 15, 30])
def test_no_pose_that_is_told_is_old(fps):
    """Each reading gives an angle of its own, by which the frame that it is of is known."""

    class Counted(ConstantPose):
        def read(self, *asked):
            self.pose = replace(AHEAD, yaw=0.01 * number)
            return super().read(*asked)

    readers = Readers(BoxLandmarks(), Counted(), ConstantEyes())
    analyser = Analyser(ConstantJudge(), analyser_settings(), readers)
    for number in range(10 * fps):
        (face,) = analyser.analyse(number / fps, BLACK, [track(1)])
        assert (number - face.pose.yaw / 0.01) / fps < POSED_S
    assert len(readers.pose.masked) <= 10 * min(fps, 2 / POSED_S)


def test_a_clock_that_is_set_back_ends_a_pose():
    analyser, readers = reading()
    watch(analyser, [1000.0, 1000.1, 10.0], track(1))
    assert len(readers.pose.masked) == 3


@pytest.mark.parametrize("pose", [None, replace(AHEAD, deviation=MOST_DEVIATION)], ids=["none", "a guess"])
def test_a_pose_that_is_none_or_a_guess_is_read_again(pose):
    assert poses_read(FACE, FACE, FACE, pose=pose) == 3


@pytest.mark.parametrize("angle", ["yaw", "pitch", "roll"])
@pytest.mark.parametrize("misread", range(8))
def test_one_misread_pose_is_told_in_one_frame(angle, misread):
    """Whichever reading it is."""

    class Misread(ConstantPose):
        def read(self, *asked):
            self.pose = replace(AHEAD, **{angle: 45.0}) if len(self.masked) == misread else AHEAD
            return super().read(*asked)

    analyser, readers = reading()
    analyser.readers = replace(readers, pose=Misread())
    told = [face.pose for (face,) in watch(analyser, [k / 30 for k in range(60)], track(1))]
    assert len(analyser.readers.pose.masked) > misread
    assert sum(pose != AHEAD for pose in told) == 1


def test_each_face_has_its_own_pose_when_some_hold():
    analyser, readers = reading()
    still, mover, further = track(1, x=100), track(2, x=300), track(2, x=320)
    turned = replace(AHEAD, yaw=30.0, facing_yaw=30.0)
    watch(analyser, [0.0, 0.05], still, mover)
    analyser.readers = replace(readers, pose=ConstantPose(turned))
    one, other = analyser.analyse(0.1, BLACK, [still, further])
    assert (one.pose, other.pose) == (AHEAD, turned)
    assert len(analyser.readers.pose.masked[0]) == 1


def test_a_pose_of_a_face_at_the_border_is_doubted_in_each_picture():
    analyser, _ = reading()
    width = BLACK.shape[1]
    inside, outside = track(1, x=width - 33, side=60), track(1, x=width - 31, side=60)
    faces = [analyser.analyse(k / 30, BLACK, [face])[0] for k, face in enumerate((inside, inside, outside, inside))]
    sure = AHEAD.deviation
    assert [face.pose.deviation for face in faces] == [sure, sure, MOST_DEVIATION, sure]


def test_a_pose_that_was_read_while_the_face_was_covered_does_not_hold():
    analyser, readers = reading()
    behind, before = track(1, x=200, side=60), track(2, x=262, side=90)
    readers.pose.pose = replace(AHEAD, yaw=45.0)
    for number in range(3):
        face, _ = analyser.analyse(number / 30, BLACK, [behind, before])
        assert face.unread == "covered"
    readers.pose.pose = AHEAD
    (face,) = analyser.analyse(0.1, BLACK, [behind])
    assert (face.unread, face.pose) == (None, AHEAD)


def test_where_every_frame_is_wanted_no_pose_holds():
    analyser, readers = reading(analyser_settings(pose_holds_s=0.0))
    watch(analyser, [k / 30 for k in range(10)], track(1))
    assert len(readers.pose.masked) == 10


def test_a_face_too_small_to_judge_is_masked_unless_the_detector_saw_that_it_is_not():
    analyser, readers = reading(analyser_settings(smallest_face=100))
    bare = track(2)
    bare = replace(bare, detection=replace(bare.detection, mask=BARE))
    unknown, known = analyser.analyse(0.0, BLACK, [track(1), bare])
    assert readers.pose.masked == [[True, False]]
    assert unknown.mouth_ratio is None
    assert known.mouth_ratio is not None


def test_the_readers_know_the_lens_of_the_picture():
    analyser, readers = reading()
    analyser.analyse(0.0, BLACK, [track(1)])
    height, width = BLACK.shape[:2]
    assert readers.pose.lenses == [Lens.of(width, height)]


@pytest.mark.parametrize(
    ("pitch", "judged"), [(-45.0, False), (-31.0, False), (-25.0, True), (0.0, True), (40.0, True)]
)
def test_masks_of_heads_bowed_far_are_not_judged(pitch, judged):
    analyser, readers = reading()
    pose = HeadPose(0, pitch, 0, 0, pitch, 5.0)
    analyser.readers = replace(readers, pose=ConstantPose(pose))
    ((face,),) = watch(analyser, [0.0], track(1))
    assert (face.mask is not None) is judged
    assert face.unjudged == (None if judged else "bowed")


def test_a_head_that_was_bowed_is_judged_in_every_frame_once_it_is_up():
    analyser, readers = reading()
    poses = {pitch: ConstantPose(HeadPose(0, pitch, 0, 0, pitch, 5.0)) for pitch in (-45.0, 0.0)}
    analyser.readers = replace(readers, pose=poses[-45.0])
    assert not any(face.mask for (face,) in watch(analyser, [k / 10 for k in range(30)], track(1)))
    analyser.readers = replace(readers, pose=poses[0.0])
    later = watch(analyser, [3 + k / 10 for k in range(12)], track(1))
    assert sum(face.mask is not None for (face,) in later) >= 8


def test_a_mask_that_looks_another_way_is_looked_at_in_every_frame_again():
    judge = ConstantJudge(WORN)
    analyser = Analyser(judge, analyser_settings(judgements_until_settled=3, settled_interval_s=0.5))
    watch(analyser, [k / 10 for k in range(20)], track(1))
    judge.scores = BARE
    later = watch(analyser, [2 + k / 10 for k in range(10)], track(1))
    first = next(k for k, (face,) in enumerate(later) if face.mask)
    assert [face.mask for (face,) in later[first : first + 3]] == [BARE] * 3


def test_what_hardly_looks_like_a_face_is_not_judged():
    weak = replace(track(1), detection=Detection(track(1).box, 0.45))
    analyser = Analyser(ConstantJudge(), analyser_settings())
    (face,) = analyser.analyse(0.0, BLACK, [weak])
    assert (face.mask, face.unjudged) == (None, "unsure")
    (face,) = analyser.analyse(0.1, BLACK, [track(1)])
    assert face.mask == BARE


@pytest.mark.parametrize(
    ("height", "bottom", "judged"),
    [(30, 480, False), (30, 479, False), (30, 400, True), (75, 480, True)],
    ids=["a forehead", "nearly at the border", "in the middle", "a whole face at the border"],
)
def test_a_face_whose_lower_half_is_below_the_picture_is_not_judged(height, bottom, judged):
    box = Box(100, bottom - height, 160, bottom)
    (face,) = Analyser(ConstantJudge(), analyser_settings()).analyse(
        0.0, BLACK, [replace(track(1), box=box, detection=Detection(box, 0.9))]
    )
    assert (face.mask is not None) == judged
    assert face.unjudged == (None if judged else "cut off")
