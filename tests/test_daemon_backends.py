"""The running daemon on a machine with a (doubled) GPU: engines are prepared, taken up and given up while it watches."""

import hashlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.gpu_daemon import ON_THE_CPU, ON_THE_GPU, PATIENCE_S, GpuDaemon, ended_in_the_end, is_tidy
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, until

from edged.assembly import build_pipeline, load_models, tasks_of
from edged.capture.video import VideoFile
from edged.config import load_config
from edged.config.source import parse_source
from edged.types import Frame

pytestmark = needs_models

TOLD_S = 3
"""A build that takes so long is in the state document, which is written once a second."""

WHATEVER_IS_FASTER = 'backend = "tensorrt"'
"""Where engines are measured beside the daemon: how fast a doubled GPU is depends on what else this machine does."""

HASH_BYTES = 32
"""They stand before a verdict."""

NO_BOUNDARIES = {
    "vote_seconds = 0.4": "vote_seconds = 0.43",
    "hold_seconds = 0.1": "hold_seconds = 0.11",
    "lost_seconds = 0.2": "lost_seconds = 0.23",
    "encounter_seconds = 0.2": "encounter_seconds = 0.23",
    "fps = 10": "fps = 30",
}
"""Every picture counts, and no limit falls on a picture, where the last bit of its time would decide."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engines of the daemon's models, built and checked; known as twice as fast as the CPU."""
    folder = tmp_path_factory.mktemp("built")
    copy = GpuDaemon(folder, {"door": "file:///video.mp4"}).build(folder / "copy")
    for file in copy.glob("*.result"):
        record = json.loads(file.read_bytes()[HASH_BYTES:])
        record["result"] |= {"gpu_ms": 1.0, "cpu_ms": 2.0}
        content = json.dumps(record).encode()
        file.write_bytes(hashlib.sha256(content).digest() + content)
    return copy


@pytest.fixture
def door(clip: Path) -> dict[str, str]:
    return {"door": looped(clip)}


@pytest.fixture
def daemons() -> Iterator[list[Daemon]]:
    """Those in it are ended at the end."""
    with ended_in_the_end() as made:
        yield made


# --- the swap

Passage = tuple[str, int, str]
"""What an event is, but for when it was and how sure: its state, how many milliseconds it lasted, why it ended."""


def on_the_cpu(config_file: Path, clip: Path, loops: int = 3) -> set[Passage]:
    """The events of the clip, played again and again through the ordinary stages."""
    config = load_config(config_file)
    pipeline = build_pipeline("door", config.camera["door"], config, load_models(config.models, tasks_of(config)))
    started: dict[str, float] = {}
    passages: set[Passage] = set()
    video = VideoFile(parse_source(f"file://{clip}?loop=1"))
    frames = loops * sum(1 for _ in _pictures(clip))
    for index in range(frames):
        time_s = video.skip()
        assert time_s is not None
        for event in pipeline.step(Frame("door", index, 1000 + time_s, video.picture())).events:
            if event.phase == "start":
                started[event.key] = event.time_s
            elif event.phase == "end":
                lasted = round((event.time_s - started.pop(event.key)) * 1000)
                passages.add((event.state, lasted, event.end_reason or ""))
    video.close()
    return passages


def _pictures(clip: Path) -> Iterator[float]:
    video = VideoFile(parse_source(f"file://{clip}"))
    while (at := video.skip()) is not None:
        yield at
    video.close()


@needs_mosquitto
def test_a_recording_that_plays_while_its_models_move_to_the_gpu_loses_no_picture_and_no_event(
    clip: Path, tmp_path: Path
) -> None:
    recording = tmp_path / "clip.mp4"
    recording.write_bytes(clip.read_bytes())
    pictures = sum(1 for _ in _pictures(clip))
    with Mosquitto(tmp_path / "broker") as broker:
        slow = {"build": f"slow {TOLD_S}"}
        camera = {"door": f"file://{recording}?loop=1"}
        daemon = GpuDaemon(tmp_path, camera, port=broker.port, models=WHATEVER_IS_FASTER, faults=slow)
        for usual, other in NO_BOUNDARIES.items():
            daemon.config.write_text(daemon.config.read_text().replace(usual, other))
        expected = on_the_cpu(daemon.config, clip)
        with Subscriber(broker.port, "edged/dev1/state") as subscriber, daemon:
            daemon.start()
            assert until(lambda: daemon.status().get("cameras", {}).get("door", {}).get("frames_analysed"), PATIENCE_S)
            assert daemon.runs_on(ON_THE_CPU)
            assert until(lambda: daemon.preparing("detector", "mask"), PATIENCE_S)
            assert daemon.runs_on(ON_THE_GPU), daemon.log
            before = daemon.status()["cameras"]["door"]["frames_analysed"]
            assert until(
                lambda: daemon.status()["cameras"]["door"]["frames_analysed"] > before + 2 * pictures, PATIENCE_S
            )
            recording.unlink()
            assert until(lambda: daemon.status()["cameras"]["door"]["status"] == "offline", PATIENCE_S), "it has ended"
            told = [json.loads(text) for text in subscriber.payloads("edged/dev1/state")]
            status = daemon.status()
            assert daemon.stop() == 0

    seen, analysed, dropped = daemon.rows("SELECT sum(frames_seen), sum(frames_analysed), sum(dropped) FROM coverage")[
        0
    ]
    assert (analysed, dropped) == (seen, 0)
    assert analysed % pictures == 0, "the recording was played to its end each time"
    assert status["cameras"]["door"]["frames_faulty"] == 0
    events = daemon.rows(
        "SELECT state, ended_at - started_at, end_reason FROM events WHERE kind = 'mask' ORDER BY started_at"
    )
    assert len(events) == analysed / pictures
    assert set(events) == expected

    assert [told[0]["backend"], told[-1]["backend"]] == ["onnxruntime", "tensorrt"]
    assert told[-1]["models"] == ON_THE_GPU
    assert {payload["preparing"]["model"] for payload in told if payload["preparing"]} == ON_THE_GPU.keys()
    assert [problem for payload in told for problem in payload["errors"] if "camera" not in problem] == []
    assert daemon.log.count("now runs on tensorrt") == len(ON_THE_GPU)
    assert is_tidy(daemon)
    assert set(daemon.moments("run")) - set(daemon.moments("build")), "the daemon itself ran engines"


def test_what_was_built_before_is_taken_up_without_building(
    door: dict[str, str], built: Path, tmp_path: Path, daemons: list[Daemon]
) -> None:
    daemons.append(daemon := GpuDaemon(tmp_path, door))
    daemon.give(built)
    daemon.start()
    assert daemon.runs_on(ON_THE_GPU), daemon.log
    assert daemon.analyses()
    assert daemon.stop() == 0
    assert daemon.moments("build") == []
    assert is_tidy(daemon)


@pytest.mark.long
def test_a_slower_engine_is_built_and_left_alone(door: dict[str, str], tmp_path: Path, daemons: list[Daemon]) -> None:
    daemons.append(daemon := GpuDaemon(tmp_path, door, faults={"run": "slow 0.05"}))
    daemon.start()
    assert until(lambda: daemon.log.count("stays on the CPU") == 2, PATIENCE_S), daemon.log
    status = daemon.status()
    assert (status["models"], status["errors"], status["mode"]) == (ON_THE_CPU, [], "normal")
    assert daemon.pid not in daemon.moments("import"), "nothing of TensorRT was needed in the daemon"
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("launch", "the GPU failed (launch was made to fail)"),
        pytest.param("enqueue", "enqueue was made to fail", marks=pytest.mark.long),
    ],
)
def test_an_engine_or_a_gpu_that_fails_later_hands_back_to_the_cpu(
    door: dict[str, str], built: Path, tmp_path: Path, daemons: list[Daemon], what: str, said: str
) -> None:
    daemons.append(daemon := GpuDaemon(tmp_path, door, faults={"run": f"refuse {what} 300"}))
    daemon.give(built)
    daemon.start()
    # Of the rescorer's engine it becomes known only if a face is not sure.
    asked = ("detector", "mask")
    back = [f"model {model} is back on onnxruntime" for model in asked]
    assert until(lambda: all(line in daemon.log for line in back), PATIENCE_S), daemon.log
    assert daemon.log.count("now runs on tensorrt") == len(ON_THE_GPU)
    assert until(lambda: all(daemon.status()["models"][model] == "onnxruntime" for model in asked), PATIENCE_S)
    assert daemon.tells(said)
    assert daemon.analyses()
    assert daemon.stop() == 0
    assert is_tidy(daemon)


def test_a_reload_moves_the_models_back_to_the_cpu_and_gives_the_gpu_back(
    door: dict[str, str], built: Path, tmp_path: Path, daemons: list[Daemon]
) -> None:
    daemons.append(daemon := GpuDaemon(tmp_path, door, models='backend = "auto"'))
    daemon.give(built)
    daemon.start()
    assert daemon.runs_on(ON_THE_GPU), daemon.log
    daemon.config.write_text(daemon.config.read_text().replace('"auto"', '"onnxruntime"'))
    daemon.signal(signal.SIGHUP)
    assert daemon.runs_on(ON_THE_CPU)
    assert daemon.analyses()
    daemon.config.write_text(daemon.config.read_text().replace('"onnxruntime"', '"tensorrt"'))
    daemon.signal(signal.SIGHUP)
    assert daemon.runs_on(ON_THE_GPU), daemon.log
    assert daemon.analyses()
    assert daemon.stop() == 0
    assert "back on onnxruntime" not in daemon.log, "nothing was in use when the GPU was given back"
    assert is_tidy(daemon)
