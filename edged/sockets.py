"""One question, one answer, over a Unix socket: the server; a client sends one line and reads until end of file."""

import errno
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edged.files import identity
from edged.worker import Worker

log = logging.getLogger(__name__)

MOST_LINE_BYTES = 65_536
MOST_RECEIVED = 1_000_000
"""Of a longer line so much is read and thrown away: who still writes does not hear the answer."""
SILENT_S = 0.1
"""Who has said nothing for so long is taken to have asked with an empty line."""
SLOW_S = 2.0
"""A client that takes longer to ask, or to take its answer, is cut off."""
MOST_CLIENTS = 16
LAST_ANSWERS_S = 0.5
"""Clients that are being answered when the server stops have so long."""


class LineServer(Worker):
    """Answers each connection in a thread and closes it; beyond `most_clients` at once says `busy`.

    A thread that has answered waits for the next connection: of each new one OpenCV keeps a kilobyte for ever, when the answer
    is a picture.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        answer: Callable[[bytes], bytes],
        *,
        use: str,
        busy: bytes = b"",
        most_clients: int = MOST_CLIENTS,
    ) -> None:
        """`answer` gets a line without its end, cut off after one byte more than MOST_LINE_BYTES, and is called from many
        threads at once. `use`: what will not work without the socket, for people.
        """
        super().__init__(name)
        self._path, self._answer, self._use, self._busy = path, answer, use, busy
        self._places = threading.Semaphore(most_clients)
        self._threads: list[threading.Thread] = []
        self._connections: queue.SimpleQueue[socket.socket | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
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
            server.listen(MOST_CLIENTS)
            server.settimeout(0.5)
        except OSError as error:
            server.close()
            if (problem := str(error.strerror or error)) != self._problem:
                self._problem = problem
                remedy = "; use a shorter store.path" if error.errno is None else ""
                log.warning("%s: %s will not work (%s)%s", self._path, self._use, problem, remedy)
        else:
            self._socket, self._identity, self._problem = server, identity(self._path), ""

    def work(self) -> None:
        while not self.stopping.is_set():
            self.beat()
            if self._socket is not None and not self._is_there():
                log.warning("%s was deleted; it is created again", self._path)
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
            self._serve(connection)
        if self._socket is not None:
            self._socket.close()
            if self._is_there():
                self._path.unlink(missing_ok=True)
        deadline = time.monotonic() + LAST_ANSWERS_S
        for _ in self._threads:
            self._connections.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _is_there(self) -> bool:
        """Whether the socket's name still leads to it."""
        return identity(self._path) == self._identity

    def _serve(self, connection: socket.socket) -> None:
        if not self._places.acquire(blocking=False):
            _send(connection, self._busy)
            return
        self._connections.put(connection)
        if not self._idle.acquire(blocking=False):
            thread = threading.Thread(target=self._attend, name=f"{self.name}-client", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _attend(self) -> None:
        """A thread's life."""
        while (connection := self._connections.get()) is not None:
            self._converse(connection)
            self._idle.release()
            self._places.release()

    def _converse(self, connection: socket.socket) -> None:
        try:
            line = _line(connection)
            _send(connection, b"" if line is None else self._answer(line))
        except Exception as error:
            # As in `Worker`: the supervisor sees it, and the daemon is started afresh.
            self.failure = error
            log.exception("worker %s failed", self.name)
        finally:
            connection.close()


def _line(connection: socket.socket) -> bytes | None:
    """What the client asks, empty of one who says nothing; None of one who does not finish in time, or is gone."""
    line, received, deadline = b"", 0, time.monotonic() + SLOW_S
    try:
        connection.settimeout(SILENT_S)
        while received < MOST_RECEIVED:
            try:
                part = connection.recv(MOST_LINE_BYTES)
            except TimeoutError:
                return None if line else b""
            line += part[: MOST_LINE_BYTES + 1 - len(line)]
            received += len(part)
            if not part or b"\n" in part:
                break
            connection.settimeout(max(0.001, deadline - time.monotonic()))
    except OSError:
        return None
    return line.partition(b"\n")[0]


def _send(connection: socket.socket, answer: bytes) -> None:
    """Send it, as far as the client takes it in time, and close."""
    with connection:
        try:
            connection.settimeout(SLOW_S if answer else None)
            connection.sendall(answer)
        except OSError as error:
            log.debug("a client got no whole answer: %s", error)


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
