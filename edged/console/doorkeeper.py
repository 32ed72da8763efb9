"""Begins TLS on new connections, and tells whoever speaks plain HTTP to the encrypted port what to write instead."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

log = logging.getLogger(__name__)

HANDSHAKE_S = 10.0
"""From the connection on; TLS must stand by then."""
LINGER_S = 1.0
"""Who is turned away has so long to read why."""
MOST_WAITING = 100
"""Connections without TLS yet; beyond it the one that has waited longest is given up."""
TLS_HANDSHAKE = b"\x16"
"""The first byte of every TLS connection, and of no HTTP request."""
PAGE = (
    b'<!DOCTYPE html><html lang="en"><title>Write https://</title><h1>This address is encrypted</h1>'
    b"<p>Write <b>https://</b> before it instead of http://. On the first visit the browser warns of a certificate that it does"
    b" not know: compare its fingerprint with what <code>edged claim</code> prints on the device.</p></html>"
)
TURNED_AWAY = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nConnection: close\r\n"
    b"Content-Length: " + str(len(PAGE)).encode() + b"\r\n\r\n" + PAGE
)


class Doorkeeper(asyncio.Protocol):
    """One connection until TLS stands; then `make()` serves it."""

    def __init__(
        self, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol], waiting: "dict[Doorkeeper, None]"
    ) -> None:
        """`waiting`: all of this server; each puts itself there."""
        self._context, self._make, self._waiting = context, make, waiting
        self._early, self._lost = bytearray(), False
        self._task: asyncio.Task[None] | None = None
        self._peeked: socket.socket | None = None
        """Another name for the connection, to look at its first byte."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        if transport.get_extra_info("sslcontext") is not None:
            return  # known already, of the encrypted one
        self._loop, self._transport = asyncio.get_running_loop(), transport
        # Until it is known who reads. Python 3.10 begins to read after this method whatever it has said, so what pauses
        # comes after that, and still before anything is read.
        self._loop.call_soon(transport.pause_reading)
        try:
            self._peeked = transport.get_extra_info("socket").dup()
        except OSError as error:  # no descriptor is left: one client less, and none that is held for ever
            log.debug("a client is turned away: %s", error)
            transport.abort()
            return
        self._limit = self._loop.call_later(HANDSHAKE_S, self._abort)
        self._waiting[self] = None
        if len(self._waiting) > MOST_WAITING:
            next(iter(self._waiting))._abort()
        self._loop.add_reader(self._peeked, self._first_byte, self._peeked)

    def data_received(self, data: bytes) -> None:
        """Decrypted, before `make()` has taken over; of who was turned away it is thrown away."""
        if self._task is not None:
            self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._done_waiting()

    def _first_byte(self, peeked: socket.socket) -> None:
        """Something has come, or the end."""
        try:
            first = peeked.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            first = b""
        self._stop_peeking()
        if first == TLS_HANDSHAKE:
            self._task = self._loop.create_task(self._encrypt())
        elif first:
            self._turn_away()
        else:
            self._abort()

    def _turn_away(self) -> None:
        self._transport.write(TURNED_AWAY)
        self._transport.write_eof()
        self._transport.resume_reading()  # what is not read would break off the answer
        self._limit.cancel()
        self._limit = self._loop.call_later(LINGER_S, self._abort)

    async def _encrypt(self) -> None:
        try:
            tls = await self._loop.start_tls(
                self._transport, self, self._context, server_side=True, ssl_handshake_timeout=HANDSHAKE_S
            )
        except (OSError, asyncio.CancelledError) as error:  # ssl.SSLError is one of the former
            log.debug("no TLS with a client: %s", error)
            self._abort()
            return
        self._done_waiting()
        if tls is None or self._lost or tls.is_closing():
            return
        served = self._make()
        tls.set_protocol(served)
        served.connection_made(tls)
        if self._early:
            served.data_received(bytes(self._early))

    def _abort(self) -> None:
        self._done_waiting()
        self._transport.abort()

    def _done_waiting(self) -> None:
        self._waiting.pop(self, None)
        if self._peeked is not None:
            self._limit.cancel()
            self._stop_peeking()

    def _stop_peeking(self) -> None:
        if self._peeked is not None and self._peeked.fileno() >= 0:
            with suppress(OSError, ValueError):
                self._loop.remove_reader(self._peeked)
            self._peeked.close()
