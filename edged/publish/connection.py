"""One MQTT connection, from dialling to its end, driven by one thread and never used again; the only file that knows paho."""

import select
import socket
import ssl
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edged.config import MqttConfig
from edged.connections import reach
from edged.errors import ConfigError
from edged.publish import problems
from edged.publish.commands import LONGEST_BYTES
from edged.publish.credentials import read_password, tls_context
from edged.publish.problems import Disconnected
from edged.publish.sockets import LARGEST_PACKET_BYTES, BoundedSocket, TooLong, Waker

OFFLINE = "offline"
MOST_MESSAGES = 64


@dataclass(frozen=True, slots=True)
class Will:
    """How the broker is asked to say that this device is gone."""

    topic: str
    qos: int = 1
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker said it takes; MQTT 3.1.1 says nothing."""

    receive_maximum: int = 65_535
    """How many messages in flight at most."""
    packet_bytes: int | None = None
    qos: int = 2
    retain: bool = True
    wildcards: bool = True
    """Whether one may subscribe to `+`."""


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails, which paho leaves to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


class _BoundedClient(Client):
    """paho, which reads whatever length a broker announces, with a socket that does not, and that comes about in time."""

    oversize: TooLong | None = None

    def _create_socket_connection(self) -> socket.socket:
        """Give all addresses of the broker's name together a limited time: paho gives each its whole one."""
        return reach(self.host, self.port, self.connect_timeout)

    def _create_socket(self) -> Any:
        return _Watched(super()._create_socket(), self)


class _Watched(BoundedSocket):
    """Tells its client why it ends: paho takes any OSError for a lost connection."""

    def __init__(self, sock: Any, client: _BoundedClient) -> None:
        super().__init__(sock)
        self._client = client

    def recv(self, size: int) -> bytes:
        try:
            return super().recv(size)
        except TooLong as error:
            self._client.oversize = error
            raise


class Connection:
    """paho without its thread, its reconnecting and its queue.

    An exception in a callback ends paho's thread in silence; a client that reconnects by itself sends again what the
    outbox sends again too. So each connection has its own client, and callbacks run in the thread that calls `turn`.
    """

    def __init__(
        self,
        config: MqttConfig,
        client_id: str,
        password: str | None = None,
        *,
        will: Will | None,
        connect_s: float,
        waker: Waker,
    ) -> None:
        """`password`: instead of the one in the config's file, which is read anew at each `dial`."""
        self._config = config
        self._client_id = client_id
        self._password = password
        self._waker = waker
        self._ending: Disconnected | None = None
        self.accepted = False
        """Whether the broker answered, and accepted."""
        self.limits = Limits()
        self.answers: deque[tuple[int, int, str]] = deque()
        """Of what was sent: its number, the reason code, of which 0x80 and above say no, and the broker's words."""
        self.messages: deque[tuple[str, bytes, bool]] = deque(maxlen=MOST_MESSAGES)
        """Topic, payload, retained. Of a payload, one byte more than the longest command has at most."""
        self._client = self._make_client(will, connect_s)

    def dial(self) -> None:
        """Connect, and ask to be accepted. Blocks for name lookup, TCP and TLS. Raise Disconnected when that fails."""
        config = self._config
        properties = None
        if config.version == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = LARGEST_PACKET_BYTES
        try:
            # Read anew each time: certificates and passwords are renewed under a running daemon.
            context = tls_context(config)
            if config.username is not None:
                self._client.username_pw_set(config.username, self._password or read_password(config))
            if context is not None:
                context.sslsocket_class = _TidySocket
                self._client.tls_set_context(context)
            self._client.connect(
                str(config.host), config.effective_port, config.keepalive_seconds, properties=properties
            )
        except ConfigError as error:
            raise Disconnected(str(error)) from None
        except (OSError, UnicodeError) as error:
            raise Disconnected(problems.cannot_connect(error, config)) from None

    def turn(self, timeout_s: float) -> None:
        """Wait for the network or a wake-up, then read and write what can be. Raise Disconnected when the connection ended."""
        sock = self._client.socket()
        if sock is None:
            raise self._disconnected()
        # Bytes that TLS has decrypted already are invisible to poll.
        inner = sock.inner if isinstance(sock, BoundedSocket) else sock
        buffered = isinstance(inner, ssl.SSLSocket) and inner.pending() > 0
        ready = self._poll(sock.fileno(), 0.0 if buffered else timeout_s)
        if self._waker.fileno() in ready:
            self._waker.clear()
        events = ready.get(sock.fileno(), 0)
        if buffered or events & ~select.POLLOUT:
            self._client.loop_read()
        if events & select.POLLOUT:
            self._client.loop_write()
        self._client.loop_misc()
        if self._client.socket() is None:
            raise self._disconnected()

    def publish(self, topic: str, payload: str, qos: int, retain: bool) -> int:
        """Send, or hand to the socket's buffer, and return the number. Raise Disconnected, or ValueError if it never can."""
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._disconnected()
        return info.mid

    def subscribe(self, topic: str) -> int:
        """Ask for what is published on `topic`, and return the number."""
        code, mid = self._client.subscribe(topic, 1)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise self._disconnected()
        return mid

    @property
    def congested(self) -> bool:
        """Whether bytes wait because the network does not take them; publish no more until it does."""
        return self._client.want_write()

    def close(self, *, disconnect: bool) -> None:
        """End the connection; without `disconnect` the broker publishes the will. Idempotent."""
        if disconnect:
            self._client.disconnect()
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _poll(self, descriptor: int, timeout_s: float) -> dict[int, int]:
        poller = select.poll()  # unlike select(), it knows no highest descriptor
        poller.register(descriptor, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        poller.register(self._waker.fileno(), select.POLLIN)
        return dict(poller.poll(timeout_s * 1000))

    def _disconnected(self) -> Disconnected:
        if self._client.oversize is not None:
            return Disconnected(problems.oversize(self._config, str(self._client.oversize.strerror)), oversize=True)
        return self._ending or Disconnected(problems.closed_unanswered(self._config), refused=True)

    def _make_client(self, will: Will | None, connect_s: float) -> _BoundedClient:
        client = _BoundedClient(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=MQTTv5 if self._config.version == "5" else MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = connect_s
        if will is not None:
            client.will_set(will.topic, OFFLINE, qos=will.qos, retain=will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        return client

    def _on_connect(
        self, _c: Client, _u: Any, _f: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            reason_words = problems.words(str(reason), _said(properties))
            line = problems.refused(reason.value, reason_words, self._config)
            self._ending = Disconnected(line, reason.value, reason_words, refused=True)
        else:
            self.accepted = True
            self.limits = _limits(properties)

    def _on_disconnect(
        self, _c: Client, _u: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self._ending is not None or not self.accepted:
            return
        if flags.is_disconnect_packet_from_server:
            reason_words = problems.words(str(reason), _said(properties))
            line = problems.ended(reason.value, reason_words, self._config, self._client_id)
            self._ending = Disconnected(line, reason.value, reason_words)
        else:
            line = problems.lost(reason.value, str(reason), self._config)
            self._ending = Disconnected(line, silent=reason.value == problems.KEEPALIVE_TIMEOUT)

    def _on_publish(self, _c: Client, _u: Any, mid: int, reason: ReasonCode, properties: Properties) -> None:
        self.answers.append((mid, reason.value, problems.words(str(reason), _said(properties))))

    def _on_subscribe(
        self, _c: Client, _u: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        worst = max(reasons, key=lambda reason: reason.value, default=None)
        if worst is not None:
            self.answers.append((mid, worst.value, problems.words(str(worst), _said(properties))))

    def _on_message(self, _c: Client, _u: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # none of ours
            return
        self.messages.append((topic, bytes(message.payload[: LONGEST_BYTES + 1]), message.retain))


def _limits(properties: Properties | None) -> Limits:
    """What CONNACK says, and what holds where it says nothing."""
    said = vars(properties) if properties is not None else {}
    usual = Limits()
    return Limits(
        receive_maximum=said.get("ReceiveMaximum", usual.receive_maximum),
        packet_bytes=said.get("MaximumPacketSize"),
        qos=said.get("MaximumQoS", usual.qos),
        retain=bool(said.get("RetainAvailable", 1)),
        wildcards=bool(said.get("WildcardSubscriptionAvailable", 1)),
    )


def _said(properties: Properties | None) -> str | None:
    """The broker's own sentence, if it gave one."""
    return getattr(properties, "ReasonString", None)


CONNECT_S = 5.0


def probe_broker(config: MqttConfig, device_id: str, password: str | None = None) -> str | None:
    """None when the broker accepts us, else one line that says why not, also of credentials that cannot be used.

    `password`: instead of the one in the config's file.
    """
    waker = Waker()
    # An identity of its own: with the daemon's, the broker would throw the daemon out.
    connection = Connection(
        config,
        f"{device_id}-doctor",
        password,
        will=None,  # a probe that is killed must leave nothing behind
        connect_s=CONNECT_S,
        waker=waker,
    )
    try:
        connection.dial()
        deadline = time.monotonic() + CONNECT_S
        while not connection.accepted:
            if time.monotonic() >= deadline:
                return problems.no_answer(config)
            connection.turn(0.2)
    except Disconnected as error:
        return str(error)
    finally:
        connection.close(disconnect=True)
        waker.close()
    return None
