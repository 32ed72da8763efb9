"""Serves the console: the port, TLS, and bounds for clients that are slow or many."""

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from edged.config import ConsoleConfig
from edged.console.access import Access
from edged.console.app import build_app
from edged.console.certificate import Served, certificate
from edged.console.doorkeeper import Doorkeeper
from edged.console.site import Site
from edged.errors import Unavailable
from edged.host.memory import give_back, keep_small

log = logging.getLogger(__name__)

REQUEST_S = 10.0
"""The head of a first request must have come by then."""
KEEP_ALIVE_S = 20
MOST_IDLE = 100
"""Connections whose client has sent nothing, or not the whole of what it asks."""
MOST_HEAD_BYTES = 16_384
RENEWED_TICKS, RENAMED_TICKS = 30, 600


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that gives up clients which send no whole request, and the longest idle ones where there are too many.

    uvicorn itself ends connections that fall silent after an answer; bodies are bounded where they are read.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._limit: asyncio.TimerHandle | None = None
        self._watch()
        idle = [
            other
            for other in self.server_state.connections
            if isinstance(other, PatientProtocol) and other.waits and not other.transport.is_closing()
        ]
        if len(idle) > MOST_IDLE:
            min(idle, key=lambda other: other.idle_s).transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._limit is not None:
            self._limit.cancel()
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether no request of it is being answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    @property
    def waits(self) -> bool:
        """Whether it is the client's turn: also one whose body has not come whole, which anybody may begin to send."""
        return self.is_idle or self.cycle.more_body

    def _watch(self) -> None:
        """From its first byte on, a request must come whole within a time."""
        self.idle_s = self.loop.time()
        if not self.is_idle and self._limit is not None:
            self._limit.cancel()
            self._limit = None
        elif self.is_idle and self._limit is None:
            self._limit = self.loop.call_later(REQUEST_S, self.transport.abort)


def open_socket(listen: str, port: int) -> socket.socket:
    """The socket to serve at. Raise Unavailable, naming the remedy, when it cannot be had."""
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((listen, port))
        server.listen(64)
    except OSError as error:
        server.close()
        raise Unavailable(
            f"{listen}:{port}: cannot be served ({error.strerror}); set another listen or port in [console]"
        ) from None
    return server


def address(config: ConsoleConfig, port: int) -> str:
    """What a browser on this device opens."""
    host = f"[{config.listen}]" if ":" in config.listen else config.listen
    host = {"0.0.0.0": socket.gethostname(), "[::]": socket.gethostname()}.get(host, host)  # noqa: S104
    return f"{'https' if config.tls else 'http'}://{host}:{port}/"


def serve(site: Site, access: Access, server: socket.socket, files: tuple[Path, Path] | None) -> None:
    """Answer at `server` until SIGTERM or SIGINT. `files`: the certificate and its key, for TLS."""
    keep_small()
    served = Served(*files) if files else None
    config = uvicorn.Config(
        build_app(site, access),
        http=PatientProtocol if served is None else _behind(served),  # type: ignore[arg-type]  # whatever makes protocols
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    give_back()  # what importing and reading the config took for a moment
    (uvicorn.Server(config) if served is None else RenewingServer(config, served, site.config.console)).run(
        sockets=[server]
    )


class RenewingServer(uvicorn.Server):
    """Looks every three seconds whether the certificate's files have changed, and each minute whether the device's names have."""

    def __init__(self, config: uvicorn.Config, served: Served, console: ConsoleConfig) -> None:
        super().__init__(config)
        self._served, self._console = served, console

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if counter % RENAMED_TICKS == RENAMED_TICKS - 1:
            await asyncio.to_thread(self._cover_names)
        if counter % RENEWED_TICKS == 0:
            await asyncio.to_thread(self._served.renew)
        return await super().on_tick(counter)

    def _cover_names(self) -> None:
        try:
            certificate(self._console)
        except Unavailable as error:
            log.warning("%s", error)


def _behind(served: Served) -> Callable[..., Doorkeeper]:
    """What makes a protocol for each new connection: TLS first, then HTTP."""
    waiting = dict[Doorkeeper, None]()

    def make(**more: Any) -> Doorkeeper:
        return Doorkeeper(served.context, partial(PatientProtocol, **more), waiting)

    return make
