"""Lets any thread end another thread's wait on sockets."""

import contextlib
import socket


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
