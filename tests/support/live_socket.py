"""The live socket: a client that asks for one picture, and a double whose newest picture and faces are what the test says."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edged.errors import Unavailable
from edged.live import live_path
from edged.sockets import LineServer

WAIT_S = 0.3
PICTURE_S = 0.5
"""A busy browser may come late: a picture that is older is followed by another one of the same people."""
LONGEST_S = 60.0
"""The daemon answers within two seconds, and then sends: but how busy the machine is says nothing about it."""
MOST_BYTES = 2_000_000


class LiveSocket:
    """Answers as `edged.live.view` does; `show` puts somebody before the camera, whose pictures come until `freeze`."""

    def __init__(self, database: Path) -> None:
        self.answer: dict[str, Any] = {"ok": True, "error": None, "camera_state": "online", "reason": None}
        self.refusal = ""
        """What is answered in place of a camera, as to one viewer too many."""
        self.asked: list[dict[str, Any]] = []
        self._number, self._faces, self.made_s = 0, list[Mapping[str, Any]](), 0.0
        self._picture, self._moves, self._taking = b"", False, threading.Lock()
        self._server = LineServer("live", live_path(database), self._answer, use="the test")

    def __enter__(self) -> "LiveSocket":
        self._server.open()
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(LONGEST_S)

    def show(self, faces: Sequence[Mapping[str, Any]] = ()) -> None:
        with self._taking:
            self._faces, self._moves = list(faces), True
            self._take()

    def freeze(self) -> None:
        """The newest picture is the last one."""
        self._moves = False

    def _take(self) -> None:
        picture = np.full((270, 480, 3), 90 + self._number % 60, np.uint8)
        self._picture, self.made_s = cv2.imencode(".jpg", picture)[1].tobytes(), time.monotonic()
        self._number += 1

    def _answer(self, line: bytes) -> bytes:
        asked = json.loads(line)
        self.asked.append(asked)
        if self.refusal:
            return json.dumps({"ok": False, "error": self.refusal, "bytes": 0}).encode() + b"\n"
        with self._taking:
            if self._moves and time.monotonic() - self.made_s > PICTURE_S:
                self._take()
        deadline = time.monotonic() + WAIT_S
        while self._number == asked["after"] and time.monotonic() < deadline:
            time.sleep(0.01)
        new = self._number > 0 and self._number != asked["after"]
        data = self._picture if new else b""
        about = {
            "frame_id": self._number if new else None,
            "age_ms": round(1000 * (time.monotonic() - self.made_s)) if new else None,
            "faces": self._faces if new else [],
            "width": 480, "height": 270, "sharpness": 55.0, "brightness": 120.0, "bytes": len(data),
        }  # fmt: skip
        return json.dumps({**self.answer, **about}).encode() + b"\n" + data


def face(state: str | None, score: float = 0.9, width: float = 80.0, x: float = 0.3, **more: Any) -> dict[str, Any]:
    """A row of `edged.live.faces`."""
    nothing = dict.fromkeys(
        ("mask", "why_not_judged", "why_not_read", "yaw", "pitch", "roll", "eyes", "mouth", "points")
    )
    known = {"box": [x, 0.3, x + 0.2, 0.8], "track": 1, "found": 0.9, "width_px": width, "side_px": width}
    return {**nothing, **known, "state": state, "score": score, **more}


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
