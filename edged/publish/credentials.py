"""Reads the broker's password and certificates, and says which key of the config is wrong when one cannot be used."""

import os
import ssl
from pathlib import Path

from edged.config import MqttConfig
from edged.errors import ConfigError
from edged.files import read_regular

CREDENTIAL = "mqtt_password"
CREDENTIAL_REMEDY = (
    "the file that the unit's LoadCredential= names is missing, or holds nothing: put the password into it"
    " (/etc/edged/mqtt-password in 20-credential.conf), and restart the unit"
)
LONGEST_BYTES = 65_535  # what MQTT can carry


def check_mqtt(config: MqttConfig) -> None:
    """Raise ConfigError when the password or a certificate file cannot be used. Opens no connection."""
    read_password(config)
    tls_context(config)


def read_password(config: MqttConfig) -> str | None:
    """The password from `password_file`, else from the systemd credential, else None. Raise ConfigError if unreadable."""
    if config.username is None:
        return None
    if config.password_file is not None:
        return _secret(config.password_file, f"key mqtt.password_file = '{config.password_file}'")
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and (path := Path(folder) / CREDENTIAL).exists():
        return _secret(path, f"systemd credential {CREDENTIAL}", CREDENTIAL_REMEDY)
    return None


def tls_context(config: MqttConfig) -> ssl.SSLContext | None:
    """What checks the broker's certificate and name, None without TLS. Raise ConfigError naming the file at fault."""
    if not config.tls:
        return None
    for key, path in (("ca_file", config.ca_file), ("cert_file", config.cert_file), ("key_file", config.key_file)):
        if path is not None:
            _read(path, f"key mqtt.{key} = '{path}'")
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"key mqtt.ca_file = '{config.ca_file}': holds no certificate ({_reason(error)}); it must be PEM"
        ) from None
    if config.cert_file is not None:
        _load_client_certificate(context, config)
    return context


def _load_client_certificate(context: ssl.SSLContext, config: MqttConfig) -> None:
    try:
        # Without a password here, an encrypted key would make OpenSSL ask for one on the terminal, and wait.
        context.load_cert_chain(str(config.cert_file), config.key_file, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(
            f"keys mqtt.cert_file = '{config.cert_file}', mqtt.key_file = '{config.key_file}': cannot be used"
            f" ({_reason(error)}); both must be PEM, belong together, and the key must not be encrypted"
        ) from None


def _secret(path: Path, what: str, remedy: str = "write the password into it, or leave the key out") -> str:
    """The file's text without a byte order mark and its one trailing newline. The text itself is in no message."""
    try:
        secret = _read(path, what).decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigError(f"{what}: is not UTF-8 text; write the password alone into it") from None
    if not secret:
        raise ConfigError(f"{what}: is empty; {remedy}")
    return secret


def _read(path: Path, what: str) -> bytes:
    try:
        return read_regular(path, LONGEST_BYTES * 16)
    except OSError as error:
        raise ConfigError(
            f"{what}: cannot be read ({error.strerror}); the file must exist and be readable by the user edged runs as"
        ) from None
    except ValueError:
        raise ConfigError(f"{what}: is too large to be what it should be") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__)
