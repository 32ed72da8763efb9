"""Pictures and recordings offline, with a scripted detector and judge: the records that the scoring scripts read."""

import json

import cv2
import numpy as np
import pytest
from support.doubles import BARE, SPLIT, ConstantJudge, ScriptedDetector, sighting
from support.recordings import shaded, write_video

from edged.assembly import Models
from edged.config import Config
from edged.errors import SourceLost
from edged.offline import Recording, analyse_picture
from edged.types import Box, Detection, Image, MaskScores

POINTS = np.array([[10, 20], [30, 20], [20, 30], [12, 40], [28, 40]], np.float32)


def models(frames: list[list[Detection]], scores: MaskScores = BARE) -> Models:
    return Models(ScriptedDetector(frames), ConstantJudge(scores), {}, {})


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


@pytest.mark.parametrize(
    ("side", "scores", "state"), [(40, BARE, "none"), (20, BARE, "uncertain"), (40, SPLIT, "uncertain")]
)
def test_a_single_look_is_certain_only_on_a_large_and_clear_face(picture, side, scores, state):
    (face,) = analyse_picture(picture, Config(), models([[sighting(50, 50, side)]], scores)).faces
    assert face.state.value == state
    assert face.scores == scores


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
    assert len(parts.judge.batches) == 19
    assert [len(analysed.faces) for analysed in frames] == [0] + [1] * 19


def test_faces_out_of_sight_are_not_in_the_record_and_the_best_come_first(tmp_path):
    both = [sighting(16, 24, 24, score=0.7), sighting(48, 24, 24, score=0.9)]
    path = write_video(tmp_path / "a.avi", 6)
    frames = list(Recording(path, Config(), models([both] * 4 + [both[:1]] * 2)).frames())
    assert [face.score for face in frames[3].faces] == [0.9, 0.7]
    assert [face.score for face in frames[5].faces] == [0.7]


@pytest.mark.parametrize("content", [None, b"", b"hello"])
def test_a_file_that_is_no_recording_is_lost_with_a_reason(tmp_path, content):
    if content is not None:
        (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(SourceLost, match=r"a\.mp4"):
        Recording(tmp_path / "a.mp4", Config(), models([]))


def test_a_name_that_is_not_utf8_is_refused_in_words(tmp_path):
    path = tmp_path / "\udcff.mp4"
    path.write_bytes(b"")
    with pytest.raises(SourceLost, match="rename") as caught:
        Recording(path, Config(), models([]))
    assert str(caught.value).encode()
