"""The status socket: what the running daemon is doing, over a Unix socket beside the database.

Today there is one answer and no request: a client connects, reads one JSON document until end of file, and says nothing.
To add requests (for a console, or a command that changes something) without breaking such clients:

* The client sends one line of JSON, `{"verb": …}`, and then reads until end of file; `StatusServer._answer` waits for that line
  for a moment (0.1 s, `MOST_REQUEST_BYTES` at most) and takes an empty or missing one for `{"verb": "status"}`.
* Verbs that only read are answered here, in this thread, from an immutable `Runtime`, as `App._status_answer` does.
* Verbs that change something are not carried out in this thread: they go, with a bound, to the main thread, the way commands
  from MQTT do (`Commands.handle`), which answers through a queue of size one that this thread waits for with a time limit.
* The socket's mode is 0660: whoever may connect is the service's user or group. A verb that reveals more than the status, such
  as pictures, needs a socket of its own.
"""

import errno
import json
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edged.errors import Unavailable
from edged.files import identity, is_first_byte_locked
from edged.worker import Worker

log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000


def socket_path(database: Path) -> Path:
    """Where the daemon that writes `database` answers; no two databases share one."""
    return database.with_name(database.name + ".sock")


class StatusServer(Worker):
    """Answers every connection with one JSON document and closes it."""

    def __init__(self, path: Path, snapshot: Callable[[], dict[str, Any]]) -> None:
        super().__init__("status")
        self._path = path
        self._snapshot = snapshot
        self._socket: socket.socket | None = None
        self._identity: tuple[int, int] | None = None
        self._problem = ""

    def open(self) -> None:
        """Bind. A socket that cannot be had is logged once, and tried again: the daemon works without one."""
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if self._path.is_socket():
                if _is_served(self._path):
                    raise OSError(errno.EADDRINUSE, "another program answers there")
                self._path.unlink()  # of a daemon that was killed
            server.bind(str(self._path))
            self._path.chmod(0o660)
            server.listen(4)
            server.settimeout(0.5)
        except OSError as error:
            server.close()
            if (problem := str(error.strerror or error)) != self._problem:
                self._problem = problem
                remedy = "; use a shorter store.path" if error.errno is None else ""
                log.warning("%s: `edged status` will not work (%s)%s", self._path, problem, remedy)
        else:
            self._socket, self._identity, self._problem = server, identity(self._path), ""

    def work(self) -> None:
        while not self.stopping.is_set():
            self.beat()
            if self._socket is not None and not self._is_there():
                log.warning("%s was deleted; it is made anew", self._path)
                self._socket.close()
                self._socket = None
            if self._socket is None:
                self.open()
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
            if self._is_there():
                self._path.unlink(missing_ok=True)

    def _is_there(self) -> bool:
        """Whether the socket's name still leads to it."""
        return identity(self._path) == self._identity

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(2.0)
        try:
            connection.sendall(json.dumps(self._snapshot()).encode())
        except OSError as error:
            log.debug("a client of the status socket got no answer: %s", error)


def _is_served(path: Path) -> bool:
    """Whether somebody listens at the socket that is there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return path.is_socket()
    return True


def ask(path: Path) -> dict[str, Any]:
    """The running daemon's answer at `socket_path(database)`. Raise Unavailable when none runs."""
    database = path.with_suffix("")
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
        raise Unavailable(f"{path}: no daemon answers ({reason}); {_remedy(database)}") from None
    return snapshot


def _remedy(database: Path) -> str:
    if is_first_byte_locked(database):
        return f"yet one is writing {database}, and makes a socket anew that was deleted: ask again in a moment"
    return "start it with `systemctl start edged` or `edged run`"
