"""An MQTT broker on a raw socket that does exactly what a test tells it, above all what brokers should not do."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from support.payloads import check_message

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 14


@dataclass(frozen=True)
class Published:
    topic: str
    payload: str
    qos: int
    mid: int
    retain: bool = False


class Peer:
    """One client's connection, as the script sees it."""

    def __init__(self, sock: socket.socket, published: list[Published]) -> None:
        self._sock = sock
        self._published = published
        self.version = 4
        self.connect = b""
        self.subscribed: list[str] = []
        self.kinds: list[int] = []

    def accept(self, code: int = 0, properties: bytes = b"") -> None:
        """Read CONNECT and answer with `code`."""
        kind, _, body = self.read()
        assert kind == CONNECT
        self.version, self.connect = body[6], body
        tail = bytes([len(properties)]) + properties if self.version == 5 else b""
        self.write(CONNACK, bytes([0, code]) + tail)

    @property
    def will(self) -> tuple[int, bool] | None:
        """QoS and retention of the will that CONNECT brought, None without one."""
        flags = self.connect[7]
        return (flags >> 3 & 3, bool(flags & 0x20)) if flags & 4 else None

    def read(self) -> tuple[int, int, bytes]:
        """The next packet: kind, flags, body. Raise ConnectionError at the end."""
        first = self._exactly(1)[0]
        length, shift = 0, 0
        while True:
            byte = self._exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                break
        body = self._exactly(length)
        self.kinds.append(first >> 4)
        return first >> 4, first & 15, body

    def next_publish(self) -> Published:
        """Answer what comes until a PUBLISH does, and return that unanswered."""
        while True:
            kind, flags, body = self.read()
            if kind == PUBLISH:
                published = self._parse_publish(flags, body)
                self._published.append(published)
                return published
            if kind == SUBSCRIBE:
                self.subscribed += self._topics(body)
                if not all(self.may_subscribe(topic) for topic in self._topics(body)):
                    if self.version == 5:
                        self.write(SUBACK, body[:2] + b"\0\x87")
                        continue
                    raise ConnectionError("hung up on a subscription")
                self.write(SUBACK, body[:2] + (b"\0" if self.version == 5 else b"") + b"\1" * len(self._topics(body)))
            elif kind == PINGREQ:
                self.write(13, b"")
            elif kind == DISCONNECT:
                raise ConnectionError("the client said goodbye")

    def acknowledge(self, published: Published, reason: int | None = None) -> None:
        body = struct.pack("!H", published.mid)
        self.write(PUBACK, body if reason is None else body + bytes([reason]))

    def serve(self, until: Callable[[Published], bool] = lambda _: False) -> None:
        """Acknowledge everything until `until` holds for a message, which stays unacknowledged, or the client leaves."""
        while not until(published := self.next_publish()):
            if published.qos:
                self.acknowledge(published)

    def send(self, data: bytes) -> None:
        """Raw bytes."""
        self._sock.sendall(data)

    def write(self, kind: int, body: bytes, flags: int = 0) -> None:
        self.send(bytes([kind << 4 | flags, len(body)]) + body)

    def reset(self) -> None:
        """Close with RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def drain(self) -> None:
        """Read and answer nothing until the client hangs up."""
        while self._sock.recv(4096):
            pass

    def _parse_publish(self, flags: int, body: bytes) -> Published:
        qos = flags >> 1 & 3
        length = struct.unpack("!H", body[:2])[0]
        topic, rest = body[2 : 2 + length].decode(), body[2 + length :]
        mid = 0
        if qos:
            mid, rest = struct.unpack("!H", rest[:2])[0], rest[2:]
        if self.version == 5:
            rest = rest[1 + rest[0] :]
        check_message(topic, rest.decode())
        return Published(topic, rest.decode(), qos, mid, bool(flags & 1))

    @staticmethod
    def may_subscribe(topic: str) -> bool:
        """Whether a subscription is allowed; a script may put another rule in its place."""
        return True

    def _topics(self, body: bytes) -> list[str]:
        rest, topics = body[2 + (1 + body[2] if self.version == 5 else 0) :], []
        while rest:
            end = 2 + struct.unpack("!H", rest[:2])[0]
            topics.append(rest[2:end].decode())
            rest = rest[end + 1 :]
        return topics

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self._sock.recv(count - len(data))
            if not chunk:
                raise ConnectionError("the client hung up")
            data += chunk
        return data


class ScriptedBroker:
    """Runs `script(peer, number)` for one connection after the other; the connection ends when the script returns."""

    def __init__(self, script: Callable[[Peer, int], None]) -> None:
        self._script = script
        self._server = socket.create_server(("127.0.0.1", 0))
        self._stopping = False
        self._current: socket.socket | None = None
        self.port = int(self._server.getsockname()[1])
        self.connected_at: list[float] = []
        self.published: list[Published] = []
        self.broken: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "ScriptedBroker":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        if self._current is not None:
            with contextlib.suppress(OSError):
                self._current.shutdown(socket.SHUT_RDWR)
        self._thread.join(60)
        self._server.close()
        assert not self._thread.is_alive()
        if kind is None:
            assert not self.broken, self.broken

    def _run(self) -> None:
        while not self._stopping:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            self._current = sock
            with sock:
                sock.settimeout(10)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connected_at.append(time.monotonic())
                try:
                    self._script(Peer(sock, self.published), len(self.connected_at))
                except OSError:
                    pass  # the client left
                except BaseException as error:  # noqa: BLE001  shown by the test
                    self.broken.append(error)
