"""The daemon with outputs: a real video, the real models, lines of a chip made of files, kills, reloads and a real broker."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.alsa import pluggable
from support.daemon import Daemon, looped, needs_models, write_clip
from support.gpio import FileChip
from support.mosquitto import Mosquitto, Subscriber, free_port, needs_mosquitto, publish, until

from edged.cli import cli
from edged.daemon.client import request, socket_path

pytestmark = needs_models

OUTPUTS = """
[output.red]
kind = "gpio"
when = ["mask_none"]
line = "RED"
shortest_seconds = 0
[output.green]
kind = "gpio"
name = "Green lamp"
when = ["alive"]
line = "GREEN"
[output.button]
kind = "button"
line = "BUTTON"
[output.voice]
kind = "sound"
when = ["mask_none"]
device = "null"
[output.missing]
kind = "door"
line = "NOWHERE"
"""


LOST = """
[output.lost]
kind = "gpio"
when = ["camera_lost"]
line = "BUZZER"
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def chip(tmp_path: Path) -> FileChip:
    return FileChip(tmp_path / "chips")


@pytest.fixture
def daemon(clip: Path, chip: FileChip, tmp_path: Path) -> Daemon:
    return Daemon(tmp_path, {"door": looped(clip)}, extra=OUTPUTS, environment=chip.environment)


def components(subscriber: Subscriber) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(subscriber.payloads("homeassistant/device/edged_dev1/config")[-1])[
        "cmps"
    ]
    return found


def rises(chip: FileChip, line: str) -> int:
    levels = [level for _, level in chip.edges(line)]
    return sum(1 for before, after in itertools.pairwise(levels) if after and not before)


@pytest.mark.parametrize("broker", ["none", "away"])
def test_lamps_follow_what_is_seen_without_a_broker_and_are_dark_afterwards(
    clip: Path, daemon: Daemon, chip: FileChip, broker: str
) -> None:
    if broker == "away":
        daemon.write_config({"door": looped(clip)}, port=free_port(), extra=OUTPUTS)
    with daemon:
        daemon.start()
        assert until(lambda: rises(chip, "RED") >= 2 and not chip.is_high("RED")), daemon.log
        assert chip.is_high("GREEN")
        assert until(
            lambda: any("missing: no chip has a line named NOWHERE" in e for e in daemon.status().get("errors", ()))
        )
        assert daemon.stop() == 0
    assert chip.is_high("RED") is False
    assert chip.is_high("GREEN") is False
    told = [
        json.loads(row[0])
        for row in daemon.rows("SELECT details FROM events WHERE kind = 'mask' AND ended_at IS NOT NULL")
    ]
    assert ["red", "voice"] in [sorted(details.get("told", ())) for details in told]


def test_a_button_silences_the_lamp_and_the_event_says_who_and_when(daemon: Daemon, chip: FileChip) -> None:
    with daemon:
        daemon.start()

        def acknowledged() -> list[dict[str, object]]:
            found = daemon.rows("SELECT details, started_at FROM events WHERE kind = 'mask' AND ended_at IS NOT NULL")
            return [json.loads(row[0]) for row in found if "acknowledged_at" in json.loads(row[0])]

        def press_while_on() -> bool:
            if chip.is_high("RED"):
                chip.press("BUTTON")
                return until(lambda: not chip.is_high("RED"), 2)
            return False

        assert daemon.serves()
        assert until(lambda: press_while_on() and daemon.count("SELECT count(*) FROM events") and bool(acknowledged()))
        assert acknowledged()[0]["acknowledged_by"] == "button button"
        assert daemon.stop() == 0


def test_kill_9_frees_the_lines_and_the_next_start_begins_safe(daemon: Daemon, chip: FileChip) -> None:
    with daemon:
        for _ in range(2):
            daemon.start()
            begun = len(chip.edges("RED"))
            assert until(lambda begun=begun: len(chip.edges("RED")) > begun and chip.is_high("RED")), daemon.log
            assert chip.edges("RED")[begun][1] is False  # requested at its safe level, whatever it was left at
            daemon.kill()
        daemon.start()
        assert daemon.serves()
        assert daemon.stop() == 0
    assert chip.is_high("RED") is False


def test_after_a_crash_the_lines_are_made_safe_although_the_config_is_wrong_by_now(
    daemon: Daemon, chip: FileChip
) -> None:
    with daemon:
        daemon.start()
        assert until(lambda: chip.is_high("GREEN")), daemon.log
        daemon.kill()
    assert chip.is_high("GREEN")
    daemon.config.write_text("nonsense = 1\n" + daemon.config.read_text())
    command = [sys.executable, "-m", "edged", "outputs", "safe", "--config", str(daemon.config)]
    done = subprocess.run(command, env={**os.environ, **chip.environment}, capture_output=True, text=True, check=False)
    assert chip.is_high("GREEN") is False, done.stderr
    assert "the lines that the daemon drove last are made safe: red, green, missing" in done.stderr


def test_a_reload_takes_other_outputs_up_and_leaves_those_that_go_safe(
    clip: Path, daemon: Daemon, chip: FileChip
) -> None:
    with daemon:
        daemon.start()
        assert until(lambda: chip.is_high("GREEN")), daemon.log
        daemon.write_config({"door": looped(clip)}, extra=OUTPUTS.replace('line = "GREEN"', 'line = "BUZZER"'))
        daemon.signal(signal.SIGHUP)
        assert until(lambda: chip.is_high("BUZZER")), daemon.log
        assert chip.is_high("GREEN") is False
        pid, edges = daemon.pid, len(chip.edges("BUZZER"))
        daemon.write_config(
            {"door": looped(clip)}, extra=OUTPUTS.replace("GREEN", "BUZZER") + '[report]\nsite = "Here"\n'
        )
        daemon.signal(signal.SIGHUP)
        assert until(lambda: daemon.status()["reload"]["count"] == 2)
        assert (daemon.pid, daemon.status()["reload"]["problem"]) == (pid, None)
        assert len(chip.edges("BUZZER")) == edges  # what a change does not concern is not touched
        assert daemon.stop() == 0


def test_a_chip_that_is_pulled_out_is_told_and_used_again_when_it_is_back(daemon: Daemon, chip: FileChip) -> None:
    with daemon:
        daemon.start()
        assert until(lambda: chip.is_high("GREEN") and rises(chip, "RED") >= 1), daemon.log
        chip.pull_out()
        assert until(lambda: any(e.startswith("output red: the GPIO chip") for e in daemon.status().get("errors", ())))
        chip.plug_in()
        seen = rises(chip, "RED")
        assert until(lambda: rises(chip, "RED") > seen)
        assert daemon.stop() == 0


def test_whoever_asks_on_the_socket_sees_tries_and_silences_outputs(daemon: Daemon, chip: FileChip) -> None:
    def asked(verb: str, **arguments: object) -> dict[str, Any]:
        return request(socket_path(daemon.database), verb, **arguments)

    with daemon:
        daemon.write_config({"door": "images:///nowhere"}, extra=OUTPUTS + LOST)
        daemon.start()
        assert until(lambda: chip.is_high("BUZZER")), daemon.log
        assert until(lambda: asked("outputs")["outputs"]["lost"]["rules"] == ["camera_lost"])
        assert asked("acknowledge", output="lots", who="me") == {
            "v": 1, "ok": False, "error": "there is no output lots; there are: red, green, button, missing, lost, voice",
        }  # fmt: skip
        assert asked("acknowledge", output="lost", who="me")["ok"]
        assert until(lambda: not chip.is_high("BUZZER"))
        assert until(lambda: daemon.status()["outputs"]["lost"]["acknowledged"])
        assert "seconds: must be a number" in str(asked("test", output="red", seconds="long")["error"])
        assert "no chip has a line" in str(asked("test", output="missing", seconds=1)["error"])
        tried = CliRunner().invoke(cli, ["outputs", "test", "red", "--seconds", "0.3", "--config", str(daemon.config)])
        assert tried.output == "red: is on for 0.3 s\n"
        assert until(lambda: rises(chip, "RED") == 1 and not chip.is_high("RED"))
        told = CliRunner().invoke(cli, ["status", "--config", str(daemon.config)]).output
        assert "output lost: gpio, acknowledged, camera_lost" in told
        assert "output missing: door, does not work" in told
        assert daemon.stop() == 0


def test_a_sound_is_tried_anew_whatever_was_wrong_with_the_card_before(
    chip: FileChip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = pluggable(tmp_path, monkeypatch.setenv)
    daemon = Daemon(tmp_path, {"door": "images:///nowhere"}, extra=OUTPUTS, environment=chip.environment)

    def tried(seconds: str) -> str:
        asked = ["outputs", "test", "voice", "--seconds", seconds, "--config", str(daemon.config)]
        answered = CliRunner().invoke(cli, asked)
        return str(answered.exception or answered.output)

    with daemon:
        daemon.start()
        assert until(lambda: chip.edges("RED")), daemon.log
        assert "no such card" in tried("5")
        card.touch()
        assert tried("30") == "voice: is on for 30 s\n"
        assert daemon.stop() == 0


@needs_mosquitto
def test_states_are_retained_home_assistant_knows_them_and_those_that_go_are_withdrawn(
    clip: Path, daemon: Daemon, chip: FileChip, tmp_path: Path
) -> None:
    def states(subscriber: Subscriber, name: str) -> list[dict[str, object]]:
        return [json.loads(text) for text in subscriber.payloads(f"edged/dev1/output/{name}") if text]

    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.port, "#") as subscriber, daemon:
        daemon.write_config({"door": looped(clip)}, port=broker.port, extra=OUTPUTS)
        daemon.start()
        assert until(lambda: any(state["on"] for state in states(subscriber, "red"))), daemon.log
        assert until(lambda: any(state["on"] and state["rules"] == ["alive"] for state in states(subscriber, "green")))
        no_line = "no chip has a line named NOWHERE"
        assert until(lambda: any(str(state["problem"]).startswith(no_line) for state in states(subscriber, "missing")))
        assert until(lambda: subscriber.payloads("homeassistant/device/edged_dev1/config"))
        introduced = components(subscriber)
        assert introduced["acknowledge"]["command_topic"] == "edged/dev1/cmd/acknowledge"
        publish(broker.port, "edged/dev1/cmd/acknowledge", '{"output": "green"}')
        assert until(lambda: states(subscriber, "green")[-1]["acknowledged"])
        assert until(lambda: subscriber.payloads("edged/dev1/cmd/acknowledge/result"))
        assert json.loads(subscriber.payloads("edged/dev1/cmd/acknowledge/result")[-1])["ok"]
        assert introduced["output_green"]["name"] == "Green lamp"
        assert introduced["output_green"]["state_topic"] == "edged/dev1/output/green"
        daemon.write_config({"door": looped(clip)}, port=broker.port, extra=OUTPUTS.split("[output.green]")[0])
        daemon.signal(signal.SIGHUP)
        assert until(lambda: subscriber.payloads("edged/dev1/output/green")[-1] == "")
        assert until(lambda: components(subscriber)["output_green"] == {"p": "binary_sensor"})
        assert daemon.stop() == 0
