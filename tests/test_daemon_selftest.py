"""The self-test that is asked for over MQTT: beside the running daemon, in a process that may crash, hang or be ended."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.mosquitto import PATIENCE_S, Mosquitto, Subscriber, needs_mosquitto, publish, until

from edged.daemon.selftest import SelfTest
from edged.host.clock import SystemClock
from edged.inference import default_engines_dir

pytestmark = needs_models

ASK, RESULT = "edged/dev1/cmd/selftest", "edged/dev1/cmd/selftest/result"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "edged.toml"
    file.write_text(f"[store]\npath = {json.dumps(str(tmp_path / 'edged.db'))}\n")
    return file


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the lowest priority, as it is outside of tests, one would take for ever beside a busy program."""
    monkeypatch.setattr("edged.daemon.selftest.LOWEST_PRIORITY", ())


@pytest.fixture
def self_test(config: Path, unhurried: None) -> Iterator[SelfTest]:
    made = SelfTest(SystemClock(), config)
    yield made
    made.stop()


def answered(self_test: SelfTest) -> dict[str, object]:
    answers: list[dict[str, object] | None] = []
    assert until(lambda: answers.append(self_test.poll()) or answers[-1]), "no answer"
    return answers[-1] or {}


def pid_of(self_test: SelfTest) -> int:
    assert self_test._process is not None
    return self_test._process.pid


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_runs_at_a_time_and_answers_once(self_test: SelfTest) -> None:
    assert self_test.poll() is None
    assert self_test.start() is None
    assert "a self-test is running" in str(self_test.start())
    answer = answered(self_test)
    assert (answer["ok"], answer["error"]) == (True, None)
    assert isinstance(answer["machine"], dict)
    assert {"model": "mask", "backend": "onnxruntime", "status": "ok", "line": "as expected"} in answer["results"]  # type: ignore[operator]
    assert self_test.poll() is None
    assert self_test.start() is None


def test_everything_else_goes_first(config: Path) -> None:
    self_test = SelfTest(SystemClock(), config)
    self_test.start()
    last = min(os.getpriority(os.PRIO_PROCESS, 0) + 19, 19)
    assert until(lambda: os.getpriority(os.PRIO_PROCESS, pid_of(self_test)) == last), "once `nice` runs"
    self_test.stop()


def test_one_that_crashes_is_told(self_test: SelfTest) -> None:
    self_test.start()
    os.kill(pid_of(self_test), signal.SIGSEGV)
    answer = answered(self_test)
    assert answer["ok"] is False
    assert "crashed (Segmentation fault)" in str(answer["error"])


def test_one_that_takes_too_long_is_ended(config: Path, unhurried: None) -> None:
    self_test = SelfTest(SystemClock(), config, most_seconds=0.05)
    self_test.start()
    pid = pid_of(self_test)
    answer = answered(self_test)
    assert answer["ok"] is False
    assert "took longer than" in str(answer["error"])
    assert is_gone(pid)
    assert self_test.poll() is None


def test_nothing_is_left_of_one_that_is_stopped(self_test: SelfTest) -> None:
    self_test.start()
    pid = pid_of(self_test)
    self_test.stop()
    assert is_gone(pid)
    assert self_test.poll() is None


def test_a_config_that_has_become_wrong_is_told(config: Path, self_test: SelfTest) -> None:
    config.write_text("[mask]\nlest_votes = 1\n")
    self_test.start()
    answer = answered(self_test)
    assert answer["ok"] is False
    assert "lest_votes" in str(answer["error"])
    assert answer["results"] == []


def without_nice(folder: Path) -> Path:
    """A folder for PATH in which `nice` changes no priority."""
    programs = folder / "programs"
    programs.mkdir()
    nice = programs / "nice"
    nice.write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    nice.chmod(0o755)
    return programs


@needs_mosquitto
def test_it_is_asked_for_and_answered_over_mqtt_while_the_daemon_watches(tmp_path: Path) -> None:
    engines = Path(shutil.copytree(default_engines_dir(), tmp_path / "engines-copy"))
    clip = write_clip(tmp_path / "clip.mp4")
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.port, f"{ASK}/#") as subscriber:
        environment = {"EDGED_ENGINES": str(engines), "PATH": f"{without_nice(tmp_path)}:{os.environ['PATH']}"}
        daemon = Daemon(tmp_path, {"door": looped(clip)}, port=broker.port, environment=environment)
        with daemon:
            daemon.start()
            assert daemon.serves(), daemon.log
            before = daemon.status()["cameras"]["door"]["frames_analysed"]
            both = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t", ASK, "-l"]
            asked = '{"request_id":"a"}\n{"request_id":"b"}\n'  # at once, so that the first one is under way
            subprocess.run(both, input=asked, text=True, check=True, timeout=PATIENCE_S)
            assert until(lambda: len(subscriber.payloads(RESULT)) == 2), daemon.log
            busy, first = map(json.loads, subscriber.payloads(RESULT))
            assert (busy["request_id"], busy["ok"]) == ("b", False)
            assert "a self-test is running" in busy["error"]
            assert (first["v"], first["request_id"], first["ok"], first["error"]) == (1, "a", True, None)
            assert {row["status"] for row in first["results"]} <= {"ok", "absent"}
            assert daemon.status()["cameras"]["door"]["frames_analysed"] > before, "it watched all the while"
            assert daemon.status()["errors"] == []

            with (engines / "eyes.onnx").open("r+b") as file:
                file.seek(5000)
                file.write(b"altered")
            publish(broker.port, ASK, "{}")
            assert until(lambda: len(subscriber.payloads(RESULT)) == 3), daemon.log
            result = json.loads(subscriber.payloads(RESULT)[2])
            assert (result["ok"], result["error"]) == (False, "1 of these are not as they should be")
            (row,) = [row for row in result["results"] if row["status"] == "failed"]
            assert row["model"] == "eyes"
            assert "the file is not the one that was checked" in row["line"]

            publish(broker.port, ASK, "{}")
            assert daemon.stop() == 0, "also in the middle of one"
        assert "Traceback" not in daemon.log
