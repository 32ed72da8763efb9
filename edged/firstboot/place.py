"""One partition on which an edged.toml may lie: reads it, and leaves word of what came of it. Trusts nothing that lies there."""

import errno
import logging
import os
import signal
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edged.toml import MAX_TOML_BYTES

NAMES = ("edged.toml", "edged.toml.txt")
"""Windows hides endings, and its editor adds one."""
APPLIED = "edged.toml.applied"
ERROR = "edged-ERROR.txt"
ERASED = "edged.toml.erased"
"""What was applied, while zeros are being written over it: a file that is half zeros is no new edged.toml."""
STICK_ERROR = "edged-STICK-ERROR.txt"
"""On the boot partition: that a stick could not be read, on which nothing can be written."""
ANSWER_S = 5.0
"""A partition from which so small a file has not been read after so long is one that never answers."""
POLL_S = 0.01

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A file called edged.toml, as bytes, or why it cannot be read."""

    folder: Path
    name: str
    data: bytes
    problem: str | None = None


def find(folder: Path) -> Found | None:
    """The file in `folder`; None where there is none."""
    for name in NAMES:
        try:
            return Found(folder, name, _read(folder / name))
        except FileNotFoundError:
            continue
        except OSError as error:
            return Found(folder, name, b"", f"cannot be read ({error.strerror})")
        except ValueError as error:
            return Found(folder, name, b"", str(error))
    return None


def answers(folder: Path) -> bool:
    """Whether what `find` reads can be read at all. A child reads it first, which a worn stick may hold for ever; after it
    the file lies in memory.
    """
    child = os.fork()
    if child == 0:
        try:
            find(folder)
        finally:
            os._exit(0)
    deadline = time.monotonic() + ANSWER_S
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)  # one that sleeps in a driver is left to the kernel
            return False
        time.sleep(POLL_S)
    return True


def note_stick(folder: Path, problem: str | None) -> None:
    """Leave word on the boot partition of a stick that cannot be read, until one can; `problem`: why, None when it was read."""
    try:
        if problem is None:
            (folder / STICK_ERROR).unlink(missing_ok=True)
        else:
            leave(folder, STICK_ERROR, problem + "\n")
    except OSError as error:
        log.warning("%s cannot be written (%s)", folder / STICK_ERROR, error.strerror)


def _read(path: Path) -> bytes:
    """The bytes of a plain file: links lead elsewhere, and pipes and devices have no end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError("is a link; put the file itself there") from None
        raise
    with open(descriptor, "rb") as file:  # noqa: PTH123  a descriptor has no path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is no plain file")
        data = file.read(MAX_TOML_BYTES + 1)
    if len(data) > MAX_TOML_BYTES:
        raise ValueError(f"is larger than {MAX_TOML_BYTES // 1024} KB")
    return data


def leave(folder: Path, name: str, text: str) -> None:
    """Write a small file, with the ends of lines that every editor shows. Raise OSError where the partition takes none."""
    path = folder / name
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8", newline="\r\n") as file:  # noqa: PTH123
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def set_aside(found: Found, text: str) -> None:
    """Put `text` in the file's place under the name of what was applied; zeros take the place of its bytes first."""
    leave(found.folder, APPLIED, text)
    (found.folder / found.name).replace(found.folder / ERASED)
    _erase(found.folder / ERASED)
    with suppress(OSError):
        (found.folder / ERROR).unlink()


def erase(folder: Path) -> None:
    """Go on erasing where a power cut came in between: what is left of the file holds passwords."""
    try:
        _erase(folder / ERASED)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("%s: cannot be deleted (%s); delete it, it holds passwords", folder / ERASED, error.strerror)


def _erase(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "r+b", buffering=0) as file:  # noqa: PTH123
        there = os.fstat(descriptor)
        if stat.S_ISREG(there.st_mode):
            file.write(bytes(min(there.st_size, MAX_TOML_BYTES)))
            os.fsync(descriptor)
    path.unlink()
