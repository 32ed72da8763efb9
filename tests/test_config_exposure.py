"""Config and secret files that every user of the machine may read or change draw a line with the remedy."""

import re
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from edged.capture.feeds import capture_settings
from edged.cli import cli
from edged.config import exposures, load_config
from edged.config.exposure import SECRETS
from edged.publish import read_password

CONFIG = """
[camera.door]
source = "rtsp://h/x"
credentials_file = "{folder}/door"
[mqtt]
host = "h"
username = "u"
password_file = "{folder}/mqtt"
"""


@pytest.fixture
def files():
    """A config and its secrets as they should be, in a folder that others can enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own folders are shut to others
        folder = Path(name)
        folder.chmod(0o755)
        yield laid_out(folder)


def laid_out(folder):
    files = {name: folder / name for name in ("edged.toml", "door", "mqtt")}
    files["edged.toml"].write_text(CONFIG.format(folder=folder))
    for name in ("door", "mqtt"):
        files[name].write_text("admin:secret\n")
        files[name].chmod(0o640)
    files["edged.toml"].chmod(0o644)
    return files


def told(files):
    path = files["edged.toml"]
    return exposures(path, load_config(path))


def test_files_as_they_should_be_are_passed_over(files):
    assert told(files) == []


@pytest.mark.parametrize(
    ("name", "mode", "line"),
    [
        ("edged.toml", 0o646, "the config: every user of this machine can change .*; run `chmod o-rw .*edged.toml`"),
        ("door", 0o644, r"key camera.door.credentials_file: every user .* can read .*; run `chmod o-r .*door`"),
        ("mqtt", 0o602, r"key mqtt.password_file: every user of this machine can change .*mqtt"),
        ("mqtt", 0o604, r"key mqtt.password_file: every user of this machine can read .*mqtt"),
    ],
)
def test_a_file_that_others_may_read_or_change_is_told(files, name, mode, line):
    files[name].chmod(mode)
    (said,) = told(files)
    assert re.match(line, said)


def test_every_key_that_names_a_file_is_known_as_secret_or_as_public(tmp_path):
    file = tmp_path / "edged.toml"
    file.write_text('[camera.door]\nsource = "csi://0"\n')
    config = load_config(file)
    sections = [config.camera["door"], *(getattr(config, name) for name in type(config).model_fields)]
    keys = {key for section in sections for key in getattr(type(section), "model_fields", ()) if key.endswith("_file")}
    assert {key for key in keys if not key.endswith(SECRETS)} == {"ca_file", "cert_file"}
    assert len(keys) >= 7


@pytest.mark.parametrize("key", ["token_file", "sign_key_file"])
def test_the_secrets_of_exports_are_looked_at_too(files, key):
    path = files["edged.toml"]
    path.write_text(path.read_text() + f'[export]\nto = "https://h/x"\n{key} = "{files["mqtt"].with_name("key")}"\n')
    files["mqtt"].with_name("key").write_text("secret")
    (said,) = told(files)
    assert re.match(f"key export.{key}: every user of this machine can read", said)


def test_a_config_that_holds_a_password_is_a_secret_itself(files):
    path = files["edged.toml"]
    path.write_text('[camera.door]\nsource = "rtsp://admin:secret@h/x"\n')
    (said,) = told(files)
    assert "can read" in said
    assert "secret@" not in said


def test_a_folder_that_others_may_write_lets_them_replace_the_file(files):
    folder = files["mqtt"].parent
    folder.chmod(0o777)
    assert all("can replace" in line for line in told(files))
    assert len(told(files)) == 3
    folder.chmod(0o1777)
    assert told(files) == []


def test_what_nobody_else_can_get_at_is_passed_over(files):
    files["mqtt"].chmod(0o666)
    files["mqtt"].parent.chmod(0o750)
    assert told(files) == []


def test_a_secret_that_is_not_there_is_told_elsewhere(files):
    files["mqtt"].unlink()
    assert told(files) == []


def test_config_check_warns_and_still_succeeds(files):
    files["edged.toml"].chmod(0o666)
    done = CliRunner().invoke(cli, ["config", "check", "--config", str(files["edged.toml"])])
    assert done.exit_code == 0
    assert "warning: the config: every user of this machine can change" in done.stderr


def test_what_a_windows_editor_adds_is_no_part_of_a_secret(files):
    for name in ("door", "mqtt"):
        files[name].write_bytes(b"\xef\xbb\xbfadmin:secret\r\n")
    config = load_config(files["edged.toml"])
    assert read_password(config.mqtt) == "admin:secret"
    assert capture_settings(config.camera["door"])[0].uri == "rtsp://admin:secret@h/x"


def test_config_check_names_credentials_that_cannot_be_read(files):
    files["door"].unlink()
    done = CliRunner().invoke(cli, ["config", "check", "--config", str(files["edged.toml"])])
    assert done.exit_code == 0, "the other cameras will do"
    assert f"warning: camera door: {files['door']}: the camera's credentials cannot be read" in done.stderr


def test_a_webhooks_address_is_a_secret_like_a_password(tmp_path) -> None:
    """It may hold a token: it is not printed, and a file with it is not for everybody."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        file = Path(folder) / "edged.toml"
        file.write_text('[camera.door]\nsource = "csi://0"\n[webhook]\nurl = "https://hooks.example/T0/token"\n')
        file.chmod(0o644)
        (line,) = exposures(file, load_config(file))
        assert "which holds a secret" in line
        shown = CliRunner().invoke(cli, ["config", "show", "--config", str(file)]).output
        assert '"url": "***"' in shown
        assert "token" not in shown.replace("token_file", "")
