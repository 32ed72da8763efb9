"""Passwords and certificates: read from where they should be, and named when they cannot be used."""

import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from support.mosquitto import Certificates, Mosquitto, make_certificates, needs_mosquitto, until
from support.publishing import MemoryOutbox, publishing

from edged.config import MqttConfig
from edged.errors import ConfigError
from edged.publish import Publisher, check_mqtt, read_password

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def config(**keys: Any) -> MqttConfig:
    return MqttConfig(host="localhost", **keys)


@pytest.mark.parametrize(
    ("content", "password"),
    [("word", "word"), ("word\n", "word"), ("word\r\n", "word"), ("word\n\n", "word\n"), (" w ö ", " w ö ")],
)
def test_a_password_file_loses_one_trailing_newline(tmp_path: Path, content: str, password: str) -> None:
    (tmp_path / "password").write_bytes(content.encode())
    assert read_password(config(username="u", password_file=tmp_path / "password")) == password


def test_the_systemd_credential_is_used_when_no_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_password(config(username="u")) is None
    (tmp_path / "mqtt_password").write_text("from systemd\n")
    assert read_password(config(username="u")) == "from systemd"
    (tmp_path / "other").write_text("from the file\n")
    assert read_password(config(username="u", password_file=tmp_path / "other")) == "from the file"
    assert read_password(config()) is None


def test_an_empty_systemd_credential_names_the_file_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drop-in's SetCredential= stands in for a file that is not there."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "mqtt_password").write_text("\n")
    with pytest.raises(ConfigError, match=r"credential mqtt_password: is empty; .*/etc/edged/mqtt-password"):
        read_password(config(username="u"))


@pytest.mark.parametrize(
    ("content", "word"), [(None, "No such file"), (b"", "empty"), (b"\n", "empty"), (b"s3\xff", "UTF-8")]
)
def test_a_password_that_cannot_be_used_names_the_key_and_not_the_password(
    tmp_path: Path, content: bytes | None, word: str
) -> None:
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    with pytest.raises(ConfigError, match=word) as caught:
        check_mqtt(config(username="u", password_file=tmp_path / "password"))
    assert "mqtt.password_file" in str(caught.value)
    assert "s3" not in str(caught.value)
    assert caught.value.exit_code == 78


def test_a_folder_is_no_password_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.password_file.*not a regular file"):
        read_password(config(username="u", password_file=tmp_path))


@needs_openssl
def test_good_certificates_pass(certificates: Certificates) -> None:
    check_mqtt(
        config(tls=True, ca_file=certificates.ca, cert_file=certificates.client, key_file=certificates.client_key)
    )
    check_mqtt(config(tls=True))
    check_mqtt(config())


@needs_openssl
@pytest.mark.parametrize(
    ("key", "fault"),
    [
        *product(["ca_file", "cert_file", "key_file"], ["missing", "folder", "empty", "text", "truncated"]),
        ("cert_file", "other"),
        ("key_file", "other"),
    ],
)
def test_a_broken_certificate_file_is_named_before_anything_starts(
    certificates: Certificates, tmp_path: Path, key: str, fault: str
) -> None:
    good = {"ca_file": certificates.ca, "cert_file": certificates.client, "key_file": certificates.client_key}
    files = {**good, key: _break(good[key], certificates, tmp_path, fault)}
    broken = config(tls=True, **files)
    with pytest.raises(ConfigError, match=rf"mqtt\.{key} = '{files[key]}'"):
        check_mqtt(broken)
    with pytest.raises(ConfigError):
        Publisher(broken, "dev1", MemoryOutbox(), print, discovery=None, password=None)


def _break(good: Path, certificates: Certificates, folder: Path, fault: str) -> Path:
    path = folder / "broken.pem"
    match fault:
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case "text":
            path.write_text("not a certificate\n")
        case "truncated":
            path.write_text(good.read_text()[:100])
        case "other":
            path.write_bytes((certificates.server_key if good.suffix == ".key" else certificates.ca).read_bytes())
    return path


@needs_openssl
def test_an_encrypted_key_is_refused_without_asking_for_its_password(
    certificates: Certificates, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", str(certificates.client_key), "-aes256", "-passout", "pass:word", "-out"]
    subprocess.run([*command, str(locked)], check=True, capture_output=True, timeout=120)
    program = (
        "from edged.config import MqttConfig; from edged.publish import check_mqtt;"
        f"check_mqtt(MqttConfig(host='x', tls=True, cert_file='{certificates.client}', key_file='{locked}'))"
    )
    # OpenSSL asks on the terminal, or on stdin where there is none.
    asked = subprocess.run(
        [sys.executable, "-c", program],
        input="word\n", capture_output=True, text=True, timeout=120, start_new_session=True,
    )  # fmt: skip
    assert "must not be encrypted" in asked.stderr


@needs_mosquitto
def test_a_password_that_was_changed_is_taken_up_by_the_next_connection(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("the one before\n")
    with (
        Mosquitto(tmp_path / "broker", users={"camera": "the one now"}) as broker,
        publishing(broker.port, username="camera", password_file=secret) as publisher,
    ):
        assert until(lambda: "mqtt.password_file" in (publisher.problem or ""))
        secret.unlink()
        assert until(lambda: "cannot be read" in (publisher.problem or "")), "it is being replaced"
        secret.write_text("the one now\n")
        assert until(lambda: publisher.connected), publisher.problem
        assert publisher.problem is None


def test_a_publisher_without_a_broker_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"mqtt\.host"):
        Publisher(MqttConfig(), "dev1", MemoryOutbox(), print, discovery=None, password=None)
