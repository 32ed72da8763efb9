"""Files: read within a bound, written whole or not at all, locked. Nothing that edged did not make is overwritten unasked."""

import errno
import fcntl
import os
import secrets
import shutil
import signal
import stat
import struct
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import BinaryIO, TypeAlias

from edged.errors import Failed, UsageError

STDOUT = 1
Stamp: TypeAlias = tuple[int, int, int]
FIRST_BYTE = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
"""A `struct flock`."""
ENDINGS = (signal.SIGTERM, signal.SIGHUP)
"""End a program at once unless it asks not to: `timeout`, a service manager, a terminal that is closed."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raise OSError, also for a folder, FIFO or device: those may have no end, or nothing."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return path.open("rb")


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a regular file. Raise OSError when it cannot be read, ValueError when it has more than `most`."""
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"larger than {most} bytes")
    return data


def stamp_of(path: Path) -> Stamp | None:
    """Another one once the file was written, replaced, or given to other users; None where there is nothing to see."""
    try:
        there = path.stat()
    except OSError:
        return None
    return there.st_mtime_ns, there.st_ctime_ns, there.st_ino


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of what a path leads to, by whatever names and links; None where there is nothing."""
    try:
        there = path.stat()
    except OSError:
        return None
    return there.st_dev, there.st_ino


def refuse_inputs(target: Path, inputs: Iterable[Path]) -> None:
    """Raise UsageError where `target` is one of `inputs`: what is read must not be written over."""
    there = identity(target)
    for source in inputs if there else ():
        if identity(source) == there:
            raise UsageError(f"{target}: {written_over(target, source)}; choose another file")


def written_over(target: Path, source: Path) -> str:
    """Why `target` cannot be written, which is `source` by whatever name, in words."""
    if target == source:
        return "is read, and would be written over"
    return f"is the same file as {source}, which is read and would be written over"


@contextmanager
def scratch(target: Path, inputs: Iterable[Path] = ()) -> Iterator[Path]:
    """An empty file to fill with what a person asks to have in `target`; every output of the command line goes through here.

    Symbolic links are followed. A new file is there whole or not at all, with the permissions that the umask leaves. A
    file that is there keeps its owner, permissions and links, and its content until the block ends without an error; a
    FIFO or character device gets the bytes then. Raise UsageError where `target` is one of `inputs`, a folder or a disk,
    Failed where it cannot be written.
    """
    refuse_inputs(target, inputs)
    try:
        there = _status(target)
        final = Path(os.path.realpath(target))  # where a symbolic link that leads nowhere yet leads
        partial = _empty(final.parent) if there is None else _spool(final.parent)
        try:
            with _gone_when_ended(partial):
                yield partial
                if there is None:
                    _publish(partial, final)
                else:
                    _pour(partial, target, there)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and is_stdout(target):
            raise SystemExit(0) from None  # who reads it has enough, as of everything else that is printed
        raise Failed(f"{target}: cannot be written ({error.strerror or error}); choose another file") from None


@contextmanager
def writing(target: Path, inputs: Iterable[Path] = ()) -> Iterator[BinaryIO]:
    """Like `scratch`, open for writing, reading and seeking."""
    with scratch(target, inputs) as partial, partial.open("r+b") as file:
        yield file


def write(target: Path, data: bytes, inputs: Iterable[Path] = ()) -> None:
    """Write `data` to `target` as `scratch` does."""
    with writing(target, inputs) as file:
        file.write(data)


def write_beside(target: Path, data: bytes, mode: int = 0o600, group: int | None = None) -> Path:
    """A new file in the folder of `target` with `data` on the disk, which the caller renames or removes. Raise OSError."""
    partial = _empty(target.parent, 0o600)
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            if group is not None:
                os.fchown(file.fileno(), 0, group)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return partial


def replace(target: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file of edged's own: after a power cut there is the old one or the new one, whole. Raise OSError."""
    partial = write_beside(target, data, mode)
    try:
        partial.replace(target)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    sync(target.parent)


def lock(descriptor: int) -> bool:
    """Lock an open file or folder against other processes until it is closed, however this one ends; False: another has it.

    The kernel's flock serves, without a library: `filelock` wraps the same call, and adds waiting, which nothing here does.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def lock_first_byte(descriptor: int) -> bool:
    """Lock the first byte of a file until its descriptor is closed; False where another has it.

    The program whose format the file has must have no use for that lock: SQLite's begin at 1 GiB. A file system that
    knows no such locks lets everybody in.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, FIRST_BYTE)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def is_first_byte_locked(path: Path) -> bool:
    """Whether somebody holds `lock_first_byte`. Not for a process that has the file open with locks of its own."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, FIRST_BYTE)
        return bool(struct.unpack_from("h", found)[0] != fcntl.F_UNLCK)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def is_stdout(target: Path) -> bool:
    """Whether what is written to `target` comes out where this program prints."""
    try:
        return os.path.samestat(target.stat(), os.fstat(STDOUT))
    except OSError:
        return False


def _status(target: Path) -> os.stat_result | None:
    """What `target` leads to; None where there is nothing yet."""
    try:
        there = target.stat()
    except FileNotFoundError:
        return None
    kind = stat.S_IFMT(there.st_mode)
    if kind in (stat.S_IFDIR, stat.S_IFBLK):
        raise UsageError(f"{target}: is a {'folder' if kind == stat.S_IFDIR else 'disk'}; choose another file")
    return there


def _empty(folder: Path, mode: int = 0o666) -> Path:
    """A new file with a unique name."""
    path = folder / f".edged-{secrets.token_hex(6)}.partial"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode))
    return path


def _spool(folder: Path) -> Path:
    """Beside what it is for, since /tmp may be small; in /tmp where nothing can be made there."""
    try:
        return _empty(folder, 0o600)
    except OSError:
        return _empty(Path(tempfile.gettempdir()), 0o600)


@contextmanager
def _gone_when_ended(partial: Path) -> Iterator[None]:
    """A program that is ended in the block takes `partial` with it. Signals that somebody handles or ignores stay with them."""

    def end(number: int, _: FrameType | None) -> None:
        partial.unlink(missing_ok=True)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    with _handled([number for number in ENDINGS if signal.getsignal(number) is signal.SIG_DFL], end):
        yield


@contextmanager
def _not_now() -> Iterator[None]:
    """What would end the program in the block, Ctrl-C too, does so after it."""
    came: list[int] = []
    asked = [number for number in (signal.SIGINT, *ENDINGS) if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    with _handled(asked, lambda number, _: came.append(number)):
        yield
    for number in came[:1]:
        signal.raise_signal(number)


@contextmanager
def _handled(numbers: Iterable[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """`handler` for these signals; nothing in other threads than the main one, where Python allows no handlers."""
    before = {}
    try:
        if threading.current_thread() is threading.main_thread():
            before = {number: signal.signal(number, handler) for number in numbers}
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _publish(partial: Path, final: Path) -> None:
    """Give a whole file its name, unless another has taken that meanwhile."""
    sync(partial)
    try:
        os.link(partial, final)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, as of USB sticks
        partial.rename(final)


def _pour(partial: Path, target: Path, there: os.stat_result) -> None:
    """Write the bytes into what is there."""
    regular = stat.S_ISREG(there.st_mode)
    if is_stdout(target):  # opened anew, it would be written over from its start
        descriptor, regular = os.dup(STDOUT), False
    else:
        descriptor = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
    with partial.open("rb") as source, open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor has no path
        if not regular:
            shutil.copyfileobj(source, file)
            return
        _reserve(descriptor, partial.stat().st_size)
        with _not_now():  # from here on the old content is not there any more
            shutil.copyfileobj(source, file)
            file.truncate()
            file.flush()
            os.fsync(descriptor)


def _reserve(descriptor: int, length: int) -> None:
    """Have a full disk refuse the bytes before any of the old ones is gone."""
    try:
        os.posix_fallocate(descriptor, 0, max(length, 1))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise


def sync(path: Path) -> None:
    """Have the content of a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
