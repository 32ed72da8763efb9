"""The channel between a child process and its parent: a socket that carries whole JSON objects, and descriptors with them."""

import array
import json
import socket
from collections.abc import Mapping
from typing import Any

MOST_BYTES_OF_A_MESSAGE = 65_536


def pair() -> tuple[socket.socket, socket.socket]:
    """The parent's end and the child's, which the child is given as an open descriptor."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(peer: socket.socket, message: Mapping[str, Any], descriptor: int | None = None) -> None:
    """Raise ConnectionError when the peer has hung up, BlockingIOError when it reads too slowly and `peer` must not wait."""
    socket.send_fds(peer, [json.dumps(message).encode()], [] if descriptor is None else [descriptor])


def receive(peer: socket.socket, flags: int = 0) -> dict[str, Any]:
    """The next message; a descriptor that comes with it is closed.

    Raise ConnectionError when the peer has hung up, BlockingIOError when nothing is there and `peer` or `flags` must not wait,
    ValueError for what is no JSON object.
    """
    return _object(peer.recv(MOST_BYTES_OF_A_MESSAGE, flags))


def receive_with_descriptor(peer: socket.socket, flags: int = 0) -> tuple[dict[str, Any], int | None]:
    """The same from a trusted peer, with the descriptor that came with the message."""
    # Not socket.recv_fds: it drops its flags (Python 3.9 to 3.13).
    size = array.array("i", [0]).itemsize
    data, ancillary, _, _ = peer.recvmsg(MOST_BYTES_OF_A_MESSAGE, socket.CMSG_SPACE(size), flags)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            return _object(data), array.array("i", content[:size])[0]
    return _object(data), None


def _object(data: bytes) -> dict[str, Any]:
    if not data:
        raise ConnectionError("the peer has hung up")
    try:
        message = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message
