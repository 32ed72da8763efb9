"""What somebody who has got hold of the console, or of a file beside the database, cannot make the daemon do."""

import json
from pathlib import Path

import pytest
from test_daemon_configure import Box

from edged.config import load_config, load_layered
from edged.config.change import KEPT_IN, plan_change
from edged.config.trial import MARK, Trial
from edged.errors import ConfigError
from edged.publish.commands import Command, Refusal, parse_request

MAIN = """
[store]
path = "{folder}/edged.db"
[mqtt]
host = "broker.example.org"
username = "edged"
password_file = "/etc/edged/password"
tls = true
[camera.door]
source = "rtsp://10.0.0.7/1"
credentials_file = "/etc/edged/door"
"""


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(tmp_path)
    made.file.write_text(MAIN.format(folder=tmp_path))
    made.in_force = load_config(made.file)
    return made


@pytest.mark.parametrize("verb", ["configure", "walktest", "test"])
@pytest.mark.parametrize(
    "value", ['"\\ud800"', '{"camera.\\ud800.name": "x"}', '{"device.name": ' + "[" * 400 + "]" * 400 + "}"]
)
def test_what_cannot_be_walked_through_or_written_never_reaches_the_main_thread(verb: str, value: str) -> None:
    key = {"configure": "set", "walktest": "skip", "test": "output"}[verb]
    asked = parse_request(f'{{"verb": "{verb}", "request_id": "7", "{key}": {value}}}'.encode())
    assert isinstance(asked, Refusal)
    assert asked.payload == {"request_id": "7"}


def test_a_change_with_lists_in_it_is_a_command() -> None:
    line = json.dumps({"verb": "configure", "set": {"camera.door.region": [0.1, 0, 1, 1], "device.name": "Tür"}})
    assert isinstance(parse_request(line.encode()), Command)


@pytest.mark.parametrize(
    "keys",
    [
        {"mqtt.host": "10.66.6.6"},
        {"mqtt.tls": False},
        {"mqtt.host": "10.66.6.6", "mqtt.tls": False, "mqtt.port": 1883},
        {"camera.door.source": "rtsp://10.66.6.6/1"},
        {"camera.door.source": "rtsp://10.0.0.7:5540/1"},
    ],
)
def test_a_kept_password_is_sent_nowhere_else(box: Box, keys: dict[str, object]) -> None:
    answer = box.ask({"set": keys})
    assert not answer["ok"]
    assert "password" in answer["error"]
    assert not (box.folder / "console.toml").exists()


def test_a_password_that_all_cameras_share_goes_to_no_new_one(box: Box) -> None:
    box.file.write_text(f'{box.file.read_text()}[defaults]\ncredentials_file = "/etc/edged/all"\n')
    assert "another address" in box.ask({"set": {"camera.new.source": "rtsp://10.66.6.6/1"}})["error"]


def test_with_the_password_in_a_systemd_credential_it_is_the_same(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.file.write_text(box.file.read_text().replace('password_file = "/etc/edged/password"\n', ""))
    assert box.ask({"set": {"mqtt.host": "other"}, "try": True})["ok"]
    (tmp_path / "mqtt_password").write_text("s3cret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert "type it again" in box.ask({"set": {"mqtt.host": "other"}})["error"]


def test_a_password_of_ones_own_opens_no_way_for_the_one_that_is_kept(box: Box) -> None:
    """First their own broker with their own password, then the user's password behind it."""
    assert box.ask({"set": {"mqtt.host": "10.66.6.6", "mqtt.username": "x"}, "mqtt_password": "y"})["ok"]
    for keys in ({KEPT_IN: None, "mqtt.username": None}, {KEPT_IN: None}, {"mqtt.host": "10.66.6.6", KEPT_IN: None}):
        assert "type it again" in box.ask({"set": keys})["error"], keys
    assert box.ask({"set": {"mqtt.host": None, "mqtt.username": None, KEPT_IN: None}})["ok"]
    assert load_layered(box.file).config.mqtt.host == "broker.example.org"


def test_who_knows_the_password_may_move_and_what_goes_nowhere_is_free(box: Box) -> None:
    for keys in ({"mqtt.discovery": False}, {"mqtt.port": 8884}, {"camera.door.source": "rtsp://10.0.0.7/2"}):
        assert box.ask({"set": keys})["ok"], keys
    assert box.ask({"set": {"mqtt.host": "other"}, "mqtt_password": "s3cret"})["ok"]
    assert box.ask({"set": {"mqtt.host": None, KEPT_IN: None}})["ok"]
    assert load_layered(box.file).config.mqtt.host == "broker.example.org"
    assert plan_change(box.file, {"camera.door.source": None}).after.camera["door"].source == "rtsp://10.0.0.7/1"
    with pytest.raises(ConfigError, match="type it again"):
        plan_change(box.file, {"mqtt.host": "10.66.6.6"})


@pytest.mark.parametrize(
    "mark", ['{"trying": {}, "failed": null}', '{"trying": {}, "failed": "x", "good": []}', "[" * 3000, "[1]", "x"]
)
def test_a_damaged_mark_of_starts_keeps_no_daemon_from_starting(box: Box, mark: str) -> None:
    box.folder.mkdir()
    (box.folder / MARK).write_text(mark)
    trial = Trial(load_layered(box.file))
    assert trial.begin() == []
    trial.passed()
