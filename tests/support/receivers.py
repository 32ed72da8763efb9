"""What alerts and reports are sent to: a real web server and a real mail server on the loopback interface."""

import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from edged.config import Config
from edged.config.load import parse_config
from edged.messages import CAMERA_VIOLATION, REPORT_DAILY, violation_payload
from edged.records import Acknowledged, Message
from edged.store import Store
from support.mosquitto import Certificates, free_port


@dataclass
class Post:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]


class Receiver:
    """A web server that answers each POST as `answer` says: a status, or a function that writes to the connection itself."""

    def __init__(self, tls: Certificates | None = None, port: int = 0) -> None:
        self.posts: list[Post] = []
        self.answer: int | Callable[[BaseHTTPRequestHandler], int | None] = 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.posts.append(Post(self.path, headers, body))
                answer = receiver.answer
                status = answer if isinstance(answer, int) else answer(self)
                if status is not None:
                    self.send_response(status)
                    if status == 302:
                        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
                """Nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that goes is no news."""

        self._server = Server(("127.0.0.1", port), Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.server, tls.server_key)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/edged"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class MailServer:
    """A mail server that wants STARTTLS and a password where it is given them, and keeps what it takes."""

    def __init__(
        self, tls: Certificates | None = None, user: str | None = None, password: str | None = None, port: int = 0
    ) -> None:
        self.port = port or free_port()
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.tries = 0
        self.refusal: str | None = None
        """The answer to DATA where it takes no mail."""
        self.hangs_up = False
        """Close the connection instead of answering QUIT."""
        self.strangers: set[str] = set()
        """Who has no mailbox here."""
        context = None
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.server, tls.server_key)

        def log_in(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
            self.tries += 1
            given = data if isinstance(data, LoginPassword) else LoginPassword(b"", b"")
            good = (given.login.decode(), given.password.decode()) == (user, password)
            return AuthResult(success=good, handled=good)

        needs = {"authenticator": log_in, "auth_required": True} if user else {}
        tls_too = {"tls_context": context, "require_starttls": True} if context else {"auth_require_tls": False}
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **needs, **tls_too)

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address in self.strangers:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 known"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refusal is not None:
            return self.refusal
        self.recipients.append(envelope.rcpt_tos)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 kept"

    async def handle_QUIT(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.hangs_up:
            server.transport.abort()
        return "221 goodbye"

    def __enter__(self) -> "MailServer":
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


@dataclass
class HandTime:
    """Stands still but for the waits, which take no time."""

    now_s: float = 0.0

    def rest(self, seconds: float) -> None:
        self.now_s += seconds

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Writer:
    """Takes acknowledgements to the store at once, as its thread does soon."""

    store: Store
    acknowledged: list[int] = field(default_factory=list)
    reaches_disk: bool = True

    def acknowledge(self, seq: int) -> None:
        self.acknowledged.append(seq)
        if self.reaches_disk:
            self.store.write([Acknowledged(seq)])

    def is_idle(self) -> bool:
        return self.reaches_disk


def settings(folder: Path, **tables: Any) -> Config:
    """A config with these tables."""
    return parse_config(
        {"camera": {"door": {"source": "file:///a.mp4", "name": "Main door"}}, **tables}, folder / "edged.toml"
    )


def alert(channel: Any, event_id: str = "01ABC", seq: int = 1, **changes: Any) -> Message:
    """As the recorder makes it; without the event itself, so that it may stand alone."""
    payload: dict[str, Any] = {
        "began": "2026-11-19T08:03:10.000Z", "event_id": event_id, "encounter_id": None, "seq": seq, "kind": "mask",
        "camera": "door", "track": 3, "state": "incorrect", "score": 0.98, "votes": None, "clock_synced": True, "details": {},
    }  # fmt: skip
    told = violation_payload(payload | changes, 1_780_000_000_000)  # type: ignore[arg-type]
    return CAMERA_VIOLATION.message(told, "door", channel=channel, created=1)


def report_message(channel: Any, report: Any) -> Message:
    return REPORT_DAILY.text(json.dumps(report), channel=channel, created=1)


def trickle(handler: BaseHTTPRequestHandler) -> None:
    """Answers, one byte a tenth of a second, for ever."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.1)


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Says yes, and then never stops talking."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        handler.wfile.write(b"x" * 65_536)
