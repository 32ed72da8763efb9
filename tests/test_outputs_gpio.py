"""GPIO lines: the double has the surface of the real package, and what cannot be had is told in one line with the remedy."""

import errno
import inspect
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import gpiod
import pytest
from click.testing import CliRunner
from support.gpio import LABEL, FileChip, double, use
from support.mosquitto import until

from edged import doctor
from edged.cli import cli
from edged.config import ButtonInput, GpioOutput, load_config
from edged.errors import ConfigError, Unavailable
from edged.outputs.gpio import chips, find, open_button, open_output
from edged.outputs.kept import keep, kept, kept_in

RED = {"kind": "gpio", "when": ["mask_none"], "line": "RED"}


@pytest.fixture
def chip(monkeypatch, tmp_path):
    use(monkeypatch, tmp_path / "chips")
    return FileChip(tmp_path / "chips")


def output(**keys) -> GpioOutput:
    return GpioOutput.model_validate({**RED, **keys})


# --- the double and the real package

METHODS = {
    "Chip": ("__init__", "__enter__", "__exit__", "close", "get_info", "line_offset_from_id", "get_line_info"),
    "LineRequest": ("set_value", "read_edge_events", "release"),
}


def parameters(function) -> list[tuple[str, object, object]]:
    return [(name, one.kind, one.default) for name, one in inspect.signature(function).parameters.items()]


@pytest.mark.parametrize(("owner", "method"), [(owner, method) for owner, names in METHODS.items() for method in names])
def test_methods_are_called_as_those_of_the_real_package(owner, method):
    assert parameters(getattr(getattr(double(), owner), method)) == parameters(getattr(getattr(gpiod, owner), method))


def test_requests_settings_and_enumerations_are_those_of_the_real_package():
    assert parameters(double().request_lines) == parameters(gpiod.request_lines)
    assert (
        inspect.signature(double().LineSettings).parameters.keys()
        == inspect.signature(gpiod.LineSettings).parameters.keys()
    )
    for name in ("Value", "Direction", "Bias", "Drive", "Edge"):
        ours, real = getattr(double().line, name), getattr(gpiod.line, name)
        assert {one.name for one in ours} == {one.name for one in real}, name
    assert isinstance(gpiod.LineRequest.fd, property)
    for name in ("ChipInfo", "LineInfo"):
        assert set(getattr(double(), name)._fields) <= inspect.signature(getattr(gpiod, name)).parameters.keys()


def test_the_real_package_takes_our_settings_and_refuses_what_is_no_chip(monkeypatch, tmp_path):
    """Up to the kernel: there is no chip here, but all of ours is built before it is asked."""
    real = gpiod.LineSettings(
        direction=gpiod.line.Direction.OUTPUT,
        drive=gpiod.line.Drive.OPEN_DRAIN,
        bias=gpiod.line.Bias.PULL_UP,
        active_low=True,
        output_value=gpiod.line.Value.ACTIVE,
    )
    with pytest.raises(OSError, match="No such file") as caught:
        gpiod.request_lines(str(tmp_path / "gpiochip0"), consumer="edged", config={3: real})
    assert caught.value.errno == errno.ENOENT
    (tmp_path / "gpiochip0").write_text("")
    monkeypatch.setattr("edged.outputs.gpio.DEVICES", tmp_path)
    with pytest.raises(Unavailable, match="this machine shows none"):
        find(output())


# --- lines


def test_a_line_is_requested_once_driven_and_left_safe(chip):
    line = open_output(output())
    line.set(True)
    line.set(True)
    line.set(False)
    line.set(True)
    line.close()
    assert [level for _, level in chip.edges("RED")] == [False, True, False, True, False]


@pytest.mark.parametrize(("active_low", "safe"), [(True, "inactive"), (False, "active"), (True, "active")])
def test_active_low_and_the_safe_side(chip, active_low, safe):
    line = open_output(output(active_low=active_low, safe=safe))
    first = (safe == "active") != active_low
    assert chip.is_high("RED") is first
    line.set(safe != "active")
    assert chip.is_high("RED") is not first
    line.close()
    assert chip.is_high("RED") is first


@pytest.mark.parametrize("named", [LABEL, "gpiochip0", None])
@pytest.mark.parametrize("line", ["GREEN", 3])
def test_a_chip_is_found_by_label_name_or_line(chip, named, line):
    if named is None and line == 3:
        with pytest.raises(ValueError, match="line = 3 is a number, which every chip has: name the chip too"):
            output(chip=None, line=3)
        return
    found = find(output(chip=named, line=line))
    assert (found.offset, found.name, found.label, found.user) == (3, "GREEN", LABEL, None)


def test_every_way_in_which_a_line_cannot_be_had_names_the_remedy(chip, monkeypatch):
    def problem(**keys) -> str:
        with pytest.raises(Unavailable) as caught:
            open_output(output(**keys))
        return str(caught.value)

    assert problem(chip="pinctrl-rp1") == f"the GPIO chip pinctrl-rp1 is not there; there are: {LABEL} (gpiochip0)"
    assert problem(line="PURPLE") == f"no chip has a line named PURPLE; there are: {LABEL} (gpiochip0)"
    assert problem(chip=LABEL, line="PURPLE").startswith(
        f"chip {LABEL} has no line PURPLE; it has 6 lines, with names like BUTTON, RED"
    )
    taken = open_output(output())
    assert problem() == (
        f"line RED of {LABEL} is in use by edged: by its daemon, another of its outputs or an `edged outputs test`;"
        " see `edged outputs list`"
    )
    taken.close()
    other = double().request_lines(str(chip.path), {2: double().LineSettings()}, "fan-control")
    assert problem() == f"line RED of {LABEL} is in use by fan-control; end that, or take another line"
    other.release()
    for number, words in ((errno.EINVAL, "the chip refuses these settings"), (errno.EIO, "cannot be requested")):
        monkeypatch.setattr(
            double(), "request_lines", lambda *_, number=number, **__: (_ for _ in ()).throw(OSError(number, "x"))
        )
        assert words in problem()
    monkeypatch.setattr(double(), "Chip", lambda _: (_ for _ in ()).throw(PermissionError(errno.EACCES, "x")))
    assert problem() == (
        f"{chip.path}: no permission; edged's user must be in the group gpio, and the chip belong to it (edged's udev rule)"
    )
    assert list(chips()) == [problem()]
    chip.pull_out()
    assert problem() == "the GPIO chip is not there; this machine shows none: /dev/gpiochip* is empty"


@pytest.mark.parametrize("question", ["get_info", "get_line_info"])
def test_a_chip_that_is_pulled_out_while_it_is_asked_is_one_that_is_not_there(chip, monkeypatch, question):
    gone = OSError(errno.ENODEV, "No such device")
    monkeypatch.setattr(double().Chip, question, lambda *_: (_ for _ in ()).throw(gone))
    with pytest.raises(Unavailable):
        open_output(output(chip=LABEL, line="PURPLE" if question == "get_line_info" else "RED"))


def test_without_the_package_the_remedy_is_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(Unavailable, match="the library gpiod is not installed; run `pip install 'edged"):
        open_output(output())


def test_a_button_counts_presses(chip):
    button = open_button(ButtonInput(kind="button", line="BUTTON"))
    threading.Thread(target=lambda: (chip.press("BUTTON"), chip.press("BUTTON")), daemon=True).start()
    pressed = 0

    def count() -> bool:
        nonlocal pressed
        try:
            pressed += button.presses()
        except BlockingIOError:
            return False
        return pressed == 2

    assert until(count)
    button.close()


# --- a process that is killed, and what comes after it

HOLD = """
import sys, time
from edged.config import GpioOutput
from edged.outputs.gpio import open_output
line = open_output(GpioOutput(kind="gpio", when=("mask_none",), line="RED"))
line.set(True)
print("on", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.long)])
def test_after_kill_9_the_line_is_free_and_outputs_safe_puts_it_back(chip, tmp_path, kills):
    config = tmp_path / "edged.toml"
    config.write_text(
        '[camera.door]\nsource = "file:///a.mp4"\n[output.lamp]\nkind = "gpio"\nwhen = ["mask_none"]\nline = "RED"\n'
    )
    for _ in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", HOLD],
            env={**os.environ, **chip.environment},
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"on\n"
            held = CliRunner().invoke(cli, ["outputs", "safe", "--config", str(config)])
            assert held.exit_code == 1
            assert "is in use by edged" in held.stderr
            holder.kill()
        assert chip.is_high("RED")  # the chip keeps the level, as a Raspberry Pi's does
        assert CliRunner().invoke(cli, ["outputs", "safe", "--config", str(config)]).exit_code == 0
        assert chip.is_high("RED") is False


LINE = '[output.{name}]\nkind = "gpio"\nwhen = ["mask_none"]\nline = "{line}"\nsafe = "{safe}"\n'


def lines_config(folder: Path, *lines: tuple[str, str, str], wrong: str = "") -> Path:
    file = folder / "edged.toml"
    outputs = [LINE.format(name=name, line=line, safe=safe) for name, line, safe in lines]
    file.write_text(
        f'[store]\npath = "{folder}/edged.db"\n[camera.door]\nsource = "file:///a.mp4"\n' + "".join(outputs)
    )
    if not wrong:
        keep(kept_in(folder / "edged.db"), load_config(file).output)
    file.write_text(wrong + file.read_text())
    return file


def made_safe(config: Path):
    return CliRunner().invoke(cli, ["outputs", "safe", "--config", str(config)])


@pytest.mark.parametrize("wrong", ["nonsense = 1\n", "= no TOML\n"])
def test_with_a_config_that_is_wrong_the_lines_that_were_driven_last_are_made_safe(chip, tmp_path, monkeypatch, wrong):
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    lines_config(tmp_path, ("lamp", "RED", "active"), ("bell", "BUZZER", "inactive"))
    config = lines_config(tmp_path, ("lamp", "GREEN", "inactive"), wrong=wrong)
    told = made_safe(config)
    assert told.exit_code == 0, told
    assert (chip.is_high("RED"), chip.is_high("BUZZER"), chip.edges("GREEN")) == (True, False, [])
    (line,) = told.stderr.splitlines()
    assert line.startswith(f"{config}: ")
    assert line.endswith("; the lines that the daemon drove last are made safe: lamp, bell")


def test_a_config_whose_other_tables_are_wrong_still_says_where_the_database_is(chip, tmp_path):
    lines_config(tmp_path, ("lamp", "RED", "active"))
    assert made_safe(lines_config(tmp_path, wrong="nonsense = 1\n")).exit_code == 0
    assert chip.is_high("RED")


@pytest.mark.parametrize("record", [None, b"", b"[1]", b'{"lamp": {"kind": "gpio"}}', b"\xff" * 300_000])
def test_where_nothing_says_which_lines_were_driven_that_is_said_with_what_is_wrong(tmp_path, record):
    config = lines_config(tmp_path, wrong="nonsense = 1\n")
    if record is not None:
        (tmp_path / "outputs.json").write_bytes(record)
    told = made_safe(config)
    assert isinstance(told.exception, ConfigError)
    assert "key nonsense: unknown" in str(told.exception)
    assert str(told.exception).endswith("; nothing says which lines were driven, so none was touched")


@pytest.mark.parametrize(
    ("written", "is_high"),
    [
        ({}, True),
        ({"blink_hz": 3}, True),
        ({"pattern": "morse", "when": ["smoke"]}, True),
        ({"kind": "siren", "strength": {"db": 90}}, True),
        ({"when": None, "longest_seconds": 1, "shortest_seconds": 2}, True),
        ({"drive": "half-bridge", "bias": "keeper"}, True),
        ({"safe": "hold"}, False),
        ({"active_low": True, "new": 1}, False),
        ({"active_low": "sometimes"}, None),
        ({"line": {"bank": 1}}, None),
    ],
)
def test_what_another_version_wrote_down_is_read_as_far_as_the_line_needs_it(chip, tmp_path, caplog, written, is_high):
    lines_config(tmp_path, ("lamp", "RED", "active"), ("bell", "BUZZER", "active"))
    record = tmp_path / "outputs.json"
    tables = json.loads(record.read_bytes())
    tables["lamp"] |= written
    tables["key"] = {"kind": "button", "line": "BUTTON", "new": 1}
    record.write_text(json.dumps(tables))
    assert made_safe(lines_config(tmp_path, wrong="nonsense = 1\n")).exit_code == 0
    assert (chip.is_high("RED"), chip.is_high("BUZZER"), chip.edges("BUTTON")) == (is_high, True, [])
    assert any("which line output lamp has cannot be read" in line for line in caplog.messages) == (is_high is None)


def test_a_line_that_the_config_names_no_more_is_made_safe_too_and_the_config_has_the_last_word(chip, tmp_path):
    lines_config(tmp_path, ("lamp", "RED", "active"), ("bell", "BUZZER", "active"))
    before = (tmp_path / "outputs.json").read_bytes()
    config = lines_config(tmp_path, ("lamp", "RED", "inactive"))
    (tmp_path / "outputs.json").write_bytes(before)
    assert made_safe(config).exit_code == 0
    assert (chip.is_high("RED"), chip.is_high("BUZZER")) == (False, True)


def test_what_is_driven_is_written_down_once_and_a_disk_that_takes_nothing_stops_nothing(tmp_path, caplog):
    file, outputs = tmp_path / "outputs.json", {"lamp": output()}
    keep(file, outputs)
    inode = file.stat().st_ino
    keep(file, outputs)
    assert (kept(file), file.stat().st_ino, file.stat().st_mode & 0o777) == (outputs, inode, 0o640)
    keep(file, {})
    assert not file.exists()
    keep(tmp_path / "gone" / "outputs.json", outputs)
    assert ["cannot be written (No such file or directory)" in line for line in caplog.messages] == [True]


# --- the command line


def listed(tmp_path, text: str, *arguments: str):
    config = tmp_path / "edged.toml"
    config.write_text(f'[store]\npath = "{tmp_path}/edged.db"\n[camera.door]\nsource = "file:///a.mp4"\n{text}')
    return CliRunner().invoke(cli, ["outputs", *arguments, "--config", str(config)])


LAMP = """[output.lamp]
kind = "gpio"
when = ["mask_none"]
line = "RED"
pattern = "pulses"
on_seconds = 0.05
off_seconds = 0.05
"""


def test_list_says_what_drives_each_output_and_what_cannot_work(chip, tmp_path):
    told = listed(tmp_path, LAMP + '[output.bad]\nkind = "door"\nline = "PURPLE"\n', "list")
    assert told.exit_code == 1
    head, first, second, third = told.stdout.splitlines()
    assert head.split()[:2] == ["OUTPUT", "KIND"]
    assert first == f"lamp    gpio    line RED of {LABEL} ({chip.path}, number 2) is free"
    assert second == f"bad     door    no chip has a line named PURPLE; there are: {LABEL} (gpiochip0)"
    assert third.startswith(f"chip {chip.path}: {LABEL}: it has 6 lines")
    assert listed(tmp_path, LAMP, "list", "--json").exit_code == 0


SAME = f'[output.same]\nkind = "door"\nchip = "{LABEL}"\nline = 2\n'


@pytest.mark.parametrize("daemon", [False, True])
def test_one_line_by_its_name_and_by_its_number_is_told_whether_the_daemon_drives_it_or_not(
    chip, tmp_path, monkeypatch, daemon
):
    monkeypatch.setattr("edged.cli.outputs._daemon_runs", lambda _: daemon)
    held = open_output(output()) if daemon else None
    told = listed(tmp_path, LAMP + SAME, "list")
    if held is not None:
        held.close()
    assert told.exit_code == 1
    assert "which the running daemon drives" in told.stdout or not daemon
    same = f"line RED of {LABEL} ({chip.path}, number 2) is also that of output lamp; give each its own"
    assert told.stdout.splitlines()[2] == f"same    door    {same}"
    findings = {one.what: one for one in doctor.examine(load_config(tmp_path / "edged.toml"))}
    assert (findings["output lamp"].verdict, findings["output same"].line) == ("ok", same)


def test_test_says_once_why_an_output_cannot_work(chip, tmp_path, caplog):
    told = listed(tmp_path, LAMP.replace("RED", "PURPLE"), "test", "lamp")
    assert "no chip has a line named PURPLE" in str(told.exception)
    assert caplog.messages == [], "the command's error is all that is said"


def test_test_drives_the_line_in_its_pattern_and_leaves_it_safe(chip, tmp_path):
    assert listed(tmp_path, LAMP, "test", "lamp", "--seconds", "0.5").output == "lamp: is on for 0.5 s\n"
    levels = [level for _, level in chip.edges("RED")]
    assert levels.count(True) >= 2
    assert levels[-1] is False


def test_an_output_that_is_not_configured_is_told_with_those_that_are(tmp_path):
    told = listed(tmp_path, LAMP, "test", "lmap")
    assert str(told.exception) == "there is no output lmap; there are: lamp"
