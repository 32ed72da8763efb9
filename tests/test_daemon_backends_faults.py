"""Engines that are refused, crash or hang while they are built beside the running daemon: it watches on, and leaves nothing."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.gpu_daemon import ON_THE_CPU, PATIENCE_S, GpuDaemon, alive, ended_in_the_end, is_tidy
from support.mosquitto import until

pytestmark = needs_models


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {"door": looped(write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4"))}


@pytest.fixture
def daemons() -> Iterator[list[Daemon]]:
    """Those in it are ended at the end."""
    with ended_in_the_end() as made:
        yield made


def test_an_engine_that_disagrees_is_told_once_built_and_the_cpu_goes_on(
    door: dict[str, str], tmp_path: Path, daemons: list[Daemon]
) -> None:
    daemons.append(daemon := GpuDaemon(tmp_path, door, answers="wrong"))
    daemon.start()
    assert daemon.tells("model mask: tensorrt differs from onnxruntime"), daemon.log
    assert daemon.tells("model detector: tensorrt differs from onnxruntime")
    status = daemon.status()
    assert (status["models"], status["backend"], status["mode"]) == (ON_THE_CPU, "onnxruntime", "degraded")
    assert daemon.analyses()
    assert daemon.pid not in daemon.moments("import")
    assert daemon.stop() == 0
    built = daemon.moments("build")
    daemon.start()
    assert daemon.tells("model mask: tensorrt differs from onnxruntime"), "remembered"
    assert daemon.stop() == 0
    assert daemon.moments("build") == built
    assert is_tidy(daemon)


@pytest.mark.parametrize(
    "moment", ["build", pytest.param("import", marks=pytest.mark.long), pytest.param("run", marks=pytest.mark.long)]
)
def test_a_child_that_crashes_takes_nobody_with_it(
    door: dict[str, str], tmp_path: Path, daemons: list[Daemon], moment: str
) -> None:
    daemons.append(daemon := GpuDaemon(tmp_path, door, faults={moment: "crash"}))
    daemon.start()
    assert daemon.tells("model detector: no engine, its process crashed"), daemon.log
    assert daemon.tells("model mask: no engine, its process crashed"), daemon.log
    assert daemon.status()["models"] == ON_THE_CPU
    assert daemon.analyses()
    assert daemon.pid not in daemon.moments(moment)
    assert daemon.stop() == 0
    assert is_tidy(daemon)


def building(daemon: GpuDaemon) -> int:
    """The process of a build that has begun, and will take for ever."""
    known = len(daemon.moments("build"))
    daemon.start()
    assert until(lambda: len(daemon.moments("build")) > known, PATIENCE_S), daemon.log
    assert until(lambda: daemon.preparing("detector") == "building the engine", PATIENCE_S)
    return daemon.moments("build")[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_daemon_that_ends_while_an_engine_is_built_leaves_no_orphan(
    door: dict[str, str], tmp_path: Path, daemons: list[Daemon], number: signal.Signals
) -> None:
    daemons.append(daemon := GpuDaemon(tmp_path, door, faults={"build": "hang"}))
    child = building(daemon)
    assert alive(child)
    daemon.signal(number)
    assert daemon.wait() == (0 if number == signal.SIGTERM else -number)
    assert until(lambda: not alive(child), PATIENCE_S)
    assert is_tidy(daemon)


def test_a_reload_of_the_models_ends_what_is_built_and_begins_anew(
    door: dict[str, str], tmp_path: Path, daemons: list[Daemon]
) -> None:
    daemons.append(daemon := GpuDaemon(tmp_path, door, models='backend = "auto"', faults={"build": "hang"}))
    first = building(daemon)
    said = daemon.edged("status")
    assert "models: detector on onnxruntime, rescorer on onnxruntime, mask on onnxruntime\n" in said
    assert "preparing detector for TensorRT: building the engine" in said
    daemon.config.write_text(daemon.config.read_text().replace('"auto"', '"onnxruntime"'))
    daemon.signal(signal.SIGHUP)
    assert until(lambda: "config reloaded; changed: models" in daemon.log, PATIENCE_S)
    assert until(lambda: not alive(first), PATIENCE_S)
    assert until(lambda: daemon.status()["preparing"] is None, PATIENCE_S)
    assert daemon.analyses()

    daemon.config.write_text(daemon.config.read_text().replace('"onnxruntime"', '"tensorrt"'))
    daemon.signal(signal.SIGHUP)
    assert until(lambda: len(daemon.moments("build")) == 2, PATIENCE_S), daemon.log
    second = daemon.moments("build")[-1]
    assert daemon.analyses()
    daemon.config.write_text(daemon.config.read_text().replace('"tensorrt"', '"gpu"'))
    daemon.signal(signal.SIGHUP)
    assert daemon.tells("the config was not reloaded")
    assert alive(second), "a refused file changes nothing"
    assert daemon.stop() == 0
    assert until(lambda: not alive(second), PATIENCE_S)
    assert is_tidy(daemon)
