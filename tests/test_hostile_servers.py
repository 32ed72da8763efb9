"""Servers that mean harm, or are broken: whatever they say, each transfer ends in time, takes little memory, and is one line."""

import socket
import threading
import time
from pathlib import Path

import pytest
from support.receivers import alert, settings
from support.storing import HandClock

from edged.config.export import ExportConfig
from edged.connections import MOST_HEARD_BYTES, Dial
from edged.deliver.mail import Mail
from edged.deliver.webhook import Webhook
from edged.errors import Unavailable
from edged.export.targets import WebTarget
from edged.store import Store, StoreReader

WHOLE_S = 1.0
NOT_A_HANG_S = 20.0


class Hostile:
    """Says `greeting` to whoever connects, then `line` again and again, with a pause, until the other side has had enough."""

    def __init__(self, greeting: bytes, line: bytes, pause_s: float = 0.0) -> None:
        self._script = greeting, line, pause_s
        self._over = threading.Event()
        self.said = 0
        """Bytes that the other side's system has taken."""
        self._server = socket.create_server(("127.0.0.1", 0))
        # What waits in the systems' own buffers is said and not heard: keep that small.
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Hostile":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.close()
        self._thread.join(NOT_A_HANG_S)

    def _serve(self) -> None:
        greeting, line, pause_s = self._script
        connection, _ = self._server.accept()
        with connection:
            connection.settimeout(NOT_A_HANG_S)
            try:
                connection.sendall(greeting)
                while line:
                    connection.sendall(line)
                    self.said += len(line)
                    time.sleep(pause_s)
                connection.settimeout(None)
                while not self._over.wait(0.05):  # a byte at a time, and slowly
                    connection.recv(1)
            except OSError:
                return


def post(port: int, folder: Path, whole_s: float = WHOLE_S) -> None:
    config = settings(folder, webhook={"url": f"http://127.0.0.1:{port}/"}).webhook
    Webhook(config, "hall", Dial(whole_s)).send([alert("webhook")])


def mail(port: int, folder: Path, whole_s: float = WHOLE_S) -> None:
    keys = {"host": "127.0.0.1", "port": port, "to": ["a@b.example"], "sender": "c@d.example", "alerts": True}
    config = settings(folder, mail={**keys, "security": "none"})
    Store(folder / "edged.db").close()
    Mail(config, "hall", StoreReader(folder / "edged.db"), HandClock(), dial=Dial(whole_s)).send([alert("mail")])


def put(port: int, folder: Path, whole_s: float = WHOLE_S, size: int = 10) -> None:
    (folder / "file").write_bytes(b"x" * size)
    WebTarget(ExportConfig(to=f"http://127.0.0.1:{port}/bucket"), Dial(whole_s)).put("record/v=1/file", folder / "file")


LINE = b"x" * 1000 + b"\r\n"
ENDLESS = {
    "mail: a greeting of lines without end": (mail, b"", b"220-" + LINE),
    "mail: an answer of lines without end": (mail, b"220 hello\r\n", b"250-" + LINE),
    "webhook: continue, continue, continue": (post, b"", b"HTTP/1.1 100 Continue\r\nX: " + LINE + b"\r\n"),
    "export: continue, continue, continue": (put, b"", b"HTTP/1.1 100 Continue\r\nX: " + LINE + b"\r\n"),
}


@pytest.mark.parametrize(("send", "greeting", "line"), ENDLESS.values(), ids=list(ENDLESS))
def test_what_is_said_without_end_is_heard_for_so_many_bytes(tmp_path, send, greeting, line) -> None:
    with Hostile(greeting, line) as server:
        with pytest.raises(Unavailable, match=r"says more than any [a-z ]+ does; check ") as raised:
            # Bytes are the bound here: on a busy machine they take longer than a conversation below may.
            send(server.port, tmp_path, NOT_A_HANG_S)
        assert len(str(raised.value).splitlines()) == 1
    # The systems' own buffers on both sides hold some megabytes; without a bound it would be hundreds.
    assert server.said < MOST_HEARD_BYTES + 16_000_000


SLOW = {
    "mail: a byte now and then": (mail, b"220", b"-"),
    "mail: a line now and then": (mail, b"", b"220-wait\r\n"),
    "webhook: a header without end": (post, b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "export: a header without end": (put, b"HTTP/1.1 201 Created\r\nX: ", b"x"),
    "export: continue now and then": (put, b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "export: nothing is taken": (lambda port, folder: put(port, folder, size=4_000_000), b"", b""),
}


@pytest.mark.parametrize(("send", "greeting", "line"), SLOW.values(), ids=list(SLOW))
def test_a_conversation_that_does_not_end_is_cut_off(tmp_path, send, greeting, line, monkeypatch) -> None:
    """Each single answer keeps its own limit; all of them together last no longer than the whole may."""
    monkeypatch.setattr("edged.connections.SLOWEST_BYTES_S", 4_000_000)
    began = time.monotonic()
    with Hostile(greeting, line, 0.05) as server:
        with pytest.raises(Unavailable, match=r"no answer; check ") as raised:
            send(server.port, tmp_path)
        assert len(str(raised.value).splitlines()) == 1
        assert time.monotonic() - began < NOT_A_HANG_S


def test_a_large_file_has_the_time_that_a_slow_line_needs(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("edged.connections.SLOWEST_BYTES_S", 4.0)
    server = socket.create_server(("127.0.0.1", 0))

    def take() -> None:
        connection, _ = server.accept()
        with connection:
            while not connection.recv(4096).endswith(b"yz"):
                pass
            time.sleep(WHOLE_S * 1.5)
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    taking = threading.Thread(target=take, daemon=True)
    taking.start()
    (tmp_path / "file").write_bytes(b"x" * 38 + b"yz")
    target = WebTarget(ExportConfig(to=f"http://127.0.0.1:{server.getsockname()[1]}/bucket"), Dial(WHOLE_S))
    target.put("record/v=1/file", tmp_path / "file")
    taking.join(NOT_A_HANG_S)
    server.close()
