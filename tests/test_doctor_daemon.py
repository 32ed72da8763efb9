"""What `edged doctor` says beside the running daemon, and of what only the daemon's unit can see."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.mosquitto import Mosquitto, free_port, needs_mosquitto

from edged import doctor
from edged.config import CameraConfig, Config, MqttConfig, StoreConfig, config_sha256
from edged.daemon.client import socket_path
from edged.doctor import _broker, _camera, _daemon
from edged.sockets import LineServer

PASSWORD = "geheim"  # noqa: S105
ONLINE = {"status": "online", "frames_seen": 4711, "reason": None}


@pytest.fixture(autouse=True)
def outside_the_unit(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def config(folder: Path, port: int = 1883, **mqtt: object) -> Config:
    return Config(
        store=StoreConfig(path=folder / "edged.db"),
        camera={"door": CameraConfig(source="v4l2:///dev/null"), "hall": CameraConfig(source="file:///none.mp4")},
        mqtt=MqttConfig(host="127.0.0.1", port=port, username="camera", **mqtt),
    )


@contextmanager
def running(settings: Config, connected: bool = True, **door: object):
    """The daemon's own status socket, with the answer of a daemon that runs with these settings."""
    answer = {
        "config_sha256": config_sha256(settings),
        "cameras": {"door": ONLINE | door, "hall": ONLINE},
        "broker": {"configured": True, "connected": connected},
    }
    server = LineServer("status", socket_path(settings.store.path), lambda _: json.dumps(answer).encode(), use="")
    server.open()
    server.start()
    try:
        yield
    finally:
        assert server.stop(60)


def test_a_camera_that_the_daemon_has_is_asked_of_the_daemon_and_not_opened(tmp_path):
    settings = config(tmp_path)
    alone = _camera("door", settings.camera["door"], _daemon(settings))
    assert alone.verdict == "problem"
    with running(settings):
        daemon = _daemon(settings)
    finding = _camera("door", settings.camera["door"], daemon)
    assert (finding.verdict, "4711 pictures so far" in finding.line) == ("ok", True)
    assert _camera("hall", settings.camera["hall"], daemon).verdict == "problem", "a recording is opened by many"


@pytest.mark.parametrize(
    ("door", "verdict"),
    [
        ({"reason": "its pictures are black"}, "warning"),
        ({"status": "offline", "reason": "no such camera"}, "problem"),
    ],
)
def test_what_the_daemon_suffers_from_is_told(tmp_path, door, verdict):
    settings = config(tmp_path)
    with running(settings, **door):
        finding = _camera("door", settings.camera["door"], _daemon(settings))
    assert finding.verdict == verdict
    assert door["reason"] in finding.line


def test_a_daemon_with_other_settings_is_told_and_not_believed(tmp_path):
    settings, older = config(tmp_path), config(tmp_path, port=1)
    with running(older):
        daemon = _daemon(settings)
        findings = {finding.what: finding for finding in doctor.examine(settings)}
    assert daemon["same"] is False
    assert "systemctl reload edged" in findings["daemon"].line
    assert findings["camera door"].verdict == "problem"


@needs_mosquitto
def test_a_password_that_only_the_unit_sees_is_no_problem(tmp_path):
    with Mosquitto(tmp_path / "broker", users={"camera": PASSWORD}) as broker:
        settings = config(tmp_path, broker.port)
        alone = _broker(settings, None)
        assert alone.verdict == "warning"
        assert "systemd credential" in alone.line
        with running(settings):
            assert _broker(settings, _daemon(settings)).verdict == "ok"
        with running(settings, connected=False):
            assert _broker(settings, _daemon(settings)).verdict == "problem", "the daemon has what the unit gives it"
        (tmp_path / "wrong").write_text("wrong")
        assert _broker(config(tmp_path, broker.port, password_file=tmp_path / "wrong"), None).verdict == "problem"
    assert _broker(config(tmp_path, free_port()), None).verdict == "problem", "no broker is no hidden password"
