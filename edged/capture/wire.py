"""How one message, and with it a descriptor, is read from the socket between a capture process and its parent."""

import array
import json
import socket
from typing import Any

MOST_BYTES_OF_A_MESSAGE = 65_536


def receive(peer: socket.socket, flags: int = 0) -> tuple[dict[str, Any], int | None]:
    """The next message of a trusted peer, and the descriptor that came with it.

    Raise ConnectionError when the peer has hung up, BlockingIOError when nothing is there and `flags` say not to wait.
    """
    # Not socket.recv_fds: it drops its flags (Python 3.9 to 3.13).
    size = array.array("i", [0]).itemsize
    data, ancillary, _, _ = peer.recvmsg(MOST_BYTES_OF_A_MESSAGE, socket.CMSG_SPACE(size), flags)
    if not data:
        raise ConnectionError("the peer has hung up")
    message: dict[str, Any] = json.loads(data)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            return message, array.array("i", content[:size])[0]
    return message, None
