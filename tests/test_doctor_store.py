"""What `edged doctor` says of the database and its disk, however they behave."""

import os
import time
from pathlib import Path

import pytest
from support.cameras import children
from support.mosquitto import until

from edged import doctor
from edged.config import Config, StoreConfig
from edged.doctor import Finding
from edged.store import Store


def found(path: Path) -> dict[str, Finding]:
    return {finding.what: finding for finding in doctor._store(path)[0]}


def test_a_store_that_is_not_there_yet_will_be_made(tmp_path):
    findings = found(tmp_path / "deeper" / "edged.db")
    assert (findings["store"].verdict, findings["disk"].verdict) == ("ok", "ok")
    assert "will be made" in findings["store"].line
    assert f"GB free in {tmp_path}" in findings["disk"].line


def test_a_sound_and_a_damaged_database_are_told_apart(tmp_path):
    path = tmp_path / "edged.db"
    Store(path).close()
    assert found(path)["store"].line == f"{path}: ok"
    path.write_bytes(b"no database at all" * 1000)
    assert found(path)["store"].verdict == "problem"
    assert "damaged" in found(path)["store"].line


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_names_the_remedy(tmp_path):
    tmp_path.chmod(0o500)
    assert "chown" in found(tmp_path / "edged.db")["store"].line


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "ADVISED_FREE_BYTES", 10**18)
    assert found(tmp_path / "edged.db")["disk"].verdict == "problem"


@pytest.mark.parametrize("name", ["edged.db", "a/b/edged.db"])
def test_a_store_on_a_dead_mount_holds_nobody_up(dead_mount, monkeypatch, name):
    """The whole examination: engines lie beside the database, too."""
    monkeypatch.setattr(doctor, "PLACE_S", 2.0)
    began = time.monotonic()
    findings = {f.what: f for f in doctor.examine(Config(store=StoreConfig(path=dead_mount / name)))}
    assert time.monotonic() - began < 60
    assert findings["store"].verdict == "problem"
    assert "does not answer within 2 s" in findings["store"].line
    assert "mount it again" in findings["store"].line
    assert "disk" not in findings
    assert findings["model mask"].verdict == "ok"
    assert findings["broker"].verdict == "warning", "what comes after it is examined, too"
    assert until(lambda: not children(os.getpid()))


def test_a_check_that_takes_too_long_is_given_up(tmp_path, monkeypatch):
    path = tmp_path / "edged.db"
    Store(path).close()
    monkeypatch.setattr(doctor, "SOUNDNESS_S", 0.001)
    assert "does not answer within 0.001 s" in found(path)["store"].line


def test_an_examination_that_crashes_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "EXAMINER", (doctor.sys.executable, "-c", "import sys; sys.exit('no luck')"))
    findings, answers = doctor._store(tmp_path / "edged.db")
    assert findings[0].line.endswith("cannot be examined (no luck)")
    assert not answers
