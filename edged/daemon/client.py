"""The client of the request socket, on which the running daemon says what it does and takes commands; light to import.

The socket lies beside the database, mode 0660: whoever may connect is the service's user or group. A client sends one line of
JSON, `{"verb": …, arguments}`, and reads one JSON document until end of file; one that says nothing gets the status. What is
answered is in `questions.py` and `commands.py`; pictures, which reveal more, have a socket of their own.
"""

import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from edged.errors import Unavailable
from edged.files import is_first_byte_locked

MOST_BYTES = 1_000_000

USUAL_WAIT_S = 10.0
WAITS_S: Final[Mapping[str, float]] = {
    "configure": 60.0,
    "glimpses": 60.0,
    "reload": 60.0,
    "report": 120.0,
    "selftest": 330.0,
}
"""How long a verb's answer may take, where that is not USUAL_WAIT_S."""
SLACK_S = 5.0
"""So much longer a client waits than the daemon takes at most."""
SILENT = "the daemon does not answer"
BOUND = Path("/proc/net/unix")
TRIES = 3
BUSY, BUSY_S = "busy", 0.3
"""With this begins what a daemon says that has no room for one more at this moment; after so long it is asked again."""


class NoAnswer(Unavailable):
    """Somebody listens there, and does not answer in time: a daemon that is frozen, or a machine that hangs."""


def socket_path(database: Path) -> Path:
    """Where the daemon that writes `database` answers; no two databases share one."""
    return database.with_name(database.name + ".sock")


def written_databases() -> list[Path]:
    """The databases that running daemons write whose sockets this process can see, by what the kernel lists."""
    try:
        lines = BOUND.read_text(errors="replace").splitlines()
    except OSError:
        return []
    sockets = {line[line.index("/") :] for line in lines if "/" in line and line.endswith(".sock")}
    found = {Path(path).with_suffix("") for path in sockets}
    return sorted(path for path in found if path.is_file() and is_first_byte_locked(path))


def wait_s(verb: str) -> float:
    """How long the daemon takes to answer at most."""
    return WAITS_S.get(verb, USUAL_WAIT_S)


def ask(path: Path) -> dict[str, Any]:
    """The running daemon's status; see `request`."""
    return request(path, "status")


def request(path: Path, verb: str, *, within_s: float | None = None, **arguments: Any) -> dict[str, Any]:
    """The running daemon's answer at `socket_path(database)`: of a command `{"ok": bool, "error": str | None, …}`.

    `within_s`: how long to wait, for who cannot wait as long as the verb may take. Raise Unavailable, naming the remedy, when
    none runs, NoAnswer when it says nothing in time, Unavailable also when it cannot answer a question that is no command.
    """
    within_s = wait_s(verb) + SLACK_S if within_s is None else within_s
    line = json.dumps({"verb": verb, **arguments}).encode() + b"\n"
    for left in reversed(range(TRIES)):
        answer = _exchange(path, line, within_s)
        if left and str(answer.get("error")).startswith(BUSY):
            time.sleep(BUSY_S)
            continue
        # A busy machine may have let the line arrive too late: the status is answered then, which alone has no version.
        if verb == "status" or "v" in answer:
            break
    else:
        raise Unavailable(f"{path}: the daemon did not take {verb}; ask again when the machine is less busy")
    if verb == "status" and answer.get("ok") is False:
        raise Unavailable(f"{path}: {answer.get('error')}")
    return answer


def _exchange(path: Path, line: bytes, timeout_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_s
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout_s)
            client.connect(str(path))
            answer = b""
            with suppress(BrokenPipeError, ConnectionResetError):  # of one who does not listen: read what it says
                client.sendall(line)
            with suppress(ConnectionResetError):
                while part := client.recv(65_536):
                    client.settimeout(max(0.001, deadline - time.monotonic()))
                    answer += part
                    if len(answer) > MOST_BYTES:
                        raise Unavailable(
                            f"{path}: the answer is not the daemon's; is another program listening there?"
                        )
        document = json.loads(answer)
        if not isinstance(document, dict):
            raise ValueError("no JSON object")
    except (TimeoutError, BlockingIOError):  # the second where its queue of connections is full
        raise NoAnswer(f"{path}: {SILENT} within {timeout_s:g} s; if it stays so, `systemctl restart edged`") from None
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        if isinstance(error, PermissionError):
            raise Unavailable(f"{path}: not open to this user ({reason}); use sudo, or join the group edged") from None
        raise Unavailable(f"{path}: no daemon answers ({reason}); {_remedy(path.with_suffix(''))}") from None
    return document


def _remedy(database: Path) -> str:
    if is_first_byte_locked(database):
        return f"yet one is writing {database}, and creates a deleted socket again: try again in a moment"
    return "start it with `systemctl start edged` or `edged run`"
