"""Outputs in the config: every mistake is one line with the key and the remedy; doctor says what cannot work."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from support.gpio import FileChip, use

from edged.cli import cli
from edged.config import SoundOutput, doubts, load_config
from edged.doctor import _outputs
from edged.errors import ConfigError

CAMERA = '[camera.door]\nsource = "file:///a.mp4"\n'
LAMP = '[output.lamp]\nkind = "gpio"\nwhen = ["mask_none"]\nline = "RED"\n'
VOICE = '[output.voice]\nkind = "sound"\nwhen = ["mask_none"]\n'
DOOR = '[output.door]\nkind = "door"\nline = "DOOR"\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[output.lamp]\nkind = "gpoi"', 'key output.lamp.kind: must be one of "gpio", "sound", "door", "button"; '
         'did you mean "gpio"?'),
        ('[output.lamp]\nwhen = ["mask_none"]', 'key output.lamp.kind: must be one of "gpio", "sound", "door", "button"'),
        ("output = 3", "key output = 3: must be a table, [output]"),
        ("[output]\nlamp = 3", 'key output.lamp.kind: must be one of "gpio", "sound", "door", "button"'),
        (LAMP + "patern = 3", "key output.lamp.patern: unknown; did you mean pattern?"),
        (LAMP + "volume = 3", "key output.lamp.volume: unknown; known here: active_low, bias, cameras, chip, drive, "),
        (VOICE + 'line = "RED"', "key output.voice.line: unknown; "),
        (VOICE.replace('"mask_none"', ""), 'key output.voice.when = []: must name at least one rule, as in ["mask_none"]'),
        (VOICE.replace("mask_none", "masks"), "key output.voice.when.0 = 'masks': must be 'mask_none', 'mask_incorrect', "),
        (VOICE.replace("mask_none", "mask_non"), "key output.voice.when.0 = 'mask_non': must be 'mask_none', 'mask_incorrect', "
         "'mask_correct', 'inattention_long', 'inattention_repeated', 'drowsiness_notice', 'drowsiness_warning', "
         "'drowsiness_alarm', 'drowsiness_microsleep', 'drowsiness_sleep', 'drowsiness_perclos', 'drowsiness_yawning', "
         "'drowsiness_nodding', 'camera_lost' or 'alive'; did you mean \"mask_none\"?"),
        (VOICE + 'play = "beep"', "key output.voice.play = 'beep': must be \"auto\", \"chime\", \"voice\""),
        (VOICE + "volume = 101", "key output.voice.volume = 101: must be less than or equal to 100"),
        (VOICE + 'language = "xx"', "key output.voice.language = 'xx': must be 'en', 'de', 'es', 'fr', 'it' or 'pt'"),
        (LAMP + 'quiet_from = "8"', "key output.lamp.quiet_from = '8': must be a local time like \"08:00\""),
        (LAMP + 'quiet_from = "08:00"', "table [output.lamp]: quiet_from and quiet_until go together: give both, or neither"),
        (LAMP + "repeat_seconds = 9", "table [output.lamp]: repeat_seconds needs longest_seconds: without it the line is on"),
        (LAMP + "longest_seconds = 9\nrepeat_seconds = 9", "table [output.lamp]: repeat_seconds must be above longest_sec"),
        (LAMP + "longest_seconds = 0.1", "table [output.lamp]: shortest_seconds = 0.5 must not be above longest_seconds = 0.1"),
        (LAMP + 'cameras = ["gate"]', 'table [output]: lamp names the camera "gate", which is not there; there are: door'),
        (LAMP + 'cameras = ["dor"]', 'table [output]: lamp names the camera "dor", which is not there; there are: door; did you '
         'mean "door"?'),
        (LAMP.replace('"RED"', "17"), "table [output.lamp]: line = 17 is a number, which every chip has: name the chip too"),
        (LAMP.replace('"RED"', "[]"), "key output.lamp.line = []: must be the name of a line, such as \"GPIO17\", or its number"),
        (LAMP + DOOR.replace("DOOR", "RED"), "table [output]: door and lamp name the same line RED; give each its own"),
        (DOOR + "shortest_seconds = 61", "key output.door.shortest_seconds = 61: must be less than or equal to 60"),
        ('[output.b]\nkind = "button"\nline = "B"\nacknowledges = ["lamp"]',
         'table [output]: b names the output "lamp", which is not there; there are: b'),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_key_value_and_remedy(tmp_path, text, line):
    path = tmp_path / "edged.toml"
    path.write_text(text + "\n" + CAMERA if text.startswith("output =") else CAMERA + text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    (told,) = str(caught.value).splitlines()
    assert told.removeprefix(f"{path}: ")[: len(line)] == line


@pytest.mark.parametrize(
    ("text", "doubt"),
    [(LAMP, []), (DOOR, []), (VOICE.replace("mask_none", "alive"), []),
     (VOICE.replace("mask_none", "drowsiness_alarm"), ["table [output.voice]: waits for drowsiness_alarm, and no camera of it "
      "follows drowsiness; see the cameras' profile"]),
     (LAMP.replace('"mask_none"', '"mask_none", "mask_incorrect"') + '[mask]\nviolations = ["none"]\n',
      ["table [output.lamp]: waits for mask_incorrect, which mask.violations leaves out; add it there"]),
     (VOICE.replace("mask_none", "inattention_long") + '[camera.door.attention]\nenabled = true\ndistractions = []\n',
      ["table [output.voice]: waits for inattention_long, which attention.distractions leaves out; add it there"]),
     (VOICE.replace("mask_none", "drowsiness_alarm") + '[drowsiness]\nenabled = true\nreasons = ["yawning"]\n', []),
     (VOICE.replace("mask_none", "drowsiness_sleep") + '[drowsiness]\nenabled = true\nreasons = ["yawning"]\n',
      ["table [output.voice]: waits for drowsiness_sleep, which drowsiness.reasons leaves out; add it there"])],
)  # fmt: skip
def test_a_rule_that_no_camera_follows_is_doubted(tmp_path, text, doubt):
    path = tmp_path / "edged.toml"
    path.write_text(CAMERA + text)
    assert list(doubts(load_config(path))) == doubt


def findings(text: str, folder: Path, daemon=None) -> dict[str, tuple[str, str]]:
    path = folder / "edged.toml"
    path.write_text(CAMERA + text)
    found = _outputs(load_config(path), daemon)
    return {finding.what: (finding.verdict, finding.line) for finding in found}


def test_doctor_examines_chip_line_and_sound(tmp_path, monkeypatch):
    use(monkeypatch, tmp_path / "chips")
    FileChip(tmp_path / "chips")
    bad = VOICE.replace("voice", "own") + f'play = "{tmp_path}/none.wav"\n'
    found = findings(LAMP + DOOR.replace("DOOR", "PURPLE") + VOICE + 'device = "null"\n' + bad, tmp_path)
    assert found["output lamp"] == ("ok", f"line RED of pinctrl-test ({tmp_path}/chips/gpiochip0, number 2) is free")
    assert found["output door"][0] == "problem"
    assert found["output own"] == (
        "problem",
        f"{tmp_path}/none.wav: cannot be read (No such file or directory);"
        " see that it is there, and that edged's user may read it",
    )  # fmt: skip
    verdict, line = found["output voice"]
    assert (verdict, line) in (
        ("ok", 'device = "null" plays; 1 clip in en'),
        ("problem", "aplay is not installed; run `apt install alsa-utils`"),
    )


def test_a_line_that_the_running_daemon_has_is_well(tmp_path, monkeypatch):
    from edged.config import GpioOutput
    from edged.outputs.gpio import open_output

    use(monkeypatch, tmp_path / "chips")
    FileChip(tmp_path / "chips")
    line = open_output(GpioOutput(kind="gpio", when=("mask_none",), line="RED"))
    assert findings(LAMP, tmp_path)["output lamp"][0] == "problem"
    verdict, told = findings(LAMP, tmp_path, {"same": True})["output lamp"]
    assert (verdict, told.rpartition(", ")[2]) == ("ok", "which the running daemon drives")
    line.close()


def test_config_show_and_the_schema_know_outputs(tmp_path):
    path = tmp_path / "edged.toml"
    path.write_text(CAMERA + LAMP)
    shown = CliRunner().invoke(cli, ["config", "show", "--config", str(path)])
    assert '"kind": "gpio"' in shown.output
    assert "GpioOutput" in CliRunner().invoke(cli, ["config", "schema"]).output


@pytest.mark.parametrize(
    "device",
    ["file:'|touch /tmp/x',raw", 'file:"/tmp/x"', "file:x", "tee:default,x,raw", "plug:file", "plug:'tee:default'",
     "plug:SLAVE=tee", "plug:{type file}", "default\nx", "hw:0,0|sh", "../card", "", "plug:file:x", "a b",
     "pcm.file:x,raw", "pcm.tee:null,x,raw"],
)  # fmt: skip
def test_a_device_that_writes_files_or_starts_programs_is_no_card(device):
    with pytest.raises(ValueError, match=r"aplay -L|at least 1 character"):
        SoundOutput(kind="sound", when=("mask_none",), device=device)


@pytest.mark.parametrize(
    "device",
    ["default", "null", "hw:0,0", "plughw:CARD=Device,DEV=0", "sysdefault:CARD=vc4hdmi0", "plug:dmix", "pipewire",
     "our-loudspeaker", "bluealsa:DEV=00:1A:7D:DA:71:13,PROFILE=a2dp"],
)  # fmt: skip
def test_a_device_that_aplay_lists_is_one(device):
    assert SoundOutput(kind="sound", when=("mask_none",), device=device).device == device
