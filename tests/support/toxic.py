"""A TCP proxy on the loopback interface that spoils what goes through it, one way or both, in toxiproxy's eight ways."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType

from support.mosquitto import PATIENCE_S

CHUNK = 4096
PAUSE_S = 0.3


class Ended(Exception):
    """The stream is not carried on."""


class ToxicProxy:
    """Carries streams to `port`; `strike` names the poison and the ways it is in, `heal` takes it out again."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._server.getsockname()[1])
        self._poison: str | None = None
        self._ways: tuple[str, ...] = ()
        self._streams: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "ToxicProxy":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()
        self._thread.join(PATIENCE_S)

    def strike(self, poison: str, *ways: str) -> None:
        """`ways`: "up" to the broker, "down" from it."""
        self._poison, self._ways = poison, ways

    def heal(self) -> None:
        """New bytes pass; what was swallowed stays so."""
        self._poison, self._ways = None, ()

    def cut(self) -> None:
        """End every stream."""
        with self._lock:
            streams, self._streams = self._streams, set()
        for stream in streams:
            _end(stream)

    def _accept(self) -> None:
        while not self._stopping:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self._poison == "down":
                _reset(client)
                continue
            try:
                broker = socket.create_connection(("127.0.0.1", self._upstream), timeout=5)
            except OSError:
                _end(client)
                continue
            broker.settimeout(None)
            with self._lock:
                self._streams |= {client, broker}
            for source, sink, way in ((client, broker, "up"), (broker, client, "down")):
                threading.Thread(target=self._carry, args=(source, sink, way), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        with contextlib.suppress(OSError, Ended):
            while data := source.recv(CHUNK):
                poison = self._poison if way in self._ways else None
                POISONS[poison](data, source, sink)
        _end(source)
        _end(sink)


def _end(stream: socket.socket) -> None:
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)
    stream.close()


def _reset(stream: socket.socket) -> None:
    with contextlib.suppress(OSError):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


def _pass_on(data: bytes, source: socket.socket, sink: socket.socket) -> None:
    sink.sendall(data)


def _latency(data: bytes, source: socket.socket, sink: socket.socket) -> None:
    time.sleep(PAUSE_S)
    sink.sendall(data)


def _bandwidth(data: bytes, source: socket.socket, sink: socket.socket) -> None:
    """A kilobyte a second."""
    for start in range(0, len(data), 100):
        time.sleep(0.1)
        sink.sendall(data[start : start + 100])


def _slow_close(data: bytes, source: socket.socket, sink: socket.socket) -> None:
    sink.sendall(data)
    time.sleep(PAUSE_S)
    raise Ended


def _timeout(data: bytes, source: socket.socket, sink: socket.socket) -> None:
    """Nothing arrives, and nobody hangs up."""


def _reset_peer(data: bytes, source: socket.socket, sink: socket.socket) -> None:
    _reset(source)
    _reset(sink)
    raise Ended


def _slicer(data: bytes, source: socket.socket, sink: socket.socket) -> None:
    sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in range(0, len(data), 3):
        sink.sendall(data[start : start + 3])
        time.sleep(0.001)


def _limit_data(data: bytes, source: socket.socket, sink: socket.socket) -> None:
    """The end comes in the middle of a packet."""
    sink.sendall(data[: len(data) // 2])
    raise Ended


POISONS: dict[str | None, Callable[[bytes, socket.socket, socket.socket], None]] = {
    None: _pass_on,
    "latency": _latency,
    "down": _reset_peer,
    "bandwidth": _bandwidth,
    "slow_close": _slow_close,
    "timeout": _timeout,
    "reset_peer": _reset_peer,
    "slicer": _slicer,
    "limit_data": _limit_data,
}
