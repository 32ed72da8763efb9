"""A program of the system is waited for as long as was said, and no longer, whatever it does when it is killed."""

import logging
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from support.mosquitto import until

from edged.capture import recovery
from edged.errors import Failed, Unavailable
from edged.export.spool import _signature
from edged.host import thermal
from edged.processes.program import run


@pytest.fixture
def hanging(tmp_path, monkeypatch):
    """Programs of these names, before all others, which never end; gives the folder."""

    def make(*names):
        for name in names:
            (tmp_path / name).write_text("#!/bin/sh\nexec sleep 60\n")
            (tmp_path / name).chmod(0o755)
        return tmp_path

    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return make


def test_what_it_reads_says_and_ends_with(tmp_path):
    done = run(
        ["sh", "-c", "cat; echo $WORD >&2; umask; exit 3"], 30, given=b"text ", environment={"WORD": "no"}, umask=0o27
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, b"text 0027\n", b"no\n")
    with pytest.raises(FileNotFoundError):
        run([str(tmp_path / "missing")], 30)


def test_one_that_never_falls_silent_fills_no_memory_and_is_killed(tmp_path):
    began = time.monotonic()
    with pytest.raises(OSError, match="it says more than 1048576 bytes"):
        run(["sh", "-c", f"echo $$ >{tmp_path / 'pid'}; exec yes"], 30)
    assert time.monotonic() - began < 20
    assert gone((tmp_path / "pid").read_text().strip())


def test_one_that_reads_slowly_or_not_to_the_end_is_given_what_it_takes():
    text = b"line\n" * 100_000
    assert run(["sh", "-c", "sleep 0.3; wc -c"], 30, given=text).stdout.strip() == b"500000"
    done = run(["sh", "-c", "head -c 4; exec 0<&-; sleep 0.3; exit 5"], 30, given=text)
    assert (done.returncode, done.stdout) == (5, b"line")
    assert run(["cat"], 30, given=b"").stdout == b""


def test_one_that_takes_too_long_is_killed_with_all_that_it_started(tmp_path):
    file, limit_s = tmp_path / "pid", 1
    while not (file.exists() and file.read_text().endswith("\n")):  # on a busy machine it is killed before it has begun
        began = time.monotonic()
        with pytest.raises(subprocess.TimeoutExpired):
            run(["sh", "-c", f"sleep 600 & echo $! >{file}; wait"], limit_s)
        assert time.monotonic() - began < limit_s + 60
        limit_s *= 2
    assert until(lambda: gone(file.read_text().strip()))


def gone(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_one_that_cannot_be_killed_or_whose_output_stays_open_is_not_waited_for(tmp_path, monkeypatch):
    """Nothing but a driver keeps a program from being killed; here the kill does not arrive."""
    killpg = os.killpg
    killed = []
    monkeypatch.setattr("edged.processes.program.os.killpg", lambda pid, _: killed.append(pid))
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        run(["sleep", "600"], 0.5)
    assert time.monotonic() - began < 100
    killpg(killed[0], signal.SIGKILL)


def test_a_pis_firmware_that_hangs_is_said_once_and_left_alone(hanging, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(thermal, "VCGENCMD", (str(hanging("vcgencmd") / "vcgencmd"), "get_throttled"))
    monkeypatch.setattr(thermal, "ANSWER_S", 0.3)
    monkeypatch.setattr(thermal, "_silent_until_s", float("-inf"))
    read = [thermal.read_thermal_state(tmp_path, tmp_path / "none") for _ in range(3)]
    assert read == [thermal.ThermalState(None)] * 3
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "vcgencmd has not answered within 0.3 s" in line
    assert "restart the board" in line


def test_a_reset_whose_output_somebody_keeps_open_is_not_waited_for():
    began = time.monotonic()
    problem = recovery._run(["sh", "-c", "sleep 60 & echo no; exit 1"], "allow it", threading.Event())
    assert problem == "no; allow it"
    assert time.monotonic() - began < recovery.TIMEOUT_S


def test_a_key_that_does_not_sign_in_time_is_said_in_one_line(hanging, tmp_path, monkeypatch):
    hanging("ssh-keygen")
    monkeypatch.setattr("edged.export.spool.SIGNS_WITHIN_S", 0.5)
    with pytest.raises(Failed, match=r"ssh-keygen has not signed within 0.5 s; see whether"):
        _signature(b"text", tmp_path / "key")


def test_a_certificate_that_openssl_does_not_make_or_read_in_time_is_said_in_one_line(
    hanging, tmp_path, monkeypatch, caplog
):
    pytest.importorskip("uvicorn")
    from edged.console import certificate

    hanging("openssl")
    monkeypatch.setattr(certificate, "OPENSSL_S", 0.3)
    with pytest.raises(Unavailable, match=r"openssl has made no certificate within 0.3 s; see whether"):
        certificate._make(tmp_path / "cert", tmp_path / "key", ["DNS:door"])
    assert not certificate.ends_soon(tmp_path / "cert")
    assert certificate.missing_names(tmp_path / "cert") == []
    assert len([line for line in caplog.messages if "openssl has not" in line]) == 2
