"""What the running daemon is doing, asked and answered over a Unix socket beside the database."""

import json
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edged.errors import Unavailable
from edged.worker import Worker

log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000


def socket_path(database: Path) -> Path:
    """Where the daemon that writes `database` answers."""
    return database.with_suffix(".sock")


class StatusServer(Worker):
    """Answers every connection with one JSON document and closes it."""

    def __init__(self, path: Path, snapshot: Callable[[], dict[str, Any]]) -> None:
        super().__init__("status")
        self._path = path
        self._snapshot = snapshot
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Bind. A socket that cannot be had is logged: the daemon works without one."""
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if self._path.is_socket():  # of a daemon that was killed
                self._path.unlink()
            server.bind(str(self._path))
            self._path.chmod(0o660)
            server.listen(4)
            server.settimeout(0.5)
            self._socket = server
        except OSError as error:
            server.close()
            log.warning(
                "%s: `edged status` will not work (%s); use a shorter store.path", self._path, error.strerror or error
            )

    def work(self) -> None:
        while not self.stopping.is_set():
            self.beat()
            if self._socket is None:
                self.stopping.wait(1.0)
                continue
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            with connection:
                self._answer(connection)
        if self._socket is not None:
            self._socket.close()
            self._path.unlink(missing_ok=True)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(2.0)
        try:
            connection.sendall(json.dumps(self._snapshot()).encode())
        except OSError as error:
            log.debug("a status question went unanswered: %s", error)


def ask(path: Path) -> dict[str, Any]:
    """The running daemon's answer. Raise Unavailable when none runs."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(5.0)
            client.connect(str(path))
            answer = b""
            while part := client.recv(65_536):
                answer += part
                if len(answer) > MOST_BYTES:
                    raise Unavailable(f"{path}: the answer is not the daemon's; is another program listening there?")
        snapshot: dict[str, Any] = json.loads(answer)
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise Unavailable(
            f"{path}: no daemon answers ({reason}); start it with `systemctl start edged` or `edged run`"
        ) from None
    return snapshot
