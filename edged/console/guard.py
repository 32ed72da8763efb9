"""What every request meets before a page does: names that are ours, headers that browsers obey, bounds of size and time."""

import logging
from collections.abc import Iterable
from ipaddress import ip_address

import anyio
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

MOST_BODY_BYTES = 64_000
BODY_S = 10.0
"""A form that has not come whole by then is given up."""
ANSWER_S = 60.0
"""No answer takes longer, to make and to send."""

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' blob:; script-src 'self'; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
"""Of every answer that does not say otherwise itself."""


UNKNOWN_NAME = HTMLResponse(
    '<!DOCTYPE html><html lang="en"><title>Unknown name</title><h1>This device is not known by that name</h1>'
    "<p>Open it by its address, or add the name to <code>hosts</code> in <code>[console]</code> of its config.</p></html>",
    421,
)


class Guard:
    """The outermost application."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        app = self._app if self._is_ours(scope) else UNKNOWN_NAME
        with anyio.move_on_after(ANSWER_S) as limit:
            await app(scope, receive, guarded)
        if limit.cancelled_caught:
            log.debug("%s was given up after %g s", scope["path"], ANSWER_S)

    def _is_ours(self, scope: Scope) -> bool:
        """Whether the browser knows this device by a name that no stranger can give it (DNS rebinding)."""
        shown = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        return len(shown) == 1 and is_our_name(shown[0], self._hosts)


def is_our_name(host: str, hosts: Iterable[str] = ()) -> bool:
    """Whether a Host header holds an address, localhost, a name without a dot, one in .local, or one of `hosts`."""
    name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
    if port and not (port.isascii() and port.isdecimal()):
        return False
    name = name.lower().removesuffix(".")
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return bool(name) and ("." not in name or name.endswith((".local", ".localhost")) or name in hosts)
    return True
