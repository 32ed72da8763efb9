"""`edged bench` over a recording and beside older systems, with the models that ship, on a generated clip."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from support.doubles import ConstantJudge, ScriptedDetector, sighting
from support.recordings import write_coded

from edged.cli.bench import _first_frame_s, _pictures
from edged.cli.bench_clip import FPS, DetectorRuns, over_all, play, settings_for
from edged.cli.bench_stack import _read
from edged.config import Config
from edged.errors import Failed, UsageError
from edged.inference import default_engines_dir
from tests.support.gpu_engines import copy_of_engines, trained_here, untrained

SECONDS_EMPTY, SECONDS_THERE, CLIP_FPS = 1, 3, 30


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A second of an empty room, then three of a bare face (public domain) that sways."""
    portrait = pytest.importorskip("skimage.data").astronaut()[..., ::-1]
    face = cv2.resize(portrait, (200, 200), interpolation=cv2.INTER_AREA)
    path = tmp_path_factory.mktemp("clip") / "entrance.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), CLIP_FPS, (320, 240))
    for number in range((SECONDS_EMPTY + SECONDS_THERE) * CLIP_FPS):
        picture = np.full((240, 320, 3), 120, np.uint8)
        if number >= SECONDS_EMPTY * CLIP_FPS:
            left = 50 + round(20 * np.sin(number / 12))
            picture[30:230, left : left + 200] = face
        writer.write(picture)
    writer.release()
    return path


def bench(*options, **environment):
    return subprocess.run(
        [sys.executable, "-m", "edged", "bench", *map(str, options)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
    )


def test_a_clip_tells_its_cost_its_detector_runs_and_its_events(clip):
    done = bench("--clip", clip, "--clip", clip, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    first, second = told["clips"]
    assert (SECONDS_EMPTY + SECONDS_THERE) * FPS - 1 <= first["frames"] <= (SECONDS_EMPTY + SECONDS_THERE) * FPS + 4
    assert first["picture"] == "320x240"
    assert 0 < first["frame_p50_ms"] <= first["frame_p95_ms"] <= first["frame_p99_ms"] <= first["frame_most_ms"]
    assert first["frame_mean_ms"] == pytest.approx(sum(first["stages_mean_ms"].values()), abs=0.05)
    assert 0 < first["frames_looked_at"] <= first["frames"] - 8, "nobody is looked for in an unchanged empty room"
    assert first["detector_runs"] >= first["frames_looked_at"]
    assert [(one["state"], one["to_s"] - one["from_s"] > 2) for one in first["passages"]] == [("none", True)]
    assert [(one["kind"], one["state"], one["phase"], one["alert"]) for one in first["events"]] == [
        ("mask", "none", "start", True),
        ("mask", "none", "end", False),
    ]
    assert (first["events"], first["passages"]) == (second["events"], second["passages"]), "comparable run by run"
    assert told["total"]["frames"] == first["frames"] + second["frames"]
    assert told["total"]["events"] == 4


def test_a_clip_is_told_to_people_too(clip):
    done = bench("--clip", clip)
    assert done.returncode == 0, done.stderr
    assert "passage" in done.stdout
    assert "mask none start, #1, alert" in done.stdout
    assert "the detector ran on" in done.stdout


def test_a_clip_that_was_cut_off_is_told(clip, tmp_path):
    cut = tmp_path / "cut.avi"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    done = bench("--clip", cut, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["total"]["frames"] > 10
    assert done.stderr.startswith(f"edged: {cut}: cut off: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_fresh_process_that_takes_for_ever_is_one_line(monkeypatch):
    monkeypatch.setattr("edged.cli.bench.FIRST_FRAME_S", 0.01)
    with pytest.raises(Failed, match="no frame within"):
        _first_frame_s(None, "entrance", np.zeros((8, 8, 3), np.uint8))


def test_the_first_frame_is_that_of_the_profile_that_is_timed(monkeypatch):
    """A cab's camera loads more models than an entrance's."""
    asked = []
    done = subprocess.CompletedProcess([], 1, b"", b"edged: it is as it is\n")
    monkeypatch.setattr("edged.cli.bench.run", lambda command, _: asked.append(command) or done)
    with pytest.raises(Failed, match=r"^it is as it is$"):  # one "edged:" is added when it is told
        _first_frame_s(None, "driver", np.zeros((8, 8, 3), np.uint8))
    assert asked[0][asked[0].index("--profile") + 1] == "driver"


@pytest.mark.parametrize("name", ["a.ts", "a.mjpeg", "a.h264", "a.recording"])
def test_frames_of_every_kind_of_recording_are_timed(tmp_path, name):
    kind = "mkv" if name == "a.recording" else name.partition(".")[2]
    path = write_coded(tmp_path / f"b.{kind}", [number / 25 for number in range(12)]).rename(tmp_path / name)
    assert len(_pictures(path, 10)) == 10
    assert len(_pictures(path, 100)) == 12


def test_the_frames_that_are_held_have_a_bound(tmp_path, monkeypatch):
    path = write_coded(tmp_path / "a.mp4", [number / 25 for number in range(12)])
    monkeypatch.setattr("edged.cli.bench.MOST_BYTES", 3 * _pictures(path, 1)[0].nbytes)
    assert len(_pictures(path, 100)) == 3
    monkeypatch.setattr("edged.cli.bench.MOST_BYTES", 1)
    assert len(_pictures(path, 100)) == 1


def test_what_is_no_clip_is_one_line(tmp_path):
    file = tmp_path / "a.mp4"
    file.write_bytes(b"no video")
    done = bench("--clip", file)
    assert done.returncode == 69
    assert done.stderr.startswith(f"edged: {file}: not a video")
    assert len(done.stderr.splitlines()) == 1


def test_costs_are_taken_of_every_frame_and_warming_up_is_nobodys_cost(clip):
    from edged.assembly import Models

    detector = ScriptedDetector([[]] + [[sighting(100)]] * 500)
    models = Models(detector, ConstantJudge(), {}, {})
    found = play(clip, settings_for(Config(), "entrance"), Config(), lambda wrap: models)
    assert found["detector_runs"] == 0, "no engine was run"
    assert found["faces_a_frame"] > 0.9
    assert len(detector.pictures) <= found["frames"] + 1


def test_a_detectors_engines_are_counted_and_no_others():
    class Engine:
        name = "detector"
        backend = "fake"

        def run(self, inputs):
            return {"answer": np.zeros(1)}

    counted_runs = DetectorRuns(("detector",))
    counted = counted_runs.wrap(Engine())
    counted.run({"image": np.zeros((1, 64, 96, 3), np.uint8)})
    counted.run({"image": np.zeros((1, 32, 32, 3), np.uint8)})
    assert (counted_runs.runs, counted_runs.pixels) == (2, 64 * 96 + 32 * 32)
    assert (counted.name, counted.backend) == ("detector", "fake")
    other = Engine()
    other.name = "mask"
    assert counted_runs.wrap(other) is other


def test_over_several_clips_each_frame_counts_once():
    one = {"frames": 30, "frame_mean_ms": 2.0, "processor_mean_ms": 4.0, "faces_a_frame": 1.0, "frames_looked_at": 10}
    other = {"frames": 10, "frame_mean_ms": 6.0, "processor_mean_ms": 8.0, "faces_a_frame": 3.0, "frames_looked_at": 10}
    rows = [row | {"detector_runs": 5, "passages": [1], "events": []} for row in (one, other)]
    assert over_all(rows) == {
        "clips": 2,
        "frames": 40,
        "frame_mean_ms": 3.0,
        "processor_mean_ms": 5.0,
        "faces_a_frame": 1.5,
        "frames_looked_at": 20,
        "detector_runs": 10,
        "passages": 2,
        "events": 0,
    }


# --- beside older systems; MTCNN is built by `make setup`, and our own classifier stands for one of theirs


def classifier(name="resnet50"):
    return f"{name}={default_engines_dir() / 'mask.onnx'}"


@pytest.fixture
def engines(tmp_path):
    """As in a fresh checkout: nobody has trained the older classifiers here."""
    return untrained(copy_of_engines(tmp_path))


@pytest.mark.parametrize("over", ["picture", "clip"])
def test_older_stacks_stand_beside_ours_and_what_is_missing_is_told(clip, over, engines):
    given = ["--clip", clip] if over == "clip" else ["--frames", 5]
    done = bench("--stack", "baselines", "--classifier", classifier(), *given, "--json", EDGED_ENGINES=engines)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    rows = {row["stack"]: row for row in told["stacks"]}
    assert next(iter(rows)) == "edged + edged"
    assert "mtcnn + resnet50" in rows
    assert rows["edged + edged"]["times_ours"] == 1
    assert all(row["frame_mean_ms"] > 0 for row in rows.values())
    assert all(row["faces_a_frame"] > 0 for row in rows.values())
    if over == "clip":
        assert {row["alerts"] for row in rows.values()} == {1}
    names = [line.partition(":")[0] for line in told["missing"]]
    assert names[-2:] == ["xception", "mobilenet"]
    assert all(
        f"make train-baseline-classifiers ONLY={line.partition(':')[0]}" in line for line in told["missing"][-2:]
    )


def test_a_classifier_that_was_trained_here_takes_part_without_being_named(engines):
    trained_here(engines, "mask-xception", "mask")
    done = bench("--stack", "baselines", "--frames", 5, "--json", EDGED_ENGINES=engines)
    assert done.returncode == 0, done.stderr
    assert {"edged + edged", "mtcnn + xception"} <= {row["stack"] for row in json.loads(done.stdout)["stacks"]}


def test_without_any_older_model_each_missing_one_is_a_line_with_its_remedy(engines):
    done = bench("--stack", "seeds", "--frames", 5, EDGED_ENGINES=engines)
    assert done.returncode == 69
    lines = done.stderr.splitlines()
    assert len(lines) >= 4
    assert all(line.startswith("edged: ") for line in lines)
    assert sum("make train-baseline-classifiers" in line for line in lines) == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--classifier", "resnet50=a.onnx"], "give both"),
        (["--stack", "baselines", "--classifier", "vgg=a.onnx"], "one of resnet50, xception, mobilenet"),
        (["--stack", "baselines", "--classifier", "resnet50"], "NAME=FILE"),
        (["--clip", __file__, "--source", __file__], "leave one of them out"),
    ],
)
def test_options_that_make_no_sense_are_told(given, message):
    done = bench(*given)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_named_file_that_cannot_be_read_is_a_missing_one(tmp_path, engines):
    named = f"resnet50={tmp_path / 'none.onnx'}"
    done = bench("--stack", "baselines", "--classifier", named, "--frames", 5, EDGED_ENGINES=engines)
    assert done.returncode == 69
    assert f"resnet50: {tmp_path / 'none.onnx'}: cannot be read" in done.stderr


@pytest.mark.parametrize("device", ["/dev/zero", "fifo"])
def test_a_classifier_without_end_is_not_waited_for(tmp_path, device):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="not a regular file"):
        _read(tmp_path / device)
