"""Reads and writes files whole or not at all: of a bounded size, and whatever happens in the middle."""

import io
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edged.errors import Failed, UsageError

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What `zipfile` raises for a file that is no whole archive: beside its own error, zlib's for damaged bytes, EOFError and
OSError where it is cut off, ValueError for offsets that lie outside, RuntimeError for a member with a password, and
NotImplementedError for a way of packing that it does not know."""


def read_whole(path: Path, most_bytes: int, remedy: str) -> bytes:
    """The bytes of `path`. Raise UsageError when it cannot be read, ending in `remedy`, or holds more than `most_bytes`."""
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    if len(data) > most_bytes:
        raise UsageError(f"{path}: too large, a model may have at most {most_bytes >> 20} MiB")
    return data


@contextmanager
def whole_archive(path: Path, data: bytes, kind: str, remedy: str) -> Iterator[zipfile.ZipFile]:
    """The zip archive that `data`, read from `path`, is. Raise UsageError when it proves damaged while it is used."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield archive
    except DAMAGE as error:
        said = " ".join(str(error).split())[:200]
        raise UsageError(f"{path}: not a whole {kind} ({said}); {remedy}") from None


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path`: temporary file, fsync, rename. Raise Failed, leaving what was there, when it cannot be written."""
    try:
        handle, name = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.chmod(0o644)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Failed(f"{path}: cannot be written ({error.strerror}); name another --out") from None
