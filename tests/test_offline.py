"""Pictures and recordings offline, with a scripted detector and judge: the records that the scoring scripts read."""

import json

import cv2
import numpy as np
import pytest
from support.doubles import (
    BARE,
    OPEN,
    SHUT,
    SPLIT,
    WORN,
    BoxLandmarks,
    ConstantEyes,
    ConstantJudge,
    ConstantPose,
    ScriptedDetector,
    landmarks_in,
    sighting,
)
from support.recordings import shaded, write_video

from edged.assembly import Models
from edged.cli.summary import Summary
from edged.config import Config
from edged.config.signals import PROFILES
from edged.errors import Failed, SourceLost
from edged.offline import TIGHT_CROP_BELOW, Recording, analyse_picture
from edged.render.annotate import COLOURS
from edged.types import Box, Detection, EyeReading, HeadPose, Image, Lens, MaskScores, MaskState

TURNED = HeadPose(-3.123456, 4.0, 0.5, 0.0, 0.0, 2.0)
POINTS = np.array([[10, 20], [30, 20], [20, 30], [12, 40], [28, 40]], np.float32)


UNBORN = 7
"""Frames, 25 a second, until a face that scores 0.9 is followed as somebody."""


def models(frames: list[list[Detection]], scores: MaskScores = BARE) -> Models:
    return Models(ScriptedDetector(frames), ConstantJudge(scores), {}, {})


def reading(
    frames: list[list[Detection]],
    look: EyeReading = OPEN,
    scores: MaskScores = BARE,
    pose: HeadPose | None = TURNED,
) -> Models:
    """Models that read everything."""
    parts = ScriptedDetector(frames), ConstantJudge(scores), {}, {}
    return Models(*parts, BoxLandmarks(), ConstantPose(pose), ConstantEyes(look))


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "Tür 1.png"
    cv2.imwrite(str(path), shaded(3, 100, 200))
    return path


# --- pictures


def test_a_pictures_record_has_every_key_the_scoring_scripts_read(picture):
    face = Detection(Box(1.234, 2, 41, 52.5), 0.98765432, POINTS)
    record = json.loads(json.dumps(analyse_picture(picture, Config(), models([[face]])).record()))
    assert {key: record[key] for key in ("source", "frame", "time_s", "width", "height")} == {
        "source": str(picture),
        "frame": 0,
        "time_s": 0.0,
        "width": 200,
        "height": 100,
    }
    assert record["faces"] == [
        {
            "track": None,
            "box": [1.23, 2.0, 41.0, 52.5],
            "score": 0.98765,
            "counted": True,
            "mask": {"state": "none", "scores": {"correct": 0.02, "incorrect": 0.03, "none": 0.95}},
            "keypoints5": POINTS.tolist(),
            "keypoints68": None,
            "pose": None,
            "eyes": None,
        }
    ]


def test_padding_shows_the_detector_more_and_changes_no_coordinates(picture):
    parts = models([[Detection(Box(70, 60, 110, 100), 0.9, POINTS + 50)]])
    analysed = analyse_picture(picture, Config(), parts, pad=0.25)
    assert parts.detector.pictures[0].shape == (200, 300, 3)
    assert parts.judge.batches == [[Box(70, 60, 110, 100)]]
    assert analysed.image.shape == (100, 200, 3)
    assert analysed.faces[0].box == Box(20, 10, 60, 50)
    assert np.array_equal(analysed.faces[0].points, POINTS)


def test_padding_has_the_bound_that_pictures_have(picture, monkeypatch):
    """A photograph of 36 megapixels, padded by its whole side, took three gigabytes."""
    monkeypatch.setattr("edged.offline.MOST_PIXELS", 200 * 300)
    assert analyse_picture(picture, Config(), models([[]]), pad=0.25).faces == []
    with pytest.raises(Failed, match=r"--pad$"):
        analyse_picture(picture, Config(), models([[]]), pad=0.26)


@pytest.mark.parametrize(
    ("side", "scores", "state"), [(40, BARE, "none"), (20, BARE, "uncertain"), (40, SPLIT, "uncertain")]
)
def test_a_single_look_is_certain_only_on_a_large_and_clear_face(picture, side, scores, state):
    (face,) = analyse_picture(picture, Config(), models([[sighting(50, 50, side)]], scores)).faces
    assert face.state.value == state
    assert face.scores == scores


def test_of_a_face_that_goes_on_below_the_picture_nothing_is_certain(picture):
    height = cv2.imread(str(picture)).shape[0]
    forehead = Detection(Box(40, height - 30, 100, height), 0.9)
    (face,) = analyse_picture(picture, Config(), models([[forehead]])).faces
    assert face.state is MaskState.UNCERTAIN


def test_a_picture_without_faces_has_a_record_and_does_not_trouble_the_judge(picture):
    parts = models([[]])
    assert analyse_picture(picture, Config(), parts).record()["faces"] == []
    assert parts.judge.batches == []


def test_a_file_that_is_no_picture_is_lost_with_a_reason(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(SourceLost, match=r"a\.jpg"):
        analyse_picture(tmp_path / "a.jpg", Config(), models([]))


def test_an_annotated_picture_is_a_copy_with_the_faces_on_it(picture):
    analysed = analyse_picture(picture, Config(), models([[sighting(50, 50)]]))
    drawn: Image = analysed.annotated()
    assert drawn.shape == analysed.image.shape
    assert not np.array_equal(drawn, analysed.image)


# --- landmarks, pose and eyes


def write_dark_video(path, pictures):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 240))
    for _ in range(pictures):
        writer.write(shaded(0, 240, 320))
    writer.release()
    return path


def faces_of(analysed) -> list[dict]:
    return json.loads(json.dumps(analysed.record()))["faces"]


def test_a_pictures_record_holds_landmarks_pose_and_eyes(picture):
    (face,) = faces_of(analyse_picture(picture, Config(), reading([[sighting(50, 50)]])))
    assert np.allclose(face["keypoints68"], landmarks_in(sighting(50, 50).box), atol=0.01)
    assert face["pose"] == {"yaw": -3.12, "pitch": 4.0, "roll": 0.5}
    assert face["eyes"] == {"openness": 0.96, "closed": False}


def test_every_face_is_read_however_small_in_one_run(picture):
    parts = reading([[sighting(50, 50), sighting(150, 50, 12)]])
    faces = faces_of(analyse_picture(picture, Config(), parts))
    assert all(face["keypoints68"] and face["pose"] and face["eyes"] for face in faces)
    assert [len(batch) for batch in parts.landmarks.batches] == [2]


@pytest.mark.parametrize(
    ("look", "eyes"), [(SHUT, {"openness": 0.04, "closed": True}), (EyeReading(None, None, "turned away"), None)]
)
def test_eyes_that_cannot_be_read_are_null_and_never_open(picture, look, eyes):
    (face,) = faces_of(analyse_picture(picture, Config(), reading([[sighting(50, 50)]], look)))
    assert face["eyes"] == eyes


def test_a_pose_that_cannot_be_told_is_null(picture):
    (face,) = faces_of(analyse_picture(picture, Config(), reading([[sighting(50, 50)]], pose=None)))
    assert face["pose"] is None
    assert face["keypoints68"] is not None


@pytest.mark.parametrize(("scores", "masked"), [(BARE, False), (WORN, True)])
def test_the_pose_reader_knows_who_is_masked(picture, scores, masked):
    parts = reading([[sighting(50, 50)]], scores=scores)
    analyse_picture(picture, Config(), parts)
    assert parts.pose.masked == [[masked]]


def test_padding_moves_no_landmark(picture):
    detected = Detection(Box(70, 60, 110, 100), 0.9, POINTS + 50)
    (face,) = faces_of(analyse_picture(picture, Config(), reading([[detected]]), pad=0.25))
    assert np.allclose(face["keypoints68"], landmarks_in(Box(20, 10, 60, 50)), atol=0.02)


def lens_of(picture, **options):
    parts = reading([[sighting(50, 50)]])
    analyse_picture(picture, Config(), parts, **options)
    (lens,) = parts.pose.lenses
    return lens


def test_a_picture_spans_sixty_degrees_unless_somebody_knows_better(picture):
    assert lens_of(picture) == Lens.of(200, 100, 60)
    assert lens_of(picture, field_of_view=35) == Lens.of(200, 100, 35)


def test_what_is_hardly_a_face_is_not_read(picture):
    weak = Detection(Box(10, 10, 50, 50), 0.2, sighting(30, 30).points)
    analysed = analyse_picture(picture, Config(), reading([[sighting(50, 50), weak]]))
    sure, doubtful = (face.record() for face in analysed.faces)
    assert sure["pose"] is not None
    assert doubtful["keypoints68"] is doubtful["pose"] is doubtful["eyes"] is None


def test_a_tight_crop_has_a_long_lens_and_a_camera_that_hangs_above_it(picture):
    lens = lens_of(picture, pad=0.5)
    assert lens.centre_x == 200, "the middle of the padded picture"
    assert np.degrees(np.arctan2(150 - lens.centre_y, lens.focal)) == pytest.approx(TIGHT_CROP_BELOW)
    assert 2 * np.degrees(np.arctan(400 / 2 / lens.focal)) == pytest.approx(24, abs=0.2)
    assert lens_of(picture, pad=0.25).focal == lens.focal, "the pad widens the picture, not the lens"
    known = lens_of(picture, pad=0.5, field_of_view=60)
    assert known == Lens(Lens.of(200, 100, 60).focal, 200, 150), "who knows the lens has the whole picture"


def test_models_that_only_judge_masks_leave_the_rest_null(picture, tmp_path):
    (face,) = faces_of(analyse_picture(picture, Config(), models([[sighting(50, 50)]])))
    assert face["keypoints68"] is face["pose"] is face["eyes"] is None
    frames = list(
        Recording(write_video(tmp_path / "a.avi", 15), Config(), models([[sighting(30, 24, 30)]] * 15)).frames()
    )
    (face,) = faces_of(frames[-1])
    assert face["keypoints68"] is face["pose"] is face["eyes"] is None


def test_a_recordings_faces_are_read_in_every_frame(tmp_path):
    parts = reading([[sighting(30, 24, 30)]] * 20)
    frames = list(Recording(write_video(tmp_path / "a.avi", 20), Config(), parts).frames())
    read = [face for analysed in frames for face in faces_of(analysed)]
    assert len(read) == len(parts.landmarks.batches) == len(parts.pose.masked) == 20 - UNBORN
    assert all(face["keypoints68"] and face["pose"] and face["eyes"] for face in read)


def test_a_recordings_eyes_follow_the_smoothed_signal(tmp_path):
    """Eyes open for two seconds and shut for one, on a face large enough for the signal."""
    parts = reading([[sighting(160, 120, 100)]] * 75)
    closed, words = [], []
    for analysed in Recording(write_dark_video(tmp_path / "a.avi", 75), Config(), parts).frames():
        parts.eyes.look = OPEN if analysed.time_s < 2 else SHUT
        for face in analysed.faces:
            closed.append((analysed.time_s, face.eyes.closed))
            words += face.words
    shut = [time_s for time_s, is_closed in closed if is_closed]
    assert 2.0 <= min(shut) <= 2.3
    assert max(shut) == max(time_s for time_s, _ in closed)
    assert any(word.startswith("eyes closed 0.") for word in words)


def eyes_over_time(path, frames, parts, change):
    """Time and eyes of every frame of a face large enough for the signal; `change` sets up the next frame's readings."""
    found = []
    for analysed in Recording(write_dark_video(path, frames), Config(), parts).frames():
        change(analysed.time_s)
        found += [(analysed.time_s, face.eyes) for face in analysed.faces]
    return found


def test_eyes_that_are_shut_in_a_yawn_are_shut(tmp_path):
    parts = reading([[sighting(160, 120, 100)]] * 150)

    def yawn(time_s):
        parts.landmarks.mouth_ratio = 0.8 if 3.5 <= time_s < 5.5 else 0.1
        parts.eyes.look = SHUT if 4 <= time_s < 5.5 else OPEN

    found = eyes_over_time(tmp_path / "a.avi", 150, parts, yawn)
    assert all(eyes.closed for time_s, eyes in found if 4.2 < time_s < 5.4)
    assert not any(eyes.closed for time_s, eyes in found if time_s < 4 or time_s > 5.8)


def test_eyes_that_look_down_with_the_head_are_null(tmp_path):
    parts = reading([[sighting(160, 120, 100)]] * 150, pose=HeadPose(0.0, 0.0, 0.0, 0.0, 0.0, 2.0))

    def look_down(time_s):
        down = 4 <= time_s < 5
        parts.pose.pose = HeadPose(0.0, -30.0, 0.0, 0.0, -30.0, 2.0) if down else HeadPose(0.0, 0.0, 0.0, 0.0, 0.0, 2.0)
        parts.eyes.look = SHUT if down else OPEN

    found = eyes_over_time(tmp_path / "a.avi", 150, parts, look_down)
    assert {eyes for time_s, eyes in found if 4.1 < time_s < 5} == {None}
    assert not any(eyes is None or eyes.closed for time_s, eyes in found if time_s < 4 or time_s > 5.2)


def test_one_doubtful_look_does_not_shut_a_recordings_eyes(tmp_path):
    """Lids as far apart as usual, of which the classifier alone is not sure."""
    parts = reading([[sighting(160, 120, 100)]] * 60)
    for analysed in Recording(write_dark_video(tmp_path / "a.avi", 60), Config(), parts).frames():
        parts.eyes.look = EyeReading(0.45, OPEN.aspect_ratio) if 1.5 <= analysed.time_s < 1.6 else OPEN
        assert not any(face.eyes.closed for face in analysed.faces)


def test_people_are_told_of_attention_only_where_it_is_known(tmp_path):
    looking = reading([[sighting(160, 120, 60)]] * 30, pose=HeadPose(0.0, 0.0, 0.0, 0.0, 0.0, 2.0))
    ahead = Config.model_validate({"attention": {"target_yaw": 0, "target_pitch": 0}})
    frames = list(Recording(write_dark_video(tmp_path / "a.avi", 30), ahead, looking).frames())
    assert "attentive" in {word for analysed in frames for face in analysed.faces for word in face.words}
    blind = reading([[sighting(160, 120, 60)]] * 30, EyeReading(None, None, "small"), pose=None)
    frames = list(Recording(write_dark_video(tmp_path / "b.avi", 30), ahead, blind).frames())
    assert {word for analysed in frames for face in analysed.faces for word in face.words} == set()


def test_what_was_read_is_drawn(picture):
    plain = analyse_picture(picture, Config(), models([[sighting(100, 50, 80)]])).annotated()
    full = analyse_picture(picture, Config(), reading([[sighting(100, 50, 80)]], SHUT)).annotated()
    assert (plain != full).any(axis=-1).sum() > 68


def test_weak_finds_are_in_the_record_and_are_not_drawn(picture):
    """The daemon would take no new face from them."""
    finds = [sighting(50, 50, score=0.9), sighting(150, 50, score=0.55)]
    analysed = analyse_picture(picture, Config(), models([finds]))
    assert [face.score for face in analysed.faces] == [0.9, 0.55]
    assert [face["counted"] for face in faces_of(analysed)] == [True, False]
    assert [face.score for face in analysed.counted()] == [0.9]


def test_of_those_in_a_cab_only_the_driver_is_counted(picture, tmp_path):
    """In a picture the largest face that is sure; in a recording whom the daemon takes for the driver."""
    finds = [sighting(50, 50, 40, score=0.99), sighting(150, 50, 60, score=0.9), sighting(100, 50, 90, score=0.3)]
    faces = faces_of(analyse_picture(picture, Config(), models([finds]), one_person=True))
    assert [face["counted"] for face in faces] == [False, True, False]
    two = models([[sighting(80, 120, 60), sighting(230, 120, 100)]] * 20)
    *_, last = Recording(write_dark_video(tmp_path / "a.avi", 20), Config(), two, one_person=True).frames()
    assert [face.box.side > 80 for face in last.counted()] == [True]
    assert len(last.faces) == 2


def test_a_recordings_summary_tells_who_passed_for_how_long_and_the_gravest(tmp_path):
    two = [sighting(80, 120, 60), sighting(230, 120, 60)]
    recording = Recording(write_dark_video(tmp_path / "a.avi", 50), Config(), models([two] * 50))
    summary = Summary(PROFILES["entrance"])
    for analysed in recording.frames():
        summary.add(analysed)
    line = summary.line()
    assert line.startswith("2.0 s, 50 pictures, 2 passages: uncertain 2 passages, ")
    assert "; no mask 2 passages, " in line
    assert "; worst: no mask, first at " in line
    assert Summary(PROFILES["driver"]).line() == "0.0 s, 0 pictures, 0 passages"


def test_nothing_is_drawn_that_nobody_asked_for(picture):
    red = COLOURS[MaskState.NONE]
    (face,) = analyse_picture(picture, Config(), reading([[sighting(100, 50, 80)]], SHUT)).faces
    entrance, classroom, driver = (face.portrait(PROFILES[name]) for name in ("entrance", "classroom", "driver"))
    assert (entrance.state, classroom.state, driver.state) == (MaskState.NONE, MaskState.NONE, None)
    assert entrance.points is entrance.pose is entrance.eyes_shut is classroom.eyes_shut is None
    assert classroom.pose == driver.pose == TURNED
    assert driver.eyes_shut is True
    assert (entrance.lines, driver.lines) == ((), ("eyes closed",))
    picture_of_driver = analyse_picture(picture, Config(), reading([[sighting(100, 50, 80)]])).annotated(
        PROFILES["driver"]
    )
    assert not (picture_of_driver == red).all(axis=-1).any()


def test_a_drivers_picture_tells_level_eyes_and_perclos(tmp_path):
    """Open eyes for as long as PERCLOS needs to be known, then shut ones until that is an alarm."""
    parts = reading([[sighting(160, 120, 100)]] * 1300, pose=HeadPose(0.0, 0.0, 0.0, 0.0, 0.0, 2.0))
    told = []
    for analysed in Recording(write_dark_video(tmp_path / "a.avi", 1300), Config(), parts).frames():
        parts.eyes.look = SHUT if analysed.time_s > 48 else OPEN
        told += [face.portrait(PROFILES["driver"]) for face in analysed.faces]
    assert told[0].level == "unknown"
    assert "eyes open, PERCLOS 0 %" in told[1150].lines
    assert "alert" in told[1150].lines
    assert told[1150].level == "alert"
    assert told[-1].level == "alarm"
    assert any(line.startswith("eyes closed 3.") and "PERCLOS" in line for line in told[-1].lines)
    assert any(line.startswith("alarm: ") for line in told[-1].lines)
    assert "attentive" in told[1150].lines
    assert not [one for one in told if one.eyes_shut and "attentive" in one.lines]


# --- recordings


def test_every_frame_of_a_recording_has_its_record(tmp_path):
    path = write_video(tmp_path / "a b%20.avi", 6, fps=20)
    records = [analysed.record() for analysed in Recording(path, Config(), models([])).frames()]
    assert [record["frame"] for record in records] == list(range(6))
    assert [record["time_s"] for record in records] == pytest.approx([k / 20 for k in range(6)])
    assert {record["source"] for record in records} == {str(path)}


def test_a_face_in_a_recording_gets_its_number_and_its_voted_state(tmp_path):
    path = write_video(tmp_path / "a.avi", 20)
    frames = list(Recording(path, Config(), models([[sighting(30, 24, 30)]] * 20)).frames())
    faces = [face for analysed in frames for face in analysed.faces]
    assert {face.track for face in faces} == {1}
    assert [str(face.state) for face in faces] == sorted([str(face.state) for face in faces], reverse=True)
    assert str(faces[-1].state) == "none"


def test_a_recording_is_judged_in_every_frame_also_when_settled(tmp_path):
    parts = models([[sighting(30, 24, 30)]] * 20)
    frames = list(Recording(write_video(tmp_path / "a.avi", 20), Config(), parts).frames())
    assert len(parts.judge.batches) == 20 - UNBORN
    assert [len(analysed.faces) for analysed in frames] == [0] * UNBORN + [1] * (20 - UNBORN)


def test_faces_out_of_sight_are_not_in_the_record_and_the_best_come_first(tmp_path):
    both = [sighting(16, 24, 24, score=0.85), sighting(48, 24, 24, score=0.95)]
    path = write_video(tmp_path / "a.avi", 20)
    frames = list(Recording(path, Config(), models([both] * 18 + [both[:1]] * 2)).frames())
    assert [face.score for face in frames[17].faces] == [0.95, 0.85]
    assert [face.score for face in frames[19].faces] == [0.85]


@pytest.mark.parametrize("content", [None, b"", b"hello"])
def test_a_file_that_is_no_recording_is_lost_with_a_reason(tmp_path, content):
    if content is not None:
        (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(SourceLost, match=r"a\.mp4"):
        Recording(tmp_path / "a.mp4", Config(), models([]))


def test_a_name_that_is_not_utf8_is_no_hindrance(tmp_path):
    path = write_video(tmp_path / "a.avi", 3).rename(tmp_path / "\udcff.avi")
    records = [analysed.record() for analysed in Recording(path, Config(), models([])).frames()]
    assert {record["source"] for record in records} == {str(path)}
    assert json.dumps(records).encode()
