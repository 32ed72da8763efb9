"""One line for each problem with the broker: what happened and what to do about it; holds no secret."""

import ssl

from edged.config import MqttConfig
from edged.connections import Peer, cannot_reach, one_line
from edged.errors import Unavailable
from edged.publish.packets import Case

# The reason codes of MQTT 5; paho translates those of 3.1.1 into them.
UNSUPPORTED_VERSION = 0x84
BAD_CLIENT_ID = 0x85
NOT_AUTHORIZED = 0x87
NOT_ALLOWED = (0x86, NOT_AUTHORIZED)
UNAVAILABLE = (0x88, 0x89)
UNSPECIFIED = 0x80
REFUSED_FROM = 0x80
"""Reason codes from here on are refusals."""
AGAIN = "; trying again"
TAKEN_OVER = 0x8E
KEEPALIVE_TIMEOUT = 0x8D
TOPIC_INVALID, NO_RETAIN, NO_QOS = 0x90, 0x9A, 0x9B
WILL_MAY_BE_TO_BLAME = frozenset({None, UNSPECIFIED, 0x83, *NOT_ALLOWED, TOPIC_INVALID, 0x99, NO_RETAIN, NO_QOS})
"""Reason codes with which a CONNECT is refused that may be accepted with another will, or none."""

WRONG_LOGIN = "user name or password wrong, or not allowed"


class Disconnected(Unavailable):
    """There is no connection to the broker, or no more."""

    def __init__(
        self,
        line: str,
        code: int | None = None,
        reason: str | None = None,
        *,
        refused: bool = False,
        silent: bool = False,
        oversize: bool = False,
    ) -> None:
        """`code` and `reason` are the broker's reason code and words, None when it gave none. `refused`: it refused CONNECT.
        `silent`: it did not end the connection, but answers nothing any more. `oversize`: it sends more than can be read.
        """
        super().__init__(line)
        self.code = code
        self.reason = reason
        self.refused = refused
        self.silent = silent
        self.oversize = oversize


def words(name: str, sentence: str | None) -> str:
    """What the broker said, as one short printable line: the reason code's name, and its own sentence if it gave one."""
    return one_line(name if not sentence else f"{name}: {sentence}")


def cannot_connect(error: Exception, config: MqttConfig) -> str:
    """Why no TCP or TLS connection came about."""
    port_key = "mqtt.port"
    if isinstance(error, ssl.SSLError):
        port_key = "mqtt.port and mqtt.tls, and mqtt.cert_file if the broker asks for one"
    host = str(config.host)
    return cannot_reach(error, Peer("broker", host, config.effective_port, "mqtt.host", port_key, "mqtt.ca_file"))


def refused(code: int, reason: str, config: MqttConfig) -> str:
    """Why the broker did not accept the connection; `reason` is in its own words."""
    where = f"{config.host}:{config.effective_port} refused the connection (reason: {reason})"
    if code in NOT_ALLOWED and config.username is None:
        return f"{where}: it asks for a user name and password; set mqtt.username and mqtt.password_file"
    if code in NOT_ALLOWED:
        return f"{where}: {WRONG_LOGIN}; check mqtt.username and mqtt.password_file"
    if code == UNSUPPORTED_VERSION:
        return f'{where}: it does not speak MQTT {config.version}; set mqtt.version = "{other_version(config)}"'
    if code == BAD_CLIENT_ID:
        return f"{where}: it does not accept the client id; change device.id"
    if code in UNAVAILABLE:
        return f"{where}: it is unavailable or busy; see the broker's log"
    if code in (NO_RETAIN, NO_QOS):
        return f"{where}: it does not accept the will message, which it would publish when this device is gone; trying without it"
    return f"{where}; see the broker's log"


def no_answer(config: MqttConfig) -> str:
    """The broker took the TCP connection, and said nothing."""
    return f"{config.host}:{config.effective_port}: connected, but no MQTT broker answers there; check mqtt.port and mqtt.tls"


def closed_unanswered(config: MqttConfig) -> str:
    """The broker ended the connection without answering CONNECT."""
    certificate = ", mqtt.cert_file if the broker asks for one" if config.tls else ""
    return (
        f"{config.host}:{config.effective_port}: closed the connection instead of answering;"
        f' check mqtt.port and mqtt.tls{certificate}, or set mqtt.version = "{other_version(config)}"'
    )


def lost(code: int, name: str, config: MqttConfig) -> str:
    """Why an accepted connection ended about which the broker said nothing."""
    how = "it was closed" if code == UNSPECIFIED else name
    return f"lost the connection to {config.host}:{config.effective_port} ({how}){AGAIN}"


def ended(code: int, reason: str, config: MqttConfig, client_id: str) -> str:
    """Why the broker ended an accepted connection, in its own words."""
    if code == TAKEN_OVER:
        return another_client(client_id)
    return f"{config.host}:{config.effective_port} ended the connection (reason: {reason}){AGAIN}"


def oversize(config: MqttConfig, what: str) -> str:
    return (
        f"{config.host}:{config.effective_port} sends {what}, which is not read; delete what is retained under"
        f" {config.prefix}/<device>/cmd/, and allow no other client to write there"
    )


def another_client(client_id: str) -> str:
    """Two clients with one id end each other's connection, for ever."""
    return f"another client uses the client id {client_id} too; give each device its own device.id"


def flapping(client_id: str) -> str:
    """The broker does not say why."""
    return (
        "the broker accepts the connection and ends it, again and again: another client may use the client id"
        f" {client_id} too (give each device its own device.id); the broker's log says more"
    )


def not_acknowledging(config: MqttConfig, seconds: float) -> str:
    return (
        f"{config.host}:{config.effective_port}: a message was not acknowledged for {seconds:g} s; connecting again,"
        " see the broker's log if this goes on"
    )


def will_refused(prefix: str) -> str:
    return (
        "the broker does not accept a retained will message, which it would publish when this device is gone, so"
        f" `availability` may stay online; allow this user retained messages on {prefix}/<device>/availability"
    )


def quarantined(case: Case, config: MqttConfig) -> str:
    """What the broker does not accept, why in its own words, and which key or permission mends it."""
    said = f"reason: {case.why}" if case.why else "it ends the connection, without a reason"
    what, user = f"{case.sample.topic} ({case.sample.size:,} bytes)", config.username or "this device"
    match case.purpose:
        case "discovery":
            return (
                f"the broker does not accept {what}, the discovery message for Home Assistant ({said}); set"
                " mqtt.discovery = false, or raise the broker's limit and allow this user to write"
                f" {config.discovery_prefix}/#"
            )
        case "subscription":
            return (
                f"the broker does not let {user} subscribe to {case.sample.topic} ({said}), so its messages do not"
                " arrive (under cmd/: commands do not arrive); allow it to read there, and delete what is retained there"
            )
        case "retention":
            return (
                f"the broker keeps no retained messages ({said}), so later subscribers do not get the present values;"
                f" allow {user} to retain messages under {config.prefix}/#"
            )
        case "message":
            what = f"messages on {case.sample.topic}" if case.topic else what
            return (
                f"the broker does not accept {what} ({said}); they are kept and sent again later: allow this user to write"
                f" {config.prefix}/# (mqtt.prefix, mqtt.username), and raise the broker's limit if it is the size"
            )


def hangs_up(topic: str, config: MqttConfig) -> str:
    return (
        f"the broker acknowledges messages on {topic} and ends the connection, as mosquitto does with what it denies: allow"
        f' this user to write {config.prefix}/#; with mqtt.version = "5" it says so instead, and the messages are kept'
    )


def other_version(config: MqttConfig) -> str:
    return "3.1.1" if config.version == "5" else "5"
