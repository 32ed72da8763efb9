"""`--json` has one form in all verbs: an object a line, of one kind of verb exactly one; see `edged.cli.options`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import cv2
import pytest
import skimage.data
from click.testing import CliRunner, Result
from support.daemon import needs_models
from support.storing import ended, started

from edged.capture.attached import Attached
from edged.cli import cli
from edged.store import Store

pytestmark = needs_models

# Every verb with --json, what it is asked here, and how many objects that are: None is "some".
ASKED: dict[str, tuple[str, int | None]] = {
    "analyze": ("{picture} {picture}", 2),
    "bench": ("--config {config} --frames 5", 1),
    "cameras": ("", 2),
    "doctor": ("--config {config}", None),
    "engines bench": ("eyes --config {config}", 1),
    "engines list": ("--config {config}", None),
    "events": ("--config {config} --since 1970-01-01", 2),
    "outputs list": ("--config {config}", None),
    "selftest": ("--config {config} --backend onnxruntime", None),
    "status": ("--config {config}", 1),
}


def verbs(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Option]]:
    """Every verb with --json, and that option."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from verbs(command, f"{before}{name} ")
        assert command is not None
        for option in command.params:
            if isinstance(option, click.Option) and "--json" in option.opts:
                yield before + name, option


OPTIONS = dict(verbs(cli))


def test_every_verb_with_json_is_asked_here():
    assert OPTIONS.keys() == ASKED.keys()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a verb as it would with two cameras attached, two events recorded, and a daemon that answers."""
    portrait = tmp_path / "portrait.png"
    cv2.imwrite(str(portrait), skimage.data.astronaut()[:300, :400, ::-1])
    config = tmp_path / "edged.toml"
    config.write_text(
        f'[device]\nid = "test"\n[store]\npath = "{tmp_path}/edged.db"\n[models]\nbackend = "onnxruntime"\n'
        '[output.lamp]\nkind = "gpio"\nwhen = ["alive"]\nline = "GPIO17"\n'
        '[output.buzzer]\nkind = "gpio"\nwhen = ["camera_lost"]\nline = "GPIO27"\n'
    )
    with Store(tmp_path / "edged.db") as store:
        store.write([started("E000001", 1), started("E000002", 2), ended("E000001", 3)])
    found = [Attached("v4l2:///dev/v4l/by-id/a", "/dev/video0", "A"), Attached("picamera://0", "/base/imx708", "B")]
    monkeypatch.setattr("edged.cli.cameras.attached", lambda: found)
    monkeypatch.setattr("edged.cli.status.ask", lambda _: {"device": "test", "cameras": {"Tür": {}}})
    monkeypatch.setattr(sys, "argv", ["edged"])

    def asked(verb: str, arguments: str) -> Result:
        words = [word.format(config=config, picture=portrait) for word in arguments.split()]
        return CliRunner().invoke(cli, [*verb.split(), *words, "--json"])

    return asked


def objects(text: str) -> list[dict[str, Any]]:
    """What stands in the lines; each must be one object."""
    assert text == "" or text.endswith("\n")
    read = [json.loads(line) for line in text.splitlines()]
    assert all(isinstance(one, dict) for one in read)
    return read


@pytest.mark.parametrize("verb", ASKED)
def test_json_is_an_object_a_line(run, verb):
    arguments, expected = ASKED[verb]
    done = run(verb, arguments)
    count = len(objects(done.stdout))
    assert count == expected if expected is not None else count > 1
    assert ("one JSON object" in (OPTIONS[verb].help or "")) is (expected == 1)


def test_what_is_in_an_object_is_no_json_in_a_string(run):
    for event in objects(run("events", ASKED["events"][0]).stdout):
        assert not [value for value in event.values() if isinstance(value, str) and value.startswith(("{", "["))]


def test_of_nothing_there_are_no_lines(run, monkeypatch):
    monkeypatch.setattr("edged.cli.cameras.attached", list)
    assert run("cameras", "").stdout == ""
    assert run("events", ASKED["events"][0] + " --kind camera").stdout == ""


@pytest.mark.parametrize(
    ("is_set", "words"), [(True, "clock: set\n"), (False, "clock: not set: no daily report is made")]
)
def test_status_tells_whether_the_clock_is_set_and_what_limits_the_pictures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_set: bool, words: str
) -> None:
    camera = {
        "profile": "entrance",
        "status": "online",
        "fps": 15.0,
        "frames_seen": 513,
        "frames_analysed": 279,
        "stages_ms": None,
        "counts": None,
        "attention": None,
    }
    answer = {
        "device": "test",
        "mode": "normal",
        "uptime_s": 60,
        "resident_mb": 150.0,
        "outbox": 0,
        "errors": [],
        "broker": {"connected": True, "configured": True},
        "models": {},
        "preparing": None,
        "cameras": {"door": camera},
        "clock_synced": is_set,
    }
    monkeypatch.setattr("edged.cli.status.ask", lambda _: answer)
    (tmp_path / "edged.toml").write_text(f'[store]\npath = "{tmp_path}/edged.db"\n')
    told = CliRunner().invoke(cli, ["status", "--config", str(tmp_path / "edged.toml")]).output
    assert words in told
    assert "279 of 513 pictures analysed, 0.0 a second of 15 at most (fps)" in told
