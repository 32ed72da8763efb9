"""A stick that is plugged in, or found seconds after the start as USB sticks are, starts the import."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edged.errors import ConfigError
from edged.firstboot import __main__ as imported
from edged.firstboot.place import ANSWER_S, STICK_ERROR
from edged.firstboot.settings import settings_of
from edged.firstboot.together import JOURNAL
from edged.processes.program import KILLED_S

SYSTEMD = Path(__file__).parents[1] / "systemd"


def test_the_rule_is_read_after_udev_has_read_the_sticks_label():
    (priority,) = re.findall(r"dh_installudev --priority=(\d+)", (SYSTEMD / "debian" / "rules").read_text())
    assert f"{priority}-edged.rules" > "60-persistent-storage.rules"
    (rule,) = [line for line in (SYSTEMD / "debian" / "edged.udev").read_text().splitlines() if "ID_FS_LABEL" in line]
    assert 'ENV{ID_FS_LABEL}=="EDGED"' in rule
    assert 'ENV{SYSTEMD_WANTS}+="edged-import.service"' in rule


def test_a_boot_with_nothing_new_to_take_does_not_wait_for_the_configs_libraries(tmp_path):
    asked = (
        "import sys; from pathlib import Path; from edged.firstboot.run import import_settings;"
        f"assert not import_settings([Path({str(tmp_path)!r})], Path({str(tmp_path)!r}));"
        "print({'pydantic', 'paho'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("enabled", [True, False])
def test_daemon_and_console_both_read_the_new_settings_also_where_the_old_ones_ended_them(monkeypatch, enabled):
    asked = []
    monkeypatch.setattr(imported, "_ask", lambda command: asked.append(command) or enabled)
    imported.notify_the_daemon()
    for unit in ("edged.service", "edged-console.service"):
        assert f"systemctl try-restart --no-block {unit}" in asked
        assert (f"systemctl start --no-block {unit}" in asked) == enabled


def plug_in(folder, monkeypatch):
    """A stick is there, and what is made for it lies in the folder."""
    (folder / "EDGED").touch()
    monkeypatch.setattr(imported, "LABELS", folder)
    monkeypatch.setattr(imported.tempfile, "tempdir", str(folder))


def test_a_stick_that_never_answers_is_one_that_cannot_be_read(tmp_path, monkeypatch, caplog):
    def hang(command, seconds):
        raise subprocess.TimeoutExpired(command, seconds)

    plug_in(tmp_path, monkeypatch)
    monkeypatch.setattr(imported, "run", hang)
    with imported.mounted("EDGED") as place:
        assert place is None
    assert "EDGED cannot be read" in caplog.text


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_program_that_sleeps_in_a_driver_and_cannot_be_killed_is_not_waited_for(tmp_path, monkeypatch, caplog):
    """Nothing but a driver makes such a program; here the kill does not arrive."""
    plug_in(tmp_path, monkeypatch)
    (tmp_path / "mount").write_text("#!/bin/sh\necho $$ >>$0.pids\nexec sleep 30\n")
    (tmp_path / "umount").symlink_to("mount")
    (tmp_path / "mount").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("edged.processes.program.os.killpg", lambda *_: None)
    for limit in ("MOUNT_S", "UNMOUNT_S"):
        monkeypatch.setattr(imported, limit, 0.5)
    began = time.monotonic()
    with imported.mounted("EDGED") as place:
        assert place is None
    assert time.monotonic() - began < 15
    assert len([line for line in caplog.text.splitlines() if "EDGED cannot be read" in line]) == 1
    for pid in (line for file in tmp_path.glob("*.pids") for line in file.read_text().split()):
        os.kill(int(pid), signal.SIGKILL)


def mounts(monkeypatch):
    """Every program does what it is asked: a partition is mounted where it is to be."""
    monkeypatch.setattr(imported, "run", lambda command, _: subprocess.CompletedProcess(command, 0, b"", b""))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_stick_that_hangs_while_it_is_read_is_passed_over_and_the_boot_partition_says_so(
    tmp_path, monkeypatch, caplog
):
    """The reading child sleeps, as in a driver; nothing else may touch the file."""
    stick, boot, root = tmp_path / "labels", tmp_path / "boot", tmp_path / "root"
    for folder in (stick, boot, root / "etc"):
        folder.mkdir(parents=True)
    plug_in(stick, monkeypatch)
    mounts(monkeypatch)
    reader = os.getpid()

    def hang(_):
        assert os.getpid() != reader, "the import itself reads"
        time.sleep(60)

    monkeypatch.setattr("edged.firstboot.place._read", hang)
    monkeypatch.setattr("edged.firstboot.place.ANSWER_S", 0.5)
    began = time.monotonic()
    with imported.mounted("EDGED") as place:
        assert place is None
    assert time.monotonic() - began < 15
    assert "EDGED cannot be read: it can be mounted, but a file on it cannot be read; take another stick" in caplog.text

    taken = []
    monkeypatch.setattr(imported, "introduce", lambda *_: "edged")
    monkeypatch.setattr(imported, "call_it", lambda _: None)
    monkeypatch.setattr(imported, "import_settings", lambda folders, _: taken.append(folders))
    monkeypatch.setattr(imported, "BOOT", (boot,))
    monkeypatch.setattr(Path, "is_mount", lambda path: path == boot)
    imported.main()
    assert taken == [[boot]]
    assert "The stick EDGED cannot be read." in (boot / STICK_ERROR).read_text()
    monkeypatch.setattr(imported, "LABELS", tmp_path / "none")
    imported.main()
    assert (boot / STICK_ERROR).exists(), "it was pulled out, and nobody has read this yet"

    monkeypatch.undo()
    plug_in(stick, monkeypatch)
    mounts(monkeypatch)
    with imported.mounted("EDGED") as place:
        assert place is not None
    imported.note_stick(boot, None)
    assert not (boot / STICK_ERROR).exists()


def test_a_mount_that_cannot_be_run_is_one_line_and_ends_no_import(tmp_path, monkeypatch, caplog):
    plug_in(tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with imported.mounted("EDGED") as place:
        assert place is None
    assert "the partition EDGED cannot be read: mount: No such file or directory" in caplog.text


def test_two_sticks_that_never_answer_leave_the_unit_time():
    unit = (SYSTEMD / "edged-import.service").read_text()
    (limit,) = re.findall(r"^TimeoutStartSec=(\d+)s$", unit, re.MULTILINE)
    a_stick = imported.MOUNT_S + ANSWER_S + 2 * imported.UNMOUNT_S + 3 * KILLED_S
    assert 2 * a_stick < int(limit)
    assert "\nKillMode=process\n" in unit, "a program that cannot be killed is not waited for"
    assert "\nTimeoutStopSec=5s\n" in unit
    assert f"\nConditionPathExists=|/{JOURNAL}\n" in unit


def test_a_stick_that_cannot_be_unmounted_keeps_what_lies_on_it(tmp_path, monkeypatch):
    asked = []

    def refuse_to_let_go(command, _):
        asked.append(command)
        if command[0] == "mount":
            (Path(command[-1]) / "holiday.jpg").write_bytes(b"a picture")
        return subprocess.CompletedProcess(command, 0 if command[0] == "mount" else 32, b"", b"target is busy")

    plug_in(tmp_path, monkeypatch)
    monkeypatch.setattr(imported, "run", refuse_to_let_go)
    with imported.mounted("EDGED") as place:
        assert place is not None
    assert (place / "holiday.jpg").read_bytes() == b"a picture"
    assert ["umount", "--lazy", "--", str(place)] in asked


def test_a_stick_that_is_mounted_after_it_was_given_up_is_let_go_and_keeps_what_lies_on_it(tmp_path, monkeypatch):
    asked = []

    def answer_late(command, seconds):
        asked.append(command)
        if command[0] == "mount":
            (Path(command[-1]) / "holiday.jpg").write_bytes(b"a picture")
            raise subprocess.TimeoutExpired(command, seconds)
        return subprocess.CompletedProcess(command, 0, b"", b"")

    plug_in(tmp_path, monkeypatch)
    monkeypatch.setattr(imported, "run", answer_late)
    with imported.mounted("EDGED") as place:
        assert place is None
    assert [command[0] for command in asked] == ["mount", "umount"], "it is not waited for twice"
    assert Path(asked[0][-1], "holiday.jpg").read_bytes() == b"a picture"


def test_the_folder_of_a_stick_goes_with_it(tmp_path, monkeypatch):
    plug_in(tmp_path, monkeypatch)
    monkeypatch.setattr(imported, "run", lambda command, _: subprocess.CompletedProcess(command, 0, b"", b""))
    with imported.mounted("EDGED") as place:
        assert place.is_dir()
    assert not place.exists()


@pytest.mark.parametrize(("address", "gateway"), [("192.168.1.20/24", "fe80::1"), ("fd00::20/64", "192.168.1.1")])
def test_a_router_of_the_other_kind_of_address_is_refused(tmp_path, address, gateway):
    raw = {"camera": {"door": {"source": "csi://0"}}, "network": {"address": address, "gateway": gateway}}
    with pytest.raises(ConfigError, match="two kinds"):
        settings_of(raw, tmp_path / "edged.toml", tmp_path)
