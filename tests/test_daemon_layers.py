"""The real daemon under layers of config: taken up at a start and a reload, and set aside where it does not come up."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.mosquitto import until

from edged.daemon.client import request, socket_path

pytestmark = needs_models

PATIENCE_S = 120.0
NOT_TRAINED = '[models]\nmask = "mobilenet"\n'


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def daemon(clip: Path, tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, {"door": looped(clip)}) as box:
        yield box


def layer(daemon: Daemon, text: str) -> Path:
    file = daemon.database.parent / "config" / "console.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_layer_is_in_force_from_the_start_and_a_spoilt_one_is_left_out_and_told(daemon: Daemon) -> None:
    file = layer(daemon, "[camera.door]\nfps = 7\n")
    daemon.start()
    assert daemon.serves(PATIENCE_S), daemon.log
    assert daemon.status()["cameras"]["door"]["fps"] == 7
    file.write_text("[camera.door]\nfps = 7000\n")
    daemon.signal(signal.SIGHUP)
    assert until(lambda: daemon.status()["reload"]["count"] == 1, PATIENCE_S)
    assert daemon.status()["reload"]["problem"] is None
    assert daemon.status()["cameras"]["door"]["fps"] == 10
    assert until(lambda: any(str(file) in error for error in daemon.status()["errors"]), PATIENCE_S)
    file.write_text("[camera.door]\nfps = 8\n")
    daemon.signal(signal.SIGHUP)
    assert until(lambda: daemon.status()["reload"]["count"] == 2, PATIENCE_S)
    assert until(lambda: daemon.status()["errors"] == [], PATIENCE_S), daemon.status()
    assert daemon.stop() == 0
    assert json.loads(file.with_name("starts.json").read_text()).keys() == {"good"}, "it came up with this one"


def test_a_layer_with_which_it_does_not_start_costs_two_starts_and_no_person(daemon: Daemon) -> None:
    file = layer(daemon, NOT_TRAINED)
    for _ in range(2):
        daemon.start()
        assert daemon.wait(PATIENCE_S) == 1, "systemd starts it again"
    daemon.start()
    assert daemon.serves(PATIENCE_S), daemon.log
    assert daemon.is_running
    assert daemon.log.count("edged did not start with it twice; it is now console.toml.refused") == 1
    assert not file.exists()
    assert file.with_name("console.toml.refused").read_text() == NOT_TRAINED
    assert daemon.stop() == 0


def test_without_a_camera_it_waits_where_it_may_and_a_layer_brings_one(clip: Path, tmp_path: Path) -> None:
    with Daemon(tmp_path, {}, options=["--wait-for-camera"]) as box:
        box.start()
        assert until(lambda: box.status() or not box.is_running, PATIENCE_S)
        assert box.status()["cameras"] == {}
        assert any("no camera is configured; open the console" in error for error in box.status()["errors"])
        layer(box, f"[camera.door]\nsource = {json.dumps(looped(clip))}\n")
        box.signal(signal.SIGHUP)
        assert box.serves(PATIENCE_S), box.log
        assert until(lambda: box.status()["errors"] == [], PATIENCE_S), box.status()
        assert box.stop() == 0
        assert "Traceback" not in box.log


def test_the_console_changes_settings_through_the_daemon_which_serves_under_them_at_once(daemon: Daemon) -> None:
    def ask(**asked: object) -> dict[str, object]:
        return request(socket_path(daemon.database), "configure", **asked)

    daemon.start()
    assert daemon.serves(PATIENCE_S), daemon.log
    seen = ask()
    assert (seen["ok"], seen["own"]) == (True, {}), seen
    changed = ask(set={"camera.door.fps": 7}, read=seen["sha256"], who="admin")
    assert changed["changes"] == ["camera.door.fps: 10.0 → 7.0"], changed
    assert daemon.status()["cameras"]["door"]["fps"] == 7
    assert "admin changed the settings: camera.door.fps: 10.0 → 7.0" in daemon.log
    refused = ask(set={"models.mask": "mobilenet"})
    assert not refused["ok"], "not the console's to set"
    assert not ask(set={"camera.door.fps": 9}, read=seen["sha256"])["ok"], "changed since"
    assert ask(undo=True)["changes"] == ["camera.door.fps: 7.0 → 10.0"]
    assert daemon.status()["cameras"]["door"]["fps"] == 10
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log
