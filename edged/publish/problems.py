"""Says in one line why the broker is not there and what a person can do about it; knows no secret."""

import socket
import ssl

from edged.config import MqttConfig
from edged.errors import Unavailable

# The reason codes of MQTT 5; paho translates those of 3.1.1 into them.
UNSUPPORTED_VERSION = 0x84
BAD_CLIENT_ID = 0x85
NOT_ALLOWED = (0x86, 0x87)
UNAVAILABLE = (0x88, 0x89)
UNSPECIFIED = 0x80
TAKEN_OVER = 0x8E
NOT_LET_IN = "user name or password wrong, or not allowed"


class LinkDown(Unavailable):
    """There is no connection to the broker, or no more."""


def cannot_connect(error: Exception, config: MqttConfig) -> str:
    """Why no TCP or TLS connection came about."""
    where = f"{config.host}:{config.effective_port}"
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"{where}: the broker's certificate is not accepted ({error.verify_message});"
                " check mqtt.ca_file, and that mqtt.host is a name in the certificate"
            )
        case ssl.SSLError():
            return (
                f"{where}: no TLS connection ({error.reason or 'broken off'}); check mqtt.port and mqtt.tls,"
                " and mqtt.cert_file if the broker wants one"
            )
        case socket.gaierror() | UnicodeError():
            return f"cannot resolve {config.host}; check mqtt.host and this network's name server"
        case ConnectionRefusedError():
            return f"{where}: nothing listens there; check that the broker runs, and mqtt.port"
        case TimeoutError():
            return f"{where}: no answer; check mqtt.host, the network and any firewall"
        case OSError():
            return f"{where}: cannot be reached ({error.strerror or error}); check the network"
    return f"{where}: cannot be reached ({type(error).__name__})"


def refused(code: int, name: str, config: MqttConfig) -> str:
    """Why the broker did not accept the connection."""
    where = f"{config.host}:{config.effective_port} refused the connection"
    if code in NOT_ALLOWED and config.username is None:
        return f"{where}: it wants a user name and password; set mqtt.username and mqtt.password_file"
    if code in NOT_ALLOWED:
        return f"{where}: {NOT_LET_IN}; check mqtt.username and mqtt.password_file"
    if code == UNSUPPORTED_VERSION:
        return f'{where}: it does not speak MQTT {config.version}; set mqtt.version = "{other_version(config)}"'
    if code == BAD_CLIENT_ID:
        return f"{where}: it does not accept the client id; change device.id"
    if code in UNAVAILABLE:
        return f"{where}: it is unavailable or busy; look into the broker's log"
    return f"{where}: {name}; look into the broker's log"


def no_answer(config: MqttConfig) -> str:
    """The broker took the TCP connection, and said nothing."""
    return f"{config.host}:{config.effective_port}: connected, but no MQTT broker answers there; check mqtt.port and mqtt.tls"


def closed_unanswered(config: MqttConfig) -> str:
    """The broker hung up on CONNECT."""
    certificate = ", mqtt.cert_file if the broker wants one" if config.tls else ""
    return (
        f"{config.host}:{config.effective_port}: closed the connection instead of answering;"
        f' check mqtt.port and mqtt.tls{certificate}, or set mqtt.version = "{other_version(config)}"'
    )


def lost(code: int, name: str, config: MqttConfig, client_id: str) -> str:
    """Why an accepted connection ended."""
    if code == TAKEN_OVER:
        return another_client(client_id)
    how = "it was closed" if code == UNSPECIFIED else name
    return f"lost the connection to {config.host}:{config.effective_port} ({how}); trying again"


def another_client(client_id: str) -> str:
    """Two clients of one id throw each other out for ever."""
    return f"another client uses the client id {client_id} too; give each device its own device.id"


def flapping(client_id: str) -> str:
    """The broker does not say why."""
    return (
        "the broker accepts the connection and ends it, again and again: another client may use the client id"
        f" {client_id} too (give each device its own device.id); the broker's log says more"
    )


def not_acknowledging(config: MqttConfig, seconds: float) -> str:
    return (
        f"{config.host}:{config.effective_port}: a message was not acknowledged for {seconds:g} s; connecting anew,"
        " look into the broker's log if this goes on"
    )


def messages_refused(prefix: str) -> str:
    return (
        f"the broker does not take some messages; they are kept and offered again: allow this user to write {prefix}/#,"
        " and check the broker's limits"
    )


def subscription_refused(prefix: str) -> str:
    return (
        f"the broker does not let this user listen to {prefix}/cmd/+, so commands do not arrive; allow it to read there"
    )


def other_version(config: MqttConfig) -> str:
    return "3.1.1" if config.version == "5" else "5"
