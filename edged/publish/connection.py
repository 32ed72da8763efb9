"""One MQTT connection, from dialling to its end, driven by one thread and never used again; the only file that knows paho."""

import select
import ssl
from collections import deque
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edged.config import MqttConfig
from edged.errors import ConfigError
from edged.publish import problems
from edged.publish.credentials import tls_context
from edged.publish.problems import LinkDown
from edged.publish.waker import Waker

OFFLINE = "offline"
LARGEST_PACKET_BYTES = 64 * 1024
MOST_MESSAGES = 64


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails, which paho leaves to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
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
        password: str | None,
        *,
        will_topic: str | None,
        connect_s: float,
        waker: Waker,
    ) -> None:
        self._config = config
        self._client_id = client_id
        self._waker = waker
        self._ending: str | None = None
        self.accepted = False
        """Whether the broker answered, and accepted."""
        self.receive_maximum = 65_535
        """How many messages the broker wants in flight at most."""
        self.acknowledgements: deque[tuple[int, bool]] = deque()
        """Message id, and whether the broker took it."""
        self.messages: deque[tuple[str, bytes, bool]] = deque(maxlen=MOST_MESSAGES)
        """Topic, payload, retained."""
        self.subscription_refused = False
        self._client = self._make_client(password, will_topic, connect_s)

    def dial(self) -> None:
        """Connect, and ask to be accepted. Blocks for name lookup, TCP and TLS. Raise LinkDown when that fails."""
        config = self._config
        properties = None
        if config.version == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = LARGEST_PACKET_BYTES
        try:
            # Read anew each time: certificates are renewed under a running daemon.
            context = tls_context(config)
            if context is not None:
                context.sslsocket_class = _TidySocket
                self._client.tls_set_context(context)
            self._client.connect(
                str(config.host), config.effective_port, config.keepalive_seconds, properties=properties
            )
        except ConfigError as error:
            raise LinkDown(str(error)) from None
        except (OSError, UnicodeError) as error:
            raise LinkDown(problems.cannot_connect(error, config)) from None

    def turn(self, timeout_s: float) -> None:
        """Wait for the network or a wake-up, then read and write what can be. Raise LinkDown when the connection ended."""
        sock = self._client.socket()
        if sock is None:
            raise self._link_down()
        # Bytes that TLS has decrypted already are invisible to poll.
        buffered = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
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
            raise self._link_down()

    def publish(self, topic: str, payload: str, qos: int, retain: bool) -> int:
        """Send, or hand to the socket's buffer, and return the message id. Raise LinkDown, or ValueError if it never can."""
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._link_down()
        return info.mid

    def subscribe(self, topics: list[str]) -> None:
        self._client.subscribe([(topic, 1) for topic in topics])

    @property
    def congested(self) -> bool:
        """Whether bytes wait because the network does not take them; publish no more until it does."""
        return self._client.want_write()

    def close(self, *, farewell: bool) -> None:
        """End the connection; without `farewell` the broker publishes the will. Idempotent."""
        if farewell:
            self._client.disconnect()
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _poll(self, descriptor: int, timeout_s: float) -> dict[int, int]:
        poller = select.poll()  # unlike select(), it knows no highest descriptor
        poller.register(descriptor, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        poller.register(self._waker.fileno(), select.POLLIN)
        return dict(poller.poll(timeout_s * 1000))

    def _link_down(self) -> LinkDown:
        return LinkDown(self._ending or problems.closed_unanswered(self._config))

    def _make_client(self, password: str | None, will_topic: str | None, connect_s: float) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=MQTTv5 if self._config.version == "5" else MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = connect_s
        if self._config.username is not None:
            client.username_pw_set(self._config.username, password)
        if will_topic is not None:
            client.will_set(will_topic, OFFLINE, qos=1, retain=True)
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
            self._ending = problems.refused(reason.value, str(reason), self._config)
        else:
            self.accepted = True
            self.receive_maximum = getattr(properties, "ReceiveMaximum", self.receive_maximum)

    def _on_disconnect(
        self, _c: Client, _u: Any, _f: DisconnectFlags, reason: ReasonCode, _p: Properties | None
    ) -> None:
        if self._ending is None and self.accepted:
            self._ending = problems.lost(reason.value, str(reason), self._config, self._client_id)

    def _on_publish(self, _c: Client, _u: Any, mid: int, reason: ReasonCode, _p: Properties) -> None:
        self.acknowledgements.append((mid, not reason.is_failure))

    def _on_subscribe(self, _c: Client, _u: Any, _m: int, reasons: list[ReasonCode], _p: Properties | None) -> None:
        self.subscription_refused |= any(reason.is_failure for reason in reasons)

    def _on_message(self, _c: Client, _u: Any, message: MQTTMessage) -> None:
        self.messages.append((message.topic, bytes(message.payload), message.retain))
