"""The daemon as it runs at a site: a real video, a real broker, real signals, and every way to be set up wrongly."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.mosquitto import PATIENCE_S, Mosquitto, Subscriber, free_port, needs_mosquitto, publish, until

from edged.config import config_sha256, load_config

pytestmark = [needs_models, needs_mosquitto]

SECRET = "s3cret-pa55"  # noqa: S105


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


def started_within(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.serves(PATIENCE_S), daemon.log
    assert daemon.is_running, daemon.log


def is_tidy(daemon: Daemon) -> bool:
    return "Traceback" not in daemon.log and SECRET not in daemon.log


def run_once(daemon: Daemon) -> tuple[int, str]:
    """Exit code and stderr of a daemon that cannot serve."""
    daemon.start()
    code = daemon.wait(PATIENCE_S)
    return code, daemon.log


def test_a_subscriber_sees_everything_and_sigterm_ends_it_in_order(
    clip: Path, broker: Mosquitto, tmp_path: Path
) -> None:
    daemon = Daemon(tmp_path, {"door": looped(clip)}, port=broker.port)
    with Subscriber(broker.port, "edged/#") as subscriber, daemon:
        daemon.start()
        assert until(lambda: subscriber.payloads("edged/dev1/camera/door/violation"), PATIENCE_S), daemon.log
        assert until(lambda: _types(subscriber, "mask")[:2] == ["start", "end"])
        assert until(lambda: subscriber.payloads("edged/dev1/camera/door/counts"))
        assert subscriber.payloads("edged/dev1/availability") == ["online"]
        assert until(lambda: subscriber.payloads("edged/dev1/state"))
        state = json.loads(subscriber.payloads("edged/dev1/state")[-1])
        assert state["v"] == 1
        assert (state["mode"], state["clock_synced"], state["errors"]) == ("normal", True, [])
        status = json.loads(subscriber.payloads("edged/dev1/camera/door/status")[-1])
        assert status["status"] == "online"
        violation = json.loads(subscriber.payloads("edged/dev1/camera/door/violation")[0])
        assert (violation["event_type"], violation["camera"]) == ("mask_none", "door")
        answer = daemon.status()
        assert answer["broker"] == {"configured": True, "connected": True}
        assert answer["cameras"]["door"]["frames_analysed"] > 0
        open_events = "SELECT count(*) FROM events WHERE ended_at IS NULL"
        assert until(lambda: daemon.count(open_events) > 0)
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 5
        assert until(lambda: subscriber.payloads("edged/dev1/availability") == ["online", "offline"])
        assert _types(subscriber, "mask")[-1] == "end"
    assert daemon.count(open_events) == 0
    assert daemon.count("SELECT count(*) FROM outbox") == 0
    assert daemon.count("SELECT count(*) FROM events WHERE end_reason = 'stopped'") <= 1
    assert daemon.count("SELECT sum(frames_analysed) FROM coverage") > 0
    assert daemon.count("SELECT count(*) FROM encounters WHERE closed = 0") == 0
    assert is_tidy(daemon)
    assert not (daemon.database.parent / "edged.db.sock").exists()


def _types(subscriber: Subscriber, kind: str) -> list[str]:
    payloads = (json.loads(text) for text in subscriber.payloads("edged/dev1/events"))
    return [payload["type"] for payload in payloads if payload["kind"] == kind]


def test_a_reload_takes_a_valid_file_and_refuses_a_wrong_one(clip: Path, broker: Mosquitto, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, {"door": looped(clip), "gone": f"file://{tmp_path}/no.mp4"}, port=broker.port)
    with Subscriber(broker.port, "edged/#") as subscriber, daemon:
        daemon.start()
        assert until(lambda: _types(subscriber, "camera") == ["start"], PATIENCE_S), daemon.log
        daemon.config.write_text(daemon.config.read_text().replace("fps = 10", "fps = 0"))
        daemon.signal(signal.SIGHUP)
        assert until(lambda: "the config was not reloaded" in str(daemon.status().get("errors")))
        assert "defaults.fps" in str(daemon.status()["errors"])
        assert daemon.status()["cameras"].keys() == {"door", "gone"}

        daemon.write_config({"door": looped(clip), "hall": looped(clip)}, port=broker.port)
        publish(broker.port, "edged/dev1/cmd/reload", '{"request_id":"7"}')
        assert until(lambda: daemon.status().get("cameras", {}).keys() == {"door", "hall"})
        assert until(lambda: subscriber.payloads("edged/dev1/cmd/reload/result"))
        result = json.loads(subscriber.payloads("edged/dev1/cmd/reload/result")[0])
        assert until(lambda: daemon.status()["errors"] == [])
        assert result["request_id"] == "7"
        assert result["ok"] is True
        assert until(lambda: _types(subscriber, "camera") == ["start", "end"]), "nobody watches that camera any more"
        assert until(lambda: subscriber.payloads("edged/dev1/camera/hall/violation"))

        daemon.config.write_text(daemon.config.read_text().replace("edged.db", "other.db"))
        daemon.signal(signal.SIGHUP)
        assert until(lambda: "systemctl restart edged" in str(daemon.status().get("errors")))
        assert daemon.stop() == 0
    assert daemon.count("SELECT count(*) FROM events WHERE ended_at IS NULL") == 0
    assert is_tidy(daemon)


def test_a_restart_over_mqtt_is_answered_and_ends_in_order_as_systemd_starts_it_again(
    clip: Path, broker: Mosquitto, tmp_path: Path
) -> None:
    daemon = Daemon(tmp_path, {"door": looped(clip)}, port=broker.port)
    publish(broker.port, "edged/dev1/cmd/restart", '{"request_id":"of last week"}', "-r")
    with Subscriber(broker.port, "edged/#") as subscriber, daemon:
        started_within(daemon)
        assert until(lambda: daemon.status().get("broker", {}).get("connected"))
        publish(broker.port, "edged/dev1/cmd/restart", '{"request_id":"9"}')
        assert daemon.wait() == 1, "which Restart=on-failure takes for a reason to start it again"
        assert until(lambda: subscriber.payloads("edged/dev1/availability") == ["online", "offline"])
        (result,) = subscriber.payloads("edged/dev1/cmd/restart/result")
        assert json.loads(result) == {"v": 1, "request_id": "9", "ok": True, "error": None}
    assert daemon.count("SELECT count(*) FROM events WHERE ended_at IS NULL") == 0
    assert "edged has stopped" in daemon.log
    unit = (Path(__file__).parents[1] / "systemd" / "edged.service").read_text().splitlines()
    assert "Restart=on-failure" in unit
    assert "RestartPreventExitStatus=78" in unit
    assert is_tidy(daemon)


def test_without_a_broker_events_wait_and_are_delivered_when_it_comes(clip: Path, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    with Daemon(tmp_path, {"door": looped(clip)}, port=broker.port) as daemon:
        started_within(daemon)
        assert until(lambda: daemon.count("SELECT count(*) FROM events WHERE kind = 'mask'") > 0)
        assert until(lambda: (daemon.status()["outbox"] or 0) >= 4)
        status = daemon.status()
        assert status["broker"] == {"configured": True, "connected": False}
        assert status["mode"] == "degraded"
        assert "nothing listens" in status["errors"][0]
        waiting = "SELECT count(*) FROM outbox WHERE seq <= 4"
        with broker, Subscriber(broker.port, "edged/#"):
            assert until(lambda: daemon.count(waiting) == 0)
            assert until(lambda: daemon.status()["mode"] == "normal")
            assert daemon.stop() == 0
    assert is_tidy(daemon)


def test_a_camera_that_is_missing_or_vanishes_is_told_and_the_others_go_on(
    clip: Path, broker: Mosquitto, tmp_path: Path
) -> None:
    vanishing = tmp_path / "vanishing.mp4"
    vanishing.write_bytes(clip.read_bytes())
    cameras = {"door": looped(clip), "missing": f"file://{tmp_path}/no.mp4", "shed": looped(vanishing)}
    with Subscriber(broker.port, "edged/#") as subscriber, Daemon(tmp_path, cameras, port=broker.port) as daemon:
        started_within(daemon)
        assert until(lambda: daemon.status()["cameras"]["shed"]["status"] == "online")
        vanishing.unlink()
        lost = "SELECT count(*) FROM events WHERE kind = 'camera' AND state = 'lost' AND camera = ?"
        assert until(lambda: daemon.count(lost, "missing") == daemon.count(lost, "shed") == 1)
        for camera in ("missing", "shed"):
            topic = f"edged/dev1/camera/{camera}/status"
            told = lambda topic=topic: [json.loads(text) for text in subscriber.payloads(topic)]  # noqa: E731
            assert until(lambda told=told: [one["status"] for one in told()][-1:] == ["offline"])
            assert "no such file" in told()[-1]["reason"]
        before = daemon.status()["cameras"]["door"]["frames_analysed"]
        assert until(lambda: daemon.status()["cameras"]["door"]["frames_analysed"] > before + 5)
        vanishing.write_bytes(clip.read_bytes())
        back = "SELECT count(*) FROM events WHERE kind = 'camera' AND camera = 'shed' AND end_reason = 'back'"
        assert until(lambda: daemon.count(back) == 1)
        assert daemon.stop() == 0
    reasons = daemon.rows("SELECT end_reason, details FROM events WHERE kind = 'camera' AND camera = 'missing'")
    assert [reason for reason, _ in reasons] == ["stopped"]
    assert "no such file" in reasons[0][1]
    assert is_tidy(daemon)


def test_a_camera_password_is_never_shown(tmp_path: Path) -> None:
    source = f"rtsp://admin:{SECRET}@127.0.0.1:{free_port()}/stream"
    with Daemon(tmp_path, {"door": source}) as daemon:
        daemon.start()
        assert until(lambda: "nothing listens" in daemon.log, PATIENCE_S), daemon.log
        assert until(lambda: daemon.status())
        assert SECRET not in json.dumps(daemon.status())
        assert daemon.stop() == 0
    assert is_tidy(daemon)


def test_a_second_daemon_on_the_same_store_is_refused(clip: Path, tmp_path: Path) -> None:
    with Daemon(tmp_path, {"door": looped(clip)}) as first:
        started_within(first)
        second = Daemon(tmp_path / "second", {"door": looped(clip)})
        second.config.write_text(first.config.read_text())
        code, said = run_once(second)
        assert code == 69
        assert "another edged is writing it" in said
        assert first.status()["mode"] == "normal"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("fps = 10", "fps = 0"), "defaults.fps"),
        (("[camera.door]", "[camera.'a b']"), "camera"),
        (("[camera.door]", "[unknown]"), "unknown"),
        (("[mask]", "[mask"), "not valid TOML"),
    ],
)
def test_a_wrong_config_ends_with_78_and_names_the_key(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    daemon = Daemon(tmp_path, {"door": "file:///clip.mp4"})
    daemon.config.write_text(daemon.config.read_text().replace(*change))
    code, log = run_once(daemon)
    assert code == 78
    assert said in log
    assert is_tidy(daemon)
    assert not daemon.database.parent.exists()


def test_no_camera_ends_with_78_in_one_line(tmp_path: Path) -> None:
    code, said = run_once(Daemon(tmp_path, {}))
    assert code == 78
    assert "no camera is configured" in said
    assert "--wait-for-camera" in said, "for who wants the console to add it"
    assert said.count("\n") == 1


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_a_missing_or_altered_model_ends_with_69_in_one_line(tmp_path: Path, damage: str) -> None:
    from edged.inference import default_engines_dir

    engines = tmp_path / "engines"
    engines.mkdir()
    for file in default_engines_dir().iterdir():
        if file.suffix in (".onnx", ".toml"):
            (engines / file.name).write_bytes(file.read_bytes())
    model = engines / "mask.onnx"
    if damage == "missing":
        model.unlink()
    else:
        content = bytearray(model.read_bytes())
        content[len(content) // 2] ^= 1
        model.write_bytes(content)
    code, said = run_once(Daemon(tmp_path, {"door": "file:///x.mp4"}, environment={"EDGED_ENGINES": str(engines)}))
    assert code == 69
    assert "mask.onnx" in said
    assert said.count("\n") == 1


def test_a_store_that_cannot_be_written_ends_with_69_in_one_line(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, {"door": "file:///x.mp4"})
    daemon.database.parent.touch()
    code, said = run_once(daemon)
    assert code == 69
    assert "store" in said
    assert said.count("\n") == 1


def test_a_damaged_database_is_replaced_and_that_is_an_event(clip: Path, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, {"door": looped(clip)})
    daemon.database.parent.mkdir()
    daemon.database.write_bytes(bytes(100) + b"not a database" * 1000)
    with daemon:
        started_within(daemon)
        assert until(lambda: daemon.count("SELECT count(*) FROM events WHERE state = 'recovered'") == 1)
        assert daemon.stop() == 0
    assert list((daemon.database.parent / "quarantine").iterdir())
    assert is_tidy(daemon)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_starts_does_no_harm(clip: Path, tmp_path: Path, number: signal.Signals) -> None:
    with Daemon(tmp_path, {"door": looped(clip)}) as daemon:
        daemon.start()
        assert until(lambda: (daemon.database.parent / "edged.db.lock").exists(), PATIENCE_S)
        daemon.signal(number)
        if number == signal.SIGHUP:
            assert daemon.serves(PATIENCE_S)
            assert daemon.is_running
            assert until(lambda: "config reloaded" in daemon.log)
            daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert is_tidy(daemon)


def test_signals_by_the_thousand_stop_it_as_one_does(clip: Path, tmp_path: Path) -> None:
    """One that interrupts the handler of another waits for nothing that this one holds."""
    with Daemon(tmp_path, {"door": looped(clip)}) as daemon:
        started_within(daemon)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM) * 1000:
            if not daemon.is_running:
                break
            daemon.signal(number)
        assert daemon.wait() == 0
    assert daemon.log.count("edged has stopped") == 1
    assert is_tidy(daemon)


def test_sigterm_twice_and_in_the_middle_of_a_reload_ends_it_once(clip: Path, tmp_path: Path) -> None:
    with Daemon(tmp_path, {"door": looped(clip)}) as daemon:
        started_within(daemon)
        daemon.write_config({"hall": looped(clip)})
        daemon.signal(signal.SIGHUP)
        time.sleep(0.3)
        daemon.signal(signal.SIGTERM)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert daemon.log.count("edged has stopped") == 1
    assert daemon.count("SELECT count(*) FROM events WHERE ended_at IS NULL") == 0
    assert is_tidy(daemon)


@pytest.fixture
def notify_socket(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(PATIENCE_S)
        yield listening


def test_systemd_hears_of_readiness_life_reloads_and_the_end(
    clip: Path, tmp_path: Path, notify_socket: socket.socket
) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
    heard: list[str] = []

    def hears(word: str) -> bool:
        while not any(line.startswith(word) for line in heard):
            heard.append(notify_socket.recv(4096).decode())
        return True

    with Daemon(tmp_path, {"door": looped(clip)}, environment=environment) as daemon:
        daemon.start()
        assert hears("READY=1")
        assert hears("STATUS=watching door")
        assert hears("WATCHDOG=1")
        daemon.signal(signal.SIGHUP)
        heard.clear()
        assert hears("RELOADING=1\nMONOTONIC_USEC=")
        assert hears("READY=1")
        daemon.signal(signal.SIGTERM)
        assert hears("STOPPING=1")
        assert daemon.wait() == 0


def test_apply_waits_until_the_daemon_has_taken_up_the_file_and_fails_when_it_refuses(
    clip: Path, tmp_path: Path
) -> None:
    """What `systemctl reload` runs: 0 means that the file is in force."""

    def applied() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edged", "config", "apply", "--config", str(daemon.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=180)

    with Daemon(tmp_path, {"door": looped(clip)}) as daemon:
        done = applied()
        assert (done.returncode, done.stderr.count("\n")) == (69, 1)
        assert "no daemon answers" in done.stderr
        started_within(daemon)
        good = daemon.config.read_text()
        daemon.config.write_text(good.replace("fps = 10", "fps = 0"))
        done = applied()
        assert done.returncode == 78
        assert "defaults.fps" in done.stderr
        assert daemon.status()["reload"] == {"count": 0, "problem": None}, "a wrong file does not even reach the daemon"
        daemon.config.write_text(good.replace("[device]", '[device]\nname = "another"'))
        done = applied()
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "[device] changed, which needs `systemctl restart edged`" in done.stderr
        daemon.config.write_text(good.replace("fps = 10", "fps = 9"))
        done = applied()
        assert (done.returncode, done.stderr) == (0, "")
        assert daemon.status()["config_sha256"] == config_sha256(load_config(daemon.config))
        assert daemon.status()["reload"] == {"count": 2, "problem": None}
        assert daemon.stop() == 0


def test_a_state_that_is_heard_does_not_say_that_there_is_no_broker(
    clip: Path, broker: Mosquitto, tmp_path: Path
) -> None:
    daemon = Daemon(tmp_path, {"door": looped(clip)}, port=broker.port)
    with Subscriber(broker.port, "edged/dev1/state") as subscriber, daemon:
        started_within(daemon)
        assert until(lambda: subscriber.payloads("edged/dev1/state"), PATIENCE_S)
        broker.stop()
        assert until(lambda: str(broker.port) in str(daemon.status()["errors"]), PATIENCE_S)
        assert daemon.status()["mode"] == "degraded"
        told = len(subscriber.payloads("edged/dev1/state"))
        broker.start()
        assert until(lambda: daemon.status()["mode"] == "normal", PATIENCE_S)
        assert until(lambda: len(subscriber.payloads("edged/dev1/state")) > told, PATIENCE_S)
        assert daemon.stop() == 0
        states = [json.loads(text) for text in subscriber.payloads("edged/dev1/state")]
    assert {(state["mode"], *state["errors"]) for state in states} == {("normal",)}


def test_whoever_asks_in_the_first_moment_gets_a_whole_answer(clip: Path, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, {"door": looped(clip)})
    with daemon:
        daemon.start()
        assert until(daemon.status, PATIENCE_S), daemon.log
        first = daemon.status()
        said = subprocess.run(
            [sys.executable, "-m", "edged", "status", "--config", str(daemon.config)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert daemon.serves(PATIENCE_S)
        assert first.keys() == daemon.status().keys()
        assert said.returncode == 0
        assert "camera door" in said.stdout
        assert daemon.stop() == 0
