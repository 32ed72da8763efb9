"""Reads the broker's password and certificates, and says which key of the config is wrong when one cannot be used."""

import ssl

from edged.config import MqttConfig
from edged.connections import read_file, read_secret, reason, server_context
from edged.errors import ConfigError


def check_mqtt(config: MqttConfig) -> None:
    """Raise ConfigError when the password or a certificate file cannot be used. Opens no connection."""
    read_password(config)
    tls_context(config)


def read_password(config: MqttConfig) -> str | None:
    """The password from `password_file`, else from the systemd credential, else None. Raise ConfigError if unreadable."""
    return None if config.username is None else read_secret("mqtt", "password_file", config.password_file)


def tls_context(config: MqttConfig) -> ssl.SSLContext | None:
    """What checks the broker's certificate and name, None without TLS. Raise ConfigError naming the file at fault."""
    if not config.tls:
        return None
    for key, path in (("cert_file", config.cert_file), ("key_file", config.key_file)):
        if path is not None:
            read_file(path, f"key mqtt.{key} = '{path}'")
    context = server_context("mqtt.ca_file", config.ca_file)
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
            f" ({reason(error)}); both must be PEM, belong together, and the key must not be encrypted"
        ) from None
