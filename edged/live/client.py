"""Fetches one live picture from the running daemon; light to import."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edged.errors import Unavailable

LONGEST_S = 5.0
"""The daemon answers within two seconds, and then sends."""
MOST_BYTES = 2_000_000


def live_path(database: Path) -> Path:
    """Where the daemon that writes `database` gives live pictures."""
    return database.with_name(database.name + ".live.sock")


def look(
    path: Path,
    camera: str,
    *,
    after: int | None = None,
    viewer: str | None = None,
    clear: bool = False,
    who: str = "",
    reason: str = "",
    picture: bool = True,
) -> tuple[dict[str, Any], bytes]:
    """The next picture of `camera` after that one, as its header and a JPEG: empty when there is none within two seconds.

    `viewer` tells one who looks from another: a camera has two at most. `clear` asks for faces that are not hidden, which is
    recorded with `who` and `reason`. Without `picture` only the header comes: nothing is encoded, and no place is taken. The
    header's `error` says what was refused. Raise Unavailable when no daemon answers.
    """
    asked = {"camera": camera, "after": after, "viewer": viewer, "clear": clear, "who": who, "reason": reason}
    asked["picture"] = picture
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(LONGEST_S)
            client.connect(str(path))
            client.sendall(json.dumps(asked).encode() + b"\n")
            head, _, data = b"".join(_parts(client)).partition(b"\n")
        header = json.loads(head)
        if not isinstance(header, dict) or header.get("bytes") != len(data):
            raise ValueError("cut short")
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else None
        raise Unavailable(f"{path}: no daemon gives pictures ({said or error}); see `edged status`") from None
    return header, data


def _parts(client: socket.socket) -> Iterator[bytes]:
    received = 0
    while part := client.recv(65_536):
        received += len(part)
        if received > MOST_BYTES:
            raise ValueError("too long")
        yield part
