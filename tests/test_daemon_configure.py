"""The verb `configure`: tried before it is written, never half done, passwords in files of their own."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edged.config import Config, load_config, load_layered
from edged.daemon.app import App
from edged.daemon.configure import Configure
from edged.errors import ModelError

BASE = '[store]\npath = "{folder}/edged.db"\n[camera.door]\nsource = "file:///a.mp4"\nfps = 10\n'


class Box:
    """A daemon's side without a daemon: `in_force` is what it would serve under."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "edged.toml"
        self.file.write_text(BASE.format(folder=folder))
        self.folder = folder / "config"
        self.in_force: Config = load_config(self.file)
        self.refuses: str | None = None
        self.ask = Configure(self.file, self.apply).answer

    def apply(self, config: Config) -> bool:
        if self.refuses:
            raise ModelError(self.refuses)
        if config.device != self.in_force.device:
            return False
        self.in_force = config
        return True


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_a_change_is_tried_then_written_then_taken_back(box: Box) -> None:
    seen = box.ask({})
    assert (seen["ok"], seen["changes"], seen["own"], seen["steps"]) == (True, [], {}, 0)
    wanted = {"set": {"camera.door.fps": 12}, "read": seen["sha256"]}
    tried = box.ask({**wanted, "try": True})
    assert tried["changes"] == ["camera.door.fps: 10.0 → 12.0"]
    assert not box.folder.exists()
    done = box.ask({**wanted, "who": "admin"})
    assert done["changes"] == tried["changes"]
    assert (done["own"], done["steps"], done["restart_needed"]) == ({"camera": {"door": {"fps": 12}}}, 1, False)
    assert box.in_force == load_config(box.file)
    assert box.in_force.camera["door"].fps == 12
    late = box.ask(wanted)
    assert not late["ok"]
    assert "somebody else meanwhile" in late["error"]
    assert box.ask({"undo": True})["changes"] == ["camera.door.fps: 12.0 → 10.0"]
    assert box.in_force.camera["door"].fps == 10
    assert "no change to take back" in box.ask({"undo": True})["error"]


def test_what_the_daemon_cannot_serve_under_is_never_written(box: Box) -> None:
    box.refuses = "model mask: is missing"
    answer = box.ask({"set": {"camera.door.fps": 12}})
    assert (answer["ok"], answer["error"]) == (False, "model mask: is missing")
    assert not (box.folder / "console.toml").exists()
    assert load_config(box.file).camera["door"].fps == 10


def test_what_cannot_be_written_is_not_left_in_force(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edged.config.change.replace", full)
    answer = box.ask({"set": {"camera.door.fps": 12}})
    assert not answer["ok"]
    assert "No space left" in answer["error"]
    assert box.in_force.camera["door"].fps == 10


def test_a_change_that_takes_a_restart_says_so(box: Box) -> None:
    answer = box.ask({"set": {"device.name": "Main door"}})
    assert (answer["ok"], answer["restart_needed"]) == (True, True)
    assert load_config(box.file).device.name == "Main door"


def test_a_brokers_password_gets_a_file_of_its_own_for_as_long_as_an_undo_needs_it(box: Box) -> None:
    keys = {"mqtt.host": "127.0.0.1", "mqtt.username": "edged"}
    answer = box.ask({"set": keys, "mqtt_password": "s3cret", "try": True})
    assert "s3cret" not in str(answer)
    assert not box.folder.exists()
    answer = box.ask({"set": keys, "mqtt_password": "s3cret"})
    assert answer["ok"], answer
    assert "s3cret" not in str(answer)
    (file,) = box.folder.glob("mqtt-password-*")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("s3cret\n", 0o600)
    assert load_layered(box.file).config.mqtt.password_file == file
    box.refuses = "no"
    assert not box.ask({"mqtt_password": "other"})["ok"]
    assert list(box.folder.glob("mqtt-password-*")) == [file], "one that came to nothing is gone"
    box.refuses = None
    assert box.ask({"undo": True})["ok"]
    assert not list(box.folder.glob("mqtt-password-*"))


@pytest.mark.parametrize(
    "asked",
    [
        {"set": []}, {"set": {}}, {"set": 3}, {"set": {"a": 1}, "read": 7}, {"mqtt_password": ["x"]}, {"mqtt_password": ""},
        {"mqtt_password": "x" * 600}, {"set": {"camera": 1}}, {"set": {"camera.door": {"fps": 3}}},
        {"set": {"camera.door.fps": {"a": {"b": 1}}}}, {"set": {".": 1}}, {"set": {"mqtt.password_file": "/etc/shadow"}},
        {"set": {f"camera.c{number}.fps": 1 for number in range(200)}},
    ],
)  # fmt: skip
def test_whatever_is_asked_is_answered_and_changes_nothing(box: Box, asked: dict[str, Any]) -> None:
    answer = box.ask(asked)
    assert (answer["ok"], answer["error"].count("\n")) == (False, 0)
    assert not (box.folder / "console.toml").exists()
    assert box.in_force.camera["door"].fps == 10


def test_a_file_that_is_saved_broken_during_a_change_neither_denies_the_change_nor_ends_the_daemon(box: Box) -> None:
    told: list[tuple[str | None, bool]] = []
    reloader = SimpleNamespace(runtime=object(), problem=None, follow=told.append)

    def apply(config: Config) -> bool:
        box.file.write_text("[camera")
        reloader.runtime = object()
        return box.apply(config)

    daemon: Any = SimpleNamespace(
        reloader=reloader,
        _path=box.file,
        _configure=Configure(box.file, apply),
        _commands=SimpleNamespace(reloaded=lambda problem, swapped: told.append((problem, swapped))),
    )
    answer = App._change_settings(daemon, {"set": {"camera.door.fps": 12}})
    assert (answer["ok"], answer["error"], answer["changes"]) == (True, None, ["camera.door.fps: 10.0 → 12.0"])
    assert any("edged.toml" in line for line in answer["left_out"])
    assert box.in_force.camera["door"].fps == 12
    assert "edged.toml" in str(reloader.problem)
    assert told == [(reloader.problem, True)]
    assert not box.ask({})["ok"]
