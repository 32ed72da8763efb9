"""The client of the socket of live pictures: one line of JSON out, one line and a JPEG back; nothing here waits in a thread."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from edged.config import CameraConfig
from edged.errors import Unavailable

LONGEST_WAIT_S = 4.0
"""The daemon answers after two seconds when there is no newer picture."""
MOST_HEAD_BYTES = 256 * 1024
MOST_PICTURE_BYTES = 4 * 1024 * 1024
OLD_S, LATE_S = 2.0, 1.0


def old_after_ms(camera: CameraConfig | None) -> int:
    """A picture that is older says nothing about who is there now: the next one, and the one after it, are overdue.

    What the pages' scripts go by, too. None: of a camera that is not in the config any more.
    """
    return round(1000 * max(OLD_S, 2 / camera.fps + LATE_S if camera else 0.0))


@dataclass(frozen=True, slots=True)
class Live:
    """What the daemon knows of one camera now: `about`, as the socket has it, and the picture, empty without a new one."""

    about: dict[str, Any]
    picture: bytes


async def ask_live(path: Path, **asked: Any) -> Live:
    """The answer to `asked` (`camera`, `after`, …). Raise Unavailable, for people, when there is none."""
    try:
        with anyio.fail_after(LONGEST_WAIT_S):
            async with await anyio.connect_unix(path) as stream:
                await stream.send(json.dumps(asked).encode() + b"\n")
                return await _received(stream)
    except TimeoutError:
        raise Unavailable("the daemon does not answer in time; `edged status` says how it is") from None
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream, ValueError, KeyError, TypeError):
        raise Unavailable("no live picture: the daemon does not run, or is being started") from None


async def _received(stream: anyio.abc.SocketStream) -> Live:
    data = bytearray()
    while b"\n" not in data:
        if len(data) > MOST_HEAD_BYTES:
            raise ValueError
        data += await stream.receive()
    head, _, rest = bytes(data).partition(b"\n")
    about: dict[str, Any] = json.loads(head)
    length, picture = int(about.get("bytes", 0)), bytearray(rest)
    if not 0 <= length <= MOST_PICTURE_BYTES:
        raise ValueError
    while len(picture) < length:
        picture += await stream.receive()
    return Live(about, bytes(picture[:length]))
