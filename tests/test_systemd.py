"""The shipped units: systemd accepts them, they are hardened, and they keep the promises the daemon relies on."""

import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from edged.daemon.client import socket_path
from edged.live import live_path
from edged.toml import tomllib

UNITS = Path(__file__).parent.parent / "systemd"
PROGRAM = "/opt/edged/bin/edged"
PYTHON = "/opt/edged/bin/python"
ANALYZE = shutil.which("systemd-analyze")
needs_analyze = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **more)


def keys(path):
    """Each key of a unit with its values, in order; an empty value resets, as systemd has it."""
    found = {}
    for line in path.read_text().splitlines():
        if "=" in line and not line.startswith(("#", ";")):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def installed(tmp_path):
    """The units with a program that is there: systemd-analyze looks whether ExecStart can be run."""
    program = tmp_path / "edged"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in [*UNITS.glob("*.service"), *UNITS.glob("*.timer")]:
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAM, str(program)).replace(PYTHON, str(program)))
    return tmp_path


@needs_analyze
@pytest.mark.parametrize(
    "unit",
    [
        *(
            "edged.service",
            "edged-report.service",
            "edged-report.timer",
            "edged-import.service",
            "edged-console.service",
        ),
        *("edged-export.service", "edged-export.timer"),
    ],
)
def test_systemd_accepts_the_unit_without_a_word(installed, unit):
    done = run(ANALYZE, "verify", "--man=no", str(installed / unit))
    assert (done.returncode, done.stderr) == (0, "")


@needs_analyze
@pytest.mark.parametrize(
    ("unit", "threshold"),
    [
        ("edged.service", 20),
        ("edged-report.service", 15),
        ("edged-import.service", 40),
        ("edged-export.service", 20),
        ("edged-console.service", 20),
    ],
)
def test_the_unit_is_exposed_to_little(unit, threshold):
    done = run(ANALYZE, "security", "--offline=true", f"--threshold={threshold}", str(UNITS / unit))
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("unit", ["edged.service", "edged-report.service", "edged-export.service"])
def test_the_unit_may_write_its_state_and_nothing_else(unit):
    found = keys(UNITS / unit)
    assert (found["ProtectSystem"], found["ProtectHome"], found["NoNewPrivileges"]) == (["strict"], ["yes"], ["yes"])
    assert "ReadWritePaths" not in found


@needs_analyze
@pytest.mark.parametrize("drop_in", sorted(UNITS.glob("edged.service.d/*.conf")), ids=lambda path: path.name)
def test_every_drop_in_is_valid_once_its_lines_are_taken_in(installed, drop_in):
    lines = drop_in.read_text().splitlines()
    settings = [line[1:] for line in lines if line.startswith("#") and line[1:2] not in ("", " ")]
    assert any(line.startswith("[Service]") for line in settings)
    assert keys(drop_in) == {}, "what not every box needs must be commented out"
    folder = installed / "edged.service.d"
    folder.mkdir()
    (folder / drop_in.name).write_text("\n".join(settings))
    done = run(ANALYZE, "verify", "--man=no", str(installed / "edged.service"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("WatchdogSec", "30s"),
        ("Restart", "on-failure"),
        ("RestartSec", "5s"),
        ("RestartPreventExitStatus", "78"),
        ("StartLimitIntervalSec", "0"),
        ("ExecStart", f"{PROGRAM} run --wait-for-camera --config /etc/edged/edged.toml"),
        ("ExecReload", f"{PROGRAM} config apply --config /etc/edged/edged.toml"),
        ("User", "edged"),
        ("StateDirectory", "edged"),
    ],
)
def test_the_daemon_is_watched_restarted_and_reloaded_as_it_expects(key, value):
    assert keys(UNITS / "edged.service")[key] == [value]


def test_at_boot_the_daemon_comes_before_the_console_and_before_what_can_wait():
    """Ordering alone: the console starts also when the daemon cannot."""
    daemon, console = keys(UNITS / "edged.service"), keys(UNITS / "edged-console.service")
    assert int(daemon["StartupCPUWeight"][0]) > 100  # what every other unit has
    assert "edged.service" in console["After"][0].split()
    assert not {"Requires", "Wants", "BindsTo", "PartOf"} & console.keys()


@pytest.mark.parametrize("unit", ["edged.service", "edged-report.service", "edged-export.service"])
def test_no_crash_leaves_a_core_dump(unit):
    assert keys(UNITS / unit)["LimitCORE"] == ["0"]


def test_the_daemon_listens_on_no_port_and_the_report_knows_no_network():
    daemon, report = keys(UNITS / "edged.service"), keys(UNITS / "edged-report.service")
    # Not "any": that would also forbid port 0, which paho binds before it connects.
    assert daemon["SocketBindDeny"] == ["tcp:1-65535"]
    assert daemon["RestrictAddressFamilies"] == ["AF_UNIX AF_INET AF_INET6"]
    assert (report["PrivateNetwork"], report["IPAddressDeny"], report["RestrictAddressFamilies"]) == (
        ["yes"],
        ["any"],
        ["none"],
    )


def test_an_owner_can_close_the_network_but_for_named_addresses():
    lines = (UNITS / "edged.service.d" / "network.conf").read_text().splitlines()
    assert {"#IPAddressDeny=any", "#IPAddressAllow=localhost"} <= set(lines)


def test_the_daemon_reaches_cameras_and_gpus_and_starts_without_a_credential():
    unit = keys(UNITS / "edged.service")
    assert {"char-video4linux rw", "char-drm rw", "char-nvidia rw"} <= set(unit["DeviceAllow"])
    assert set(unit["SupplementaryGroups"][0].split()) == {"video", "render", "audio", "gpio"}
    assert {"char-gpiochip rw", "char-alsa rw", "char-usb_device rw"} <= set(unit["DeviceAllow"])
    # Each of these would break cameras, CUDA or an offline site.
    for key in ("MemoryDenyWriteExecute", "PrivateUsers", "PrivateDevices", "DynamicUser", "LoadCredential"):
        assert key not in unit
    assert "time-sync.target" not in " ".join(unit["After"])


def test_lines_are_put_to_their_safe_side_after_every_end_of_the_daemon():
    """systemd runs it after a kill, a crash and the watchdog, too."""
    unit = keys(UNITS / "edged.service")
    assert unit["ExecStopPost"] == ["-/opt/edged/bin/edged outputs safe --config /etc/edged/edged.toml"]


def test_the_report_runs_as_the_daemons_user_after_midnight_and_makes_up_for_missed_nights():
    daemon, report = keys(UNITS / "edged.service"), keys(UNITS / "edged-report.service")
    timer = keys(UNITS / "edged-report.timer")
    assert report["User"] == daemon["User"]
    assert (timer["OnCalendar"], timer["Persistent"]) == (["*-*-* 00:10:00"], ["true"])


def test_the_reports_command_writes_yesterdays_page_into_the_state_directory():
    (command,) = keys(UNITS / "edged-report.service")["ExecStart"]
    assert command.split() == [
        *(PROGRAM, "report", "yesterday"),
        *("--config", "/etc/edged/edged.toml"),
        *("--format", "html"),
        *("--out", "%S/edged/reports"),
    ]


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")
@pytest.mark.parametrize("groups", ["", "g video 44 -\ng render - -\n"], ids=["alone", "beside Debian's own"])
def test_the_user_is_made_with_its_groups_without_a_word_of_complaint(tmp_path, groups):
    (tmp_path / "etc").mkdir()
    folder = tmp_path / "usr/lib/sysusers.d"
    folder.mkdir(parents=True)
    (folder / "basic.conf").write_text(groups)
    shutil.copy(UNITS / "edged.sysusers.conf", folder / "edged.conf")
    done = run("systemd-sysusers", f"--root={tmp_path}")
    said = [line for line in done.stderr.splitlines() if not line.startswith(("Creating ", "Adding "))]
    assert (done.returncode, said) == (0, [])
    members = dict(line.split(":", 1) for line in (tmp_path / "etc/group").read_text().splitlines())
    assert members["video"].endswith(":edged")
    assert members["render"].endswith(":edged")
    assert ":/var/lib/edged:/usr/sbin/nologin" in (tmp_path / "etc/passwd").read_text()


def test_the_console_has_a_user_of_its_own_little_memory_and_no_device():
    unit = keys(UNITS / "edged-console.service")
    assert (unit["User"], unit["SupplementaryGroups"]) == (["edged-console"], ["edged"])
    assert (unit["MemoryMax"], unit["PrivateDevices"], unit["StateDirectoryMode"]) == (["150M"], ["yes"], ["0700"])
    users = (UNITS / "edged.sysusers.conf").read_text().splitlines()
    assert ["m", "edged-console", "edged"] in [line.split() for line in users]
    # What the daemon writes must be readable for its group, and for nobody else.
    assert keys(UNITS / "edged.service")["UMask"] == ["0027"]


def test_a_missing_credential_file_is_left_to_the_daemon_which_names_it():
    lines = (UNITS / "edged.service.d/20-credential.conf").read_text().splitlines()
    settings = [line[1:] for line in lines if line.startswith(("#LoadCredential=", "#SetCredential="))]
    pairs = [line.split("=", 1)[1].split(":", 1) for line in settings]
    names = ["mqtt_password", "webhook_secret", "mail_password"]
    assert [name for name, _ in pairs[::2]] == names
    assert pairs[1::2] == [[name, "\\n"] for name in names]


def test_what_the_unit_points_to_is_what_an_installation_has():
    installed = tomllib.loads((UNITS.parent / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    shared = {f"file:///opt/edged/{there}": UNITS.parent / here for here, there in installed["shared-data"].items()}
    (documentation,) = keys(UNITS / "edged.service")["Documentation"]
    assert shared[documentation].is_file()


def test_folders_belong_to_the_daemon_and_the_config_to_root():
    lines = [line.split() for line in (UNITS / "edged.tmpfiles.conf").read_text().splitlines() if line[:1] == "d"]
    owners = {path: (mode, user, group) for _, path, mode, user, group, _ in lines}
    assert owners["/etc/edged"] == ("0750", "root", "edged")
    assert owners["/var/lib/edged"] == owners["/var/lib/edged/reports"] == ("0750", "edged", "edged")


def test_the_sockets_of_a_running_daemon_stay_open_to_its_group():
    """tmpfiles run while it serves, in each update; who connects to a socket must be able to write to it."""
    lines = [line.split() for line in (UNITS / "edged.tmpfiles.conf").read_text().splitlines() if line[:1] == "z"]
    set_to = {path: mode for _, path, mode, *_ in lines}
    database = Path("/var/lib/edged/edged.db")
    for beside in ("", "-wal", "-shm"):
        assert set_to[f"{database}{beside}"] == "0640"
    for socket in (socket_path(database), live_path(database)):
        assert not [path for path in set_to if fnmatch(str(socket), path)]
