"""The sockets under the connection: one that bounds what a broker can make this device read, one that ends a wait."""

import contextlib
import errno
import socket
from typing import Any

LARGEST_PACKET_BYTES = 64 * 1024
"""Of a longer packet only so much is taken in; MQTT 5 brokers know the limit, and send none."""

MOST_SKIPPED_BYTES = 1024 * 1024
"""A packet longer than this is not waited for: acknowledgements come behind it."""

CHUNK_BYTES = 64 * 1024
MOST_CHUNKS = 16
"""Skipped before others have their turn."""

LONGEST_HEADER_BYTES = 5


class TooLong(OSError):
    """The broker sends a packet that would take too long to skip."""

    def __init__(self, size: int) -> None:
        super().__init__(errno.EMSGSIZE, f"a packet of {size:,} bytes")


class BoundedSocket:
    """A socket to a broker whose longest packet has `LARGEST_PACKET_BYTES` of body: the rest of a longer one is skipped.

    What is left of a PUBLISH keeps its topic and its number, so that it is acknowledged and the broker goes on.
    Everything but `recv` is the socket's own.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.inner = sock
        self._header = bytearray()
        self._ready = bytearray()
        self._body = 0
        self._excess = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes of what may be read. Raise BlockingIOError when nothing is there, TooLong when it never ends."""
        for _ in range(MOST_CHUNKS + LONGEST_HEADER_BYTES):
            if self._ready:
                data = bytes(self._ready[:size])
                del self._ready[:size]
                return data
            if self._body:
                data = self.inner.recv(min(size, self._body))
                self._body -= len(data)
                return data
            data = self.inner.recv(min(self._excess, CHUNK_BYTES) or 1)
            if not data:
                return data
            if self._excess:
                self._excess -= len(data)
            else:
                self._read_header(data)
        raise BlockingIOError

    def _read_header(self, byte: bytes) -> None:
        """One more byte of a packet's kind and length; with the last one both are handed on, the length bounded."""
        self._header += byte
        if len(self._header) == 1 or (byte[0] & 128 and len(self._header) < LONGEST_HEADER_BYTES):
            return
        if byte[0] & 128:  # no length that MQTT knows: paho says so
            self._ready, self._header = self._header, bytearray()
            return
        length = sum((part & 127) << 7 * place for place, part in enumerate(self._header[1:]))
        if length > MOST_SKIPPED_BYTES:
            raise TooLong(length)
        self._body = min(length, LARGEST_PACKET_BYTES)
        self._excess = length - self._body
        self._ready = bytearray([self._header[0], *_encoded(self._body)])
        self._header = bytearray()


def _encoded(length: int) -> bytes:
    """A length as MQTT writes it: seven bits a byte, the lowest first."""
    data = bytearray()
    while True:
        length, low = divmod(length, 128)
        data.append(low | (128 if length else 0))
        if not length:
            return bytes(data)


class Waker:
    """A pair of connected sockets: `wake` makes the one that is waited upon readable. Thread-safe."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)

    def fileno(self) -> int:
        """What to wait upon."""
        return self._near.fileno()

    def wake(self) -> None:
        # A full buffer wakes as well as a longer one would; after `close` nobody waits any more.
        with contextlib.suppress(OSError):
            self._far.send(b"\0")

    def clear(self) -> None:
        with contextlib.suppress(OSError):
            while self._near.recv(4096):
                pass

    def close(self) -> None:
        self._near.close()
        self._far.close()
